use super::*;

const WARNINGS: usize = 2;

fn changes() -> Vec<Change> {
    let change = |path: &str, before: Value, after: Value| Change {
        path: path.to_owned(),
        before,
        after,
    };
    vec![
        change(
            "ingress.tcp 22 from 0.0.0.0/0",
            json!("SSH <from> anywhere"),
            Value::Null,
        ),
        change(
            "policy.Statement.tls",
            Value::Null,
            json!({
                "Sid": "tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": ["arn:aws:s3:::logs", "arn:aws:s3:::logs/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }),
        ),
        change("versioning", json!(false), json!(true)),
    ]
}

fn request<'a>(
    changes: &'a [Change],
    warnings: &'a [String],
    parameters: &'a Value,
) -> Request<'a> {
    Request {
        id: "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        title: "revoke-open-ingress on security group `sg-0a1b` in account 111122223333",
        risk: Some(Risk::Medium),
        message: Some("The \"bastion\" team & others\nwere told."),
        remediation: Some("revoke-open-ingress"),
        resource: Some("arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0a1b"),
        account: Some("111122223333"),
        region: Some("eu-central-1"),
        parameters: Some(parameters),
        changes,
        content: None,
        warnings,
        finding: "arn:aws:securityhub:eu-central-1:111122223333:finding/1",
        finding_title: "Security groups <b>should not</b> allow\u{202e} ingress",
        severity: Severity::High,
        playbook: "close-open-ports",
        step: "close",
        automation: Some("close-ports"),
        requester: None,
        run: "00112233445566778899aabbccddeeff",
        expires: "2026-12-01T08:00:00Z".parse().unwrap(),
    }
}

fn warnings() -> Vec<String> {
    let texts = ["Sessions that are open stay open.", "Port 22 <script>"];
    texts.map(str::to_owned)[..WARNINGS].to_vec()
}

const LINK: &str = "https://quench.example.com/approvals/TOKEN";

#[test]
fn a_request_reads_well() {
    let (changes, warnings, parameters) = (changes(), warnings(), json!({"ports": [22]}));
    let request = request(&changes, &warnings, &parameters);
    let mail = compose(&request, "anna@example.com", false, Some(LINK)).unwrap();
    assert_eq!(
        mail.subject,
        "Approve? revoke-open-ingress on security group `sg-0a1b` in account 111122223333 (medium risk)"
    );
    insta::assert_snapshot!(mail.text);
    insta::assert_snapshot!(mail.html.unwrap());
}

#[test]
fn without_an_address_the_command_line_is_told_and_no_link() {
    let (changes, parameters) = (changes(), json!({}));
    let mut request = request(&changes, &[], &parameters);
    (request.message, request.risk, request.automation) = (None, None, None);
    request.requester = Some("anna@example.com (1234)");
    let mail = compose(&request, "bert@example.com", false, None).unwrap();
    for text in [&mail.text, mail.html.as_ref().unwrap()] {
        assert!(text.contains("quench approvals approve 0a1b2c3d"), "{text}");
        assert!(text.contains("anna@example.com (1234)"), "{text}");
        for absent in ["https://", "http:", "Risk", "null", "none", "None"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
    }
}

#[test]
fn what_is_of_high_risk_is_only_looked_at_by_link() {
    let (changes, parameters) = (changes(), json!({}));
    let mut request = request(&changes, &[], &parameters);
    request.risk = Some(Risk::High);
    let mail = compose(&request, "bert@example.com", false, Some(LINK)).unwrap();
    for text in [&mail.text, mail.html.as_ref().unwrap()] {
        assert!(text.contains("approvals:decide"), "{text}");
        assert!(text.contains(LINK), "{text}");
        assert!(!text.contains("decides in your name"), "{text}");
    }
}

#[test]
fn what_findings_say_is_text_and_steers_no_screen() {
    let hostile = "\u{1b}[2J</code></td><img src=x onerror=alert(1)>\u{202e}{{ 7 * 7 }}";
    let changes = vec![Change {
        path: hostile.to_owned(),
        before: json!({"Sid": hostile}),
        after: json!(hostile),
    }];
    let (warnings, parameters) = (vec![hostile.to_owned()], json!({"note": hostile}));
    let mut request = request(&changes, &warnings, &parameters);
    for part in [
        &mut request.title,
        &mut request.finding,
        &mut request.finding_title,
        &mut request.playbook,
        &mut request.step,
        &mut request.run,
        &mut request.id,
    ] {
        *part = hostile;
    }
    for part in [
        &mut request.message,
        &mut request.remediation,
        &mut request.resource,
        &mut request.account,
        &mut request.region,
        &mut request.automation,
    ] {
        *part = Some(hostile);
    }
    let mail = compose(&request, "bert@example.com", false, Some(LINK)).unwrap();
    let html = mail.html.unwrap();
    assert!(!html.contains("<img"), "{html}");
    assert!(!html.contains("</code></td><img"), "{html}");
    assert!(html.contains("{{ 7 * 7 }}") && !html.contains("49"));
    for text in [&mail.text, &html, &mail.subject] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    assert!(!mail.subject.contains('\n'));
}

#[test]
fn long_values_are_cut_and_it_is_told_where_to_read_them() {
    let changes: Vec<Change> = (0..1000)
        .map(|number| Change {
            path: format!("part {number}"),
            before: "\"<&>'".repeat(1000).into(),
            after: Value::Null,
        })
        .collect();
    let parameters = json!({});
    let request = request(&changes, &[], &parameters);
    let mail = compose(&request, "bert@example.com", false, Some(LINK)).unwrap();
    for text in [&mail.text, mail.html.as_ref().unwrap()] {
        assert!(text.contains("(and 4400 more characters)"), "{text}");
        assert!(text.contains("and 960 more changes"));
        assert!(text.contains("quench approvals show"));
        assert!(text.len() < 150_000, "{}", text.len());
    }
    let page = request.view(PAGE);
    assert_eq!(page["changes"].as_array().unwrap().len(), PAGE.changes);
    assert_eq!(
        (&page["cut"], &page["more_changes"]),
        (&json!(true), &json!(800))
    );
    let shown = page["changes"].as_array().unwrap().iter();
    let shown: usize = shown
        .map(|change| change["before"].as_str().unwrap().chars().count())
        .sum();
    assert!(shown < PAGE.all + PAGE.changes * 40, "{shown}");
}
