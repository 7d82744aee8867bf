//! Queues that lose no message: whoever receives one has it for a while, and gives it back by doing nothing.

#[cfg(feature = "local")]
mod sqlite;
mod sqs;

pub use sqs::Sqs;

#[cfg(feature = "local")]
use crate::store::Sqlite;
use crate::store::StoreError;
use jiff::Timestamp;
use quench_actions::aws::Aws;
use quench_findings::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// One of the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Payloads of security alerts.
    Alert,
    /// Payloads of recommendations.
    Recommendation,
    /// Payloads of compliance changes.
    Compliance,
    /// Ids of runs to be executed.
    Runs,
}

impl Queue {
    /// The queue for payloads of this kind; whatever comes from it is taken in according to its own kind.
    pub fn of(kind: Kind) -> Queue {
        match kind {
            Kind::Alert => Queue::Alert,
            Kind::Recommendation => Queue::Recommendation,
            Kind::Compliance => Queue::Compliance,
        }
    }

    /// Every queue.
    pub const ALL: [Queue; 4] = [
        Queue::Alert,
        Queue::Recommendation,
        Queue::Compliance,
        Queue::Runs,
    ];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Queue::Alert => "alert",
            Queue::Recommendation => "recommendation",
            Queue::Compliance => "compliance",
            Queue::Runs => "runs",
        }
    }
}

/// How a message is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sending {
    /// Nobody receives it earlier than this from now; SQS holds back for 15 minutes at most.
    pub delay: Duration,
    /// While a message with the same key still waits to be received, another is not added; the earlier time holds.
    /// SQS has no such keys: there it is added, so the work on a message must bear twins.
    pub dedupe: Option<String>,
    /// Makes up for a message that was lost: one with the same key that was given up stands in the way as well, and one
    /// that waits keeps its time.
    pub sweep: bool,
}

/// A message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same at every delivery.
    pub id: String,
    /// Where it came from.
    pub queue: Queue,
    /// What was sent.
    pub body: Vec<u8>,
    /// Proves that this delivery is the last one; another at every delivery.
    pub receipt: String,
    /// How many times it was received, this one included.
    pub received: u32,
    /// When it was sent.
    pub sent: Timestamp,
}

/// A message that was given up: by those who received it, or on AWS before it reached anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id it had in life.
    pub id: String,
    /// Where it came from or, if it never got there, where it belongs; none if it was for a function, and so can be put
    /// back nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// What was sent, as far as it is text.
    pub body: String,
    /// How many times it was received.
    pub received: u32,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it was given up, where the queue tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Timestamp>,
    /// Why the last one who had it in hand, or was to hand it over, failed, if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Messages that can be received now.
    pub ready: u64,
    /// Messages that are delayed.
    pub delayed: u64,
    /// Messages in somebody's hand.
    pub in_hand: u64,
    /// Messages given up.
    pub dead: u64,
}

/// All the queues; cheap to clone.
///
/// What all promise: a message that was sent is received until it is acknowledged or was received too often; while it
/// is in hand nobody else receives it, as a rule; one that is delayed comes no earlier; its body comes as it was sent
/// or means the same. SQLite promises more, as its variant tells.
#[derive(Debug, Clone)]
pub enum Queues {
    /// In the file of the store: messages come in their order, keys keep twins out, and all that is sent at once is sent
    /// or none of it.
    #[cfg(feature = "local")]
    Sqlite {
        /// That file.
        file: Sqlite,
        /// After so many deliveries in vain a message is given up.
        max_receives: u32,
        /// Marked changed with every message that this process sends.
        news: watch::Sender<()>,
    },
    /// In SQS.
    Sqs(Sqs),
}

#[cfg_attr(
    not(feature = "local"),
    expect(
        unused_variables,
        reason = "SQS goes by its own clock and tells no reasons"
    )
)]
impl Queues {
    /// The queues that live beside a store in a file.
    #[cfg(feature = "local")]
    pub fn beside(file: &Sqlite, max_receives: u32) -> Queues {
        Queues::Sqlite {
            file: file.clone(),
            max_receives,
            news: watch::Sender::new(()),
        }
    }

    /// Queues of SQS, by their URLs. The others cannot be used. What never reached its queue or function is on the queue
    /// `undelivered`; its messages count among the dead letters, if it is told.
    pub fn sqs(aws: Aws, urls: &BTreeMap<Queue, Url>, undelivered: Option<&Url>) -> Queues {
        Queues::Sqs(Sqs::new(aws, urls, undelivered))
    }

    /// Sends a message; it is safe once this returns.
    ///
    /// # Errors
    /// The queue fails, or cannot take such a body; on SQS that is text of at most 1 MiB.
    pub async fn send(
        &self,
        queue: Queue,
        body: &[u8],
        sending: Sending,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { .. } => {
                let outgoing = vec![(body.to_owned(), sending)];
                self.send_all(queue, outgoing, now).await
            }
            Queues::Sqs(sqs) => sqs.send(queue, body, sending).await,
        }
    }

    /// Sends several messages; all of them are safe once this returns.
    ///
    /// # Errors
    /// As with [`Queues::send`]; on SQS some of them may have been sent nevertheless.
    #[cfg_attr(
        not(feature = "local"),
        expect(unused_variables, reason = "SQS has a clock of its own")
    )]
    pub async fn send_all(
        &self,
        queue: Queue,
        outgoing: Vec<(Vec<u8>, Sending)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, news, .. } => {
                sqlite::send(file, queue, outgoing, now).await?;
                news.send_replace(());
                Ok(())
            }
            Queues::Sqs(sqs) => sqs.send_all(queue, outgoing).await,
        }
    }

    /// Hears of every message that this process sends; those of other processes are found by asking.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { news, .. } => news.subscribe(),
            Queues::Sqs(sqs) => sqs.news.subscribe(),
        }
    }

    /// Takes up to `max` messages in hand, on SQS no more than ten; those not acknowledged come back after `visibility`.
    ///
    /// # Errors
    /// The queue fails.
    pub async fn receive(
        &self,
        queue: Queue,
        max: u32,
        visibility: Duration,
        now: Timestamp,
    ) -> Result<Vec<Message>, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite {
                file, max_receives, ..
            } => sqlite::receive(file, *max_receives, queue, max, visibility, now).await,
            Queues::Sqs(sqs) => sqs.receive(queue, max, visibility).await,
        }
    }

    /// Keeps a message in hand for `visibility` from now; false if somebody else has received it since.
    ///
    /// # Errors
    /// The queue fails.
    pub async fn extend(
        &self,
        message: &Message,
        visibility: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::extend(file, message, visibility, now).await,
            Queues::Sqs(sqs) => sqs.extend(message, visibility).await,
        }
    }

    /// Removes a message that was dealt with; false if somebody else has received it since, which SQS may not tell.
    ///
    /// # Errors
    /// The queue fails.
    pub async fn ack(&self, message: &Message) -> Result<bool, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::ack(file, message).await,
            Queues::Sqs(sqs) => sqs.ack(message).await,
        }
    }

    /// Gives a message back with the reason why it was not dealt with; if it was received too often, gives it up. SQS
    /// keeps no reasons, and gives messages up when they would be received once more.
    ///
    /// # Errors
    /// The queue fails.
    pub async fn nack(
        &self,
        message: &Message,
        delay: Duration,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite {
                file, max_receives, ..
            } => sqlite::nack(file, *max_receives, message, delay, reason, now).await,
            Queues::Sqs(sqs) => sqs.nack(message, delay).await,
        }
    }

    /// How full a queue is; SQS counts roughly.
    ///
    /// # Errors
    /// The queue fails.
    pub async fn depth(&self, queue: Queue, now: Timestamp) -> Result<Depth, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::depth(file, queue, now).await,
            Queues::Sqs(sqs) => sqs.depth(queue).await,
        }
    }

    /// Lists messages that were given up, of all queues, last first: by when they were given up, or, on SQS, sent.
    ///
    /// SQS has no way to look at messages but to receive them: nobody else can, for as long as this takes.
    ///
    /// # Errors
    /// The queues fail.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::dead_letters(file, limit).await,
            Queues::Sqs(sqs) => sqs.dead_letters(limit).await,
        }
    }

    /// When the next message of any queue can be received; `None` if all queues are empty, or cannot tell, as on SQS.
    ///
    /// # Errors
    /// The queues fail.
    pub async fn next_visible(&self) -> Result<Option<Timestamp>, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::next_visible(file).await,
            Queues::Sqs(_) => Ok(None),
        }
    }

    /// Puts a dead letter back on its queue, as if never received.
    ///
    /// # Errors
    /// There is no such dead letter, it belongs on no queue, or the queue fails.
    pub async fn redrive(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::redrive(file, id, now).await,
            Queues::Sqs(sqs) => sqs.redrive(id).await,
        }
    }

    /// Puts every dead letter back that belongs on a queue and tells how many there were.
    ///
    /// # Errors
    /// The queues fail.
    pub async fn redrive_all(&self, now: Timestamp) -> Result<usize, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::redrive_all(file, now).await,
            Queues::Sqs(sqs) => sqs.redrive_all(now).await,
        }
    }

    /// Removes some of the dead letters given up before `before` and tells how many. SQS removes them by itself.
    ///
    /// # Errors
    /// The queues fail.
    pub async fn expire(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Queues::Sqlite { file, .. } => sqlite::expire(file, before, limit).await,
            Queues::Sqs(_) => Ok(0),
        }
    }
}
