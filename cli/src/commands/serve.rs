use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use quench_app::worker::serve_queues;
use quench_app::{App, Queue, Sending};
use quench_findings::decode;
use serde_json::json;
use tokio::sync::watch;

use super::{Scene, Verdict};
use crate::arguments::Serve;
use crate::output::Look;

/// The largest payload that is accepted, in bytes: four times what an event bus or a queue carries.
const BODY_LIMIT: usize = 1024 * 1024;

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
    Router::new()
        .route("/events", post(accept))
        .route("/health", get(health))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "post payloads to `/events`"))
        .method_not_allowed_fallback(async || {
            refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "`/events` takes POST, `/health` takes GET",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(only_from_here))
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
    if decoded.findings.is_empty() {
        let answer = json!({"accepted": [], "refused": decoded.refused});
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(answer)).into_response();
    }
    // Intake takes findings of any kind from any queue, so a mixed payload goes onto one of them.
    let queue = decoded
        .findings
        .iter()
        .map(|finding| Queue::of(finding.kind))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .next()
        .unwrap_or(Queue::Alert);
    let sent = app
        .queues
        .send(queue, &body, Sending::default(), app.clock.now())
        .await;
    if let Err(error) = sent {
        tracing::error!(error = %error, "a payload could not be put onto its queue");
        let answer = json!({"error": "the store cannot take it now; send it again"});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response();
    }
    let ids: Vec<&str> = decoded
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    let answer = json!({"accepted": ids, "refused": decoded.refused});
    (StatusCode::ACCEPTED, Json(answer)).into_response()
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
}
