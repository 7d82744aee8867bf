use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::Context;
use quench_app::webhook::{Scheme, Sender};
use quench_app::{Config, Queue};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "a key of many letters";

async fn open(folder: &TempDir) -> App {
    let path = folder.path().join("key");
    std::fs::write(&path, KEY).unwrap();
    let mut config = Config::local(folder.path().join("data"));
    let sender = Sender {
        scheme: Scheme::SharedKey {
            header: "x-api-key".to_owned(),
        },
        secrets: vec![format!("secret://file{}", path.display())],
    };
    config.senders.insert("logic-app".to_owned(), sender);
    App::open(config).await.unwrap()
}

/// What an HTTP API hands over for `POST /webhook/logic-app`.
fn event() -> Value {
    serde_json::from_str(include_str!("../../tests/data/post.json")).unwrap()
}

async fn answered(app: &App, event: Value) -> Value {
    let event: ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
    let event = LambdaEvent::new(event, Context::default());
    let response = handle(app, event).await.unwrap();
    serde_json::to_value(response).unwrap()
}

async fn ready(app: &App) -> u64 {
    let depth = app.queues.depth(Queue::Alert, app.clock.now()).await;
    depth.unwrap().ready
}

#[tokio::test]
async fn what_the_gateway_hands_over_is_answered_in_its_form() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let response = answered(&app, event()).await;
    assert_eq!(response["statusCode"], 202, "{response}");
    assert_eq!(response["headers"]["content-type"], "application/json");
    assert_eq!(response["body"], r#"{"accepted":1}"#);
    assert_eq!(ready(&app).await, 1);
}

#[tokio::test]
async fn a_body_in_base64_is_the_same_body() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let mut event = event();
    event["isBase64Encoded"] = json!(true);
    let plain = event["body"].take();
    event["body"] = json!(STANDARD.encode(plain.as_str().unwrap()));
    assert_eq!(answered(&app, event.clone()).await["statusCode"], 202);
    event["body"] = plain;
    let response = answered(&app, event).await;
    assert_eq!(response["statusCode"], 400);
    assert_eq!(
        response["headers"]["content-type"],
        "application/problem+json"
    );
    assert_eq!(ready(&app).await, 1);
}

#[tokio::test]
async fn without_the_key_or_a_sender_nothing_is_taken_in() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let mut keyless = event();
    keyless["headers"]["x-api-key"] = json!("another");
    let mut nobody = event();
    nobody["pathParameters"]["sender"] = json!("nobody");
    let mut nameless = event();
    nameless.as_object_mut().unwrap().remove("pathParameters");
    for event in [keyless, nobody, nameless] {
        let response = answered(&app, event).await;
        assert_eq!(response["statusCode"], 401);
        assert_eq!(
            response["body"],
            r#"{"title":"not authenticated","status":401}"#
        );
    }
    let mut bodiless = event();
    bodiless.as_object_mut().unwrap().remove("body");
    assert_eq!(answered(&app, bodiless).await["statusCode"], 400);
    assert_eq!(ready(&app).await, 0);
}
