//! Queues that lose no message: whoever receives one has it for a while, and gives it back by doing nothing.

mod sqlite;

use crate::store::{Sqlite, Store, StoreError};
use jiff::Timestamp;
use quench_findings::Kind;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::watch;

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
    /// Nobody receives it earlier than this from now.
    pub delay: Duration,
    /// While a message with the same key still waits to be received, another is not added; the earlier time holds.
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

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id it had in life.
    pub id: String,
    /// Where it came from.
    pub queue: Queue,
    /// What was sent, as far as it is text.
    pub body: String,
    /// How many times it was received.
    pub received: u32,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it was given up.
    pub died: Timestamp,
    /// Why the last one who had it in hand failed, if that was told.
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
#[derive(Debug, Clone)]
pub enum Queues {
    /// In the file of the store.
    Sqlite {
        /// That file.
        file: Sqlite,
        /// After so many deliveries in vain a message is given up.
        max_receives: u32,
        /// Marked changed with every message that this process sends.
        news: watch::Sender<()>,
    },
}

impl Queues {
    /// The queues that live beside the store.
    pub fn beside(store: &Store, max_receives: u32) -> Queues {
        let Store::Sqlite(file) = store;
        Queues::Sqlite {
            file: file.clone(),
            max_receives,
            news: watch::Sender::new(()),
        }
    }

    /// Sends a message; it is safe once this returns.
    ///
    /// # Errors
    /// The store fails.
    pub async fn send(
        &self,
        queue: Queue,
        body: &[u8],
        sending: Sending,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outgoing = vec![(body.to_owned(), sending)];
        self.send_all(queue, outgoing, now).await
    }

    /// Sends several messages; they are safe, all or none, once this returns.
    ///
    /// # Errors
    /// The store fails.
    pub async fn send_all(
        &self,
        queue: Queue,
        outgoing: Vec<(Vec<u8>, Sending)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Queues::Sqlite { file, news, .. } = self;
        sqlite::send(file, queue, outgoing, now).await?;
        news.send_replace(());
        Ok(())
    }

    /// Hears of every message that this process sends; those of other processes are found by asking.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        let Queues::Sqlite { news, .. } = self;
        news.subscribe()
    }

    /// Takes up to `max` messages in hand; those not acknowledged come back after `visibility`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn receive(
        &self,
        queue: Queue,
        max: u32,
        visibility: Duration,
        now: Timestamp,
    ) -> Result<Vec<Message>, StoreError> {
        let Queues::Sqlite {
            file, max_receives, ..
        } = self;
        sqlite::receive(file, *max_receives, queue, max, visibility, now).await
    }

    /// Keeps a message in hand for `visibility` from now; false if somebody else has received it since.
    ///
    /// # Errors
    /// The store fails.
    pub async fn extend(
        &self,
        message: &Message,
        visibility: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::extend(file, message, visibility, now).await
    }

    /// Removes a message that was dealt with; false if somebody else has received it since.
    ///
    /// # Errors
    /// The store fails.
    pub async fn ack(&self, message: &Message) -> Result<bool, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::ack(file, message).await
    }

    /// Gives a message back with the reason why it was not dealt with; if it was received too often, gives it up.
    ///
    /// # Errors
    /// The store fails.
    pub async fn nack(
        &self,
        message: &Message,
        delay: Duration,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Queues::Sqlite {
            file, max_receives, ..
        } = self;
        sqlite::nack(file, *max_receives, message, delay, reason, now).await
    }

    /// How full a queue is.
    ///
    /// # Errors
    /// The store fails.
    pub async fn depth(&self, queue: Queue, now: Timestamp) -> Result<Depth, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::depth(file, queue, now).await
    }

    /// Lists the messages that were given up, of all queues, last first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::dead_letters(file, limit).await
    }

    /// When the next message of any queue can be received; `None` if all queues are empty.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next_visible(&self) -> Result<Option<Timestamp>, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::next_visible(file).await
    }

    /// Puts a dead letter back on its queue, as if never received.
    ///
    /// # Errors
    /// There is no such dead letter, or the store fails.
    pub async fn redrive(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::redrive(file, id, now).await
    }

    /// Puts every dead letter back on its queue and tells how many there were.
    ///
    /// # Errors
    /// The store fails.
    pub async fn redrive_all(&self, now: Timestamp) -> Result<usize, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::redrive_all(file, now).await
    }

    /// Removes some of the dead letters given up before `before` and tells how many.
    ///
    /// # Errors
    /// The store fails.
    pub async fn expire(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let Queues::Sqlite { file, .. } = self;
        sqlite::expire(file, before, limit).await
    }
}
