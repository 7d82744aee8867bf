//! The `webhook` step: data signed after Standard Webhooks (<https://www.standardwebhooks.com>).

use crate::action::unrendered;
use crate::http_client::Request;
use crate::outside::unfit;
use crate::{ActionError, Attempt, Outside, Performed, neutral, secrets};
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use quench_automations::templates::{self, Escape};
use quench_automations::{ConnectionKind, WebhookStep};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ring::hmac::{Context, HMAC_SHA256, Key};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use url::Url;

/// Data to be signed and posted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Webhook {
    /// Connection it goes to.
    pub connection: String,
    /// Type of the event.
    pub event: String,
    /// When the source last changed the finding; absent means when it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred: Option<String>,
    /// The data.
    pub data: Value,
}

/// A signing secret: `whsec_` and base64 of 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SigningSecret(…)")
    }
}

/// Why a text is no signing secret; it does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing secret is not `whsec_` and base64 of 24 to 64 bytes")]
pub struct InvalidSigningSecret;

impl SigningSecret {
    /// Reads one secret.
    ///
    /// # Errors
    /// Any other form or length.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        let encoded = text.strip_prefix("whsec_").ok_or(InvalidSigningSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSigningSecret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(InvalidSigningSecret);
        }
        Ok(Self(bytes))
    }

    /// Signs a message: the value of `webhook-signature`; `timestamp` is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Context::with_key(&Key::new(HMAC_SHA256, &self.0));
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.sign()))
    }
}

/// Renders the data.
///
/// # Errors
/// Templates that cannot be rendered.
pub fn prepare(step: &WebhookStep, context: &Value) -> Result<Webhook, ActionError> {
    let finding = context.get("finding");
    let event = match &step.event {
        Some(event) => {
            templates::render(event, context, Escape::None).map_err(unrendered("event"))?
        }
        None => format!(
            "finding.{}",
            context["run"]["transition"].as_str().unwrap_or("created")
        ),
    };
    let data = match &step.data {
        Some(data) => templates::render_json(data, context).map_err(unrendered("data"))?,
        None => finding.map_or(Value::Null, told),
    };
    let occurred = ["updated", "last_seen", "first_seen"]
        .iter()
        .find_map(|name| finding?.get(name)?.as_str());
    Ok(Webhook {
        connection: templates::render(&step.connection, context, Escape::None)
            .map_err(unrendered("connection"))?,
        event: neutral::line(&event, 200),
        occurred: occurred.map(str::to_owned),
        data,
    })
}

/// The finding as outsiders are told it: what it does not say is absent, and `raw` stays here.
pub(crate) fn told(finding: &Value) -> Value {
    let mut finding = finding.clone();
    if let Some(fields) = finding.as_object_mut() {
        fields.remove("raw");
        // `resource` is the first of `resources`, for the ease of templates.
        fields.remove("resource");
    }
    pruned(finding).unwrap_or(Value::Null)
}

fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let fields: serde_json::Map<_, _> = fields
                .into_iter()
                .filter_map(|(name, field)| Some((name, pruned(field)?)))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(pruned).collect())),
        plain => Some(plain),
    }
}

/// Signs and posts the data. The id is the same at every attempt, so that the receiver can tell a repetition.
///
/// A connection's secret may hold two signing secrets with a space between: both sign, while the receiver changes over.
///
/// # Errors
/// A connection or secret that is missing or unfit; what the receiver answers.
pub async fn perform(
    webhook: &Webhook,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let connection = outside.connection(&webhook.connection)?;
    let ConnectionKind::Webhook { url, secret } = &connection.kind else {
        return Err(unfit(connection, "a receiver of webhooks"));
    };
    let url = address(outside, url).await?;
    let secret = outside.secrets.resolve(secret).await?;
    let secrets: Vec<SigningSecret> = secret
        .expose_secret()
        .split_whitespace()
        .map(SigningSecret::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| {
            ActionError::permanent(format!("connection `{}`: {error}", connection.name))
        })?;
    let now = Timestamp::now();
    let id = message_id(&attempt.key);
    let body = json!({
        "type": webhook.event,
        "timestamp": webhook.occurred.clone().unwrap_or_else(|| now.to_string()),
        "data": webhook.data,
    })
    .to_string();
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| secret.sign(&id, now.as_second(), body.as_bytes()))
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("webhook-id", id.clone()),
        ("webhook-timestamp", now.as_second().to_string()),
        ("webhook-signature", signatures.join(" ")),
    ] {
        let value = HeaderValue::try_from(value).expect("digits, base64 and hex fit a header");
        headers.insert(name, value);
    }
    let secret_url = url.as_str().to_owned();
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Some(Bytes::from(body)),
        repeatable: true,
    };
    let host = request.host();
    let answer = outside.http.send(request, attempt.timeout).await?;
    if !answer.succeeded() {
        return Err(answer.refusal(&[&secret_url]));
    }
    Ok(Performed {
        summary: format!("{} sent to {host}", webhook.event),
        output: json!({ "status": answer.status, "webhook_id": id }),
    })
}

/// Reads an address, or the one that a secret reference leads to; what is wrong with it is told without it.
pub(crate) async fn address(outside: &Outside, text: &str) -> Result<Url, ActionError> {
    let invalid = |error: url::ParseError| {
        ActionError::permanent(format!("address of the connection is not valid: {error}"))
    };
    if secrets::is_reference(text) {
        let secret = outside.secrets.resolve(text).await?;
        return Url::parse(secret.expose_secret().trim()).map_err(invalid);
    }
    Url::parse(text).map_err(invalid)
}

/// The id of the message: made of the key, which may hold letters that an id must not.
fn message_id(key: &str) -> String {
    format!("msg_{}", hex(&Sha256::digest(key.as_bytes())[..16]))
}

#[cfg(test)]
mod tests;
