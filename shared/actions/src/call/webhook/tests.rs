use super::*;
use crate::sample;
use proptest::prelude::*;

/// Computed apart from this code by `openssl dgst -sha256 -mac HMAC -macopt hexkey:… -binary | base64` over
/// `id.timestamp.body`, and checked with Python's `hmac`; the first is the example of the Standard Webhooks libraries.
const VECTORS: &[(&str, &str, i64, &str, &str)] = &[
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        r#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_0f3c9a7be1d24c55",
        1795348800,
        r#"{"type":"finding.created"}"#,
        "v1,8JCfDL6BFuIPxtaHIsqB55xt1rqHRI1PUPZje6Fq/B8=",
    ),
    (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
        "msg_empty",
        0,
        r#""#,
        "v1,m1U6PauNqWmBbKhqGukpFBWHLTkuCX7UT65NeZTHWzQ=",
    ),
    (
        "whsec_////////////////////////////////",
        "msg_utf8",
        2147483648,
        r#"{"title":"Bücher – 日本"}"#,
        "v1,ImKExfK/S1GqGrQuJngKyhwZAO09CHAIblk7oDwSLY8=",
    ),
];

#[test]
fn signatures_agree_with_those_computed_elsewhere() {
    for (secret, id, timestamp, body, signature) in VECTORS {
        let secret = SigningSecret::parse(secret).unwrap();
        assert_eq!(
            secret.sign(id, *timestamp, body.as_bytes()),
            *signature,
            "{id}"
        );
    }
}

#[test]
fn a_secret_has_its_prefix_and_its_length() {
    let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
    for length in [24, 32, 64] {
        assert!(SigningSecret::parse(&of(length)).is_ok(), "{length}");
    }
    for text in [of(0), of(23), of(65)] {
        assert_eq!(SigningSecret::parse(&text), Err(InvalidSigningSecret));
    }
    for text in [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_!!!!9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ] {
        assert_eq!(
            SigningSecret::parse(text),
            Err(InvalidSigningSecret),
            "{text}"
        );
    }
}

#[test]
fn a_secret_does_not_show() {
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
}

fn step() -> WebhookStep {
    WebhookStep {
        connection: "receiver".to_owned(),
        event: None,
        data: None,
    }
}

#[test]
fn the_finding_is_told_without_raw_and_without_what_it_does_not_say() {
    let webhook = prepare(&step(), &sample::names(json!({}))).unwrap();
    assert_eq!(webhook.event, "finding.created");
    assert_eq!(webhook.occurred.as_deref(), Some("2026-11-22T09:30:00Z"));
    insta::assert_json_snapshot!(webhook.data);
}

#[test]
fn own_data_is_rendered_with_its_types() {
    let mut own = step();
    own.event = Some("threat.{{ finding.severity }}".to_owned());
    own.data = Some(json!({ "n": "{{ raw.detail.service.count }}", "t": "{{ finding.title }}!" }));
    let webhook = prepare(&own, &sample::names(json!({}))).unwrap();
    assert_eq!(webhook.event, "threat.high");
    assert_eq!(webhook.data["n"], json!(42));
    assert!(webhook.data["t"].as_str().unwrap().ends_with("others!"));
}

proptest! {
    #[test]
    fn an_id_is_made_of_hex_whatever_the_key(key in any::<String>(), other in any::<String>()) {
        let id = message_id(&key);
        prop_assert!(id.starts_with("msg_") && id[4..].len() == 32);
        prop_assert!(id[4..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        prop_assert_eq!(key == other, id == message_id(&other));
    }

    #[test]
    fn any_change_of_the_message_changes_the_signature(
        body in proptest::collection::vec(any::<u8>(), 1..60), at in any::<usize>(), time in 0i64..4_000_000_000
    ) {
        let secret = SigningSecret(vec![1; 32]);
        let signature = secret.sign("msg_1", time, &body);
        let mut other = body.clone();
        other[at % body.len()] ^= 1;
        prop_assert_ne!(&secret.sign("msg_1", time, &other), &signature);
        prop_assert_ne!(&secret.sign("msg_2", time, &body), &signature);
        prop_assert_ne!(&secret.sign("msg_1", time + 1, &body), &signature);
        prop_assert_ne!(&SigningSecret(vec![2; 32]).sign("msg_1", time, &body), &signature);
    }
}
