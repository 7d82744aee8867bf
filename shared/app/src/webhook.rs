//! The door for findings from outside AWS: a message is proved to come from a sender that is known, then queued.
//!
//! A message that comes again, by chance or because somebody recorded it, is accepted again: intake is idempotent, so it
//! changes nothing and starts nothing. Standard Webhooks bound the time in which that is possible to five minutes.

mod handshake;
mod sender;
mod signature;

pub(crate) use sender::senders;
pub use sender::{Scheme, Sender};

use crate::answer::Answer;
use crate::app::App;
use crate::metrics::Count;
use crate::queue::{Queue, Sending};
use crate::store::StoreError;
use http::HeaderMap;
use quench_actions::secrets::SecretError;
use quench_findings::{Decoded, Refusal, decode};
use secrecy::SecretString;
use serde_json::json;
use signature::{Key, UnfitSecret, Unproven, github, in_vain, shared_key, standard_webhooks};

/// The largest body that is accepted, in bytes: four times what an event bus carries, and what a queue does.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// Seconds after which a sender is to try again when a queue fails.
const RETRY_AFTER: &str = "30";
/// Refusals that an answer lists.
const LISTED: usize = 20;

/// A request to the door.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The sender that the path names.
    pub sender: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Takes a message in if its sender is known and proves it; it is on its queue once this returns 202.
///
/// Whoever does not prove to be a sender learns nothing more than that; the reason goes to the log.
pub async fn receive(app: &App, request: &Request<'_>) -> Answer {
    match admit(app, request).await {
        Ok(answer) => answer,
        Err(refused) => {
            app.metrics.count(Count::WebhooksRefused, 1);
            refused.log(request.sender);
            refused.answer()
        }
    }
}

/// Why a message is not taken in.
#[derive(Debug)]
enum Refused {
    Method,
    TooLarge,
    UnknownSender,
    Unproven(Unproven),
    NoFinding(Vec<Refusal>),
    CustomAction,
    Secret(SecretError),
    UnfitSecret(String, UnfitSecret),
    Queue(StoreError),
}

impl From<Unproven> for Refused {
    fn from(unproven: Unproven) -> Refused {
        Refused::Unproven(unproven)
    }
}

impl Refused {
    fn log(&self, sender: &str) {
        // What is no name may be anything, and of any length.
        let sender = if sender::is_name(sender) { sender } else { "?" };
        match self {
            Refused::Method | Refused::TooLarge => {}
            Refused::UnknownSender => tracing::warn!(
                webhook.sender = sender,
                "a message is refused: its sender is not known"
            ),
            Refused::Unproven(reason) => tracing::warn!(
                webhook.sender = sender,
                reason = %reason,
                "a message is refused: it does not prove its sender"
            ),
            Refused::NoFinding(refusals) => tracing::warn!(
                webhook.sender = sender,
                refused = refusals.len(),
                reason = refusals.first().map(ToString::to_string),
                "a message is refused: it holds no finding"
            ),
            Refused::CustomAction => tracing::warn!(
                webhook.sender = sender,
                "a message is refused: it would press a button"
            ),
            Refused::Secret(error) => tracing::error!(
                webhook.sender = sender,
                error = %error,
                "a message cannot be checked"
            ),
            Refused::UnfitSecret(reference, error) => tracing::error!(
                webhook.sender = sender,
                secret.reference = reference,
                error = %error,
                "a message cannot be checked"
            ),
            Refused::Queue(error) => tracing::error!(
                webhook.sender = sender,
                error = %error,
                "a message could not be put onto its queue"
            ),
        }
    }

    fn answer(&self) -> Answer {
        let problem = |status, title, detail| Answer::problem(status, title, detail, json!({}));
        match self {
            Refused::Method => problem(405, "method not allowed", Some("send findings by POST"))
                .with("allow", "POST"),
            Refused::TooLarge => {
                let detail = format!("at most {BODY_LIMIT} bytes are taken");
                problem(413, "body too large", Some(&detail))
            }
            Refused::UnknownSender | Refused::Unproven(_) => {
                problem(401, "not authenticated", None)
            }
            Refused::NoFinding(refusals) => {
                let errors = listed(refusals);
                Answer::problem(400, "not a finding", None, json!({"errors": errors}))
            }
            Refused::CustomAction => problem(
                400,
                "not a finding",
                Some("custom actions of Security Hub are heard from the event bus only"),
            ),
            Refused::Secret(_) | Refused::UnfitSecret(..) | Refused::Queue(_) => problem(
                503,
                "cannot take it now",
                Some("nothing was taken in; send it again"),
            )
            .with("retry-after", RETRY_AFTER),
        }
    }
}

async fn admit(app: &App, request: &Request<'_>) -> Result<Answer, Refused> {
    let sender = app.config.senders.get(request.sender);
    if request.method == "OPTIONS"
        && let Some(Scheme::EventGrid { .. }) = sender.map(|sender| &sender.scheme)
        && let Some(answer) = handshake::leave(request.headers)
    {
        return Ok(answer);
    }
    if request.method != "POST" {
        return Err(Refused::Method);
    }
    if request.body.len() > BODY_LIMIT {
        return Err(Refused::TooLarge);
    }
    let Some(sender) = sender else {
        in_vain(request.body);
        return Err(Refused::UnknownSender);
    };
    if let Scheme::EventGrid { topics, .. } = &sender.scheme
        && let Some(question) = handshake::question(request.headers, request.body)
    {
        // To confirm a subscription lets nothing in: what it delivers has to carry the key.
        if !topics
            .iter()
            .any(|topic| topic.eq_ignore_ascii_case(&question.topic))
        {
            prove(app, sender, request).await?;
        }
        return Ok(question.confirm());
    }
    prove(app, sender, request).await?;
    if sender.scheme == Scheme::Github && is_ping(request.headers) {
        return Ok(Answer::json(200, json!({"accepted": 0})));
    }
    // Queues carry text; what else can be decoded has other doors.
    if std::str::from_utf8(request.body).is_err() {
        return Err(Refused::NoFinding(vec![not_text()]));
    }
    let decoded = decode(request.body);
    // A sender may report; to start a playbook by name is for operators.
    if decoded.action.is_some() {
        return Err(Refused::CustomAction);
    }
    match accept(app, request.body, &decoded).await {
        Ok(()) => {}
        Err(Unaccepted::NoFinding) => return Err(Refused::NoFinding(decoded.refused)),
        Err(Unaccepted::Queue(error)) => return Err(Refused::Queue(error)),
    }
    let mut answer = json!({"accepted": decoded.findings.len()});
    if !decoded.refused.is_empty() {
        answer["refused"] = listed(&decoded.refused);
    }
    app.metrics.count(Count::WebhooksAccepted, 1);
    tracing::info!(
        webhook.sender = request.sender,
        findings = decoded.findings.len(),
        refused = decoded.refused.len(),
        "a message was put onto its queue"
    );
    Ok(Answer::json(202, answer))
}

fn not_text() -> Refusal {
    Refusal {
        source: None,
        path: "$".to_owned(),
        reason: "is no UTF-8 text".to_owned(),
        item: None,
    }
}

/// GitHub tries a new webhook with a message that says nothing.
fn is_ping(headers: &HeaderMap) -> bool {
    headers
        .get("x-github-event")
        .is_some_and(|event| event.as_bytes() == b"ping")
}

fn listed(refusals: &[Refusal]) -> serde_json::Value {
    refusals
        .iter()
        .take(LISTED)
        .map(|refusal| json!({"path": refusal.path, "reason": refusal.reason}))
        .collect()
}

/// Checks that a message comes from its sender.
async fn prove(app: &App, sender: &Sender, request: &Request<'_>) -> Result<(), Refused> {
    let (mut secrets, mut failed) = (Vec::new(), None);
    for reference in &sender.secrets {
        match app.secrets().resolve(reference).await {
            Ok(secret) => secrets.push((reference, secret)),
            Err(error) => failed = Some(Refused::Secret(error)),
        }
    }
    let proven = match &sender.scheme {
        Scheme::StandardWebhooks => {
            let mut keys = Vec::with_capacity(secrets.len());
            for (reference, secret) in &secrets {
                match Key::read(secret) {
                    Ok(key) => keys.push(key),
                    Err(unfit) => failed = Some(Refused::UnfitSecret((*reference).clone(), unfit)),
                }
            }
            standard_webhooks(&keys, request.headers, request.body, app.clock.now())
        }
        Scheme::Github => github(&only(secrets), request.headers, request.body),
        Scheme::SharedKey { header } | Scheme::EventGrid { header, .. } => {
            shared_key(&only(secrets), request.headers, header)
        }
    };
    match (proven, failed) {
        (Ok(()), None) => Ok(()),
        // While secrets are changed, the one that is there will do; but somebody has to hear of the other.
        (Ok(()), Some(failed)) => {
            failed.log(request.sender);
            Ok(())
        }
        // It might have been proved by the secret that could not be had: the sender is to try again.
        (Err(Unproven::NoSignature | Unproven::WrongKey), Some(failed)) => Err(failed),
        (Err(unproven), _) => Err(unproven.into()),
    }
}

fn only(secrets: Vec<(&String, SecretString)>) -> Vec<SecretString> {
    secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// Why a payload was not put onto a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted {
    /// Nothing in it is a finding.
    #[error("the payload holds no finding")]
    NoFinding,
    /// The queue fails.
    #[error(transparent)]
    Queue(#[from] StoreError),
}

/// Puts a payload onto the queue of the first of the kinds it holds; it is safe there once this returns.
///
/// Intake takes findings of any kind from any queue, so a payload of several kinds goes whole onto one of them.
///
/// # Errors
/// The payload holds no finding, or the queue fails.
pub async fn accept(app: &App, payload: &[u8], decoded: &Decoded) -> Result<(), Unaccepted> {
    let queues = decoded
        .findings
        .iter()
        .map(|finding| Queue::of(finding.kind));
    let queue = queues.min().ok_or(Unaccepted::NoFinding)?;
    let now = app.clock.now();
    Ok(app
        .queues
        .send(queue, payload, Sending::default(), now)
        .await?)
}

#[cfg(test)]
mod tests;
