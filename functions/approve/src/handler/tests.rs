use super::*;
use jiff::Timestamp;
use lambda_runtime::Context;
use quench_app::approval::{About, Approval, ApprovalState, Asked, Proposal, ask};
use quench_app::{Clock, Config};
use quench_findings::Severity;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use url::Url;

const GET: &str = include_str!("../../tests/data/get-approval.json");
const TOKEN: &str = "TOKEN";
const HASH: &str = "0f1e2d3c";
const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

fn question(risk: &str) -> Approval {
    let created = Timestamp::from_second(1_798_761_600).unwrap();
    Approval {
        id: ID.to_owned(),
        run: "00112233445566778899aabbccddeeff".to_owned(),
        path: "close".to_owned(),
        plan_hash: HASH.to_owned(),
        risk: serde_json::from_value(json!(risk)).unwrap(),
        title: "Close open ports".to_owned(),
        what: Proposal::Content(json!({"ports": [22]})),
        message: None,
        finding: About {
            id: "f".to_owned(),
            title: "Ports are open".to_owned(),
            severity: Severity::High,
        },
        playbook: "close-open-ports".to_owned(),
        automation: None,
        asked: vec![Asked::new("anna@example.com")],
        requester: Some("bert@example.com (5678)".to_owned()),
        created,
        expires: created + Duration::from_secs(86_400),
        state: ApprovalState::Pending,
    }
}

/// An application that has asked, and the token of the link that it mailed.
async fn asked(folder: &TempDir, risk: &str) -> (App, String) {
    let question = question(risk);
    let config = Config {
        url: Some(Url::parse("https://quench.example.com").unwrap()),
        ..Config::local(folder.path())
    };
    let app = App::open_at(config, Clock::manual(question.created))
        .await
        .unwrap();
    let outside = app.outside().await.unwrap();
    ask(&app, &outside, &question, false, Duration::from_secs(30))
        .await
        .unwrap();
    let token = token(&folder.path().join("outbox"));
    (app, token)
}

fn token(outbox: &Path) -> String {
    let mut mails = std::fs::read_dir(outbox).unwrap();
    let mail = std::fs::read_to_string(mails.next().unwrap().unwrap().path()).unwrap();
    // Quoted-printable breaks lines with `=`.
    let mail = mail.replace("=\r\n", "");
    let (_, after) = mail
        .split_once("https://quench.example.com/approvals/")
        .unwrap();
    after.chars().take(43).collect()
}

fn get(token: &str) -> Value {
    serde_json::from_str(&GET.replace(TOKEN, token)).unwrap()
}

fn post(path: &str, kind: &str, body: &str) -> Value {
    let mut request: Value = get(path);
    request["rawPath"] = format!("/approvals/{path}").into();
    request["requestContext"]["http"]["method"] = "POST".into();
    request["headers"]["content-type"] = kind.into();
    request["headers"]["accept"] = "*/*".into();
    request["body"] = body.into();
    request
}

fn with_scope(mut request: Value, scope: &str, mail: &str) -> Value {
    request["requestContext"]["authorizer"] = json!({"jwt": {"claims": {
        "aud": "quench", "iss": "https://login.example.com", "sub": "1234", "email": mail, "scope": scope,
    }, "scopes": []}});
    request
}

async fn invoke(app: &App, payload: Value) -> Value {
    let payload = serde_json::from_value(payload).unwrap();
    let event = LambdaEvent::new(payload, Context::default());
    serde_json::to_value(handle(app, event).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_link_shows_and_its_form_decides() {
    let folder = TempDir::new().unwrap();
    let (app, token) = asked(&folder, "medium").await;
    let page = invoke(&app, get(&token)).await;
    assert_eq!(page["statusCode"], 200, "{page}");
    assert_eq!(page["headers"]["content-type"], "text/html; charset=utf-8");
    assert_eq!(page["headers"]["cache-control"], "no-store");
    let html = page["body"].as_str().unwrap();
    assert!(
        html.contains("Close open ports") && html.contains(HASH),
        "{html}"
    );
    assert!(!html.contains(&token));

    let form = "application/x-www-form-urlencoded";
    let decide = post(
        &token,
        form,
        &format!("plan_hash={HASH}&reason=&decision=approve"),
    );
    assert_eq!(invoke(&app, decide.clone()).await["statusCode"], 200);
    let stands = app.store.approval(ID).await.unwrap().unwrap().state;
    let by = "anna@example.com".to_owned();
    let at = app.clock.now();
    assert_eq!(
        stands,
        ApprovalState::Approved {
            by,
            at,
            reason: None
        }
    );
    let again = invoke(&app, decide).await;
    assert_eq!(again["statusCode"], 409);
    assert!(
        again["body"]
            .as_str()
            .unwrap()
            .contains("approved already, by anna@example.com")
    );
}

#[tokio::test]
async fn a_login_decides_what_a_link_may_not() {
    let folder = TempDir::new().unwrap();
    let (app, token) = asked(&folder, "high").await;
    let body = json!({"decision": "deny", "plan_hash": HASH, "reason": "not now"}).to_string();
    let kind = "application/json";
    let by_link = invoke(&app, post(&token, kind, &body)).await;
    assert_eq!(by_link["statusCode"], 403, "{by_link}");
    let path = format!("{ID}/decision");
    let request = post(&path, kind, &body);
    for (request, status) in [
        (request.clone(), 401),
        (
            with_scope(request.clone(), "runs:trigger", "anna@example.com"),
            403,
        ),
        (
            with_scope(request.clone(), "approvals:decide", "bert@example.com"),
            403,
        ),
        (
            with_scope(request.clone(), "approvals:decide", "anna@example.com"),
            200,
        ),
        (
            with_scope(request, "approvals:decide", "anna@example.com"),
            409,
        ),
    ] {
        let told = invoke(&app, request).await;
        assert_eq!(told["statusCode"], status, "{told}");
    }
    let stands = app.store.approval(ID).await.unwrap().unwrap().state;
    let at = app.clock.now();
    assert_eq!(
        stands,
        ApprovalState::Denied {
            by: "anna@example.com (1234)".to_owned(),
            at,
            reason: Some("not now".to_owned()),
        }
    );
}

#[tokio::test]
async fn a_body_that_is_none_is_answered_so() {
    let folder = TempDir::new().unwrap();
    let (app, token) = asked(&folder, "low").await;
    let mut request = post(&token, "application/json", "e30");
    request["isBase64Encoded"] = json!(true);
    assert_eq!(invoke(&app, request).await["statusCode"], 400);
    let pending = app.store.approval(ID).await.unwrap().unwrap();
    assert_eq!(pending.state, ApprovalState::Pending);
}
