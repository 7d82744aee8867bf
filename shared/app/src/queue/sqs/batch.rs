use super::{BATCH, whole_seconds};
use crate::delivery::{FIRST_SENT, HELD_BACK};
use crate::store::StoreError;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of a message, and of all messages of a request (`SendMessageBatch` in the API reference).
const LARGEST: usize = 1024 * 1024;
/// The longest that SQS holds a message back ("Amazon SQS message quotas", message timer).
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// A message as an entry of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outgoing {
    /// Its place within its batch, once it is in one.
    #[serde(rename = "Id", serialize_with = "as_text")]
    pub(super) number: usize,
    message_body: String,
    delay_seconds: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<&'static str, Attribute>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over references"
)]
fn as_text<S: Serializer>(number: &usize, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(number)
}

/// What is told of a message besides its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    data_type: &'static str,
    string_value: String,
}

impl Attribute {
    fn number(digits: String) -> Attribute {
        Attribute {
            data_type: "Number",
            string_value: digits,
        }
    }
}

impl Outgoing {
    /// # Errors
    /// SQS would not take the body.
    pub(super) fn new(body: &[u8], delay: Duration) -> Result<Outgoing, StoreError> {
        let delay_seconds = whole_seconds(delay.min(LONGEST_DELAY));
        let held = (delay_seconds > 0).then(|| Attribute::number(delay_seconds.to_string()));
        Ok(Outgoing {
            number: 0,
            message_body: text(body)?,
            delay_seconds,
            message_attributes: held.map(|held| (HELD_BACK, held)).into_iter().collect(),
        })
    }

    /// Tells that it was sent before.
    pub(super) fn first_sent(mut self, sent: Timestamp) -> Outgoing {
        let sent = Attribute::number(sent.as_millisecond().to_string());
        self.message_attributes.insert(FIRST_SENT, sent);
        self
    }

    /// What SQS calls it in its answer.
    pub(super) fn id(&self) -> String {
        self.number.to_string()
    }
}

/// The body as text that SQS takes: the characters of XML, between one byte and 1 MiB of them.
///
/// Bodies are JSON or ids. Two characters that JSON may hold and XML may not are written as JSON's escapes, which mean
/// the same; text that has any of the others, and what is no text, is no JSON either, and is refused.
fn text(body: &[u8]) -> Result<String, StoreError> {
    let refused = |reason: String| StoreError::Permanent { reason };
    let body = std::str::from_utf8(body).map_err(|error| {
        refused(format!(
            "a message that is no UTF-8 text cannot be queued: byte {} is wrong",
            error.valid_up_to()
        ))
    })?;
    if body.is_empty() {
        return Err(refused("an empty message cannot be queued".to_owned()));
    }
    let wrong =
        |character: &char| character.is_ascii_control() && !"\t\n\r\u{7f}".contains(*character);
    if let Some(wrong) = body.chars().find(wrong) {
        let code = u32::from(wrong);
        return Err(refused(format!(
            "a message with the control character U+{code:04X} cannot be queued; JSON writes it as `\\u{code:04x}`"
        )));
    }
    let body = match body.contains(['\u{fffe}', '\u{ffff}']) {
        true => body
            .replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff"),
        false => body.to_owned(),
    };
    if body.len() > LARGEST {
        return Err(refused(format!(
            "a message of {} bytes cannot be queued: {LARGEST} is the most",
            body.len()
        )));
    }
    Ok(body)
}

/// Puts messages into requests, in their order, as few as can be.
pub(super) fn batches(outgoing: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut size = 0;
    for message in outgoing {
        size += message.message_body.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && size <= LARGEST => batch.push(message),
            _ => {
                size = message.message_body.len();
                batches.push(vec![message]);
            }
        }
    }
    for batch in &mut batches {
        for (number, message) in batch.iter_mut().enumerate() {
            message.number = number;
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::HashSet;

    fn outgoing(size: usize) -> Outgoing {
        Outgoing {
            number: 0,
            message_body: "x".repeat(size),
            delay_seconds: 0,
            message_attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_message_that_is_held_back_tells_its_receiver_for_how_long() {
        let sent = |delay| {
            let outgoing = Outgoing::new(b"run", Duration::from_secs(delay)).unwrap();
            serde_json::to_value(outgoing).unwrap()
        };
        assert_eq!(
            sent(0),
            json!({"Id": "0", "MessageBody": "run", "DelaySeconds": 0})
        );
        assert_eq!(
            sent(3600),
            json!({
                "Id": "0",
                "MessageBody": "run",
                "DelaySeconds": 900,
                "MessageAttributes": {HELD_BACK: {"DataType": "Number", "StringValue": "900"}},
            })
        );
    }

    #[test]
    fn what_sqs_would_not_take_is_refused_with_the_reason() {
        for (body, told) in [
            (&b""[..], "an empty message cannot be queued"),
            (
                b"ab\xff",
                "a message that is no UTF-8 text cannot be queued: byte 2 is wrong",
            ),
            (
                b"{\"a\": \"\x01\"}",
                "a message with the control character U+0001 cannot be queued; JSON writes it as `\\u0001`",
            ),
            (
                &vec![b'x'; LARGEST + 1],
                "a message of 1048577 bytes cannot be queued: 1048576 is the most",
            ),
        ] {
            let error = Outgoing::new(body, Duration::ZERO).unwrap_err();
            assert_eq!(error.to_string(), told);
            assert!(!error.is_transient());
        }
        let largest = vec![b'x'; LARGEST];
        assert!(Outgoing::new(&largest, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_character_that_only_json_knows_keeps_its_meaning() {
        let value = serde_json::json!({"title": "a\u{ffff}b\u{fffe}\t\u{7f}"});
        let sent = Outgoing::new(value.to_string().as_bytes(), Duration::ZERO).unwrap();
        assert!(!sent.message_body.contains(['\u{ffff}', '\u{fffe}']));
        let read: serde_json::Value = serde_json::from_str(&sent.message_body).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn delays_are_whole_seconds_up_to_15_minutes() {
        for (delay, seconds) in [
            (Duration::ZERO, 0),
            (Duration::from_millis(1), 1),
            (Duration::from_millis(2000), 2),
            (Duration::MAX, 900),
        ] {
            let sent = Outgoing::new(b"x", delay).unwrap();
            assert_eq!(sent.delay_seconds, seconds);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn batches_hold_every_message_in_order_within_the_limits(
            sizes in prop::collection::vec(prop_oneof![1..=64_usize, 1..=LARGEST], 0..40)
        ) {
            let batches = batches(sizes.iter().map(|&size| outgoing(size)).collect());
            let told: Vec<Vec<usize>> = batches
                .iter()
                .map(|batch| batch.iter().map(|message| message.message_body.len()).collect())
                .collect();
            prop_assert_eq!(told.concat(), sizes);
            for batch in &told {
                prop_assert!((1..=10).contains(&batch.len()));
                prop_assert!(batch.iter().sum::<usize>() <= LARGEST);
            }
            for batch in &batches {
                let ids: HashSet<usize> = batch.iter().map(|message| message.number).collect();
                prop_assert_eq!(ids.len(), batch.len());
            }
        }
    }
}
