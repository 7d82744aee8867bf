//! How Azure Event Grid asks whether an address is the right one before it sends anything there.
//!
//! Source: "Webhook event delivery" and "Use `CloudEvents` v1.0 schema with Event Grid" in the documentation of Event
//! Grid, and "HTTP 1.1 Web Hooks for Event Delivery", section 4, of `CloudEvents`.

use crate::answer::Answer;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

/// What Event Grid calls itself when it asks for leave to send cloud events.
const ORIGIN: &str = "eventgrid.azure.net";
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// A question whether a subscription may deliver here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Question {
    /// Resource id of the topic.
    pub(super) topic: String,
    event_type: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    validation_code: String,
}

/// The question that a message asks, if it is one.
pub(super) fn question(headers: &HeaderMap, body: &[u8]) -> Option<Question> {
    let kind = headers.get("aeg-event-type")?;
    if !kind
        .as_bytes()
        .eq_ignore_ascii_case(b"SubscriptionValidation")
    {
        return None;
    }
    let [question]: [Question; 1] = serde_json::from_slice(body).ok()?;
    (question.event_type == VALIDATION).then_some(question)
}

impl Question {
    /// Confirms the subscription.
    ///
    /// The address that is sent along for a later confirmation is never visited: the code in the answer is enough.
    pub(super) fn confirm(&self) -> Answer {
        Answer::json(
            200,
            json!({"validationResponse": self.data.validation_code}),
        )
    }
}

/// The answer to a request for leave to send cloud events, if it is Event Grid that asks.
pub(super) fn leave(headers: &HeaderMap) -> Option<Answer> {
    let origin = headers.get("webhook-request-origin")?;
    origin
        .as_bytes()
        .eq_ignore_ascii_case(ORIGIN.as_bytes())
        .then(|| {
            Answer::empty(200)
                .with("webhook-allowed-origin", ORIGIN)
                .with("webhook-allowed-rate", "*")
        })
}
