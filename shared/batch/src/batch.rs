use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use quench_app::delivery::{Delivery, FIRST_SENT, HELD_BACK, Undelivered};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Messages as a queue hands them over, as far as they are of use ("Using Lambda with Amazon SQS", example event).
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    message_id: Option<String>,
    body: Option<String>,
    attributes: Option<Attributes>,
    message_attributes: Option<HashMap<String, MessageAttribute>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attributes {
    sent_timestamp: Option<String>,
    approximate_receive_count: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MessageAttribute {
    string_value: Option<String>,
}

/// What a queue is told of a batch: which of its messages to deliver again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl BatchAnswer {
    /// Ids of the messages to deliver again.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        let failures = self.batch_item_failures.iter();
        failures.map(|failure| failure.item_identifier.as_str())
    }
}

/// Why a whole batch has to be delivered again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A message failed that the queue could not be told of.
    #[error("a message without `messageId` failed: {reason}")]
    NamelessMessage {
        /// Why it failed.
        reason: String,
    },
}

impl From<BatchError> for Diagnostic {
    fn from(error: BatchError) -> Diagnostic {
        let BatchError::NamelessMessage { .. } = &error;
        Diagnostic {
            error_type: "NamelessMessage".into(),
            error_message: error.to_string(),
        }
    }
}

/// Has the messages of a batch worked on and tells the queue which of them to deliver again.
///
/// The event source mapping must have `ReportBatchItemFailures`.
///
/// # Errors
/// A message failed that has no id.
pub async fn answer(
    batch: Batch,
    work: impl AsyncFnOnce(Vec<Delivery>) -> Vec<Undelivered>,
) -> Result<BatchAnswer, BatchError> {
    let messages = batch.records.into_iter().map(delivery);
    let failed = work(messages.collect()).await;
    // An empty id in the answer would be taken for an invalid answer, with the same effect but without the reason.
    if let Some(nameless) = failed.iter().find(|failed| failed.id.is_empty()) {
        let reason = nameless.reason.clone();
        return Err(BatchError::NamelessMessage { reason });
    }
    let failures = failed.into_iter().map(|failed| Failure {
        item_identifier: failed.id,
    });
    Ok(BatchAnswer {
        batch_item_failures: failures.collect(),
    })
}

fn delivery(record: Message) -> Delivery {
    let Attributes {
        sent_timestamp: sent,
        approximate_receive_count: received,
    } = record.attributes.unwrap_or_default();
    let mut told = record.message_attributes.unwrap_or_default();
    let mut told = |name| told.remove(name)?.string_value?.parse().ok();
    let sent = told(FIRST_SENT).or_else(|| sent?.parse().ok());
    let sent = sent.and_then(|sent| Timestamp::from_millisecond(sent).ok());
    let received = received.and_then(|received| received.parse().ok());
    let held = SignedDuration::from_secs(told(HELD_BACK).unwrap_or_default());
    Delivery {
        id: record.message_id.unwrap_or_default(),
        sent: sent.and_then(|sent| sent.checked_add(held).ok()),
        received: received.unwrap_or(1),
        body: record.body.unwrap_or_default().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failed(id: &str) -> Undelivered {
        Undelivered {
            id: id.to_owned(),
            reason: "it is broken".to_owned(),
            transient: false,
        }
    }

    async fn answered(fail: &[&str]) -> Result<serde_json::Value, BatchError> {
        let event = json!({"Records": [
            {"messageId": "one", "body": "1"},
            {"messageId": "two", "body": "2"},
            {"body": "3"},
        ]});
        let event: Batch = serde_json::from_value(event).unwrap();
        let response = answer(event, async |messages| {
            let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
            assert_eq!(ids, ["one", "two", ""]);
            fail.iter().map(|id| failed(id)).collect()
        })
        .await?;
        Ok(serde_json::to_value(response).unwrap())
    }

    #[test]
    fn what_the_queue_tells_of_a_message_is_passed_on() {
        let record = json!({
            "messageId": "one",
            "body": "1",
            "attributes": {"SentTimestamp": "1763786096123", "ApproximateReceiveCount": "3"},
        });
        let told = delivery(serde_json::from_value(record).unwrap());
        assert_eq!(told.received, 3);
        assert_eq!(told.sent.unwrap().as_millisecond(), 1_763_786_096_123);
        let record = json!({
            "attributes": {"SentTimestamp": "1763786096123"},
            "messageAttributes": {HELD_BACK: {"dataType": "Number", "stringValue": "30"}},
        });
        let told = delivery(serde_json::from_value(record).unwrap());
        assert_eq!(told.sent.unwrap().as_millisecond(), 1_763_786_126_123);
        let record = json!({
            "attributes": {"SentTimestamp": "1763786096123"},
            "messageAttributes": {FIRST_SENT: {"dataType": "Number", "stringValue": "1763700000000"}},
        });
        let told = delivery(serde_json::from_value(record).unwrap());
        assert_eq!(told.sent.unwrap().as_millisecond(), 1_763_700_000_000);
        let record =
            json!({"attributes": {"SentTimestamp": "soon", "ApproximateReceiveCount": "-1"}});
        let told = delivery(serde_json::from_value(record).unwrap());
        assert_eq!((told.sent, told.received), (None, 1));
        let record = json!({"body": null, "attributes": null, "messageAttributes": null});
        let told = delivery(serde_json::from_value(record).unwrap());
        assert_eq!((told.sent, told.received, told.body), (None, 1, vec![]));
    }

    #[tokio::test]
    async fn only_what_failed_is_delivered_again() {
        let response = answered(&["two"]).await.unwrap();
        assert_eq!(
            response,
            json!({"batchItemFailures": [{"itemIdentifier": "two"}]})
        );
        let response = answered(&[]).await.unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}));
    }

    #[tokio::test]
    async fn a_failure_that_has_no_id_fails_the_batch_with_its_reason() {
        let error = answered(&["one", ""]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "a message without `messageId` failed: it is broken"
        );
        assert_eq!(Diagnostic::from(error).error_type, "NamelessMessage");
    }
}
