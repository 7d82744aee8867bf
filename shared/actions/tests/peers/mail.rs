use crate::setting::{attempt, context, finding, outside, sender};
use mailparse::{MailHeaderMap, ParsedMail};
use proptest::prelude::*;
use quench_actions::mailer::Sender;
use quench_actions::{Action, Attempt, Context, Mailer, Outside, perform, prepare};
use quench_automations::{EmailStep, StepKind};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn step(to: Value) -> StepKind {
    StepKind::Email(EmailStep {
        to,
        cc: Some(json!("c@example.com")),
        subject: "[{{ finding.severity }}] {{ finding.title }}".to_owned(),
        template: Some("finding".to_owned()),
        text: None,
        html: None,
    })
}

fn into(folder: &Path, sender: Sender) -> Outside {
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = Mailer::outbox(folder.to_owned(), sender);
    outside
}

async fn written(context: &Context, folder: &Path) -> String {
    let action = prepare(&step(json!("a@example.com")), context)
        .unwrap()
        .unwrap();
    let performed = perform(
        &action,
        &into(folder, sender()),
        &attempt(Duration::from_secs(5)),
    )
    .await
    .unwrap();
    std::fs::read_to_string(performed.output["path"].as_str().unwrap()).unwrap()
}

fn header(mail: &ParsedMail<'_>, name: &str) -> String {
    let all = mail.headers.get_all_values(name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all[0].clone()
}

#[tokio::test]
async fn the_file_is_a_mail_of_two_parts() {
    let folder = tempfile::tempdir().unwrap();
    let text = written(&context(json!({})), folder.path()).await;
    let mail = mailparse::parse_mail(text.as_bytes()).unwrap();
    assert_eq!(header(&mail, "To"), "a@example.com");
    assert_eq!(header(&mail, "Cc"), "c@example.com");
    assert_eq!(header(&mail, "From"), "Quench <quench@example.com>");
    assert_eq!(
        header(&mail, "Subject"),
        "[high] Successful SQL brute force <from> \"203.0.113.9\" & others"
    );
    assert_eq!(header(&mail, "X-Quench-Run"), "0f3c9a7be1d24c55");
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "MIME-Version"), "1.0");
    assert!(mailparse::dateparse(&header(&mail, "Date")).unwrap() > 1_700_000_000);
    assert!(header(&mail, "Message-ID").ends_with("@example.com>"));
    assert!(header(&mail, "References").ends_with(".finding@example.com>"));
    assert_eq!(mail.ctype.mimetype, "multipart/alternative");
    let kinds: Vec<&str> = mail
        .subparts
        .iter()
        .map(|part| part.ctype.mimetype.as_str())
        .collect();
    assert_eq!(kinds, ["text/plain", "text/html"]);
    let text = mail.subparts[0].get_body().unwrap();
    assert!(
        text.starts_with("HIGH: Successful SQL brute force <from>"),
        "{text}"
    );
    assert!(
        text.contains("WHAT TO DO\r\nRotate the user's password"),
        "{text}"
    );
    let html = mail.subparts[1].get_body().unwrap();
    assert!(
        html.contains("<h1 style=") && html.contains("&lt;from&gt;"),
        "{html}"
    );
    for part in &mail.subparts {
        assert_eq!(
            header(part, "Content-Transfer-Encoding"),
            "quoted-printable"
        );
    }
}

#[tokio::test]
async fn a_mail_is_written_once_and_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let first = written(&context(json!({})), folder.path()).await;
    let mut other = context(json!({}));
    other.all["finding"]["title"] = json!("Worded otherwise");
    let second = written(&other, folder.path()).await;
    assert_eq!(first, second);
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("0f3c9a7be1d24c55-mail.") && names[0].ends_with(".eml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_write_one_mail_and_no_key_takes_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let outside = into(folder.path(), sender());
    let action = prepare(&step(json!("a@example.com")), &context(json!({})))
        .unwrap()
        .unwrap();
    assert!(action.is_idempotent(&outside));
    let keys = [
        "run/a",
        "run-a",
        "run a",
        "RUN/A",
        "../run/a",
        ".run",
        "",
        "ü",
        &"x".repeat(500),
    ];
    let mut tasks = Vec::new();
    for _ in 0..8 {
        for key in keys {
            let (outside, action) = (outside.clone(), action.clone());
            let attempt = Attempt {
                key: key.to_owned(),
                round: 0,
                mark: None,
                number: 1,
                timeout: Duration::from_secs(5),
            };
            tasks.push(tokio::spawn(async move {
                perform(&action, &outside, &attempt).await.unwrap()
            }));
        }
    }
    for task in tasks {
        let performed = task.await.unwrap();
        let path = performed.output["path"].as_str().unwrap().to_owned();
        assert_eq!(Path::new(&path).parent().unwrap(), folder.path());
    }
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .to_lowercase()
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), keys.len(), "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.ends_with(".eml") && name.len() < 200)
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_transient() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let action = prepare(&step(json!("a@example.com")), &context(json!({})))
        .unwrap()
        .unwrap();
    let result = perform(
        &action,
        &into(&file, sender()),
        &attempt(Duration::from_secs(5)),
    )
    .await;
    assert!(
        matches!(result, Err(quench_actions::ActionError::Transient { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn who_a_finding_names_gets_mail_in_allowed_domains_only() {
    let folder = tempfile::tempdir().unwrap();
    let owner = json!("{{ finding.resource.tags.owner }}");
    let mut kind = step(owner);
    if let StepKind::Email(step) = &mut kind {
        step.cc = None;
    }
    let action = prepare(&kind, &context(json!({}))).unwrap().unwrap();
    let attempt = attempt(Duration::from_secs(5));
    let refused = perform(&action, &into(folder.path(), sender()), &attempt).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "recipient `dba@example.com` comes from the finding, and `example.com` is not among the domains that findings may name recipients in"
    );
    let generous = sender().with_finding_domains(["Example.com".to_owned()]);
    assert!(
        perform(&action, &into(folder.path(), generous), &attempt)
            .await
            .is_ok()
    );
}

#[test]
fn a_sender_that_is_no_address_is_refused() {
    for from in [
        "",
        "Quench",
        "Quench <>",
        "a@example.com\r\nBcc: x@example.com",
        "Qu\u{202e}ench <a@example.com>",
        "<\"a b\"@example.com>",
    ] {
        assert!(Sender::new(from).is_err(), "{from:?}");
    }
    assert!(Sender::new("quench@example.com").is_ok());
}

/// Lines that would be headers of their own if a value could end its line, and what else has been tried on mailers.
const INJECTIONS: &[&str] = &[
    "x\r\nBcc: evil@example.com",
    "x\nBcc: evil@example.com",
    "x\rBcc: evil@example.com",
    "x\r\n\r\n<html>body</html>",
    "x\n\nbody",
    "x%0d%0aBcc: evil@example.com",
    "x\u{2028}Bcc: evil@example.com",
    "x\u{2029}Bcc: evil@example.com",
    "x\u{85}Bcc: evil@example.com",
    "x\u{b}Bcc: evil@example.com",
    "x\u{c}Bcc: evil@example.com",
    "x\u{0}Bcc: evil@example.com",
    "x\r\n Bcc: evil@example.com",
    "x\r\n\tfolded",
    "\r\nBcc: evil@example.com",
    "x\r\n.\r\nMAIL FROM:<evil@example.com>",
    "x\n.\nMAIL FROM:<evil@example.com>",
    "x\r.\rQUIT",
    ".\r\nQUIT",
    "=?utf-8?q?x=0D=0ABcc:_evil@example.com?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20=?=",
    "x\u{202e}moc.elpmaxe@live",
    "x\u{1b}]0;title\u{7}",
    "--part-boundary--",
    "Content-Type: text/html",
    "x\r\nContent-Type: multipart/mixed; boundary=evil\r\n\r\n--evil",
];

fn headers_of(text: &str) -> Vec<String> {
    let head = text.split("\r\n\r\n").next().unwrap();
    head.split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect()
}

const HEADERS: &[&str] = &[
    "Message-ID",
    "Date",
    "From",
    "Subject",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "To",
    "Cc",
    "X-Quench-Run",
    "References",
    "MIME-Version",
    "Content-Type",
];

async fn hardened(evil: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut context = context(json!({}));
    for name in ["title", "description", "type", "account", "region", "id"] {
        context.all["finding"][name] = json!(evil);
    }
    context.all["run"]["id"] = json!(evil);
    let text = written(&context, folder.path()).await;
    let mut names = headers_of(&text);
    names.sort();
    let mut expected: Vec<&str> = HEADERS.to_vec();
    expected.sort_unstable();
    // A run or finding whose name is nothing but what is struck out has no header.
    expected.retain(|name| {
        !matches!(*name, "X-Quench-Run" | "References") || names.iter().any(|known| known == name)
    });
    assert_eq!(names, expected, "{evil:?}");
    assert!(text.is_ascii());
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{evil:?}");
    let mail = mailparse::parse_mail(text.as_bytes()).unwrap();
    assert_eq!(mail.subparts.len(), 2, "{evil:?}");
    assert_eq!(header(&mail, "To"), "a@example.com");
    for part in &mail.subparts {
        let body = part.get_body().unwrap();
        let odd = body
            .chars()
            .find(|letter| letter.is_control() && !"\r\n\t".contains(*letter));
        assert_eq!(odd, None, "{evil:?}");
    }
}

#[tokio::test]
async fn no_known_injection_makes_a_header_a_part_or_a_command() {
    for evil in INJECTIONS {
        hardened(evil).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_a_header_a_part_or_a_command(evil in r"[a-zA-Z:=?@<>.\r\n\t\x00-\x1f \u{85}\u{2028}\u{202e}é-]{0,80}|\PC{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(hardened(&evil));
    }
}

#[test]
fn mails_about_one_finding_share_a_thread_and_repeated_mails_an_id() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mails: Vec<(String, String)> = ["one", "two", "one"]
        .into_iter()
        .map(|key| {
            let folder = tempfile::tempdir().unwrap();
            let action: Action = prepare(&step(json!("a@example.com")), &context(json!({})))
                .unwrap()
                .unwrap();
            let attempt = Attempt {
                key: key.to_owned(),
                round: 0,
                mark: None,
                number: 1,
                timeout: Duration::from_secs(5),
            };
            let performed = runtime
                .block_on(perform(&action, &into(folder.path(), sender()), &attempt))
                .unwrap();
            let text = std::fs::read_to_string(performed.output["path"].as_str().unwrap()).unwrap();
            let mail = mailparse::parse_mail(text.as_bytes()).unwrap();
            (header(&mail, "Message-ID"), header(&mail, "References"))
        })
        .collect();
    assert_eq!(mails[0], mails[2]);
    assert_ne!(mails[0].0, mails[1].0);
    assert_eq!(mails[0].1, mails[1].1);
    assert!(
        !mails[0].1.contains(&finding().id),
        "the id of a finding is not told in the open"
    );
}
