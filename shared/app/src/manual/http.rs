//! `POST /runs`, `GET /runs/{id}` and `POST /runs/{id}/retry`, behind a gateway that knows who asks.

use super::{ManualError, Start, check_key, show, shown, start};
use crate::answer::Answer;
use crate::app::App;
use crate::trigger::{TriggerError, retry};
use ::http::HeaderMap;
use serde_json::{Value, json};

/// Bytes of a request's body at most.
const BODY_LIMIT: usize = 256 * 1024;
/// Seconds after which to try again when the store fails.
const RETRY_AFTER: &str = "5";

/// A request as its carrier hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, with or without the stage it begins with.
    pub path: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// Who asks; `None` if nobody has found that out.
    pub caller: Option<&'a Caller>,
}

/// Who asks, as the gateway has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A principal of IAM, whose policies allow the call.
    Principal {
        /// Its ARN.
        arn: String,
    },
    /// The bearer of a token.
    Bearer {
        /// Who that is.
        subject: String,
        /// What the token allows.
        scopes: Vec<String>,
    },
}

impl Caller {
    /// Reads the claims of a token that the gateway has verified.
    ///
    /// The scopes are those of `scope` or `scp`; the subject is told with the mail address, unless that is not verified.
    pub fn bearer<'a>(claim: impl Fn(&str) -> Option<&'a str>) -> Option<Caller> {
        let subject = claim("sub")?;
        let verified = claim("email_verified").is_none_or(|verified| verified == "true");
        let subject = match claim("email").filter(|_| verified) {
            Some(mail) => format!("{} ({})", super::one_line(mail), super::one_line(subject)),
            None => super::one_line(subject),
        };
        // The gateway writes a list as `[a b]`.
        let scopes = claim("scope").or_else(|| claim("scp")).unwrap_or_default();
        let scopes = scopes.trim_matches(['[', ']']).split([' ', ',']);
        let scopes = scopes.filter(|scope| !scope.is_empty());
        Some(Caller::Bearer {
            subject,
            scopes: scopes.map(str::to_owned).collect(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Caller::Principal { arn } => arn,
            Caller::Bearer { subject, .. } => subject,
        }
    }

    /// Whether it has one of these scopes; those of some services begin with the name of an API and a slash.
    pub(crate) fn may(&self, wanted: &[&str]) -> bool {
        let Caller::Bearer { scopes, .. } = self else {
            return true;
        };
        scopes.iter().any(|scope| {
            let bare = scope
                .rsplit_once('/')
                .map_or(scope.as_str(), |parts| parts.1);
            wanted.contains(&bare)
        })
    }
}

const TRIGGER: &str = "runs:trigger";
const READ: &str = "runs:read";

enum Wanted<'a> {
    Start,
    Show(&'a str),
    Retry(&'a str),
}

/// Does what a request asks for.
pub async fn answer(app: &App, request: &Request<'_>) -> Answer {
    match perform(app, request).await {
        Ok(answer) => answer,
        Err(refused) => refused.answer(),
    }
}

enum Refused {
    NotFound,
    Method(&'static str),
    Stranger,
    Forbidden(&'static str),
    TooLarge,
    Error(ManualError),
}

impl<E: Into<ManualError>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::Error(error.into())
    }
}

async fn perform(app: &App, request: &Request<'_>) -> Result<Answer, Refused> {
    let wanted = wanted(request)?;
    let caller = request.caller.ok_or(Refused::Stranger)?;
    let scopes: &[&str] = match wanted {
        Wanted::Show(_) => &[READ, TRIGGER],
        Wanted::Start | Wanted::Retry(_) => &[TRIGGER],
    };
    if !caller.may(scopes) {
        return Err(Refused::Forbidden(scopes[0]));
    }
    match wanted {
        Wanted::Show(run) => Ok(Answer::json(200, show(app, run).await?)),
        Wanted::Retry(run) => {
            let run = retry(app, run).await?;
            tracing::info!(run.id = run.id, by = caller.name(), "run retried by hand");
            Ok(Answer::json(202, json!(run)))
        }
        Wanted::Start => {
            let triggered = start(app, &read(request)?, caller.name(), None).await?;
            let status = if triggered.made { 202 } else { 200 };
            let path = format!("/runs/{}", triggered.run.id);
            Ok(Answer::json(status, shown(&triggered)).with("location", path))
        }
    }
}

fn wanted<'a>(request: &Request<'a>) -> Result<Wanted<'a>, Refused> {
    let parts: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    // A stage may stand before it.
    let at = parts.iter().take(2).position(|part| *part == "runs");
    let below = at
        .and_then(|at| parts.get(at + 1..))
        .ok_or(Refused::NotFound)?;
    match (below, request.method) {
        ([], "POST") => Ok(Wanted::Start),
        ([], _) => Err(Refused::Method("POST")),
        ([run], "GET") => Ok(Wanted::Show(run)),
        ([_], _) => Err(Refused::Method("GET")),
        ([run, "retry"], "POST") => Ok(Wanted::Retry(run)),
        ([_, "retry"], _) => Err(Refused::Method("POST")),
        _ => Err(Refused::NotFound),
    }
}

fn read(request: &Request<'_>) -> Result<Start, Refused> {
    if request.body.len() > BODY_LIMIT {
        return Err(Refused::TooLarge);
    }
    let misunderstood = |text: String| ManualError::Misunderstood(text);
    let body: Value = serde_json::from_slice(request.body)
        .map_err(|error| misunderstood(format!("the body is no JSON: {error}")))?;
    let mut start = Start::read(&body)?;
    if let Some(key) = request.headers.get("idempotency-key") {
        let key = key
            .to_str()
            .map_err(|_| misunderstood("`Idempotency-Key` is no plain text".to_owned()))?;
        check_key(key)?;
        if start.key.as_deref().is_some_and(|other| other != key) {
            let text = "`Idempotency-Key` and `key` differ; give one of them";
            return Err(misunderstood(text.to_owned()).into());
        }
        start.key = Some(key.to_owned());
    }
    Ok(start)
}

impl Refused {
    fn answer(&self) -> Answer {
        let plain = |status, title, detail| Answer::problem(status, title, detail, json!({}));
        match self {
            Refused::NotFound => plain(404, "not found", None),
            Refused::Method(allowed) => {
                plain(405, "method not allowed", None).with("allow", *allowed)
            }
            Refused::Stranger => {
                tracing::error!("the gateway let a request in without an authorizer");
                plain(401, "not authenticated", None)
            }
            Refused::Forbidden(scope) => {
                let detail = format!("the token needs the scope `{scope}`");
                plain(403, "not allowed", Some(&detail))
            }
            Refused::TooLarge => {
                let detail = format!("at most {BODY_LIMIT} bytes are taken");
                plain(413, "body too large", Some(&detail))
            }
            Refused::Error(error) => failed(error),
        }
    }
}

fn failed(error: &ManualError) -> Answer {
    let (name, detail) = (error.name(), error.to_string());
    let (status, title) = match (error, name) {
        (ManualError::Misunderstood(_), _) => (400, "not understood"),
        (ManualError::Trigger(TriggerError::UnknownRun(_)), _) => (404, "no such run"),
        (ManualError::Trigger(TriggerError::NotFailed { .. }), _) => (409, "not failed"),
        (_, "Unavailable") => (503, "cannot do it now"),
        (_, "Internal" | "UnusableAutomations") => (500, "cannot do it"),
        _ => (422, "cannot be started"),
    };
    if status >= 500 {
        tracing::error!(error = %error, "a request failed");
    }
    let answer = Answer::problem(status, title, Some(&detail), json!({"error": name}));
    match status {
        503 => answer.with("retry-after", RETRY_AFTER),
        _ => answer,
    }
}
