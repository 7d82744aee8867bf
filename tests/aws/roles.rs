//! Every function does its work with its own role, and nothing beside.

use quench_tests::events::{config, custom_action, defender, guardduty, inspector};
use quench_tests::hub::Settings;
use serde_json::json;

use crate::sources::succeeded;
use crate::{doors, mailing};

#[test]
fn each_function_does_its_work_with_what_its_role_allows() {
    let hub = mailing(&Settings {
        authorize: true,
        parameters: vec![
            ("Senders".to_owned(), doors::senders()),
            ("CustomActions".to_owned(), doors::custom_actions()),
        ],
        ..Settings::default()
    });
    // alert, recommendation, compliance, runner
    hub.put(&[guardduty(1), inspector(1, "ACTIVE", 0), config(1)]);
    for title in [
        "Brute force number 1.",
        "Vulnerability number 1.",
        "bucket-rule-number-1.",
    ] {
        hub.wait_for_mails(title, 1);
    }
    // webhook
    let answer = hub.request(doors::signed(&defender(1).to_string(), doors::SECRET));
    assert_eq!(answer.status, 202, "{}", answer.text());
    hub.wait_for_mails("Attack on SQL number 1.", 1);
    // manual
    hub.put(&[custom_action(1, "TellTheTeam")]);
    hub.wait_for_mails("Public bucket number 1.", 1);
    let finding = &hub.runs("Brute force number 1.")[0]["finding"]["id"];
    let asked = json!({"playbook": "mail", "finding": finding});
    let run = hub.invoke("manual", &asked).unwrap();
    succeeded(&hub, run["id"].as_str().unwrap());
    // schedule
    hub.invoke("schedule", &json!({})).unwrap();
}
