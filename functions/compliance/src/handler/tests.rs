use super::*;
use lambda_runtime::{Context, Diagnostic};
use quench_app::{Config, Page, RunFilter, catalog};
use quench_automations::{Library, SourceFile, load};
use quench_findings::{Status, Transition};
use std::path::Path;
use tempfile::TempDir;

const RULES: &str = "\
playbook: note
triggers: [compliance]
steps:
  - id: end
    stop: { reason: noted }
---
automation: note-failures
trigger: compliance
run:
  - playbook: note
---
automation: note-repairs
trigger: compliance
on: [resolved]
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

async fn deliver(app: &App, json: &str) -> Vec<String> {
    let event = LambdaEvent::new(serde_json::from_str(json).unwrap(), Context::default());
    let answer = handle(app, event).await.unwrap();
    answer.failed().map(str::to_owned).collect()
}

/// What had happened to the findings and how they stood, first run first.
async fn runs(app: &App) -> Vec<(Transition, Option<Status>)> {
    let runs = app
        .store
        .runs(&RunFilter::default(), Page::default())
        .await
        .unwrap();
    runs.iter()
        .rev()
        .map(|run| (run.transition, run.finding.status))
        .collect()
}

const FAILED: &str = include_str!("../../tests/data/failed.json");
const PASSED: &str = include_str!("../../tests/data/passed.json");

#[tokio::test]
async fn a_failure_and_its_repair_start_a_run_each() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    for batch in [FAILED, FAILED, PASSED, PASSED, FAILED] {
        deliver(&app, batch).await;
    }
    assert_eq!(
        runs(&app).await,
        [
            (Transition::Created, Some(Status::Failed)),
            (Transition::Resolved, Some(Status::Passed))
        ]
    );
}

#[tokio::test]
async fn only_the_bad_message_of_a_batch_is_reported() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    assert_eq!(
        deliver(&app, FAILED).await,
        ["3c4d5e6f-1111-4222-8333-000000000002"]
    );
    assert_eq!(deliver(&app, PASSED).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_message_without_id_fails_the_batch_by_name() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let event = serde_json::from_str(r#"{"Records": [{"body": "nonsense"}]}"#).unwrap();
    let event = LambdaEvent::new(event, Context::default());
    let diagnostic = Diagnostic::from(handle(&app, event).await.unwrap_err());
    assert_eq!(diagnostic.error_type, "NamelessMessage");
}
