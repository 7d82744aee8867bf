use super::*;
use lambda_runtime::Context;
use quench_app::intake::intake;
use quench_app::{Config, Queue, RunStage, catalog};
use quench_automations::{Library, SourceFile, load};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const RULES: &str = "\
playbook: note
triggers: [alert]
steps:
  - id: end
    stop: { reason: noted }
---
playbook: slow
triggers: [alert]
steps:
  - id: pause
    wait: { for: 10m }
---
playbook: slower
triggers: [alert]
steps:
  - id: pause
    wait: { for: 2h }
---
automation: all
trigger: alert
run:
  - playbook: note
  - playbook: slow
  - playbook: slower
";

/// An application with three runs: one that ends at once, one that pauses for minutes, one that pauses for hours.
async fn open(folder: &Path) -> (App, Vec<String>) {
    let app = App::open(Config::local(folder)).await.unwrap();
    let files = [SourceFile {
        path: "rules.yaml".into(),
        text: RULES.into(),
    }];
    let definitions = load(&files, &Library::default()).unwrap();
    catalog::apply(&app, definitions).await.unwrap();
    let taken = intake(&app, include_bytes!("../../tests/data/finding.json"))
        .await
        .unwrap();
    let runs = taken.findings[0].runs().map(str::to_owned).collect();
    // The queue of the cloud takes the place of the local one.
    let now = app.clock.now();
    for message in app
        .queues
        .receive(Queue::Runs, 10, Duration::from_secs(1), now)
        .await
        .unwrap()
    {
        app.queues.ack(&message).await.unwrap();
    }
    (app, runs)
}

/// The event that a queue with these messages makes, in the form of the recorded one.
fn event(messages: &[(&str, &str)]) -> LambdaEvent<Batch> {
    let recorded = include_str!("../../tests/data/one-run.json");
    let mut event: serde_json::Value = serde_json::from_str(recorded).unwrap();
    let pattern = event["Records"][0].clone();
    let records = messages.iter().map(|(id, body)| {
        let mut record = pattern.clone();
        record["messageId"] = json!(id);
        record["body"] = json!(body);
        record
    });
    event["Records"] = records.collect();
    LambdaEvent::new(serde_json::from_value(event).unwrap(), Context::default())
}

async fn deliver(app: &App, messages: &[(&str, &str)]) -> Vec<String> {
    let answer = handle(app, event(messages)).await.unwrap();
    answer.failed().map(str::to_owned).collect()
}

async fn stage(app: &App, run: &str) -> RunStage {
    RunStage::of(&app.store.run(run).await.unwrap().unwrap().state)
}

#[tokio::test]
async fn runs_are_worked_on_and_those_that_wait_are_no_failures() {
    let folder = TempDir::new().unwrap();
    let (app, runs) = open(folder.path()).await;
    let messages = [("m1", &*runs[0]), ("m2", &*runs[1]), ("m3", &*runs[2])];
    let failed = deliver(&app, &messages).await;
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(stage(&app, &runs[0]).await, RunStage::Stopped);
    assert_eq!(stage(&app, &runs[1]).await, RunStage::Waiting);
    assert_eq!(stage(&app, &runs[2]).await, RunStage::Waiting);
    // One waits in the queue; the other for longer than queues can, so the sweep for due runs finds it.
    let now = app.clock.now();
    let depth = app.queues.depth(Queue::Runs, now).await.unwrap();
    assert_eq!((depth.ready, depth.delayed), (0, 1));
    let next = app.queues.next_visible().await.unwrap().unwrap();
    let delay = next.duration_since(now).as_secs();
    assert!((9 * 60..=10 * 60).contains(&delay), "{delay}");
    let later = now + Duration::from_secs(3 * 60 * 60);
    let due = app.store.due_runs(later, 9).await.unwrap();
    assert!(due.contains(&runs[2]));
}

#[tokio::test]
async fn what_has_no_time_left_is_delivered_again() {
    let folder = TempDir::new().unwrap();
    let (app, runs) = open(folder.path()).await;
    let mut event = event(&[("m1", &runs[0])]);
    let soon = std::time::SystemTime::now() + Duration::from_secs(1);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap();
    event.context.deadline = soon.as_millis().try_into().unwrap();
    let answer = handle(&app, event).await.unwrap();
    assert_eq!(answer.failed().collect::<Vec<_>>(), ["m1"]);
    assert_eq!(stage(&app, &runs[0]).await, RunStage::Queued);
}

#[tokio::test]
async fn a_message_delivered_again_does_nothing_again() {
    let folder = TempDir::new().unwrap();
    let (app, runs) = open(folder.path()).await;
    deliver(&app, &[("m1", &runs[0])]).await;
    let journal = app.store.journal(&runs[0]).await.unwrap();
    let run = app.store.run(&runs[0]).await.unwrap();
    assert_eq!(
        deliver(&app, &[("m1", &runs[0]), ("m2", &runs[0])]).await,
        Vec::<String>::new()
    );
    assert_eq!(app.store.journal(&runs[0]).await.unwrap(), journal);
    assert_eq!(app.store.run(&runs[0]).await.unwrap(), run);
}

#[tokio::test]
async fn a_run_that_another_worker_holds_is_left_to_it() {
    let folder = TempDir::new().unwrap();
    let (app, runs) = open(folder.path()).await;
    let lease = Duration::from_secs(60);
    app.store
        .claim_run(&runs[0], "another", app.clock.now(), lease)
        .await
        .unwrap();
    assert_eq!(
        deliver(&app, &[("m1", &runs[0])]).await,
        Vec::<String>::new()
    );
    assert_eq!(stage(&app, &runs[0]).await, RunStage::Running);
    let depth = app
        .queues
        .depth(Queue::Runs, app.clock.now())
        .await
        .unwrap();
    assert_eq!(
        depth.delayed, 1,
        "it is looked at again when the lease ends"
    );
}

#[tokio::test]
async fn a_run_that_is_not_there_is_done_with_and_what_is_no_run_fails() {
    let folder = TempDir::new().unwrap();
    let (app, _) = open(folder.path()).await;
    let gone = "0".repeat(32);
    assert_eq!(
        deliver(&app, &[("m1", &gone), ("m2", "0000"), ("m3", "")]).await,
        ["m2", "m3"]
    );
}
