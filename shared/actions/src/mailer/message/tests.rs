use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn email(subject: &str, text: &str) -> Email {
    Email {
        to: vec!["a@example.com".to_owned()],
        cc: Vec::new(),
        recipients_from_finding: false,
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: Some(format!("<p>{text}</p>")),
        run: Some("run".to_owned()),
        finding: None,
    }
}

fn composed(email: &Email) -> Composed {
    let sender = Sender::new("Quench <quench@example.com>").unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
    compose(email, &sender, "key", now).unwrap()
}

#[test]
fn the_same_key_and_time_make_the_same_bytes() {
    let email = email("Root login", "Somebody\nlogged in");
    assert_eq!(composed(&email).bytes, composed(&email).bytes);
    insta::assert_snapshot!(String::from_utf8(composed(&email).bytes).unwrap());
}

#[test]
fn a_bare_line_break_is_found() {
    for bytes in ["a\nb", "\n", "a\rb", "\r", "a\r\n\r", "a\n\rb", "\r\r\n"] {
        assert!(has_bare_line_break(bytes.as_bytes()), "{bytes:?}");
    }
    for bytes in ["", "a", "a\r\n", "\r\n\r\n", "a\r\nb\r\n"] {
        assert!(!has_bare_line_break(bytes.as_bytes()), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn no_body_holds_a_bare_line_break_or_a_line_too_long(
        subject in any::<String>(),
        text in "([a-z.\r\n\t =é\u{0}]|\\PC){0,200}",
    ) {
        let bytes = composed(&email(&subject, &text)).bytes;
        prop_assert!(bytes.is_ascii());
        prop_assert!(!has_bare_line_break(&bytes));
        for line in bytes.split(|byte| *byte == b'\n') {
            prop_assert!(line.len() <= 998, "a line of {} bytes", line.len());
        }
    }
}
