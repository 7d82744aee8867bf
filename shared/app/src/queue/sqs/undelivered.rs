//! What never reached its queue or function: events that a rule of EventBridge could not hand over, and invocations that
//! a function failed on. They are on one queue of their own, which is no other's queue of dead letters.

use super::dead::{LOOK, WAIT};
use super::{BATCH, Received, Sqs, whole_seconds};
use crate::queue::{DeadLetter, Queue};
use crate::store::StoreError;
use jiff::Timestamp;
use quench_findings::decode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What EventBridge tells of an event that it could not hand over ("Using dead-letter queues to process undelivered
/// events"), then what Lambda tells of an invocation that failed ("Adding a dead-letter queue").
const TOLD: [&str; 5] = [
    "ERROR_CODE",
    "ERROR_MESSAGE",
    "TARGET_ARN",
    "ErrorMessage",
    "RequestID",
];

/// A message of that queue.
struct Stray {
    /// Sent when its event happened, if it tells: what is put back is not to be taken for later than what came since.
    message: Received,
    /// When it was given up.
    died: Timestamp,
    /// Where it belongs; none if that is no queue.
    queue: Option<Queue>,
    reason: Option<String>,
}

impl AsRef<Received> for Stray {
    fn as_ref(&self) -> &Received {
        &self.message
    }
}

impl Sqs {
    pub(super) async fn undelivered(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let Some(url) = &self.undelivered else {
            return Ok(Vec::new());
        };
        let take = |max| self.take_strays(url, max);
        let taken = self.look_through(url, limit, take).await?;
        let letters = taken.into_iter().map(|stray| DeadLetter {
            id: stray.message.id,
            queue: stray.queue,
            body: stray.message.body,
            received: stray.message.received,
            sent: stray.message.sent,
            died: Some(stray.died),
            reason: stray.reason,
        });
        Ok(letters.collect())
    }

    /// Whether the message was among them.
    pub(super) async fn redrive_undelivered(&self, id: &str) -> Result<bool, StoreError> {
        let Some(url) = &self.undelivered else {
            return Ok(false);
        };
        let take = |max| self.take_strays(url, max);
        let Some(found) = self.find(url, id, take).await? else {
            return Ok(false);
        };
        let place = found.queue.ok_or_else(|| StoreError::Permanent {
            reason: format!("dead letter `{id}` was for no queue, so it can be put on none"),
        });
        match place.and_then(|queue| self.place(queue)) {
            Ok(place) => self.move_back(place, url, vec![found.message]).await?,
            Err(error) => {
                self.put_back(url, [&found]).await;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Those that belong on no queue are left where they are, as are those that come meanwhile.
    pub(super) async fn redrive_all_undelivered(
        &self,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let Some(url) = &self.undelivered else {
            return Ok(0);
        };
        let mut moved = 0;
        let mut left: BTreeMap<String, Received> = BTreeMap::new();
        let work = async {
            loop {
                let taken = self.take_strays(url, BATCH).await?;
                // What is left comes again if all this takes long.
                let is_new = |stray: &Stray| !left.contains_key(&stray.message.id);
                if !taken.iter().any(is_new) {
                    return Ok(());
                }
                let mut by_queue: BTreeMap<Queue, Vec<Received>> = BTreeMap::new();
                for stray in taken {
                    match stray.queue.filter(|_| stray.died <= now) {
                        Some(queue) => by_queue.entry(queue).or_default().push(stray.message),
                        None => drop(left.insert(stray.message.id.clone(), stray.message)),
                    }
                }
                for (queue, messages) in by_queue {
                    let count = messages.len();
                    self.move_back(self.place(queue)?, url, messages).await?;
                    moved += count;
                }
            }
        };
        let worked: Result<(), StoreError> = work.await;
        self.put_back(url, left.values()).await;
        worked.map(|()| moved)
    }

    async fn take_strays(&self, url: &str, max: usize) -> Result<Vec<Stray>, StoreError> {
        let request = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": max.min(BATCH),
            "VisibilityTimeout": whole_seconds(LOOK),
            "WaitTimeSeconds": WAIT.as_secs(),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
            "MessageAttributeNames": TOLD,
        });
        let mut answer = self.call("ReceiveMessage", &request).await?;
        let messages = match answer["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        };
        messages.into_iter().map(|told| self.stray(told)).collect()
    }

    fn stray(&self, told: Value) -> Result<Stray, StoreError> {
        let attribute = |name: &str| {
            let text = told["MessageAttributes"][name]["StringValue"].as_str();
            text.map(str::to_owned)
        };
        let [code, message, target, error, request] = TOLD.map(attribute);
        let reason: Vec<String> = code.into_iter().chain(message).chain(error).collect();
        let reason = (!reason.is_empty()).then(|| reason.join(": "));
        let mut message = Received::read(told)?;
        let died = message.sent;
        let event: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let happened = event["time"].as_str().and_then(|time| time.parse().ok());
        message.sent = happened.map_or(died, |time: Timestamp| time.min(died));
        let queue = match target {
            Some(target) if !target.contains(":sqs:") => None,
            None if request.is_some() => None,
            target => target
                .and_then(|target| self.queue_at(&target))
                .or_else(|| queue_for(&message.body)),
        };
        Ok(Stray {
            message,
            died,
            queue,
            reason,
        })
    }

    /// The queue with this ARN, `arn:aws:sqs:REGION:ACCOUNT:NAME`, if it is one of these.
    fn queue_at(&self, arn: &str) -> Option<Queue> {
        let (rest, name) = arn.rsplit_once(':')?;
        let (_, account) = rest.rsplit_once(':')?;
        let path = format!("/{account}/{name}");
        let mut queues = self.queues.iter();
        let found = queues.find(|(_, place)| place.url.ends_with(&path));
        found.map(|(queue, _)| *queue)
    }
}

/// The queue for an event whose own is no more, as when the hub was made anew. What a button sends is for a function.
fn queue_for(event: &str) -> Option<Queue> {
    let decoded = decode(event.as_bytes());
    let finding = decoded.findings.first()?;
    decoded.action.is_none().then(|| Queue::of(finding.kind))
}
