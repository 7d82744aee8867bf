use super::*;
use proptest::prelude::*;

fn judged(url: &str) -> Result<(), Refused> {
    AddressGuard::default().check_url(&Url::parse(url).unwrap())
}

/// First and last address of each reserved block and their neighbours outside; `true` means public.
const V4: &[(&str, bool)] = &[
    ("0.0.0.0", false),
    ("0.0.0.1", false),
    ("0.255.255.255", false),
    ("1.0.0.0", true),
    ("1.1.1.1", true),
    ("8.8.8.8", true),
    ("9.255.255.255", true),
    ("10.0.0.0", false),
    ("10.1.2.3", false),
    ("10.255.255.255", false),
    ("11.0.0.0", true),
    ("100.63.255.255", true),
    ("100.64.0.0", false),
    ("100.100.100.200", false),
    ("100.127.255.255", false),
    ("100.128.0.0", true),
    ("126.255.255.255", true),
    ("127.0.0.0", false),
    ("127.0.0.1", false),
    ("127.0.0.53", false),
    ("127.255.255.255", false),
    ("128.0.0.0", true),
    ("168.63.129.15", true),
    ("168.63.129.16", false),
    ("168.63.129.17", true),
    ("169.253.255.255", true),
    ("169.254.0.0", false),
    ("169.254.169.254", false),
    ("169.254.170.2", false),
    ("169.254.170.23", false),
    ("169.254.255.255", false),
    ("169.255.0.0", true),
    ("172.15.255.255", true),
    ("172.16.0.0", false),
    ("172.17.0.1", false),
    ("172.31.255.255", false),
    ("172.32.0.0", true),
    ("191.255.255.255", true),
    ("192.0.0.0", false),
    ("192.0.0.8", false),
    ("192.0.0.170", false),
    ("192.0.0.192", false),
    ("192.0.0.255", false),
    ("192.0.1.0", true),
    ("192.0.1.255", true),
    ("192.0.2.0", false),
    ("192.0.2.255", false),
    ("192.0.3.0", true),
    ("192.31.195.255", true),
    ("192.31.196.0", false),
    ("192.31.196.255", false),
    ("192.31.197.0", true),
    ("192.52.193.1", false),
    ("192.88.98.255", true),
    ("192.88.99.0", false),
    ("192.88.99.255", false),
    ("192.88.100.0", true),
    ("192.167.255.255", true),
    ("192.168.0.0", false),
    ("192.168.1.1", false),
    ("192.168.255.255", false),
    ("192.169.0.0", true),
    ("192.175.47.255", true),
    ("192.175.48.1", false),
    ("192.175.49.0", true),
    ("198.17.255.255", true),
    ("198.18.0.0", false),
    ("198.19.255.255", false),
    ("198.20.0.0", true),
    ("198.51.99.255", true),
    ("198.51.100.0", false),
    ("198.51.100.255", false),
    ("198.51.101.0", true),
    ("203.0.112.255", true),
    ("203.0.113.0", false),
    ("203.0.113.255", false),
    ("203.0.114.0", true),
    ("223.255.255.255", true),
    ("224.0.0.0", false),
    ("224.0.0.251", false),
    ("239.255.255.250", false),
    ("239.255.255.255", false),
    ("240.0.0.0", false),
    ("255.255.255.254", false),
    ("255.255.255.255", false),
];

const V6: &[(&str, bool)] = &[
    ("::", false),
    ("::1", false),
    ("::2", false),
    ("::7f00:1", false),
    ("::127.0.0.1", false),
    ("::169.254.169.254", false),
    ("::8.8.8.8", false),
    ("::ffff:127.0.0.1", false),
    ("::ffff:10.0.0.1", false),
    ("::ffff:169.254.169.254", false),
    ("::ffff:8.8.8.8", false),
    ("::ffff:0:127.0.0.1", false),
    ("::ffff:0:8.8.8.8", false),
    ("64:ff9b::", false),
    ("64:ff9b::7f00:1", false),
    ("64:ff9b::808:808", false),
    ("64:ff9b::ffff:ffff", false),
    ("64:ff9b:1::", false),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false),
    ("100::", false),
    ("100::ffff:ffff:ffff:ffff", false),
    ("100:0:0:1::", false),
    ("400::1", false),
    ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2000::", true),
    ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("2001::", false),
    ("2001::1", false),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", false),
    ("2001:1::1", false),
    ("2001:2::", false),
    ("2001:2:0:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:3::1", false),
    ("2001:4:112::1", false),
    ("2001:10::", false),
    ("2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:20::", false),
    ("2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:30::1", false),
    ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:200::", true),
    ("2001:4860:4860::8888", true),
    ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("2001:db8::", false),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:db9::", true),
    ("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("2002::", false),
    ("2002:7f00:1::", false),
    ("2002:a9fe:a9fe::1", false),
    ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2003::", true),
    ("2606:4700:4700::1111", true),
    ("2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", true),
    ("2620:4f:8000::", false),
    ("2620:4f:8000:ffff:ffff:ffff:ffff:ffff", false),
    ("2620:4f:8001::", true),
    ("2a00:1450:4001:827::200e", true),
    ("3ffd:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("3ffe::1", false),
    ("3fff::", false),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("3fff:1000::", true),
    ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("4000::", false),
    ("5f00::1", false),
    ("5fff::1", false),
    ("8000::1", false),
    ("fc00::", false),
    ("fd00:ec2::254", false),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fe00::1", false),
    ("fe80::1", false),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fec0::1", false),
    ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("ff00::", false),
    ("ff02::1", false),
    ("ff0e::1", false),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
];

/// Whole addresses, with the refusal's beginning; none means that the name must be resolved and judged then.
const URLS: &[(&str, Option<&str>)] = &[
    ("https://example.com/", None),
    ("https://example.com:443/", None),
    ("https://EXAMPLE.com./x?y#z", None),
    ("https://bücher.example/", None),
    ("https://1.1.1.1/", None),
    ("https://[2606:4700:4700::1111]/", None),
    // Names say nothing; their addresses do.
    ("https://localhost/", None),
    ("https://metadata.google.internal/", None),
    ("https://127.0.0.1.nip.example/", None),
    (
        "http://example.com/",
        Some("`http` to `example.com` is refused"),
    ),
    ("http://1.1.1.1/", Some("`http` to `1.1.1.1` is refused")),
    ("ftp://example.com/", Some("`ftp` to")),
    ("file:///etc/passwd", Some("the address names no host")),
    ("gopher://example.com/", Some("`gopher` to")),
    ("ws://example.com/", Some("`ws` to")),
    ("data:text/plain,hi", Some("the address names no host")),
    ("mailto:a@example.com", Some("the address names no host")),
    (
        "https://user@example.com/",
        Some("the address of `example.com` holds"),
    ),
    (
        "https://user:pass@example.com/",
        Some("the address of `example.com` holds"),
    ),
    (
        "https://:pass@example.com/",
        Some("the address of `example.com` holds"),
    ),
    (
        "https://example.com@127.0.0.1/",
        Some("the address of `127.0.0.1` holds"),
    ),
    ("https://example.com:80/", Some("port 80 of")),
    ("https://example.com:22/", Some("port 22 of")),
    ("https://example.com:25/", Some("port 25 of")),
    ("https://example.com:53/", Some("port 53 of")),
    ("https://example.com:6379/", Some("port 6379 of")),
    ("https://example.com:8443/", Some("port 8443 of")),
    ("https://example.com:0/", Some("port 0 of")),
    ("https://example.com:65535/", Some("port 65535 of")),
    (
        "https://127.0.0.1/",
        Some("`127.0.0.1` leads to 127.0.0.1, which is refused: loopback"),
    ),
    ("https://127.1/", Some("`127.0.0.1` leads to")),
    ("https://127.0.1/", Some("`127.0.0.1` leads to")),
    ("https://2130706433/", Some("`127.0.0.1` leads to")),
    ("https://0x7f000001/", Some("`127.0.0.1` leads to")),
    ("https://0x7f.0x0.0x0.0x1/", Some("`127.0.0.1` leads to")),
    ("https://0177.0.0.1/", Some("`127.0.0.1` leads to")),
    ("https://0177.0.0.01/", Some("`127.0.0.1` leads to")),
    ("https://127.0.0.1./", Some("`127.0.0.1` leads to")),
    ("https://0/", Some("`0.0.0.0` leads to")),
    ("https://0x0/", Some("`0.0.0.0` leads to")),
    (
        "https://169.254.169.254/latest/meta-data/",
        Some("`169.254.169.254` leads to"),
    ),
    ("https://2852039166/", Some("`169.254.169.254` leads to")),
    ("https://0xA9FEA9FE/", Some("`169.254.169.254` leads to")),
    (
        "https://0251.0376.0251.0376/",
        Some("`169.254.169.254` leads to"),
    ),
    ("https://169.254.43518/", Some("`169.254.169.254` leads to")),
    (
        "https://169.254.170.2/v2/credentials",
        Some("`169.254.170.2` leads to"),
    ),
    ("https://127.0.0.1:9001/", Some("port 9001 of")),
    ("https://１２７.０.０.１/", Some("`127.0.0.1` leads to")),
    ("https://①②⑦.⓪.⓪.①/", Some("`127.0.0.1` leads to")),
    ("https://127。0。0。1/", Some("`127.0.0.1` leads to")),
    ("https://%31%32%37.0.0.1/", Some("`127.0.0.1` leads to")),
    ("https://10.0.0.1/", Some("`10.0.0.1` leads to")),
    ("https://192.168.0.1/", Some("`192.168.0.1` leads to")),
    ("https://[::1]/", Some("`[::1]` leads to")),
    ("https://[::]/", Some("`[::]` leads to")),
    ("https://[0:0:0:0:0:0:0:1]/", Some("`[::1]` leads to")),
    (
        "https://[::ffff:127.0.0.1]/",
        Some("`[::ffff:7f00:1]` leads to"),
    ),
    (
        "https://[::ffff:7f00:1]/",
        Some("`[::ffff:7f00:1]` leads to"),
    ),
    (
        "https://[::ffff:a9fe:a9fe]/",
        Some("`[::ffff:a9fe:a9fe]` leads to"),
    ),
    ("https://[::127.0.0.1]/", Some("`[::7f00:1]` leads to")),
    (
        "https://[64:ff9b::a9fe:a9fe]/",
        Some("`[64:ff9b::a9fe:a9fe]` leads to"),
    ),
    (
        "https://[2002:7f00:1::]/",
        Some("`[2002:7f00:1::]` leads to"),
    ),
    (
        "https://[fd00:ec2::254]/",
        Some("`[fd00:ec2::254]` leads to"),
    ),
    ("https://[fe80::1]/", Some("`[fe80::1]` leads to")),
    ("https://example.com\\@127.0.0.1/", None),
    (
        "https://127.0.0.1\\@example.com/",
        Some("`127.0.0.1` leads to"),
    ),
    (
        "https://127.0.0.1#@example.com/",
        Some("`127.0.0.1` leads to"),
    ),
    (
        "https://127.0.0.1?@example.com/",
        Some("`127.0.0.1` leads to"),
    ),
    ("https:127.0.0.1/", Some("`127.0.0.1` leads to")),
    ("https:/\t/127.0.0.1/", Some("`127.0.0.1` leads to")),
    ("https://127.0.0.1\n/", Some("`127.0.0.1` leads to")),
];

/// What is no URL at all, so nothing can be connected to.
const NO_URLS: &[&str] = &[
    "https://",
    "https:///",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://exa mple.com/",
    "https://example.com:99999/",
    "https://a%00b/",
    "//example.com/",
    "example.com",
    "",
];

#[test]
fn there_are_cases_enough() {
    assert!(V4.len() + V6.len() + URLS.len() + NO_URLS.len() >= 150);
}

#[test]
fn each_v4_address_is_judged_at_the_edges_of_its_block() {
    for (text, public) in V4 {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(reserved(address).is_none(), *public, "{text}");
    }
}

#[test]
fn each_v6_address_is_judged_at_the_edges_of_its_block() {
    for (text, public) in V6 {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(reserved(address).is_none(), *public, "{text}");
    }
}

#[test]
fn a_literal_host_is_judged_as_its_address_is() {
    for (text, public) in V4 {
        assert_eq!(
            judged(&format!("https://{text}/")).is_ok(),
            *public,
            "{text}"
        );
    }
    for (text, public) in V6 {
        assert_eq!(
            judged(&format!("https://[{text}]/")).is_ok(),
            *public,
            "{text}"
        );
    }
}

#[test]
fn each_url_is_judged() {
    for (url, begins) in URLS {
        let said = judged(url).err().map(|error| error.to_string());
        match (begins, said) {
            (None, None) => {}
            (Some(begins), Some(said)) if said.starts_with(begins) => {}
            (expected, said) => panic!("{url}: expected {expected:?}, not {said:?}"),
        }
    }
    for url in NO_URLS {
        assert!(Url::parse(url).is_err(), "{url}");
    }
}

#[test]
fn an_allowed_network_passes_over_http_and_on_any_port() {
    let guard = AddressGuard::allowing(["10.1.0.0/16", "::1"]).unwrap();
    let judge = |url: &str| guard.check_url(&Url::parse(url).unwrap()).is_ok();
    assert!(judge("http://10.1.255.255:8080/"));
    assert!(judge("https://10.1.0.0/"));
    assert!(judge("http://[::1]:9/"));
    assert!(!judge("http://10.2.0.0/"));
    assert!(!judge("https://10.0.255.255/"));
    assert!(!judge("http://[::2]/"));
    assert!(!judge("http://user@10.1.0.1/"));
    assert!(!judge("ftp://10.1.0.1/"));
    assert!(
        guard
            .check_address("db.example", "10.1.2.3".parse().unwrap())
            .is_ok()
    );
    assert!(
        guard
            .check_address("db.example", "10.2.2.3".parse().unwrap())
            .is_err()
    );
}

#[test]
fn an_allowed_name_passes_whatever_its_address_on_its_port_only() {
    let guard = AddressGuard::allowing(["Tickets.Internal:8443", "wiki.internal"]).unwrap();
    let judge = |url: &str| guard.check_url(&Url::parse(url).unwrap()).is_ok();
    assert!(judge("https://tickets.internal:8443/"));
    assert!(judge("http://tickets.internal.:8443/"));
    assert!(!judge("https://tickets.internal/"));
    assert!(!judge("http://tickets.internal/"));
    assert!(judge("http://wiki.internal:1234/"));
    assert!(!judge("http://evil.wiki.internal/"));
    assert!(!judge("http://wiki.internal.example/"));
    let inside = "10.0.0.1".parse().unwrap();
    assert!(guard.check_address("wiki.internal", inside).is_ok());
    assert!(guard.check_address("WIKI.internal.", inside).is_ok());
    assert!(guard.check_address("other.internal", inside).is_err());
}

#[test]
fn an_allowed_port_is_for_public_places_only() {
    let guard = AddressGuard {
        allowed: Vec::new(),
        ports: vec![8443],
    };
    let judge = |url: &str| guard.check_url(&Url::parse(url).unwrap()).is_ok();
    assert!(judge("https://example.com:8443/"));
    assert!(!judge("https://127.0.0.1:8443/"));
    assert!(!judge("http://example.com:8443/"));
}

#[test]
fn entries_of_the_allow_list_are_read_and_shown() {
    for (text, shown) in [
        ("10.0.0.5", "10.0.0.5/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("[::1]", "::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("Example.COM", "example.com"),
        ("example.com:8080", "example.com:8080"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(text.parse::<Allowed>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "*",
        "*.example.com",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0/8",
        "10.0.0.0/8/8",
        "example.com:",
        "example.com:http",
        "example.com:70000",
        "https://example.com",
        "a b",
    ] {
        assert!(text.parse::<Allowed>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_v6_address_that_holds_a_v4_address_is_public(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from(bits);
        let high = u128::from(bits);
        for v6 in [
            Ipv6Addr::from(high),
            v4.to_ipv6_mapped(),
            Ipv6Addr::from(0xffff_0000_0000 << 16 | high),
            Ipv6Addr::from(0x0064_ff9b << 96 | high),
            Ipv6Addr::from(0x2002 << 112 | high << 80),
            Ipv6Addr::from(0x2001_0000 << 96 | high),
        ] {
            prop_assert!(reserved(v6.into()).is_some(), "{v6}");
        }
    }

    #[test]
    fn nothing_outside_global_unicast_is_public(bits in any::<u128>()) {
        let address = Ipv6Addr::from(bits);
        if bits >> 125 != 1 {
            prop_assert!(reserved(address.into()).is_some(), "{address}");
        }
    }

    #[test]
    fn the_standard_library_agrees_on_what_is_not_public(bits in any::<u32>()) {
        let address = Ipv4Addr::from(bits);
        let special = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_broadcast() || address.is_documentation() || address.is_multicast()
            || address.is_unspecified();
        if special {
            prop_assert!(reserved(address.into()).is_some(), "{address}");
        }
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_not_the_next(bits in any::<u32>(), prefix in 1u8..=32) {
        let mask = u32::MAX << (32 - u32::from(prefix));
        let (first, last) = (bits & mask, bits | !mask);
        let inside = |bits: u32| within(Ipv4Addr::from(bits).into(), Ipv4Addr::from(first).into(), prefix);
        prop_assert!(inside(first) && inside(last));
        prop_assert!(!inside(last.wrapping_add(1)) && !inside(first.wrapping_sub(1)));
    }
}
