//! What people are asked before a run goes on: by a link in a mail, or with a login.

use quench_tests::events::guardduty;
use quench_tests::http::{Request, Response};
use quench_tests::hub::{Hub, Settings, wait_for};
use serde_json::{Value, json};

use crate::sources::succeeded;

const URL: &str = "https://quench.example.com";

const ASK_FIRST: &str = r#"
playbook: ask-first
description: Asks, then mails.
triggers: [alert]
steps:
  - approve: { to: lead@example.com, message: "Go on with {{ finding.title }}?" }
  - id: after
    email: { to: team@example.com, subject: "After {{ finding.title }}", template: finding }
---
automation: ask-first
trigger: alert
run: [{ playbook: ask-first }]
"#;

#[test]
fn whoever_is_asked_looks_without_harm_decides_once_and_nobody_else_does() {
    let hub = Hub::deploy(&Settings {
        authorize: true,
        parameters: vec![("PublicUrl".to_owned(), URL.to_owned())],
        ..Settings::default()
    });
    hub.apply(ASK_FIRST);
    hub.put(&[guardduty(1)]);
    let token = asked(&hub, "Brute force number 1.");
    let path = format!("/approvals/{token}");

    // Programs that follow links in mail change nothing.
    for _ in 0..2 {
        let question = json_of(&hub.request(looking(&path)));
        assert_eq!(question["may_decide"], true, "{question}");
        assert_eq!(question["you"], "lead@example.com");
    }
    let page = hub.request(Request::new("GET", &path, "").with("accept", "text/html"));
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(
        page.text().contains("Brute force number 1."),
        "{}",
        page.text()
    );
    assert_eq!(hub.mails("After").len(), 0);
    let question = json_of(&hub.request(looking(&path)));

    // Another token, another door, another plan: nothing of it is taken for an answer.
    let yes = json!({"decision": "approve", "plan_hash": question["plan_hash"]});
    let guess = format!("/approvals/{}", "A".repeat(token.len()));
    assert_eq!(hub.request(looking(&guess)).status, 404);
    assert_eq!(hub.request(deciding(&guess, &yes)).status, 404);
    let by_login = format!("/approvals/{}/decision", question["id"].as_str().unwrap());
    let unsigned = hub.request(deciding(&by_login, &yes));
    assert!([401, 403].contains(&unsigned.status), "{}", unsigned.text());
    let stale = json!({"decision": "approve", "plan_hash": "another"});
    let refused = hub.request(deciding(&path, &stale));
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    assert_eq!(hub.mails("After").len(), 0);

    let done = hub.request(deciding(&path, &yes));
    assert_eq!(done.status, 200, "{}", done.text());
    hub.wait_for_mails("After Brute force number 1.", 1);
    let runs = hub.runs("Brute force number 1.");
    assert_eq!(runs.len(), 1, "{runs:?}");
    succeeded(&hub, runs[0]["id"].as_str().unwrap());
    let again = hub.request(deciding(&path, &yes));
    assert!((400..500).contains(&again.status), "{}", again.text());

    // With a login of the account, which denies it.
    hub.put(&[guardduty(2)]);
    let token = asked(&hub, "Brute force number 2.");
    let question = json_of(&hub.request(looking(&format!("/approvals/{token}"))));
    let path = format!("/approvals/{}/decision", question["id"].as_str().unwrap());
    let no = json!({"decision": "deny", "plan_hash": question["plan_hash"], "reason": "not now"});
    let done = hub.request(hub.signed("POST", &path, &no.to_string()));
    assert_eq!(done.status, 200, "{}", done.text());
    let ended = wait_for("the end of the run", || {
        let run = hub.runs("Brute force number 2.").swap_remove(0);
        let state = run["state"]["is"].as_str().unwrap_or_default().to_owned();
        ["succeeded", "stopped", "failed"]
            .contains(&state.as_str())
            .then_some(state)
    });
    assert_ne!(ended, "succeeded");
    assert_eq!(hub.mails("After Brute force number 2.").len(), 0);
    assert_eq!(hub.mails("After").len(), 1);
}

/// The token of the link that was mailed for a finding.
fn asked(hub: &Hub, title: &str) -> String {
    wait_for(&format!("the question on `{title}`"), || {
        let mails = hub.mails("");
        let mail = mails.iter().find(|mail| {
            mail["To"] == json!(["lead@example.com"]) && mail.to_string().contains(title)
        })?;
        let text = mail["BodyText"].as_str()?;
        let (_, after) = text.split_once(&format!("{URL}/approvals/"))?;
        let token =
            after.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-_".contains(letter)));
        token.into_iter().next().map(str::to_owned)
    })
}

fn looking(path: &str) -> Request {
    Request::new("GET", path, "").with("accept", "application/json")
}

fn deciding(path: &str, said: &Value) -> Request {
    Request::new("POST", path, said.to_string())
        .with("accept", "application/json")
        .with("content-type", "application/json")
}

#[track_caller]
fn json_of(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}
