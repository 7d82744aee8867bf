use super::*;
use crate::clock::Clock;
use crate::specimen::{RULES, apply, config, event, moment};
use crate::store::{FindingFilter, Page, RunFilter};
use crate::worker;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, HeaderValue};
use ring::hmac::{self, HMAC_SHA256};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const KEY: &str = "a key of many letters";
const TOPIC: &str = "/subscriptions/1/resourceGroups/g/providers/Microsoft.EventGrid/topics/t";

/// An application that knows one sender of each scheme, with secrets in files.
async fn door(folder: &TempDir) -> App {
    let reference = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        format!("secret://file{}", path.display())
    };
    let old = reference("old", &format!("whsec_{}", BASE64.encode(OLD)));
    let new = reference("new", &format!("whsec_{}", BASE64.encode(NEW)));
    let key = reference("key", KEY);
    let missing = format!("secret://file{}/missing", folder.path().display());
    let written = json!({
        "scanner": {"scheme": "standard-webhooks", "secrets": [old, new]},
        "half": {"scheme": "standard-webhooks", "secrets": [old, missing]},
        "unfit": {"scheme": "standard-webhooks", "secrets": [key]},
        "forge": {"scheme": "github", "secrets": [key]},
        "logic-app": {"scheme": "shared-key", "secrets": [key], "header": "x-api-key"},
        "grid": {"scheme": "event-grid", "secrets": [key], "topics": [TOPIC]},
    });
    let mut config = config(&folder.path().join("data"));
    config.senders = senders(&written.to_string()).unwrap();
    App::open_at(config, Clock::manual(moment(0)))
        .await
        .unwrap()
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> HeaderMap {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(&value).unwrap())
        })
        .collect()
}

fn signed(secret: &[u8], body: &[u8], second: i64) -> HeaderMap {
    let time = moment(second).as_second();
    let mut content = format!("msg_1.{time}.").into_bytes();
    content.extend_from_slice(body);
    let signature = hmac::sign(&hmac::Key::new(HMAC_SHA256, secret), &content);
    headers([
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", time.to_string()),
        (
            "webhook-signature",
            format!("v1,{}", BASE64.encode(signature)),
        ),
    ])
}

fn with_key(name: &str, key: &str) -> HeaderMap {
    headers([(name, key.to_owned())])
}

async fn post(app: &App, sender: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    let request = Request {
        method: "POST",
        sender,
        headers,
        body,
    };
    receive(app, &request).await
}

/// Bodies of the messages on a queue.
async fn queued(app: &App, queue: Queue) -> Vec<Vec<u8>> {
    let now = app.clock.now();
    let messages = app.queues.receive(queue, 100, Duration::ZERO, now).await;
    let bodies = messages.unwrap().into_iter().map(|message| message.body);
    bodies.collect()
}

async fn nothing_is_queued(app: &App) {
    for queue in Queue::ALL {
        assert!(queued(app, queue).await.is_empty(), "{queue:?}");
    }
}

#[tokio::test]
async fn a_proven_message_is_on_its_queue_byte_for_byte_once_accepted() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let body = event("shop", false, 1);
    let github = hmac::sign(&hmac::Key::new(HMAC_SHA256, KEY.as_bytes()), &body);
    let github = format!("sha256={}", hex(github.as_ref()));
    for (sender, headers) in [
        ("scanner", signed(&OLD, &body, 0)),
        ("scanner", signed(&NEW, &body, 0)),
        ("forge", headers([("x-hub-signature-256", github)])),
        ("logic-app", with_key("x-api-key", KEY)),
        ("grid", with_key("x-quench-key", KEY)),
    ] {
        let answer = post(&app, sender, &headers, &body).await;
        assert_eq!(
            answer,
            Answer::json(202, json!({"accepted": 1})),
            "{sender}"
        );
    }
    assert_eq!(queued(&app, Queue::Compliance).await, vec![body; 5]);
    assert!(queued(&app, Queue::Alert).await.is_empty());
}

#[tokio::test]
async fn whoever_proves_nothing_learns_nothing() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let body = event("shop", false, 1);
    let mut changed = body.clone();
    changed.push(b' ');
    let refusal = Answer::problem(401, "not authenticated", None, json!({}));
    for (sender, headers, body) in [
        ("nobody", signed(&OLD, &body, 0), &body),
        ("", signed(&OLD, &body, 0), &body),
        ("../scanner", signed(&OLD, &body, 0), &body),
        ("Scanner", signed(&OLD, &body, 0), &body),
        ("scanner", HeaderMap::new(), &body),
        ("scanner", signed(&[3; 32], &body, 0), &body),
        ("scanner", signed(&OLD, &body, 0), &changed),
        ("scanner", signed(&OLD, &body, 301), &body),
        ("scanner", signed(&OLD, &body, -301), &body),
        ("scanner", with_key("x-api-key", KEY), &body),
        ("forge", with_key("x-hub-signature-256", "sha256=00"), &body),
        ("logic-app", with_key("x-api-key", "another key"), &body),
        ("logic-app", with_key("x-quench-key", KEY), &body),
        ("grid", HeaderMap::new(), &body),
    ] {
        assert_eq!(
            post(&app, sender, &headers, body).await,
            refusal,
            "{sender}"
        );
    }
    nothing_is_queued(&app).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_makes_the_sender_try_again() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let body = event("shop", false, 1);
    // The one that is there will do.
    let answer = post(&app, "half", &signed(&OLD, &body, 0), &body).await;
    assert_eq!(answer.status, 202);
    // It might have been signed with the one that is not.
    let answer = post(&app, "half", &signed(&NEW, &body, 0), &body).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(!answer.text().contains("missing"), "{}", answer.text());
    // What is not even signed proves nothing with any secret.
    assert_eq!(
        post(&app, "half", &HeaderMap::new(), &body).await.status,
        401
    );
    assert_eq!(
        post(&app, "unfit", &signed(&OLD, &body, 0), &body)
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let mut body = event("shop", false, 1);
    body.resize(BODY_LIMIT, b' ');
    let answer = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
    assert_eq!(answer.status, 202);
    body.push(b' ');
    for sender in ["scanner", "nobody"] {
        let answer = post(&app, sender, &signed(&OLD, &body, 0), &body).await;
        assert_eq!(answer.status, 413, "{sender}");
    }
    assert_eq!(queued(&app, Queue::Compliance).await.len(), 1);
}

#[tokio::test]
async fn only_post_is_for_findings() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let body = event("shop", false, 1);
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "post", ""] {
        for sender in ["scanner", "grid", "nobody"] {
            let request = Request {
                method,
                sender,
                headers: &signed(&OLD, &body, 0),
                body: &body,
            };
            let answer = receive(&app, &request).await;
            assert_eq!(answer.status, 405, "{method} {sender}");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    }
    nothing_is_queued(&app).await;
}

#[tokio::test]
async fn what_is_no_finding_is_refused_with_its_path() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let refused = async |body: &[u8]| {
        let answer = post(&app, "scanner", &signed(&OLD, body, 0), body).await;
        assert_eq!(answer.status, 400);
        let type_ = answer.header("content-type");
        assert_eq!(type_, Some("application/problem+json"));
        answer.body.unwrap()
    };
    let mut broken: Value = serde_json::from_slice(&event("shop", false, 1)).unwrap();
    broken["detail"]["newEvaluationResult"]["complianceType"] = json!("MAYBE");
    let told = refused(broken.to_string().as_bytes()).await;
    assert_eq!(told["title"], "not a finding");
    assert_eq!(
        told["errors"][0]["path"],
        "detail.newEvaluationResult.complianceType"
    );
    assert!(
        told["errors"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("MAYBE")
    );
    let whole = event("shop", false, 1);
    let nested = "[".repeat(100_000);
    for hostile in [
        &b""[..],
        b"{}",
        b"null",
        b"\0",
        b"\xff\xfe{",
        &whole[..whole.len() / 2],
        nested.as_bytes(),
    ] {
        let told = refused(hostile).await;
        assert!(!told["errors"].as_array().unwrap().is_empty());
    }
    let wide = String::from_utf8(whole).unwrap();
    let wide: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(wide.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let told = refused(&wide).await;
    assert_eq!(told["errors"][0]["reason"], "is no UTF-8 text");
    let crowd = json!(vec![1; 1000]).to_string();
    let told = refused(crowd.as_bytes()).await;
    assert_eq!(told["errors"].as_array().unwrap().len(), LISTED);
    nothing_is_queued(&app).await;
}

#[tokio::test]
async fn a_payload_of_several_kinds_goes_whole_onto_one_queue_and_what_is_refused_is_told() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let compliance: Value = serde_json::from_slice(&event("shop", false, 1)).unwrap();
    let alert = json!({
        "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "id": "e", "version": "0",
        "account": "111122223333", "time": "2027-01-01T00:00:00Z", "region": "eu-west-1", "resources": [],
        "detail": {
            "schemaVersion": "2.0", "accountId": "111122223333", "region": "eu-west-1",
            "id": "0123456789abcdef0123456789abcdef", "type": "Recon:EC2/Portscan", "severity": 8,
            "resource": {"resourceType": "Instance"}, "service": {"archived": false, "count": 1},
            "createdAt": "2027-01-01T00:00:00Z", "updatedAt": "2027-01-01T00:00:00Z",
            "title": "Somebody scans ports", "description": "Many.",
        },
    });
    let body = json!([compliance, alert, {"nothing": true}])
        .to_string()
        .into_bytes();
    let answer = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
    assert_eq!(answer.status, 202);
    let told = answer.body.unwrap();
    assert_eq!(told["accepted"], 2);
    assert_eq!(told["refused"].as_array().unwrap().len(), 1);
    assert!(
        told["refused"][0]["path"]
            .as_str()
            .unwrap()
            .starts_with("[2]")
    );
    assert_eq!(queued(&app, Queue::Alert).await, [body]);
    assert!(queued(&app, Queue::Compliance).await.is_empty());
}

#[tokio::test]
async fn a_sender_cannot_press_buttons() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../findings/tests/data/aws/security-hub-custom-action.json"
    );
    let action: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let topic = json!({
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
        "Message": action.to_string(),
    });
    for body in [action.clone(), json!([action]), topic] {
        let body = body.to_string().into_bytes();
        let answer = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("event bus"), "{}", answer.text());
    }
    nothing_is_queued(&app).await;
}

#[tokio::test]
async fn a_message_that_comes_again_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    apply(&app, RULES).await;
    let body = event("shop", false, 1);
    let runs = async || {
        worker::drain(&app, Duration::ZERO, |_| {}).await.unwrap();
        let all = Page {
            limit: 100,
            skip: 0,
        };
        let runs = app.store.runs(&RunFilter::default(), all).await.unwrap();
        let findings = app.store.findings(&FindingFilter::default(), all).await;
        assert_eq!(findings.unwrap().len(), 1);
        runs
    };
    let answer = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
    assert_eq!(answer.status, 202);
    let first = runs().await;
    assert_eq!(first.len(), 3);
    for _ in 0..3 {
        let again = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
        assert_eq!(again.status, 202);
    }
    assert_eq!(runs().await, first);
}

#[tokio::test]
async fn a_queue_that_fails_makes_the_sender_try_again() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let path = app.config.database().unwrap();
    rusqlite::Connection::open(path)
        .unwrap()
        .execute_batch("ALTER TABLE messages RENAME TO gone")
        .unwrap();
    let body = event("shop", false, 1);
    let answer = post(&app, "scanner", &signed(&OLD, &body, 0), &body).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(!answer.text().contains("messages"), "{}", answer.text());
}

fn question(topic: &str) -> Value {
    json!({
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": topic,
        "subject": "",
        "data": {
            "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/x/validate",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-25T22:12:19.4556811Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    })
}

#[tokio::test]
async fn event_grid_gets_its_code_back_for_a_topic_that_is_expected_or_with_the_key() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let ask = async |sender: &str, topic: &str, key: Option<&str>| {
        let mut headers = with_key("aeg-event-type", "SubscriptionValidation");
        if let Some(key) = key {
            headers.extend(with_key("x-quench-key", key));
        }
        let body = json!([question(topic)]).to_string();
        post(&app, sender, &headers, body.as_bytes()).await
    };
    let code = json!({"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"});
    let confirmed = Answer::json(200, code);
    assert_eq!(ask("grid", TOPIC, None).await, confirmed);
    assert_eq!(ask("grid", &TOPIC.to_uppercase(), None).await, confirmed);
    assert_eq!(ask("grid", "/other", Some(KEY)).await, confirmed);
    for (sender, topic, key) in [
        ("grid", "/other", None),
        ("grid", "/other", Some("wrong")),
        ("grid", "", None),
        ("logic-app", TOPIC, None),
        ("nobody", TOPIC, None),
    ] {
        assert_eq!(
            ask(sender, topic, key).await.status,
            401,
            "{sender} {topic}"
        );
    }
    nothing_is_queued(&app).await;
}

#[tokio::test]
async fn what_only_looks_like_a_question_of_event_grid_needs_the_key() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let headers = with_key("aeg-event-type", "SubscriptionValidation");
    let mut other = question(TOPIC);
    other["eventType"] = json!("Microsoft.Security.Alert");
    for body in [
        json!([other]),
        json!([question(TOPIC), question(TOPIC)]),
        json!(question(TOPIC)),
        json!([]),
    ] {
        let answer = post(&app, "grid", &headers, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 401, "{body}");
    }
    let notification = with_key("aeg-event-type", "Notification");
    let body = json!([question(TOPIC)]).to_string();
    let answer = post(&app, "grid", &notification, body.as_bytes()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn only_event_grid_gets_leave_to_send_cloud_events_and_only_where_it_is_the_sender() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let ask = async |sender: &str, origin: &str| {
        let mut headers = with_key("webhook-request-origin", origin);
        headers.extend(with_key(
            "webhook-request-callback",
            "http://169.254.169.254/",
        ));
        let request = Request {
            method: "OPTIONS",
            sender,
            headers: &headers,
            body: b"",
        };
        receive(&app, &request).await
    };
    let leave = ask("grid", "eventgrid.azure.net").await;
    assert_eq!(leave.status, 200);
    assert_eq!(
        leave.header("webhook-allowed-origin"),
        Some("eventgrid.azure.net")
    );
    for (sender, origin) in [
        ("grid", "eventgrid.azure.net.example.com"),
        ("grid", "*"),
        ("scanner", "eventgrid.azure.net"),
        ("nobody", "eventgrid.azure.net"),
    ] {
        assert_eq!(ask(sender, origin).await.status, 405, "{sender} {origin}");
    }
}

#[tokio::test]
async fn the_ping_of_a_new_hook_is_answered_once_it_is_proven() {
    let folder = TempDir::new().unwrap();
    let app = door(&folder).await;
    let body = br#"{"zen": "Keep it logically awesome."}"#;
    let signature = hmac::sign(&hmac::Key::new(HMAC_SHA256, KEY.as_bytes()), body);
    let signature = format!("sha256={}", hex(signature.as_ref()));
    let mut ping = headers([("x-hub-signature-256", signature)]);
    assert_eq!(post(&app, "forge", &ping, body).await.status, 400);
    ping.extend(with_key("x-github-event", "ping"));
    let answer = post(&app, "forge", &ping, body).await;
    assert_eq!(answer, Answer::json(200, json!({"accepted": 0})));
    assert_eq!(post(&app, "forge", &ping, b"{}").await.status, 401);
}
