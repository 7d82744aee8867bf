//! Processes that are killed, and services that refuse.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quench_tests::events::guardduty;
use quench_tests::http::{Response, Server};
use quench_tests::hub::{Hub, PATIENCE, Settings, kill};
use quench_tests::proxy::throttled;
use serde_json::{Value, json};

use crate::mailing;
use crate::queues::at_rest;
use crate::sources::succeeded;

/// What every hub here has: times as short as they may be.
fn settings() -> Settings {
    let parameters = [
        ("IntakeTimeout", "10"),
        ("IntakeVisibility", "10"),
        ("RunnerTimeout", "10"),
        ("RunnerVisibility", "10"),
        ("AllowHosts", "127.0.0.1"),
        ("MailRate", "1000"),
    ];
    Settings {
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        variables: vec![("QUENCH_LEASE_SECONDS".to_owned(), "10".to_owned())],
        ..Settings::default()
    }
}

#[test]
fn a_run_whose_process_is_killed_goes_on_where_it_was() {
    // The first call is answered only once its caller is dead.
    let (came, comes) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let calls = AtomicUsize::new(0);
    let target = Server::start(move |request| {
        let key = request.header("idempotency-key").map(str::to_owned);
        came.send(key).ok()?;
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = released.lock().ok()?.recv_timeout(PATIENCE);
            return None;
        }
        Some(Response::json(200, &json!({"done": true})))
    });
    let hub = Hub::deploy(&settings());
    hub.apply(&THREE_STEPS.replace("TARGET", &target.url()));
    hub.put(&[guardduty(1)]);
    let first = comes.recv_timeout(PATIENCE).unwrap();
    let killed = hub.processes("runner");
    assert!(!killed.is_empty(), "the runner runs");
    killed.into_iter().for_each(kill);
    release.send(()).unwrap();

    let second = comes.recv_timeout(PATIENCE).unwrap();
    assert!(first.is_some(), "the target can tell a repetition");
    assert_eq!(second, first);
    hub.wait_for_mails("After", 1);
    let runs = hub.runs("Brute force number 1.");
    assert_eq!(runs.len(), 1);
    let run = succeeded(&hub, runs[0]["id"].as_str().unwrap());
    let of_call: Vec<&str> = run["journal"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["path"] == "call")
        .map(|entry| entry["event"]["is"].as_str().unwrap())
        .collect();
    assert_eq!(of_call.first(), Some(&"started"), "{run}");
    assert_eq!(of_call.last(), Some(&"succeeded"), "{run}");
    at_rest(&hub);
    assert_eq!(
        hub.mails("Before").len(),
        1,
        "what was done is not done again"
    );
    assert_eq!(hub.mails("After").len(), 1);
    assert!(comes.recv_timeout(Duration::ZERO).is_err(), "no third call");
}

const THREE_STEPS: &str = r#"
playbook: three-steps
description: Mails, calls, mails.
triggers: [alert]
steps:
  - id: before
    email: { to: team@example.com, subject: "Before {{ finding.title }}", template: finding }
  - id: call
    http:
      method: POST
      url: TARGET/slow
      idempotency_header: Idempotency-Key
      json: { finding: "{{ finding.id }}" }
  - id: after
    email: { to: team@example.com, subject: "After {{ finding.title }}", template: finding }
---
automation: three-steps
trigger: alert
run: [{ playbook: three-steps }]
"#;

#[test]
fn functions_that_are_killed_at_any_of_their_calls_lose_nothing() {
    const EVENTS: usize = 60;
    let hub = Arc::new(mailing(&settings()));
    // Every so many calls, all functions that run are killed, before the call or after it.
    let (calls, kills) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (of_proxy, counted) = (Arc::downgrade(&hub), Arc::clone(&kills));
    hub.proxy.refuse(move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        if call % 61 == 60 && counted.load(Ordering::SeqCst) < 8 {
            counted.fetch_add(1, Ordering::SeqCst);
            let hub = of_proxy.upgrade()?;
            for function in ["alert", "runner"] {
                hub.processes(function).into_iter().for_each(kill);
            }
        }
        None
    });
    let events: Vec<Value> = (0..EVENTS).map(guardduty).collect();
    hub.put(&events);
    for number in 0..EVENTS {
        hub.wait_for_mails(&format!("Brute force number {number}."), 1);
    }
    at_rest(&hub);
    assert!(kills.load(Ordering::SeqCst) > 3, "{kills:?} kills");

    let runs = hub.runs("Brute force number");
    assert_eq!(runs.len(), EVENTS, "one run for each match");
    let mut mailed = BTreeMap::<String, usize>::new();
    for mail in hub.mails("Brute force number") {
        let subject = mail["Subject"].as_str().unwrap().to_owned();
        *mailed.entry(subject).or_default() += 1;
    }
    for run in runs {
        let run = succeeded(&hub, run["id"].as_str().unwrap());
        let title = run["finding"]["title"].as_str().unwrap();
        let doubt = run["journal"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["event"]["is"] == "unknown");
        let times = mailed[title];
        assert!(
            times == 1 || doubt,
            "mailed {times} times without a doubt: {run}"
        );
    }
    nothing_is_dead(&hub);
}

#[test]
fn whatever_is_throttled_is_done_once_all_the_same() {
    const EVENTS: usize = 60;
    let hub = mailing(&settings());
    let calls = AtomicUsize::new(0);
    hub.proxy.refuse(move |call| {
        let every = if call.operation.starts_with("POST /v2/email") {
            2
        } else {
            5
        };
        if !calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(every) {
            return None;
        }
        Some(throttled(match call.operation.split('.').next()? {
            "DynamoDB_20120810" => "com.amazonaws.dynamodb.v20120810#ThrottlingException",
            "AmazonSQS" => "com.amazonaws.sqs#RequestThrottled",
            _ => "TooManyRequestsException",
        }))
    });
    let events: Vec<Value> = (0..EVENTS).map(guardduty).collect();
    hub.put(&events);
    for number in 0..EVENTS {
        hub.wait_for_mails(&format!("Brute force number {number}."), 1);
    }
    at_rest(&hub);
    let refused = hub.proxy.refused();
    for service in ["DynamoDB_20120810", "AmazonSQS", "POST /v2/email"] {
        let refused = refused
            .keys()
            .any(|operation| operation.starts_with(service));
        assert!(refused, "nothing of `{service}` was throttled");
    }
    hub.proxy.recover();

    let runs = hub.runs("Brute force number");
    assert_eq!(runs.len(), EVENTS);
    for run in &runs {
        succeeded(&hub, run["id"].as_str().unwrap());
    }
    // What is refused was not done, so nothing is in doubt and nothing is done twice.
    assert_eq!(hub.mails("Brute force number").len(), EVENTS);
    nothing_is_dead(&hub);
}

#[track_caller]
fn nothing_is_dead(hub: &Hub) {
    let resources = hub.resources();
    for dead in ["AlertDeadLetters", "RunsDeadLetters", "Undelivered"] {
        assert_eq!(hub.messages(&resources[dead]), 0, "{dead}");
    }
}
