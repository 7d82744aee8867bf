//! Findings of AWS, from the bus to the mailbox.

use quench_tests::events::{config, guardduty, inspector, security_hub};
use quench_tests::hub::STACK;
use serde_json::Value;

use crate::hub;

#[test]
fn an_event_of_each_source_becomes_a_mail_and_a_complete_history() {
    let hub = hub();
    let events = [
        (guardduty(1), "alerts", "guardduty"),
        (inspector(1, "ACTIVE", 0), "recommendations", "inspector"),
        (security_hub(1), "compliance", "security_hub"),
        (config(1), "compliance", "config"),
    ];
    let ids_before = hub.runs("").len();
    hub.put(&events.clone().map(|(event, ..)| event));
    for (event, automation, source) in events {
        let title = title(&event);
        let mail = hub.wait_for_mails(&title, 1).swap_remove(0);
        assert_eq!(mail["To"], serde_json::json!(["team@example.com"]));
        assert_eq!(mail["Subject"], title);
        assert!(
            mail["Source"]
                .as_str()
                .unwrap()
                .contains("quench@example.com")
        );
        for (part, sign) in [("BodyText", "Account:"), ("BodyHtml", "<html")] {
            let part = mail[part].as_str().unwrap();
            assert!(part.contains(sign), "{part}");
        }

        let runs = hub.runs(&title);
        assert_eq!(runs.len(), 1, "{runs:?}");
        let run = succeeded(&hub, runs[0]["id"].as_str().unwrap());
        assert_eq!(run["finding"]["source"], source);
        assert_eq!(run["finding"]["raw"]["detail"], event["detail"]);
        assert_eq!(run["started_by"]["automation"]["name"], automation);
        assert_eq!(
            run["started_by"]["automation"]["explanation"]["matched"],
            true
        );
        let journal = run["journal"].as_array().unwrap();
        let of_mail: Vec<&str> = journal
            .iter()
            .filter(|entry| entry["path"] == "mail")
            .map(|entry| entry["event"]["is"].as_str().unwrap())
            .collect();
        assert_eq!(of_mail, ["started", "succeeded"], "{run}");
    }
    assert!(hub.runs("").len() >= ids_before + 4);
}

#[test]
fn events_of_member_accounts_come_over_the_hubs_own_bus() {
    let hub = hub();
    hub.put_on(STACK, &[guardduty(2)]);
    assert_eq!(hub.wait_for_mails("Brute force number 2.", 1).len(), 1);
}

/// A run that has come to its end, and well.
#[track_caller]
pub(crate) fn succeeded(hub: &quench_tests::hub::Hub, id: &str) -> Value {
    // The mail is out a moment before the run's end is written.
    let run = quench_tests::hub::wait_for("the run's end", || {
        let run = hub.run(id);
        let state = run["state"]["is"].as_str().unwrap().to_owned();
        ["succeeded", "failed", "stopped"]
            .contains(&state.as_str())
            .then_some(run)
    });
    assert_eq!(run["state"]["is"], "succeeded", "{run}");
    run
}

/// The title under which a finding is mailed.
fn title(event: &Value) -> String {
    let detail = &event["detail"];
    let titles = [
        &detail["title"],
        &detail["findings"][0]["Title"],
        &detail["configRuleName"],
    ];
    let title = titles.into_iter().find_map(Value::as_str);
    title.unwrap().to_owned()
}
