//! `quench decode` over good, wrapped, broken and hostile payloads.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use quench_tests::{Quench, guardduty, objects};
use serde_json::{Value, json};

/// Decodes standard input.
fn decode(quench: &Quench, payload: &[u8]) -> Output {
    let mut child = quench
        .command(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(payload).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn findings(quench: &Quench, payload: &Value) -> Vec<Value> {
    let output = decode(quench, payload.to_string().as_bytes());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    objects(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_finding_is_the_same_however_it_is_wrapped() {
    let quench = Quench::new();
    let event = guardduty(3);
    let plain = findings(&quench, &event);
    assert_eq!(plain.len(), 1);
    assert_eq!(plain[0]["raw"], event, "the payload as it came");
    let sns = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
        "Message": event.to_string(), "Timestamp": "2026-03-01T10:00:00.000Z"
    });
    let sqs = |body: &Value| {
        json!({"Records": [{
            "messageId": "1", "receiptHandle": "h", "body": body.to_string(), "attributes": {},
            "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:q", "awsRegion": "eu-west-1"
        }]})
    };
    for wrapped in [sqs(&event), sns.clone(), sqs(&sns), json!([event])] {
        assert_eq!(findings(&quench, &wrapped), plain, "{wrapped}");
    }
}

#[test]
fn what_is_unknown_is_refused_with_a_reason_and_without_a_panic() {
    let quench = Quench::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [&[u8]; 8] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        br#"{"detail-type": "Something Else", "source": "aws.nothing", "detail": {}}"#,
        br#"{"a": 1}"#,
        deep.as_bytes(),
    ];
    for case in cases {
        let output = decode(&quench, case);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.is_empty() && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_truncated_payload_never_panics() {
    let quench = Quench::new();
    let whole = guardduty(1).to_string();
    for (number, end) in (0..whole.len()).step_by(7).enumerate() {
        quench.write(&format!("cut/{number:04}.json"), &whole[..end]);
    }
    let output = quench.output(["decode", "cut"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn text_of_events_cannot_steer_the_terminal() {
    let quench = Quench::new();
    let mut event = guardduty(1);
    event["detail"]["title"] = json!("evil \u{1b}[2J\u{1b}]0;owned\u{7} \u{202e}txt");
    let path = quench.write("evil.json", event.to_string());
    let mut printed = quench.ok(["ingest".as_ref(), path.as_os_str()]);
    printed += &quench.ok(["findings", "list"]);
    printed += &quench.ok(["findings", "show", &format!("{:032x}", 1)]);
    printed += &quench.ok(["decode".as_ref(), path.as_os_str()]);
    assert!(printed.contains("evil"));
    for character in ['\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!printed.contains(character), "{character:?}");
    }
}

/// Every payload below a folder, but for files that hold none.
fn corpus(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "automations") {
                corpus(&path, into);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            into.push(path);
        }
    }
}

#[test]
fn nearly_all_payloads_of_the_corpus_decode() {
    let Some(folder) = std::env::var_os("QUENCH_CORPUS") else {
        println!("QUENCH_CORPUS names no folder of payloads; only the project's own were tried");
        return;
    };
    let folder = quench_tests::root().join(folder);
    let mut files = Vec::new();
    corpus(&folder, &mut files);
    assert!(!files.is_empty(), "no payload below `{}`", folder.display());
    let quench = Quench::new();
    let mut refused = Vec::new();
    for file in &files {
        let output = decode(&quench, &std::fs::read(file).unwrap());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{}: {said}", file.display());
        if !output.status.success() {
            refused.push(format!("{}: {said}", file.display()));
        }
    }
    println!("{} of {} decoded", files.len() - refused.len(), files.len());
    assert!(
        refused.len() * 50 <= files.len(),
        "more than 2 % refused:\n{}",
        refused.join("\n")
    );
}
