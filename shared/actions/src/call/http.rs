//! The `http` step.

mod told;

use super::oauth::{self, basic};
use super::webhook::address;
use crate::action::unrendered;
use crate::http_client::{Answer, Request, without};
use crate::outside::unfit;
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use bytes::Bytes;
use quench_automations::templates::{self, Escape};
use quench_automations::{Auth, ConnectionKind, HttpStep};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

const HEADER_LIMIT: usize = 4096;
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Headers that belong to the connection or to the exchange, not to a step.
const NOT_FOR_STEPS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// A request; its JSON and `Debug` leave out what looks like a secret in its query and headers.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Connection that gives address and credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Method.
    pub method: String,
    /// Absolute address, or a path below the connection's.
    #[serde(serialize_with = "told::address")]
    pub url: String,
    /// Headers.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "told::fields"
    )]
    pub headers: BTreeMap<String, String>,
    /// What is added to the query.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "told::fields"
    )]
    pub query: BTreeMap<String, String>,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Status codes that count as success; empty means 200–299.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    /// Header that carries the attempt's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
}

impl fmt::Debug for Http {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(out, "Http{shown}")
    }
}

impl Http {
    /// Says whether doing it twice under one key is as good as once (RFC 9110, section 9.2.2).
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.idempotency_header.is_some()
            || matches!(
                self.method.as_str(),
                "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS"
            )
    }
}

/// Renders a request. In `url`, values that depend on the finding are percent-encoded: each stays within its part of a path.
///
/// # Errors
/// Templates that cannot be rendered, unknown methods, headers that are not a step's to set, `json` next to `body`.
pub fn prepare(step: &HttpStep, context: &Context) -> Result<Http, ActionError> {
    let encoded = encoded(context);
    let context = &context.all;
    let render = |part: &str, source: &str| {
        templates::render(source, context, Escape::None).map_err(unrendered(part))
    };
    let method = render("method", &step.method)?.trim().to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        return Err(ActionError::permanent(format!(
            "method `{}` is not known; use one of {}",
            neutral::line(&method, 40),
            METHODS.join(", ")
        )));
    }
    let url = templates::render(&step.url, &encoded, Escape::None).map_err(unrendered("url"))?;
    let mut headers = BTreeMap::new();
    for (name, value) in &step.headers {
        let name = header_name(name)?;
        let value = neutral::line(&render("headers", value)?, HEADER_LIMIT);
        headers.insert(name, value);
    }
    let mut query = BTreeMap::new();
    for (name, value) in &step.query {
        query.insert(name.clone(), render("query", value)?);
    }
    let body = match (&step.json, &step.body) {
        (Some(_), Some(_)) => return Err(ActionError::permanent("`json` excludes `body`")),
        (Some(json), None) => {
            headers
                .entry("content-type".to_owned())
                .or_insert_with(|| "application/json".to_owned());
            let json = templates::render_json(json, context).map_err(unrendered("json"))?;
            Some(json.to_string())
        }
        (None, Some(body)) => {
            headers
                .entry("content-type".to_owned())
                .or_insert_with(|| "text/plain; charset=utf-8".to_owned());
            Some(render("body", body)?)
        }
        (None, None) => None,
    };
    Ok(Http {
        connection: step
            .connection
            .as_deref()
            .map(|name| render("connection", name))
            .transpose()?,
        method,
        url: url.trim().to_owned(),
        headers,
        query,
        body,
        expect: step.expect.clone(),
        idempotency_header: step
            .idempotency_header
            .as_deref()
            .map(header_name)
            .transpose()?,
    })
}

fn header_name(name: &str) -> Result<String, ActionError> {
    let shown = neutral::line(name, 80);
    let name = HeaderName::try_from(name.trim())
        .map_err(|_| ActionError::permanent(format!("`{shown}` is no name of a header")))?;
    if NOT_FOR_STEPS.contains(&name.as_str()) {
        return Err(ActionError::permanent(format!(
            "header `{name}` is not a step's to set; credentials belong into a connection"
        )));
    }
    Ok(name.as_str().to_owned())
}

/// Everything, with the texts that depend on the finding percent-encoded.
fn encoded(context: &Context) -> Value {
    let mut encoded = context.all.clone();
    encode_strange(&mut encoded, Some(&context.own));
    encoded
}

fn encode_strange(value: &mut Value, own: Option<&Value>) {
    match (value, own) {
        (Value::Object(fields), Some(Value::Object(own))) => {
            for (name, field) in fields {
                encode_strange(field, own.get(name));
            }
        }
        (value, own) if own != Some(&*value) => encode(value),
        _ => {}
    }
}

fn encode(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = text
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                        char::from(byte).to_string()
                    }
                    // A dot alone, or two, would lead elsewhere in a path: `target` refuses what becomes of them.
                    b'.' if !matches!(text.as_str(), "." | "..") => ".".to_owned(),
                    byte => format!("%{byte:02X}"),
                })
                .collect();
        }
        Value::Array(items) => items.iter_mut().for_each(encode),
        Value::Object(fields) => fields.values_mut().for_each(encode),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Makes the request; with OAuth once more where the token is refused.
///
/// # Errors
/// A connection or secret that is missing or unfit; an answer that is not the expected one.
pub async fn perform(
    http: &Http,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let deadline = Instant::now() + attempt.timeout;
    let none = Auth::None;
    let (base, auth) = match &http.connection {
        None => (None, &none),
        Some(name) => {
            let connection = outside.connection(name)?;
            let ConnectionKind::Http { url, auth } = &connection.kind else {
                return Err(unfit(connection, "an HTTP service"));
            };
            (Some(address(outside, url).await?), auth)
        }
    };
    let url = target(http, base.as_ref())?;
    let mut credentials = Credentials::of(auth, outside, None, left(deadline)).await?;
    let mut answer = exchange(http, &url, &credentials, outside, attempt, deadline).await?;
    if answer.status == 401
        && let Auth::ClientCredentials { .. } = auth
    {
        // The token was withdrawn before its time; the request had no effect.
        credentials = Credentials::of(auth, outside, credentials.token(), left(deadline)).await?;
        answer = exchange(http, &url, &credentials, outside, attempt, deadline).await?;
    }
    let expected = if http.expect.is_empty() {
        answer.succeeded()
    } else {
        http.expect.contains(&answer.status)
    };
    let secrets = credentials.shown();
    if !expected {
        return Err(answer.refusal(&secrets));
    }
    let cut = answer.body.len() >= crate::http_client::ANSWER_LIMIT;
    if !answer.whole && !cut && http.is_repeatable() {
        return Err(ActionError::transient(format!(
            "answer of `{}` broke off",
            answer.host
        )));
    }
    Ok(Performed {
        summary: format!("{} {} answered {}", http.method, answer.host, answer.status),
        output: output(&answer, &secrets),
    })
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// What later steps may read: `status`, `headers`, `json` or else `body`, and whether that is `whole`.
fn output(answer: &Answer, secrets: &[&str]) -> Value {
    let text = answer.text(secrets);
    let json: Option<Value> = (answer.whole && (answer.is_json() || text.starts_with(['{', '['])))
        .then(|| serde_json::from_str(&text).ok())
        .flatten();
    let headers: Map<String, Value> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.as_str() != "set-cookie")
        .filter_map(|(name, value)| {
            let value = without(value.to_str().ok()?, secrets);
            let value = neutral::line(&value, HEADER_LIMIT);
            Some((name.as_str().to_owned(), Value::String(value)))
        })
        .collect();
    json!({
        "status": answer.status,
        "headers": headers,
        "body": if json.is_some() { Value::Null } else { Value::String(text) },
        "json": json,
        "whole": answer.whole,
    })
}

/// The address: of the step alone, or below the connection's and at no other server.
fn target(http: &Http, base: Option<&Url>) -> Result<Url, ActionError> {
    let invalid =
        |error: url::ParseError| ActionError::permanent(format!("`url` is not valid: {error}"));
    if leads_elsewhere(&http.url) {
        return Err(ActionError::permanent(
            "a part of `url` is `.` or `..` in disguise, which would lead elsewhere",
        ));
    }
    let absolute = http.url.contains("://");
    let mut url = match base {
        None if absolute => Url::parse(&http.url).map_err(invalid)?,
        None => {
            return Err(ActionError::permanent(
                "`url` is a path; without a connection it must be an absolute address",
            ));
        }
        Some(_) if absolute => Url::parse(&http.url).map_err(invalid)?,
        Some(base) => {
            let mut url = base.clone();
            let (path, query) = match http.url.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (http.url.as_str(), None),
            };
            let path = path.split('#').next().unwrap_or_default();
            let root = base.path().trim_end_matches('/');
            let path = path.trim_start_matches('/');
            if path.is_empty() {
                url.set_path(base.path());
            } else {
                url.set_path(&format!("{root}/{path}"));
            }
            if let Some(query) = query {
                let query = query.split('#').next().unwrap_or_default();
                let whole = match base.query() {
                    Some(first) if !first.is_empty() => format!("{first}&{query}"),
                    _ => query.to_owned(),
                };
                url.set_query(Some(&whole));
            }
            url
        }
    };
    url.set_fragment(None);
    if let Some(base) = base {
        let root = base.path().trim_end_matches('/');
        let below = url
            .path()
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Credentials go to the connection's server only.
        if url.origin() != base.origin() || !below {
            return Err(ActionError::permanent(
                "`url` does not lead to a place below the connection's address",
            ));
        }
    }
    if !http.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&http.query);
    }
    Ok(url)
}

/// Whether a part of the path is dots of which one is percent-encoded: URLs take it for the plain dots.
fn leads_elsewhere(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|part| {
        let plain = part.to_ascii_lowercase().replace("%2e", ".");
        plain.len() < part.len() && matches!(plain.as_str(), "." | "..")
    })
}

async fn exchange(
    http: &Http,
    url: &Url,
    credentials: &Credentials,
    outside: &Outside,
    attempt: &Attempt,
    deadline: Instant,
) -> Result<Answer, ActionError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        headers.insert(valid_name(name)?, valid_value(name, value)?);
    }
    if let Some(name) = &http.idempotency_header {
        headers.insert(valid_name(name)?, valid_value(name, &attempt.key)?);
    }
    if let Some((name, value)) = &credentials.header {
        headers.insert(name.clone(), value.clone());
    }
    let needs_length = matches!(http.method.as_str(), "POST" | "PUT" | "PATCH");
    let body = match &http.body {
        Some(body) => Some(Bytes::from(body.clone())),
        // An empty body says that there is none, which some servers insist on.
        None if needs_length => Some(Bytes::new()),
        None => None,
    };
    if body.as_ref().is_none_or(Bytes::is_empty) {
        headers.remove(CONTENT_TYPE);
    }
    let request = Request {
        method: Method::from_bytes(http.method.as_bytes())
            .map_err(|_| ActionError::permanent("method is not valid"))?,
        url: url.clone(),
        headers,
        body,
        repeatable: http.is_repeatable(),
    };
    outside.http.send(request, left(deadline)).await
}

fn valid_name(name: &str) -> Result<HeaderName, ActionError> {
    HeaderName::try_from(name)
        .map_err(|_| ActionError::permanent(format!("`{name}` is no name of a header")))
}

fn valid_value(name: &str, value: &str) -> Result<HeaderValue, ActionError> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| ActionError::permanent(format!("value of header `{name}` is not valid")))
}

/// What proves us to the service.
#[derive(Default)]
struct Credentials {
    header: Option<(HeaderName, HeaderValue)>,
    secrets: Vec<SecretString>,
}

impl Credentials {
    async fn of(
        auth: &Auth,
        outside: &Outside,
        stale: Option<&SecretString>,
        limit: Duration,
    ) -> Result<Self, ActionError> {
        let secrets = &outside.secrets;
        let (name, value, secret) = match auth {
            Auth::None => return Ok(Self::default()),
            Auth::Basic { username, password } => {
                let password = secrets.resolve(password).await?;
                let value = basic(username, password.expose_secret());
                (AUTHORIZATION, value, password)
            }
            Auth::Bearer { token } => {
                let token = secrets.resolve(token).await?;
                (AUTHORIZATION, bearer(&token)?, token)
            }
            Auth::ApiKey { header, key } => {
                let key = secrets.resolve(key).await?;
                (valid_name(header)?, sensitive(key.expose_secret())?, key)
            }
            Auth::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scopes,
            } => {
                let client = oauth::Client {
                    token_url,
                    client_id,
                    client_secret,
                    scopes,
                };
                let token = oauth::token(&outside.http, secrets, &client, stale, limit).await?;
                (AUTHORIZATION, bearer(&token)?, token)
            }
        };
        let mut all = vec![secret];
        // Services that echo a request echo the header as it is.
        if let Ok(text) = value.to_str() {
            let told = text.rsplit(' ').next().unwrap_or_default();
            all.push(SecretString::from(told));
        }
        Ok(Self {
            header: Some((name, value)),
            secrets: all,
        })
    }

    fn token(&self) -> Option<&SecretString> {
        self.secrets.first()
    }

    fn shown(&self) -> Vec<&str> {
        self.secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .collect()
    }
}

/// The value of `Authorization` for a bearer token.
pub(crate) fn bearer(token: &SecretString) -> Result<HeaderValue, ActionError> {
    sensitive(&format!("Bearer {}", token.expose_secret()))
}

fn sensitive(text: &str) -> Result<HeaderValue, ActionError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| ActionError::permanent("secret holds letters that no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
