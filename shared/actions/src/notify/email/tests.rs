use super::*;
use crate::sample;
use proptest::prelude::*;
use serde_json::json;

fn step(to: Value) -> EmailStep {
    EmailStep {
        to,
        cc: None,
        subject: "[{{ finding.severity }}] {{ finding.title }}".to_owned(),
        template: Some("finding".to_owned()),
        text: None,
        html: None,
    }
}

fn prepared(to: Value, params: Value) -> Result<Email, ActionError> {
    prepare(&step(to), &sample::context(params))
}

fn refusal(result: Result<Email, ActionError>) -> String {
    match result {
        Err(ActionError::Permanent { reason }) => reason,
        other => panic!("not a permanent error: {other:?}"),
    }
}

#[test]
fn the_text_of_a_finding_reads_well() {
    let email = prepared(json!("a@example.com"), json!({})).unwrap();
    insta::assert_snapshot!(email.text);
}

#[test]
fn the_html_of_a_finding_reads_well() {
    let email = prepared(json!("a@example.com"), json!({})).unwrap();
    insta::assert_snapshot!(email.html.unwrap());
}

#[test]
fn a_finding_that_says_next_to_nothing_renders_too() {
    let finding = serde_json::from_value(json!({
        "id": "x", "kind": "compliance", "source": "config", "title": "Rule broken",
        "severity": "informational", "raw": {},
    }))
    .unwrap();
    let mut context = sample::context_of(&finding, json!({}));
    context.all["run"]["url"] = Value::Null;
    context.all["run"]["automation"] = Value::Null;
    let email = prepare(&step(json!("a@example.com")), &context).unwrap();
    insta::assert_snapshot!(email.text);
    insta::assert_snapshot!(email.html.unwrap());
}

#[test]
fn values_are_escaped_in_html_and_no_foreign_scheme_is_linked() {
    let email = prepared(json!("a@example.com"), json!({})).unwrap();
    let html = email.html.unwrap();
    assert!(
        html.contains(
            "Successful SQL brute force &lt;from&gt; &quot;203.0.113.9&quot; &amp; others"
        )
    );
    assert!(!html.contains("javascript:"));
    assert!(!html.contains("<from>"));
    assert!(!email.text.contains("javascript:"));
}

#[test]
fn many_resources_are_cut_and_counted() {
    let mut finding = sample::finding();
    let one = finding.resources[1].clone();
    finding.resources.resize(10_000, one);
    let context = sample::context_of(&finding, json!({}));
    let email = prepare(&step(json!("a@example.com")), &context).unwrap();
    assert!(email.text.contains("- and 9980 more"));
    assert!(email.html.unwrap().contains("<li>and 9980 more</li>"));
}

#[test]
fn recipients_come_as_text_or_list_and_each_once() {
    for to in [
        json!("{{ params.to }}"),
        json!(["{{ params.to[0] }}", "b@example.com"]),
        json!("a@example.com, b@example.com; A@Example.com"),
    ] {
        let params = json!({ "to": ["a@example.com", "b@example.com", null] });
        let email = prepared(to, params).unwrap();
        assert_eq!(email.to, ["a@example.com", "b@example.com"]);
        assert!(!email.recipients_from_finding);
    }
}

#[test]
fn who_gets_the_mail_gets_no_copy() {
    let mut step = step(json!("a@example.com"));
    step.cc = Some(json!(["a@example.com", "c@example.com"]));
    let email = prepare(&step, &sample::context(json!({}))).unwrap();
    assert_eq!(email.cc, ["c@example.com"]);
}

#[test]
fn recipients_read_from_the_finding_are_marked() {
    for to in [
        "{{ finding.resource.tags.owner }}",
        "{% for r in finding.resources %}{% if r.tags %}{{ r.tags.owner }}{% endif %}{% endfor %}",
    ] {
        let email = prepared(json!(to), json!({})).unwrap();
        assert_eq!(email.to, ["dba@example.com"]);
        assert!(email.recipients_from_finding, "{to}");
    }
    let mut context = sample::context(json!({}));
    context.all["team"] = context.all["finding"]["resources"][0].clone();
    let email = prepare(&step(json!("{{ team.tags.owner }}")), &context).unwrap();
    assert!(email.recipients_from_finding);
    for names in [&mut context.all, &mut context.own] {
        names["team"] = json!({ "mail": "dba@example.com" });
    }
    let email = prepare(&step(json!("{{ team.mail }}")), &context).unwrap();
    assert!(!email.recipients_from_finding);
    let copied = EmailStep {
        cc: Some(json!("{{ finding.resource.tags.owner }}")),
        ..step(json!("team@example.com"))
    };
    assert!(prepare(&copied, &context).unwrap().recipients_from_finding);
}

#[test]
fn what_is_no_address_is_refused() {
    for bad in [
        "nobody",
        "a@",
        "@example.com",
        "a b@example.com",
        "a@example.com\r\nBcc: x@example.com",
        "a@example.com\nx",
        "Name <a@example.com>",
        "\"a b\"@example.com",
        "a@[127.0.0.1]",
        "a@b@example.com",
        "a\u{202e}@example.com",
        "ä@example.com",
        "a@exämple.com",
        "a@example.com\u{0}",
        "a@exa mple.com",
        "a\\@example.com",
        "a(c)@example.com",
        "a@example.com>",
        "a..b@example.com",
        "@a,@b:c@example.com",
    ] {
        let reason = refusal(prepared(json!(["{{ params.to }}"]), json!({ "to": bad })));
        assert!(reason.contains("is no e-mail address"), "{bad:?}: {reason}");
        assert!(!reason.contains(['\r', '\n', '\u{202e}']), "{bad:?}");
    }
}

#[test]
fn nobody_and_too_many_are_refused() {
    assert_eq!(
        refusal(prepared(json!("{{ params.to }}"), json!({ "to": null }))),
        "`to` names nobody"
    );
    let many: Vec<String> = (0..51).map(|n| format!("a{n}@example.com")).collect();
    let reason = refusal(prepared(json!("{{ params.to }}"), json!({ "to": many })));
    assert_eq!(reason, "a mail goes to 50 recipients at most, not to 51");
    let reason = refusal(prepared(
        json!("{{ params.to }}"),
        json!({ "to": { "a": 1 } }),
    ));
    assert!(
        reason.starts_with("`to`: an e-mail address or a list"),
        "{reason}"
    );
}

#[test]
fn an_unknown_layout_and_an_undefined_name_are_told() {
    let context = sample::context(json!({}));
    let mut unknown = step(json!("a@example.com"));
    unknown.template = Some("findings".to_owned());
    assert_eq!(
        refusal(prepare(&unknown, &context)),
        "there is no layout `findings` for mail; there is `finding`"
    );
    let mut undefined = step(json!("a@example.com"));
    undefined.subject = "{{ finding.titel }}".to_owned();
    let reason = refusal(prepare(&undefined, &context));
    assert!(reason.starts_with("`subject`: "), "{reason}");
}

#[test]
fn html_alone_gets_a_text_part() {
    let mut own = step(json!("a@example.com"));
    own.template = None;
    own.html = Some("<p>{{ finding.title }}</p><p>now</p>".to_owned());
    let email = prepare(&own, &sample::context(json!({}))).unwrap();
    assert_eq!(
        email.text,
        "Successful SQL brute force <from> \"203.0.113.9\" & others\n\nnow\n"
    );
}

#[test]
fn text_alone_has_no_html_part() {
    let mut own = step(json!("a@example.com"));
    own.template = None;
    own.text = Some("{{ finding.title }}".to_owned());
    let email = prepare(&own, &sample::context(json!({}))).unwrap();
    assert_eq!(email.html, None);
    assert_eq!(
        email.text,
        "Successful SQL brute force <from> \"203.0.113.9\" & others"
    );
}

proptest! {
    #[test]
    fn a_title_of_any_letters_makes_a_subject_of_one_line(title in any::<String>()) {
        let mut finding = sample::finding();
        finding.title = title;
        let email = prepare(&step(json!("a@example.com")), &sample::context_of(&finding, json!({}))).unwrap();
        prop_assert!(neutral::is_plain(&email.subject));
        prop_assert!(email.subject.chars().count() <= SUBJECT_LIMIT);
    }

    #[test]
    fn no_text_yields_an_address_that_needs_quotes(text in r#"[a-c@.<>"(), \r\n:;\[\]]{1,30}"#) {
        if let Ok(address) = address(&text) {
            prop_assert!(address.chars().all(|letter| letter.is_ascii_lowercase() || "@.".contains(letter)));
        }
    }
}
