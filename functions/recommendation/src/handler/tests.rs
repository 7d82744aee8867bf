use super::*;
use lambda_runtime::{Context, Diagnostic};
use quench_app::{Config, Page, RunFilter, catalog};
use quench_automations::{Library, SourceFile, load};
use quench_findings::Transition;
use std::path::Path;
use tempfile::TempDir;

const RULES: &str = "\
playbook: note
triggers: [recommendation]
steps:
  - id: end
    stop: { reason: noted }
---
automation: note-all
trigger: recommendation
when:
  - status: { equals: unhealthy }
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

/// What had happened to the findings, first run first.
async fn transitions(app: &App) -> Vec<Transition> {
    let runs = app
        .store
        .runs(&RunFilter::default(), Page::default())
        .await
        .unwrap();
    runs.iter().rev().map(|run| run.transition).collect()
}

#[tokio::test]
async fn unhealthy_healthy_unhealthy_fires_twice() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    for (batch, runs) in [
        (include_str!("../../tests/data/unhealthy.json"), 1),
        (include_str!("../../tests/data/unhealthy.json"), 1),
        (include_str!("../../tests/data/healthy.json"), 1),
        (include_str!("../../tests/data/unhealthy-again.json"), 2),
        (include_str!("../../tests/data/healthy.json"), 2),
        (include_str!("../../tests/data/unhealthy-again.json"), 2),
    ] {
        assert_eq!(deliver(&app, batch).await, Vec::<String>::new());
        assert_eq!(transitions(&app).await.len(), runs);
    }
    assert_eq!(
        transitions(&app).await,
        [Transition::Created, Transition::Changed]
    );
}

#[tokio::test]
async fn only_the_bad_message_of_a_batch_is_reported() {
    let folder = TempDir::new().unwrap();
    let app = open(folder.path()).await;
    let batch = include_str!("../../tests/data/mixed-batch.json");
    assert_eq!(
        deliver(&app, batch).await,
        ["8a2bad4f-1111-4222-8333-444455556666"]
    );
    assert_eq!(transitions(&app).await, [Transition::Created]);
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
