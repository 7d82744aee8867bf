//! `GET` and `POST /approvals/{token}` for whoever has a link, `POST /approvals/{id}/decision` for whoever has a login.
//!
//! To look changes nothing, so what follows links in mail by itself does no harm. Whoever decides by a link shows the
//! token, which no other page knows, and says the hash of what was shown again.

use super::ask::{is_token, with_request};
use super::{Approval, ApprovalState, Choice, Decision, Proof, Refused, decide, may_decide, show};
use crate::answer::Answer;
use crate::app::App;
use crate::manual::Request;
use ::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quench_actions::notify::approval::PAGE;
use quench_automations::templates::{self, Escape};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Bytes of a request's body at most.
pub const BODY_LIMIT: usize = 16 * 1024;
/// Seconds after which to try again when the store fails.
const RETRY_AFTER: &str = "5";
/// What a token has to allow for a decision without a link.
const DECIDE: &str = "approvals:decide";

const SHEET: &str = include_str!("page.css");
const QUESTION: &str = include_str!("question.html");
const NOTE: &str = include_str!("note.html");

enum Wanted<'a> {
    Show(&'a str),
    Decide(&'a str),
    DecideAs(&'a str),
}

/// Why a request comes to nothing.
enum Fault {
    NotFound,
    Method(&'static str),
    Stranger,
    Forbidden,
    TooLarge,
    Misunderstood(String),
    Refused(Refused),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        Fault::Refused(refused)
    }
}

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Json,
}

/// Shows a question, or decides it.
pub async fn answer(app: &App, request: &Request<'_>) -> Answer {
    let answered = match wanted(request) {
        Ok(wanted) => {
            let form = match wanted {
                Wanted::DecideAs(_) => Form::Json,
                Wanted::Show(_) | Wanted::Decide(_) => form(request.headers),
            };
            let done = match wanted {
                Wanted::Show(token) => shown(app, token, form).await,
                Wanted::Decide(token) => decided(app, request, token, form).await,
                Wanted::DecideAs(id) => decided_as(app, request, id).await,
            };
            done.unwrap_or_else(|fault| fault.answer(form))
        }
        Err(fault) => fault.answer(form(request.headers)),
    };
    guarded(answered)
}

/// Keeps an answer from being kept, framed, taken for something else, or told on by way of the address.
fn guarded(answer: Answer) -> Answer {
    answer
        .with("cache-control", "no-store")
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
        .with("x-robots-tag", "noindex, nofollow")
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
        .with("strict-transport-security", "max-age=31536000")
        .with("content-security-policy", &*POLICY)
}

/// No script, no image, nothing from elsewhere: one style sheet, known by its digest, and one form that leads back here.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let sheet = STANDARD.encode(Sha256::digest(SHEET.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{sheet}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

fn wanted<'a>(request: &Request<'a>) -> Result<Wanted<'a>, Fault> {
    let parts: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    // A stage may stand before it.
    let at = parts.iter().take(2).position(|part| *part == "approvals");
    let below = at
        .and_then(|at| parts.get(at + 1..))
        .ok_or(Fault::NotFound)?;
    match (below, request.method) {
        ([token], "GET" | "HEAD") => Ok(Wanted::Show(token)),
        ([token], "POST") => Ok(Wanted::Decide(token)),
        ([_], _) => Err(Fault::Method("GET, HEAD, POST")),
        ([id, "decision"], "POST") => Ok(Wanted::DecideAs(id)),
        ([_, "decision"], _) => Err(Fault::Method("POST")),
        _ => Err(Fault::NotFound),
    }
}

/// Programs say that they want JSON; browsers, and whoever says nothing, get a page.
fn form(headers: &HeaderMap) -> Form {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let accepted = header("accept");
    let json = |text: &str| text.contains("application/json") || text.contains("+json");
    let wants = json(&accepted) && !accepted.contains("text/html");
    let sends = json(&header("content-type")) && !accepted.contains("text/html");
    match wants || sends {
        true => Form::Json,
        false => Form::Page,
    }
}

async fn shown(app: &App, token: &str, form: Form) -> Result<Answer, Fault> {
    let (approval, to) = show(app, token).await?;
    tracing::info!(
        approval.id = approval.id,
        run.id = approval.run,
        "an approval was looked at"
    );
    let now = app.clock.now();
    let allowed = may_decide(&approval, &to, true, now);
    if form == Form::Json {
        let mut value = public(&approval);
        value["state"] = json!(approval.standing(now));
        value["you"] = json!(to);
        value["may_decide"] = json!(allowed.is_ok());
        if let Err(refused) = &allowed {
            value["error"] = json!(refused.name());
            value["detail"] = json!(refused.to_string());
        }
        return Ok(Answer::json(200, value));
    }
    let mut view = with_request(&approval, |request| request.view(PAGE));
    view["you"] = json!(to);
    view["plan_hash"] = json!(approval.plan_hash);
    view["open"] = json!(allowed.is_ok());
    view["refusal"] = json!(allowed.err().map(|refused| sentence(&refused.to_string())));
    page(200, QUESTION, &view)
}

/// A question without what is nobody's business: who has which link.
pub fn public(approval: &Approval) -> Value {
    let mut value = json!(approval);
    let asked = approval.asked.iter();
    value["asked"] = asked
        .map(|asked| json!({"to": asked.to, "told": asked.told}))
        .collect();
    value
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    decision: Choice,
    plan_hash: String,
    #[serde(default)]
    reason: Option<String>,
}

async fn decided(
    app: &App,
    request: &Request<'_>,
    token: &str,
    form: Form,
) -> Result<Answer, Fault> {
    // Whoever has no link hears of nothing else.
    if !is_token(token) {
        return Err(Refused::Unknown.into());
    }
    let said = said(request)?;
    let approval = decide(app, Proof::Link { token }, said.decision()).await?;
    Ok(match form {
        Form::Json => Answer::json(200, public(&approval)),
        Form::Page => note(200, title(&approval.state), next(said.decision))?,
    })
}

async fn decided_as(app: &App, request: &Request<'_>, id: &str) -> Result<Answer, Fault> {
    let caller = request.caller.ok_or(Fault::Stranger)?;
    if !caller.may(&[DECIDE]) {
        return Err(Fault::Forbidden);
    }
    let said = said(request)?;
    let proof = Proof::Login {
        by: caller.name(),
        approval: id,
    };
    let approval = decide(app, proof, said.decision()).await?;
    Ok(Answer::json(200, public(&approval)))
}

impl Said {
    fn decision(&self) -> Decision<'_> {
        Decision {
            choice: self.decision,
            plan_hash: &self.plan_hash,
            reason: self.reason.as_deref(),
        }
    }
}

fn said(request: &Request<'_>) -> Result<Said, Fault> {
    if request.body.len() > BODY_LIMIT {
        return Err(Fault::TooLarge);
    }
    let kind = request.headers.get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let help =
        "say `decision` (`approve` or `deny`), `plan_hash` as it was shown, and perhaps `reason`";
    let misunderstood = |error: serde_json::Error| Fault::Misunderstood(format!("{error}; {help}"));
    match kind.to_ascii_lowercase().as_str() {
        "application/json" => serde_json::from_slice(request.body).map_err(misunderstood),
        "application/x-www-form-urlencoded" => {
            let mut fields = serde_json::Map::new();
            for (name, value) in url::form_urlencoded::parse(request.body) {
                if fields
                    .insert(name.clone().into_owned(), json!(value))
                    .is_some()
                {
                    let told = format!("`{}` is said twice; {help}", name.escape_debug());
                    return Err(Fault::Misunderstood(told));
                }
            }
            serde_json::from_value(Value::Object(fields)).map_err(misunderstood)
        }
        _ => Err(Fault::Misunderstood(format!(
            "the body is neither `application/json` nor `application/x-www-form-urlencoded`; {help}"
        ))),
    }
}

fn title(state: &ApprovalState) -> &'static str {
    match state {
        ApprovalState::Approved { .. } => "Approved",
        ApprovalState::Denied { .. } => "Denied",
        _ => "Decided",
    }
}

fn next(choice: Choice) -> &'static str {
    match choice {
        Choice::Approve => "You have approved it. The run goes on now; this page can be closed.",
        Choice::Deny => "You have denied it. Nothing is done; this page can be closed.",
    }
}

fn page(status: u16, template: &str, view: &Value) -> Result<Answer, Fault> {
    match templates::render(template, view, Escape::Html) {
        // What is shown has no markup of its own, so there is one such place.
        Ok(page) => {
            let sheet = format!("<style>{SHEET}</style>");
            Ok(Answer::page(
                status,
                page.replacen("<style></style>", &sheet, 1),
            ))
        }
        Err(error) => {
            tracing::error!(error = %error, "a page cannot be rendered");
            Err(Fault::Refused(Refused::Store(
                crate::store::StoreError::Permanent {
                    reason: "the page cannot be shown".to_owned(),
                },
            )))
        }
    }
}

fn note(status: u16, title: &str, text: &str) -> Result<Answer, Fault> {
    let view = json!({"title": title, "text": text});
    page(status, NOTE, &view)
}

impl Fault {
    fn answer(&self, form: Form) -> Answer {
        let (status, title, detail) = self.told();
        let answer = match form {
            Form::Page => {
                let text = sentence(detail.as_deref().unwrap_or(title));
                note(status, &sentence(title), &text).ok()
            }
            Form::Json => None,
        };
        let answer = answer.unwrap_or_else(|| {
            let more = match self {
                Fault::Refused(refused) => json!({"error": refused.name()}),
                _ => json!({}),
            };
            Answer::problem(status, title, detail.as_deref(), more)
        });
        match (self, status) {
            (Fault::Method(allowed), _) => answer.with("allow", *allowed),
            (_, 503) => answer.with("retry-after", RETRY_AFTER),
            _ => answer,
        }
    }

    fn told(&self) -> (u16, &'static str, Option<String>) {
        let refused = match self {
            Fault::NotFound => return (404, "not found", None),
            Fault::Method(_) => return (405, "method not allowed", None),
            Fault::Stranger => {
                let detail = "a decision without a link takes a login; where there is none, use `quench approvals approve ID` or `quench approvals deny ID`";
                return (401, "not authenticated", Some(detail.to_owned()));
            }
            Fault::Forbidden => {
                let detail = format!("the token needs the scope `{DECIDE}`");
                return (403, "not allowed", Some(detail));
            }
            Fault::TooLarge => {
                let detail = format!("at most {BODY_LIMIT} bytes are taken");
                return (413, "body too large", Some(detail));
            }
            Fault::Misunderstood(detail) => {
                return (400, "not understood", Some(detail.clone()));
            }
            Fault::Refused(refused) => refused,
        };
        let detail = refused.to_string();
        let (status, title) = match refused {
            Refused::Unknown => (404, "no such approval"),
            Refused::Already(_) => (409, "decided already"),
            Refused::Superseded { .. } => (409, "changed since"),
            Refused::OtherPlan => (409, "not what is asked"),
            Refused::Expired { .. } => (410, "expired"),
            Refused::Requester => (403, "your own request"),
            Refused::LoginNeeded { .. } => (403, "login needed"),
            Refused::Store(error) => {
                tracing::error!(error = %error, "a request failed");
                let (status, title) = match error.is_transient() {
                    true => (503, "cannot do it now"),
                    false => (500, "cannot do it"),
                };
                return (status, title, None);
            }
        };
        (status, title, Some(detail))
    }
}

/// A text that begins with a capital and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if text.ends_with(['.', ':']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests;
