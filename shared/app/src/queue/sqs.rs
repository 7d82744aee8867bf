use super::{Depth, Message, Queue, Sending};
use crate::delivery::FIRST_SENT;
use crate::gather::{Answer, Gather};
use crate::store::StoreError;
use jiff::Timestamp;
use quench_actions::aws::{Aws, AwsError, Service};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, watch};
use url::Url;

mod batch;
mod dead;
mod undelivered;

use batch::{Outgoing, batches};

/// The longest that SQS leaves a message in hand ("Amazon SQS message quotas", message visibility timeout).
const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);
/// Messages of one request.
const BATCH: usize = 10;
/// How often entries of a batch are sent that SQS did not take, though the batch as such was well.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Queues of SQS; cheap to clone.
///
/// They keep what every kind of queue promises, and no more: a key keeps no twins out, since a run is claimed before
/// it is worked on; nobody is told why a message became a dead letter; and its queue removes it when its time is over.
#[derive(Debug, Clone)]
pub struct Sqs {
    aws: Aws,
    queues: Arc<BTreeMap<Queue, Place>>,
    /// URL of the queue of what reached none of these, if it is known.
    undelivered: Option<Arc<str>>,
    pub(super) news: watch::Sender<()>,
}

#[derive(Debug)]
struct Place {
    url: Arc<str>,
    /// Messages that are sent at once.
    outgoing: Gather<Outgoing, ()>,
    /// URL of the queue of its dead letters, once asked for.
    dead: OnceCell<Option<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendBatch<'a> {
    queue_url: &'a str,
    entries: &'a [Outgoing],
}

/// A message as SQS hands it out.
struct Received {
    id: String,
    receipt: String,
    body: String,
    received: u32,
    sent: Timestamp,
    /// When it was sent last: later than `sent` if it was a dead letter before.
    queued: Timestamp,
}

impl AsRef<Received> for Received {
    fn as_ref(&self) -> &Received {
        self
    }
}

impl Sqs {
    pub(super) fn new(aws: Aws, queues: &BTreeMap<Queue, Url>, undelivered: Option<&Url>) -> Sqs {
        let place = |url: &Url| Place {
            url: url.as_str().into(),
            outgoing: Gather::default(),
            dead: OnceCell::new(),
        };
        let queues = queues.iter().map(|(queue, url)| (*queue, place(url)));
        Sqs {
            aws,
            queues: Arc::new(queues.collect()),
            undelivered: undelivered.map(|url| url.as_str().into()),
            news: watch::Sender::new(()),
        }
    }

    fn place(&self, queue: Queue) -> Result<&Place, StoreError> {
        self.queues.get(&queue).ok_or_else(|| {
            let name = queue.name();
            StoreError::Permanent {
                reason: format!(
                    "this process does not know the queue `{name}`: set `QUENCH_QUEUE_{}`",
                    name.to_ascii_uppercase()
                ),
            }
        })
    }

    async fn call(
        &self,
        operation: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<Value, StoreError> {
        let answer = self.aws.json(Service::Sqs, operation, body).await;
        answer.map_err(|error| fault(&error))
    }

    /// Sends a message, and with it those that others send at the same time.
    pub(super) async fn send(
        &self,
        queue: Queue,
        body: &[u8],
        sending: Sending,
    ) -> Result<(), StoreError> {
        let place = self.place(queue)?;
        // It is checked alone: one that cannot be sent is no other's trouble.
        let outgoing = Outgoing::new(body, sending.delay)?;
        let (sqs, url) = (self.clone(), Arc::clone(&place.url));
        let call = move |outgoing| sqs.clone().send_each(Arc::clone(&url), outgoing);
        place.outgoing.ask(outgoing, call).await?;
        self.news.send_replace(());
        Ok(())
    }

    async fn send_each(self, url: Arc<str>, outgoing: Vec<Outgoing>) -> Vec<Answer<()>> {
        let mut answers = Vec::with_capacity(outgoing.len());
        for batch in batches(outgoing) {
            answers.extend(self.send_batch(&url, batch).await);
        }
        answers
    }

    pub(super) async fn send_all(
        &self,
        queue: Queue,
        outgoing: Vec<(Vec<u8>, Sending)>,
    ) -> Result<(), StoreError> {
        let url = &self.place(queue)?.url;
        // All are checked before the first is sent.
        let outgoing: Vec<Outgoing> = outgoing
            .into_iter()
            .map(|(body, sending)| Outgoing::new(&body, sending.delay))
            .collect::<Result<_, StoreError>>()?;
        for batch in batches(outgoing) {
            let sent = self.send_batch(url, batch).await;
            sent.into_iter().collect::<Answer<()>>()?;
        }
        self.news.send_replace(());
        Ok(())
    }

    /// Sends one batch, and those of its messages again that SQS did not take for reasons of its own; tells of each
    /// whether it was taken.
    async fn send_batch(&self, url: &str, batch: Vec<Outgoing>) -> Vec<Answer<()>> {
        let mut answers = vec![Ok(()); batch.len()];
        let mut left = batch;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let request = SendBatch {
                queue_url: url,
                entries: &left,
            };
            let told = self.call("SendMessageBatch", &request).await;
            for message in &left {
                answers[message.number] = match &told {
                    Ok(told) => taken(told, message),
                    Err(error) => Err(error.clone()),
                };
            }
            left.retain(|message| {
                let answer = &answers[message.number];
                answer.as_ref().is_err_and(StoreError::is_transient)
            });
            // What fails as a whole was tried often enough.
            if left.is_empty() || told.is_err() || attempt == ATTEMPTS {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        answers
    }

    pub(super) async fn receive(
        &self,
        queue: Queue,
        max: u32,
        visibility: Duration,
    ) -> Result<Vec<Message>, StoreError> {
        let url = &self.place(queue)?.url;
        let max = usize::try_from(max).unwrap_or(BATCH);
        let received = self.take(url, max, visibility, Duration::ZERO).await?;
        let messages = received.into_iter().map(|message| Message {
            id: message.id,
            queue,
            body: message.body.into_bytes(),
            receipt: message.receipt,
            received: message.received,
            sent: message.sent,
        });
        Ok(messages.collect())
    }

    async fn take(
        &self,
        url: &str,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, StoreError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let request = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": max.min(BATCH),
            "VisibilityTimeout": whole_seconds(visibility.min(LONGEST_VISIBILITY)),
            "WaitTimeSeconds": wait.as_secs(),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
            "MessageAttributeNames": [FIRST_SENT],
        });
        let mut answer = self.call("ReceiveMessage", &request).await?;
        let messages = match answer["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        };
        messages.into_iter().map(Received::read).collect()
    }

    pub(super) async fn extend(
        &self,
        message: &Message,
        visibility: Duration,
    ) -> Result<bool, StoreError> {
        let url = &self.place(message.queue)?.url;
        self.see_again(url, &message.receipt, visibility).await
    }

    /// Lets a message be received again after this time from now; false if it is no longer in hand.
    async fn see_again(
        &self,
        url: &str,
        receipt: &str,
        after: Duration,
    ) -> Result<bool, StoreError> {
        let request = json!({
            "QueueUrl": url,
            "ReceiptHandle": receipt,
            "VisibilityTimeout": whole_seconds(after.min(LONGEST_VISIBILITY)),
        });
        let answer = self
            .aws
            .json(Service::Sqs, "ChangeMessageVisibility", &request)
            .await;
        held(answer)
    }

    /// Standard queues of AWS also say yes to a receipt that is not the last one; the message is kept then.
    pub(super) async fn ack(&self, message: &Message) -> Result<bool, StoreError> {
        let url = &self.place(message.queue)?.url;
        self.delete(url, &message.receipt).await
    }

    async fn delete(&self, url: &str, receipt: &str) -> Result<bool, StoreError> {
        let request = json!({"QueueUrl": url, "ReceiptHandle": receipt});
        let answer = self.aws.json(Service::Sqs, "DeleteMessage", &request).await;
        held(answer)
    }

    pub(super) async fn nack(&self, message: &Message, delay: Duration) -> Result<(), StoreError> {
        self.extend(message, delay).await.map(drop)
    }

    pub(super) async fn depth(&self, queue: Queue) -> Result<Depth, StoreError> {
        let place = self.place(queue)?;
        let (ready, delayed, in_hand) = self.counts(&place.url).await?;
        let dead = match self.dead(place).await? {
            None => 0,
            Some(url) => {
                let (ready, delayed, in_hand) = self.counts(url).await?;
                ready + delayed + in_hand
            }
        };
        Ok(Depth {
            ready,
            delayed,
            in_hand,
            dead,
        })
    }

    async fn counts(&self, url: &str) -> Result<(u64, u64, u64), StoreError> {
        const NAMES: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let request = json!({"QueueUrl": url, "AttributeNames": NAMES});
        let answer = self.call("GetQueueAttributes", &request).await?;
        let [ready, delayed, in_hand] = NAMES.map(|name| {
            let count = answer["Attributes"][name].as_str();
            count.and_then(|count| count.parse().ok()).unwrap_or(0)
        });
        Ok((ready, delayed, in_hand))
    }
}

impl Received {
    fn read(mut message: Value) -> Result<Received, StoreError> {
        let mut text = |name: &str| match message[name].take() {
            Value::String(text) => Ok(text),
            _ => Err(StoreError::Transient {
                reason: format!("SQS handed out a message without `{name}`"),
            }),
        };
        let (id, receipt, body) = (text("MessageId")?, text("ReceiptHandle")?, text("Body")?);
        let number = |name: &str| {
            let number = message["Attributes"][name].as_str();
            number.and_then(|number| number.parse::<i64>().ok())
        };
        let first = message["MessageAttributes"][FIRST_SENT]["StringValue"].as_str();
        let time = |told: Option<i64>| told.and_then(|told| Timestamp::from_millisecond(told).ok());
        let queued = time(number("SentTimestamp")).unwrap_or(Timestamp::UNIX_EPOCH);
        let sent = time(first.and_then(|sent| sent.parse().ok()));
        let received = number("ApproximateReceiveCount").and_then(|count| count.try_into().ok());
        Ok(Received {
            id,
            receipt,
            body,
            received: received.unwrap_or(1),
            sent: sent.unwrap_or(queued),
            queued,
        })
    }
}

/// Whether SQS took this message of a batch.
fn taken(told: &Value, message: &Outgoing) -> Answer<()> {
    let about = |list: &str| {
        let mut list = told[list].as_array().into_iter().flatten();
        list.find(|entry| entry["Id"] == message.id())
    };
    if about("Successful").is_some() {
        return Ok(());
    }
    let failed = about("Failed").unwrap_or(&Value::Null);
    let text = |name: &str| failed[name].as_str().unwrap_or("nothing told");
    let reason = format!(
        "SQS did not take a message: {} ({})",
        text("Message"),
        text("Code")
    );
    match failed["SenderFault"] == true {
        true => Err(StoreError::Permanent { reason }),
        false => Err(StoreError::Transient { reason }),
    }
}

/// Whether a receipt was still good; other failures stay failures.
fn held(answer: Result<Value, AwsError>) -> Result<bool, StoreError> {
    match answer {
        Ok(_) => Ok(true),
        // `InvalidParameterValue` says that the message is gone or in nobody's hand.
        Err(error)
            if matches!(
                error.code(),
                Some(
                    "ReceiptHandleIsInvalid"
                        | "MessageNotInflight"
                        | "AWS.SimpleQueueService.MessageNotInflight"
                        | "InvalidParameterValue"
                )
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(fault(&error)),
    }
}

fn fault(error: &AwsError) -> StoreError {
    let reason = error.to_string();
    match error.is_transient() {
        true => StoreError::Transient { reason },
        false => StoreError::Permanent { reason },
    }
}

/// Whole seconds, no shorter than the time that was asked for.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
