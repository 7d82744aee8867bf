//! Findings of AWS, from the bus to the mailbox.

use std::collections::BTreeMap;

use quench_tests::aws::Aws;
use quench_tests::events::{
    config, custom_action, guardduty, inspector, of_each_kind, sample, security_hub,
};
use quench_tests::hub::{Hub, STACK, wait_for};
use serde_json::{Value, json};

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
fn an_event_of_each_kind_that_a_rule_takes_is_taken_in() {
    let hub = hub();
    hear_calls(&hub.aws, &hub.resources());
    let events = of_each_kind();
    let put: Vec<Value> = events.iter().map(|(event, ..)| event.clone()).collect();
    hub.put(&put);
    taken_in(&hub, &events);
}

#[test]
fn each_event_is_taken_by_one_rule_and_there_is_one_for_all_that_rules_take() {
    let hub = hub();
    let takes = |pattern: &Value, event: &Value| {
        let asked = json!({"EventPattern": pattern.to_string(), "Event": event.to_string()});
        hub.aws.ok("events", "test_event_pattern", &asked)["Result"] == true
    };
    let mut events: Vec<(Value, &str)> = of_each_kind()
        .into_iter()
        .map(|(event, kind, source)| (event, rule_of(kind, source)))
        .collect();
    events.push((custom_action(1, "TellTheTeam"), "CustomActionRule"));
    events.push((sample("security-hub-insight-results"), "CustomActionRule"));

    let names = hub.resources();
    let rules: Vec<(&str, Value)> = names
        .iter()
        .filter(|(rule, _)| rule.ends_with("Rule") && !rule.ends_with("HubRule"))
        .filter_map(|(rule, name)| {
            let described = hub
                .aws
                .ok("events", "describe_rule", &json!({"Name": name}));
            let pattern = described["EventPattern"].as_str()?;
            let pattern = serde_json::from_str(pattern).ok()?;
            Some((rule.as_str(), pattern))
        })
        .collect();
    assert_eq!(rules.len(), 5, "{rules:?}");
    for (event, of) in &events {
        let of_event: Vec<&str> = rules
            .iter()
            .filter(|(_, pattern)| takes(pattern, event))
            .map(|(rule, _)| *rule)
            .collect();
        assert_eq!(of_event, [*of], "{event}");
    }
    for (rule, pattern) in &rules {
        let itself = [pattern.clone()];
        let alternatives = pattern["$or"].as_array().map_or(&itself[..], Vec::as_slice);
        for alternative in alternatives {
            for kind in alternative["detail-type"].as_array().unwrap() {
                let mut of_kind = alternative.clone();
                of_kind["detail-type"] = json!([kind]);
                assert!(
                    events.iter().any(|(event, _)| takes(&of_kind, event)),
                    "`{rule}` takes what no test puts on the bus: {of_kind}"
                );
            }
        }
    }
}

/// The rule that takes an event on a finding of this kind and source.
fn rule_of(kind: &str, source: &str) -> &'static str {
    match (kind, source) {
        ("alert", "cloudtrail") => "CloudTrailRule",
        ("alert", _) => "AlertRule",
        ("recommendation", _) => "RecommendationRule",
        _ => "ComplianceRule",
    }
}

/// Has rules on API calls hear in the emulator, which hands events on for rules in the state `ENABLED` alone. On AWS that state
/// leaves out calls that only read (EventBridge User Guide, "Receiving read-only management events from AWS services").
#[track_caller]
pub(crate) fn hear_calls(aws: &Aws, resources: &BTreeMap<String, String>) {
    for (rule, bus) in [("CloudTrailRule", "default"), ("CloudTrailHubRule", STACK)] {
        let Some(name) = resources.get(rule) else {
            continue;
        };
        let asked = json!({"Name": name, "EventBusName": bus});
        let seen = aws.ok("events", "describe_rule", &asked);
        let state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
        assert_eq!(seen["State"], state, "{rule}");
        aws.ok("events", "enable_rule", &asked);
    }
}

/// Waits until each of these events is a finding of its kind and source, and there are no two of any.
#[track_caller]
pub(crate) fn taken_in(hub: &Hub, events: &[(Value, &str, &str)]) {
    let mut stored = Vec::new();
    for (event, kind, source) in events {
        let decoded = quench_findings::decode(event.to_string().as_bytes());
        assert_eq!(decoded.findings.len(), 1, "{event}");
        let title = &decoded.findings[0].title;
        let of_event = |stored: &[Value]| -> Vec<Value> {
            let same = |finding: &&Value| {
                finding["title"] == title.as_str() && finding["source"] == *source
            };
            stored.iter().filter(same).cloned().collect()
        };
        if of_event(&stored).is_empty() {
            stored = wait_for(&format!("the finding `{title}` of `{source}`"), || {
                let stored = hub.json(["findings", "list", "--limit", "10000"]);
                (!of_event(&stored).is_empty()).then_some(stored)
            });
        }
        let found = of_event(&stored);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["kind"], *kind, "{found:?}");
    }
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
