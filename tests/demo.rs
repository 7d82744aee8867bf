//! The main job, as the README's first command does it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use quench_tests::{Mail, Quench, objects};

#[test]
fn the_demo_takes_an_alert_of_each_of_five_sources_to_a_mail() {
    let quench = Quench::new();
    let printed = quench.json(["demo"]);
    let findings: Vec<_> = printed
        .iter()
        .filter(|object| object["event"] == "finding")
        .collect();
    let mut sources: Vec<&str> = findings
        .iter()
        .map(|finding| finding["finding"]["source"].as_str().unwrap())
        .collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 5, "{sources:?}");
    for finding in &findings {
        assert_eq!(finding["finding"]["kind"], "alert");
        assert_eq!(finding["matched"].as_array().unwrap().len(), 1, "{finding}");
    }
    let mails = quench.mails();
    assert_eq!(mails.len(), 5);
    for finding in &findings {
        let title = finding["finding"]["title"].as_str().unwrap();
        let mail: &Mail = mails
            .iter()
            .find(|mail| mail.subject.contains(title))
            .unwrap_or_else(|| panic!("no mail about `{title}`"));
        assert!(mail.to.contains("security@example.com"), "{}", mail.to);
        assert!(mail.text.contains(title), "{}", mail.text);
        assert!(mail.html.contains("<html"), "{}", mail.html);
    }
    let runs = quench.json(["runs", "list"]);
    assert_eq!(runs.len(), 5);
    assert!(runs.iter().all(|run| run["state"]["is"] == "succeeded"));
}

#[test]
fn the_demo_says_what_matched_what_ran_and_where_the_mail_lies() {
    let quench = Quench::new();
    let printed = quench.ok(["demo"]);
    for mail in quench.mails() {
        assert!(
            printed.contains(&mail.path.display().to_string()),
            "{printed}"
        );
    }
    assert!(printed.contains("notify-email-on-threat"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "colour without a terminal");
}

#[test]
fn the_demo_can_be_shown_again_over_the_same_store() {
    let quench = Quench::new();
    quench.ok(["demo"]);
    quench.ok(["demo"]);
    assert_eq!(quench.mails().len(), 5, "repeated events make no mail");
    assert_eq!(
        objects(&quench.ok(["--json", "runs", "list"])).len(),
        5,
        "nor runs"
    );
}
