use std::future::IntoFuture;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get, post};
use quench_app::webhook::{self, BODY_LIMIT, Unaccepted, receive};
use quench_app::worker::serve_queues;
use quench_app::{Answer, App, approval, manual};
use quench_findings::decode;
use serde_json::json;
use tokio::sync::watch;

use super::{Scene, Verdict};
use crate::arguments::Serve;
use crate::output::Look;

/// How long work in hand may take once asked to stop; what is not done by then is taken up at the next start.
const GRACE: Duration = Duration::from_secs(20);

/// Receives payloads and runs everything until asked to stop.
pub(crate) async fn perform(scene: &Scene, arguments: Serve) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on `{}`", arguments.listen))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);

    let queues = tokio::spawn({
        let (app, stopped) = (app.clone(), stopped.clone());
        async move { serve_queues(&app, stopped).await }
    });
    let door = axum::serve(listener, routes(app.clone())).with_graceful_shutdown({
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    });
    let door = tokio::spawn(door.into_future());

    scene
        .output
        .object(&json!({"event": "listening", "address": address.to_string()}))?;
    scene.output.text(format!(
        "post payloads to {} (stop with Ctrl-C)",
        scene
            .output
            .look(Look::Strong, format!("http://{address}/events"))
    ))?;

    asked_to_stop().await?;
    stop.send_replace(true);
    scene.output.object(&json!({"event": "stopping"}))?;
    scene.output.text("finishing what is in hand")?;
    let ended = tokio::time::timeout(GRACE, async {
        door.await??;
        queues.await??;
        anyhow::Ok(())
    });
    match ended.await {
        Ok(ended) => ended?,
        Err(_) => scene
            .output
            .text("some work took too long and goes on at the next start")?,
    }
    Ok(Verdict::Good)
}

/// Waits for Ctrl-C or a request to terminate.
async fn asked_to_stop() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn routes(app: App) -> Router {
    let own = Router::new()
        .route("/events", post(accept))
        .route("/health", get(health))
        .route_layer(middleware::from_fn(only_from_here));
    // Who sends here proves it, by whatever name and way the request comes.
    let foreign = Router::new()
        .route("/webhook/{sender}", any(hear))
        // Whoever has a link decides by it, however he comes here.
        .route("/approvals/{token}", any(decide))
        .route("/approvals/{token}/decision", any(decide));
    own.merge(foreign)
        .fallback(async || {
            refusal(
                StatusCode::NOT_FOUND,
                "post payloads to `/events`, or to `/webhook/SENDER` if you are a sender",
            )
        })
        .method_not_allowed_fallback(async || {
            refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "`/events` takes POST, `/health` takes GET",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// Turns away what a page in a browser sends: a foreign `Origin`, or a name that only leads here by way of DNS.
async fn only_from_here(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .map(|host| names_this_machine(host.to_str().ok()));
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let origin = origin.to_str().ok();
        names_this_machine(
            origin
                .and_then(|origin| origin.split_once("://"))
                .map(|parts| parts.1),
        )
    });
    if host == Some(false) || origin == Some(false) {
        return refusal(
            StatusCode::FORBIDDEN,
            "only programs on this machine may send here, under a loopback name",
        );
    }
    next.run(request).await
}

/// Whether a host, with or without a port, is a loopback address or `localhost`.
fn names_this_machine(authority: Option<&str>) -> bool {
    let Some(authority) = authority.and_then(|authority| authority.parse::<Authority>().ok())
    else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Answers 202 once the payload is on its queue's disk, 422 where nothing in it can be decoded.
async fn accept(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let limit = format!(
                "{}; at most {BODY_LIMIT} bytes are taken",
                rejection.body_text()
            );
            return refusal(rejection.status(), &limit);
        }
    };
    let decoded = decode(&body);
    match webhook::accept(&app, &body, &decoded).await {
        Ok(()) => {}
        Err(Unaccepted::NoFinding) => {
            let answer = json!({"accepted": [], "refused": decoded.refused});
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(answer)).into_response();
        }
        Err(Unaccepted::Queue(error)) => {
            tracing::error!(error = %error, "a payload could not be put onto its queue");
            let answer = json!({"error": "the store cannot take it now; send it again"});
            return (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response();
        }
    }
    let ids: Vec<&str> = decoded
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    let answer = json!({"accepted": ids, "refused": decoded.refused});
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// Takes in what a sender reports that proves who it is.
async fn hear(
    State(app): State<App>,
    Path(sender): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let (status, reason) = (rejection.status().as_u16(), rejection.body_text());
            return written(&Answer::problem(
                status,
                "body not taken",
                Some(&reason),
                json!({}),
            ));
        }
    };
    let request = webhook::Request {
        method: method.as_str(),
        sender: &sender,
        headers: &headers,
        body: &body,
    };
    written(&receive(&app, &request).await)
}

/// Shows what people are asked, and takes their decisions; nobody has a login here.
async fn decide(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // What is too large for the server is too large for a decision as well.
    let body = body.unwrap_or_else(|_| Bytes::from_static(&[b' '; approval::BODY_LIMIT + 1]));
    let request = manual::Request {
        method: method.as_str(),
        path: uri.path(),
        headers: &headers,
        body: &body,
        caller: None,
    };
    written(&approval::answer(&app, &request).await)
}

fn written(answer: &Answer) -> Response {
    let mut response = answer.text().into_response();
    // Whatever else the text would be taken for.
    response.headers_mut().remove(header::CONTENT_TYPE);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// Answers 200 while the store can be read.
async fn health(State(app): State<App>) -> Response {
    match app.store.revision().await {
        Ok(_) => Json(json!({"status": "ok"})).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "the store cannot be read");
            let answer = json!({"status": "the store cannot be read"});
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_names_of_this_machine() {
        for ours in [
            "localhost",
            "LocalHost:8640",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:8640",
        ] {
            assert!(names_this_machine(Some(ours)), "{ours}");
        }
        for foreign in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            "10.0.0.1",
            "[::2]",
            "",
        ] {
            assert!(!names_this_machine(Some(foreign)), "{foreign}");
        }
        assert!(!names_this_machine(None));
    }

    use quench_app::webhook::{Scheme, Sender};
    use quench_app::{Config, Queue};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A door that knows one sender, whose key is `open sesame`.
    async fn door(folder: &tempfile::TempDir) -> (App, SocketAddr) {
        let path = folder.path().join("key");
        std::fs::write(&path, "open sesame").unwrap();
        let mut config = Config::local(folder.path().join("data"));
        let sender = Sender {
            scheme: Scheme::SharedKey {
                header: "x-api-key".to_owned(),
            },
            secrets: vec![format!("secret://file{}", path.display())],
        };
        config.senders.insert("logic-app".to_owned(), sender);
        let app = App::open(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes(app.clone())).into_future());
        (app, address)
    }

    /// The status line, headers and body of the answer.
    async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
        let length = body.len();
        let request =
            format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    const FINDING: &str = r#"{"version": "0", "id": "e", "detail-type": "Trusted Advisor Check Item Refresh Notification",
        "source": "aws.trustedadvisor", "account": "111122223333", "time": "2027-01-01T00:00:00Z", "region": "us-east-1",
        "resources": [], "detail": {"check-name": "Security Groups", "check-item-detail": {"Status": "Red"},
        "status": "ERROR", "resource_id": "arn:aws:s3:::b", "uuid": "aa-bb"}}"#;

    #[tokio::test]
    async fn a_sender_that_proves_itself_is_heard_by_any_name_and_others_only_from_here() {
        let folder = tempfile::tempdir().unwrap();
        let (app, address) = door(&folder).await;
        let foreign = "HTTP/1.1\r\nHost: quench.example.com";
        let events = ask(address, &format!("POST /events {foreign}"), FINDING).await;
        assert!(events.starts_with("HTTP/1.1 403 "), "{events}");
        let keyless = format!("POST /webhook/logic-app {foreign}");
        let nobody = format!("POST /webhook/nobody {foreign}\r\nX-Api-Key: open sesame");
        for head in [&keyless, &nobody] {
            let refused = ask(address, head, FINDING).await;
            assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
            assert!(
                refused.contains("content-type: application/problem+json"),
                "{refused}"
            );
        }
        let proven = format!("{keyless}\r\nX-Api-Key: open sesame");
        let heard = ask(address, &proven, FINDING).await;
        assert!(heard.starts_with("HTTP/1.1 202 "), "{heard}");
        assert!(heard.ends_with(r#"{"accepted":1}"#), "{heard}");
        let now = app.clock.now();
        let depth = app.queues.depth(Queue::Recommendation, now).await.unwrap();
        assert_eq!(depth.ready, 1);
        let get = proven.replace("POST", "GET");
        let refused = ask(address, &get, "").await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        assert!(refused.contains("\r\nallow: POST\r\n"), "{refused}");
    }

    use quench_app::approval::{About, Approval, ApprovalState, Asked, Proposal};
    use std::time::Duration;

    /// Has somebody asked by mail; yields the token of his link.
    async fn asked(folder: &tempfile::TempDir) -> (App, String) {
        let config = Config {
            url: Some("https://quench.example.com".parse().unwrap()),
            ..Config::local(folder.path())
        };
        let app = App::open(config).await.unwrap();
        let created = app.clock.now();
        let question = Approval {
            id: "0a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
            run: "00ff".to_owned(),
            path: "close".to_owned(),
            plan_hash: "5f3a".to_owned(),
            risk: None,
            title: "Close open ports".to_owned(),
            what: Proposal::Gate,
            message: None,
            finding: About {
                id: "f".to_owned(),
                title: "Ports are open".to_owned(),
                severity: quench_findings::Severity::High,
            },
            playbook: "close-open-ports".to_owned(),
            automation: None,
            asked: vec![Asked::new("anna@example.com")],
            requester: None,
            created,
            expires: created + Duration::from_secs(86_400),
            state: ApprovalState::Pending,
        };
        let outside = app.outside().await.unwrap();
        let patience = Duration::from_secs(60);
        approval::ask(&app, &outside, &question, false, patience)
            .await
            .unwrap();
        let mut mails = std::fs::read_dir(folder.path().join("outbox")).unwrap();
        let mail = std::fs::read_to_string(mails.next().unwrap().unwrap().path()).unwrap();
        let mail = mail.replace("=\r\n", "");
        let (_, link) = mail.split_once("example.com/approvals/").unwrap();
        (app, link.chars().take(43).collect())
    }

    #[tokio::test]
    async fn a_link_is_followed_by_any_name_and_decides_by_its_form() {
        let folder = tempfile::tempdir().unwrap();
        let (app, token) = asked(&folder).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes(app.clone())).into_future());
        let foreign = "HTTP/1.1\r\nHost: quench.example.com\r\nOrigin: null";
        let page = ask(address, &format!("GET /approvals/{token} {foreign}"), "").await;
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        assert!(
            page.contains("content-type: text/html; charset=utf-8"),
            "{page}"
        );
        assert!(
            page.contains("content-security-policy: default-src 'none'"),
            "{page}"
        );
        assert!(page.contains("Close open ports"), "{page}");
        let head = ask(address, &format!("HEAD /approvals/{token} {foreign}"), "").await;
        assert!(head.ends_with("\r\n\r\n"), "{head}");

        let post = format!(
            "POST /approvals/{token} {foreign}\r\nContent-Type: application/x-www-form-urlencoded"
        );
        let large = " ".repeat(BODY_LIMIT + 1);
        let refused = ask(address, &post, &large).await;
        assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
        let form = "plan_hash=5f3a&reason=&decision=approve";
        for status in [200, 409] {
            let told = ask(address, &post, form).await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
        }
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
        let decided = app.store.approval(id).await.unwrap().unwrap().state;
        assert!(matches!(decided, ApprovalState::Approved { by, .. } if by == "anna@example.com"));
        let json =
            format!("POST /approvals/{id}/decision {foreign}\r\nContent-Type: application/json");
        let refused = ask(
            address,
            &json,
            r#"{"decision": "deny", "plan_hash": "5f3a"}"#,
        )
        .await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        assert!(refused.contains("quench approvals deny"), "{refused}");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_a_problem_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (_app, address) = door(&folder).await;
        let large = " ".repeat(BODY_LIMIT + 1);
        let head = "POST /webhook/logic-app HTTP/1.1\r\nHost: localhost";
        let answer = ask(address, head, &large).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}
