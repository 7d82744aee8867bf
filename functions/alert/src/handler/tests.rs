use super::*;
use lambda_runtime::{Context, Diagnostic};
use quench_app::{Config, FindingFilter, Page, Run, RunFilter, catalog};
use quench_automations::{Library, SourceFile, load};
use quench_findings::Transition;
use std::path::Path;
use tempfile::TempDir;

const RULES: &str = "\
playbook: note
triggers: [alert]
steps:
  - id: end
    stop: { reason: noted }
---
automation: note-sql
trigger: alert
when:
  - title: { contains: sql }
run:
  - playbook: note
";

async fn open(folder: &Path) -> App {
    let app = App::open(Config::local(folder)).await.unwrap();
    let files = [SourceFile {
        path: "rules.yaml".into(),
        text: RULES.into(),
    }];
    let definitions = load(&files, &Library::default()).unwrap();
    catalog::apply(&app, definitions).await.unwrap();
    app
}

fn event(json: &str) -> LambdaEvent<Batch> {
    LambdaEvent::new(serde_json::from_str(json).unwrap(), Context::default())
}

fn failures(answer: &BatchAnswer) -> Vec<&str> {
    answer.failed().collect()
}

async fn runs(app: &App) -> Vec<Run> {
    app.store
        .runs(&RunFilter::default(), Page::default())
        .await
        .unwrap()
}

const MIXED: &str = include_str!("../../tests/data/mixed-batch.json");
const NAMELESS_GOOD: &str = include_str!("../../tests/data/nameless-good.json");
const NAMELESS_POISON: &str = include_str!("../../tests/data/nameless-poison.json");

#[tokio::test]
async fn only_the_bad_messages_of_a_batch_are_reported() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let response = handle(&app, event(MIXED)).await.unwrap();
    assert_eq!(
        failures(&response),
        [
            "2e1424d4-f796-459a-8184-9c92662be6da",
            "d7e8f901-2345-4678-9abc-def012345678"
        ]
    );
    // One came from the event bus, one through a topic; both speak of SQL.
    let runs = runs(&app).await;
    let mut ids: Vec<_> = runs.iter().map(|run| run.finding.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            "5cc4a2d41d9f4b6d8f3a0c7e9b1d2f30",
            "a1b2c3d4e5f60718293a4b5c6d7e8f90"
        ]
    );
    assert!(runs.iter().all(|run| run.transition == Transition::Created));
}

#[tokio::test]
async fn the_answer_has_the_form_that_the_queue_understands() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let answer = async |text| {
        let response = handle(&app, event(text)).await.unwrap();
        serde_json::to_string(&response).unwrap()
    };
    assert_eq!(
        answer(MIXED).await,
        r#"{"batchItemFailures":[{"itemIdentifier":"2e1424d4-f796-459a-8184-9c92662be6da"},{"itemIdentifier":"d7e8f901-2345-4678-9abc-def012345678"}]}"#
    );
    let none = r#"{"batchItemFailures":[]}"#;
    assert_eq!(answer(NAMELESS_GOOD).await, none);
    assert_eq!(answer(r#"{"Records": []}"#).await, none);
}

#[tokio::test]
async fn a_batch_delivered_again_makes_no_second_run() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    handle(&app, event(MIXED)).await.unwrap();
    let first = runs(&app).await;
    let again = handle(&app, event(MIXED)).await.unwrap();
    assert_eq!(failures(&again).len(), 2);
    assert_eq!(runs(&app).await, first);
}

#[tokio::test]
async fn a_failed_message_without_id_fails_the_batch_by_name() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let error = handle(&app, event(NAMELESS_POISON)).await.unwrap_err();
    let diagnostic = Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "NamelessMessage");
    assert!(
        diagnostic
            .error_message
            .starts_with("a message without `messageId` failed: payload is refused"),
        "{}",
        diagnostic.error_message
    );
    // The rest of the batch was taken in nonetheless.
    assert_eq!(runs(&app).await.len(), 1);
    assert_eq!(
        app.store
            .findings(&FindingFilter::default(), Page::default())
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_record_without_body_is_poison() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let response = handle(&app, event(r#"{"Records": [{"messageId": "m"}]}"#))
        .await
        .unwrap();
    assert_eq!(failures(&response), ["m"]);
}
