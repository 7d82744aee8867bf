use super::*;
use http::{HeaderName, HeaderValue};
use ring::signature::{Ed25519KeyPair, KeyPair};

// The example of the Standard Webhooks libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn signed(signature: &str) -> HeaderMap {
    headers(&[
        ("webhook-id", ID),
        ("webhook-timestamp", &TIME.to_string()),
        ("webhook-signature", signature),
    ])
}

fn key(text: &str) -> Key {
    Key::read(&SecretString::from(text)).unwrap_or_else(|unfit| panic!("{text}: {unfit}"))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn check(keys: &[Key], headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Unproven> {
    standard_webhooks(keys, headers, body, at(now))
}

#[test]
fn the_published_example_of_standard_webhooks_is_proven() {
    for secret in [SECRET, &SECRET[6..]] {
        assert_eq!(
            check(&[key(secret)], &signed(SIGNATURE), BODY, TIME),
            Ok(())
        );
    }
}

#[test]
fn any_of_several_signatures_and_any_of_two_secrets_will_do() {
    let other = format!("whsec_{}", BASE64.encode([7; 32]));
    let several = format!(
        "v1,{} v2,abc nonsense v1, {SIGNATURE}",
        BASE64.encode([0; 32])
    );
    let keys = [key(&other), key(SECRET)];
    assert_eq!(check(&keys, &signed(&several), BODY, TIME), Ok(()));
    assert_eq!(
        check(&keys[..1], &signed(&several), BODY, TIME),
        Err(Unproven::NoSignature)
    );
    let crowd = format!("{} {SIGNATURE}", "v1,AAAA ".repeat(MOST_SIGNATURES));
    assert_eq!(
        check(&keys, &signed(&crowd), BODY, TIME),
        Err(Unproven::NoSignature)
    );
}

#[test]
fn five_minutes_either_way_are_timely_and_a_second_more_is_not() {
    let check = |now| check(&[key(SECRET)], &signed(SIGNATURE), BODY, now);
    for now in [TIME - 300, TIME, TIME + 300] {
        assert_eq!(check(now), Ok(()), "{now}");
    }
    for now in [TIME - 301, TIME + 301] {
        assert_eq!(check(now), Err(Unproven::Untimely(301)), "{now}");
    }
}

#[test]
fn every_part_of_the_message_is_under_the_signature() {
    let keys = [key(SECRET)];
    let changed = |name: &str, value: &str| {
        let mut headers = signed(SIGNATURE);
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        check(&keys, &headers, BODY, TIME)
    };
    assert_eq!(
        changed("webhook-id", "msg_other"),
        Err(Unproven::NoSignature)
    );
    let later = (TIME + 1).to_string();
    assert_eq!(
        changed("webhook-timestamp", &later),
        Err(Unproven::NoSignature)
    );
    for body in [&b""[..], &BODY[..BODY.len() - 1], br#"{"test":2432232314}"#] {
        assert_eq!(
            check(&keys, &signed(SIGNATURE), body, TIME),
            Err(Unproven::NoSignature)
        );
    }
    // Without its version, of another version, cut short, or in another alphabet it is no signature.
    let bare = &SIGNATURE[3..];
    for signature in [
        bare.to_owned(),
        format!("v1a,{bare}"),
        format!("v1,{}", &bare[..bare.len() - 4]),
        format!("v1,{}", bare.replace('+', "-").replace('/', "_")),
        String::new(),
    ] {
        assert_eq!(
            check(&keys, &signed(&signature), BODY, TIME),
            Err(Unproven::NoSignature),
            "{signature}"
        );
    }
}

#[test]
fn times_that_are_no_plain_seconds_are_refused() {
    for time in [
        "",
        "+1614265330",
        " 1614265330",
        "1614265330.0",
        "0x1",
        "99999999999999999999",
        "-1",
    ] {
        let mut headers = signed(SIGNATURE);
        headers.insert("webhook-timestamp", HeaderValue::from_str(time).unwrap());
        assert_eq!(
            check(&[key(SECRET)], &headers, BODY, TIME),
            Err(Unproven::NoTime),
            "{time}"
        );
    }
}

#[test]
fn a_header_that_is_missing_or_there_twice_proves_nothing() {
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut without = signed(SIGNATURE);
        without.remove(name);
        let mut twice = signed(SIGNATURE);
        let value = twice[name].clone();
        twice.append(name, value);
        for headers in [without, twice] {
            assert_eq!(
                check(&[key(SECRET)], &headers, BODY, TIME),
                Err(Unproven::NoHeader(name.to_owned()))
            );
        }
    }
}

#[test]
fn a_sender_may_sign_with_a_key_of_which_we_have_only_the_public_half() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = format!("whpk_{}", BASE64.encode(pair.public_key().as_ref()));
    let mut content = format!("{ID}.{TIME}.").into_bytes();
    content.extend_from_slice(BODY);
    let signature = BASE64.encode(pair.sign(&content).as_ref());
    let keys = [key(&public)];
    assert_eq!(
        check(&keys, &signed(&format!("v1a,{signature}")), BODY, TIME),
        Ok(())
    );
    for wrong in [format!("v1,{signature}"), SIGNATURE.to_owned()] {
        assert_eq!(
            check(&keys, &signed(&wrong), BODY, TIME),
            Err(Unproven::NoSignature)
        );
    }
}

#[test]
fn a_published_signature_of_ed25519_fits_its_key() {
    // RFC 8032, section 7.1, test 3.
    let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    let public = format!("whpk_{}", BASE64.encode(from_hex(public).unwrap()));
    assert!(key(&public).made("v1a", &from_hex(signature).unwrap(), &[0xaf, 0x82]));
}

#[test]
fn secrets_of_the_wrong_length_or_alphabet_are_unfit() {
    let of = |length: usize| format!("whsec_{}", BASE64.encode(vec![1; length]));
    for (text, fits) in [
        (of(23), false),
        (of(24), true),
        (of(64), true),
        (of(65), false),
        ("whsec_".to_owned(), false),
        ("whsec_not base64".to_owned(), false),
        (format!("whpk_{}", BASE64.encode([1; 32])), true),
        (format!("whpk_{}", BASE64.encode([1; 31])), false),
    ] {
        let key = Key::read(&SecretString::from(text.as_str()));
        assert_eq!(key.is_ok(), fits, "{text}");
    }
}

#[test]
fn the_published_example_of_github_is_proven() {
    let secrets = [SecretString::from("It's a Secret to Everybody")];
    let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let check = |signature: &str, body: &[u8]| {
        let headers = headers(&[("x-hub-signature-256", signature)]);
        github(&secrets, &headers, body)
    };
    assert_eq!(check(good, b"Hello, World!"), Ok(()));
    assert_eq!(check(good, b"Hello, World"), Err(Unproven::NoSignature));
    for signature in [
        &good[7..],
        &good[..good.len() - 1],
        &good[..good.len() - 2],
        "sha256=",
        "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
        "sha256=zz",
    ] {
        assert_eq!(
            check(signature, b"Hello, World!"),
            Err(Unproven::NoSignature),
            "{signature}"
        );
    }
    let other = [SecretString::from("new"), secrets[0].clone()];
    let both = headers(&[("x-hub-signature-256", good)]);
    assert_eq!(github(&other, &both, b"Hello, World!"), Ok(()));
}

#[test]
fn a_key_in_a_header_is_one_of_the_secrets_whole() {
    let secrets = [SecretString::from("old key"), SecretString::from("new key")];
    let check = |value: &str| shared_key(&secrets, &headers(&[("x-key", value)]), "x-key");
    assert_eq!(check("old key"), Ok(()));
    assert_eq!(check("new key"), Ok(()));
    for wrong in ["", "old", "old key2", "OLD KEY", "new keynew key"] {
        assert_eq!(check(wrong), Err(Unproven::WrongKey), "{wrong}");
    }
    assert_eq!(
        shared_key(&secrets, &headers(&[]), "x-key"),
        Err(Unproven::NoHeader("x-key".to_owned()))
    );
}
