//! What comes in from outside: signed findings over HTTP, and runs by hand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use quench_tests::events::{custom_action, defender, guardduty, security_hub};
use quench_tests::http::Request;
use quench_tests::hub::{Hub, wait_for};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hub;
use crate::sources::succeeded;

/// What the sender `defender` signs with.
pub(crate) const SECRET: &str = "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiB0ZXN0cyBvbmx5";

/// The parameter `Senders`.
pub(crate) fn senders() -> String {
    let secrets = ["secret://secretsmanager/quench/scanner"];
    json!({"defender": {"scheme": "standard-webhooks", "secrets": secrets}}).to_string()
}

/// The parameter `CustomActions`.
pub(crate) fn custom_actions() -> String {
    json!({"TellTheTeam": {"playbook": "mail", "with": {}}}).to_string()
}

#[test]
fn a_finding_from_outside_is_taken_in_only_if_its_sender_signed_it() {
    let hub = hub();
    let forged = defender(1).to_string();
    for request in [
        signed(
            &forged,
            "whsec_YW5vdGhlciBzZWNyZXQgdGhhbiB0aGUgc2VuZGVyJ3M=",
        ),
        Request::new("POST", "/webhook/defender", forged.as_str()),
        Request {
            body: forged.clone().into_bytes(),
            ..signed(&defender(2).to_string(), SECRET)
        },
        Request {
            target: "/webhook/somebody".to_owned(),
            ..signed(&forged, SECRET)
        },
    ] {
        let answer = hub.request(request.clone());
        assert_eq!(answer.status, 401, "{request:?}: {}", answer.text());
    }
    let answer = hub.request(signed(&defender(3).to_string(), SECRET));
    assert_eq!(answer.status, 202, "{}", answer.text());

    let mail = hub.wait_for_mails("Attack on SQL number 3.", 1);
    assert_eq!(mail.len(), 1);
    let runs = hub.runs("Attack on SQL number 3.");
    let run = succeeded(&hub, runs[0]["id"].as_str().unwrap());
    assert_eq!(run["finding"]["source"], "defender");
    let findings = hub.json(["findings", "list", "--limit", "10000"]);
    let forged = findings.iter().filter(|finding| {
        let written = finding.to_string();
        written.contains("Attack on SQL number 1.") || written.contains("Attack on SQL number 2.")
    });
    assert_eq!(forged.count(), 0, "what is not signed is not taken in");
}

#[test]
fn a_playbook_is_started_by_an_invocation_once_for_a_key() {
    let hub = hub();
    let finding = stored(&hub, 2000);
    let asked = json!({"playbook": "mail", "finding": finding, "by": "Ann", "key": "one"});
    let first = hub.invoke("manual", &asked).unwrap();
    assert_eq!(first["made"], true, "{first}");
    let again = hub.invoke("manual", &asked).unwrap();
    assert_eq!(again["made"], false, "{again}");
    assert_eq!(again["id"], first["id"]);

    let id = first["id"].as_str().unwrap();
    let run = succeeded(&hub, id);
    assert!(run["started_by"].to_string().contains("Ann"), "{run}");
    let shown = hub.invoke("manual", &json!({"run": id})).unwrap();
    assert_eq!(shown["state"]["is"], "succeeded");
    assert!(shown["journal"].as_array().unwrap().len() >= 2, "{shown}");
    assert_eq!(hub.mails("By hand 2000.").len(), 1);

    let unknown = json!({"playbook": "nothing", "finding": finding});
    let failed = hub.invoke("manual", &unknown).unwrap_err();
    assert_eq!(failed["errorType"], "UnknownPlaybook", "{failed}");
}

#[test]
fn a_playbook_is_started_over_http_by_a_principal_and_by_nobody_else() {
    let hub = hub();
    let finding = stored(&hub, 2001);
    let body = json!({"playbook": "mail", "finding": finding}).to_string();
    let unsigned = Request::new("POST", "/runs", body.as_str());
    let refused = hub.request(unsigned.with("content-type", "application/json"));
    assert!([401, 403].contains(&refused.status), "{}", refused.text());

    let answer = hub.request(hub.signed("POST", "/runs", &body));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let started: Value = serde_json::from_slice(&answer.body).unwrap();
    let id = started["id"].as_str().unwrap();
    let run = succeeded(&hub, id);
    assert!(run["started_by"].to_string().contains("arn:aws"), "{run}");
    let shown = hub.request(hub.signed("GET", &format!("/runs/{id}"), ""));
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(shown["state"]["is"], "succeeded");
    assert_eq!(
        hub.mails("By hand 2001.").len(),
        1,
        "the refused one did nothing"
    );
}

#[test]
fn a_custom_action_of_security_hub_starts_its_playbook_for_the_finding_that_was_chosen() {
    let hub = hub();
    // The finding is known and has been mailed on; the button mails once more.
    hub.put(&[security_hub(2002)]);
    let title = "Public bucket number 2002.";
    hub.wait_for_mails(title, 1);
    hub.put(&[custom_action(2002, "TellTheTeam")]);
    hub.wait_for_mails(title, 2);
    let runs = hub.runs(title);
    assert_eq!(runs.len(), 2, "{runs:?}");
    let by_hand = runs
        .iter()
        .find(|run| run["started_by"].get("automation").is_none())
        .unwrap();
    assert_eq!(by_hand["playbook"], "mail");
    succeeded(&hub, by_hand["id"].as_str().unwrap());
}

/// Has a finding stored that no automation matches; gives its id.
fn stored(hub: &Hub, number: usize) -> String {
    let mut event = guardduty(number);
    event["detail"]["severity"] = json!(2);
    event["detail"]["title"] = json!(format!("By hand {number}."));
    hub.put(&[event.clone()]);
    let id = event["detail"]["id"].as_str().unwrap();
    wait_for("the finding", || {
        let findings = hub.json(["findings", "list", "--limit", "10000"]);
        let found = findings
            .iter()
            .any(|finding| finding.to_string().contains(id));
        found.then(|| id.to_owned())
    })
}

/// A request to the sender's door, signed as Standard Webhooks say.
pub(crate) fn signed(body: &str, secret: &str) -> Request {
    let key = STANDARD
        .decode(secret.trim_start_matches("whsec_"))
        .unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut signature = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    signature.update(format!("msg_1.{now}.{body}").as_bytes());
    let signature = STANDARD.encode(signature.finalize().into_bytes());
    Request::new("POST", "/webhook/defender", body)
        .with("content-type", "application/json")
        .with("webhook-id", "msg_1")
        .with("webhook-timestamp", &now.to_string())
        .with("webhook-signature", &format!("v1,{signature}"))
}
