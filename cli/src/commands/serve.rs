use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
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
    if !arguments.listen.ip().is_loopback() {
        bail!(
            "`{}` is not a loopback address; intake here knows no senders, so listen on 127.0.0.1 or [::1]",
            arguments.listen
        );
    }
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
        "post payloads to {}; stop with Ctrl-C",
        scene
            .output
            .look(Look::Strong, format!("http://{address}/events"))
    ))?;

    asked_to_stop().await?;
    stop.send_replace(true);
    // Whoever read our output may be gone by now; what is in hand is finished all the same.
    let _ = scene.output.object(&json!({"event": "stopping"}));
    let _ = scene.output.text("finishing what is in hand");
    let ended = tokio::time::timeout(GRACE, async {
        door.await??;
        queues.await??;
        anyhow::Ok(())
    });
    match ended.await {
        Ok(ended) => ended?,
        Err(_) => {
            let _ = scene
                .output
                .text("some work took too long and goes on at the next start");
        }
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
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

/// Answers 202 once the payload is on its queue's disk, 422 where nothing in it can be decoded.
async fn accept(State(app): State<App>, body: Bytes) -> Response {
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
