use super::batch::{Outgoing, batches};
use super::{BATCH, Place, Received, Sqs};
use crate::queue::{DeadLetter, Queue};
use crate::store::StoreError;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long dead letters stay in hand while they are looked through.
pub(super) const LOOK: Duration = Duration::from_secs(60);
/// Without a wait SQS asks some of its machines only, and may find nothing where there is something.
pub(super) const WAIT: Duration = Duration::from_secs(1);

impl Sqs {
    /// URL of the queue that a queue's redrive policy names, if it has one.
    pub(super) async fn dead<'a>(&self, place: &'a Place) -> Result<Option<&'a str>, StoreError> {
        let find = || async {
            let request = json!({"QueueUrl": &*place.url, "AttributeNames": ["RedrivePolicy"]});
            let answer = self.call("GetQueueAttributes", &request).await?;
            let Some(policy) = answer["Attributes"]["RedrivePolicy"].as_str() else {
                return Ok(None);
            };
            let policy: Value = serde_json::from_str(policy).unwrap_or_default();
            let arn = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
            // arn:aws:sqs:REGION:ACCOUNT:NAME
            let (Some(account), Some(name)) = (arn.split(':').nth(4), arn.split(':').nth(5)) else {
                return Ok(None);
            };
            let request = json!({"QueueName": name, "QueueOwnerAWSAccountId": account});
            let answer = self.call("GetQueueUrl", &request).await?;
            Ok(answer["QueueUrl"].as_str().map(str::to_owned))
        };
        let url = place.dead.get_or_try_init(find).await?;
        Ok(url.as_deref())
    }

    /// SQS has no way to look at messages but to receive them, so they are taken in hand for a moment and put back.
    /// When they were given up it does not tell.
    pub(in crate::queue) async fn dead_letters(
        &self,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let looked = self.each(|sqs, queue| async move { sqs.dead_letters_of(queue, limit).await });
        let (mut found, undelivered) = tokio::join!(looked, self.undelivered(limit));
        found.push(undelivered);
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut letters: Vec<_> = found.into_iter().flatten().collect();
        letters.sort_by(|one, other| other.sent.cmp(&one.sent).then(one.id.cmp(&other.id)));
        letters.truncate(limit);
        Ok(letters)
    }

    /// Does the same for every queue, for all at once: whoever looks for dead letters waits for them. Whatever comes of
    /// one, the others are done to the end, so that nothing stays in hand.
    async fn each<W>(&self, work: impl Fn(Sqs, Queue) -> W) -> Vec<W::Output>
    where
        W: Future<Output: Send> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for queue in self.queues.keys() {
            tasks.spawn(work(self.clone(), *queue));
        }
        tasks.join_all().await
    }

    async fn dead_letters_of(
        &self,
        queue: Queue,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let Some(url) = self.dead(self.place(queue)?).await? else {
            return Ok(Vec::new());
        };
        let take = |max| self.take(url, max, LOOK, WAIT);
        let taken = self.look_through(url, limit, take).await?;
        let letters = taken.into_iter().map(|message| DeadLetter {
            id: message.id,
            queue: Some(queue),
            body: message.body,
            received: message.received,
            sent: message.sent,
            died: None,
            reason: None,
        });
        Ok(letters.collect())
    }

    /// Takes messages in hand, so many at most, and puts them all back. `take` takes a few, so many at most.
    pub(super) async fn look_through<M, T>(
        &self,
        url: &str,
        limit: usize,
        take: impl Fn(usize) -> T,
    ) -> Result<Vec<M>, StoreError>
    where
        M: AsRef<Received>,
        T: Future<Output = Result<Vec<M>, StoreError>>,
    {
        let mut taken = Vec::new();
        let looked = async {
            while taken.len() < limit {
                let more = take(limit - taken.len()).await?;
                if more.is_empty() {
                    break;
                }
                taken.extend(more);
            }
            Ok(())
        };
        let looked = looked.await;
        self.put_back(url, &taken).await;
        looked.map(|()| taken)
    }

    /// Takes the message with this id in hand, and puts all others back. `take` takes a few, so many at most.
    pub(super) async fn find<M, T>(
        &self,
        url: &str,
        id: &str,
        take: impl Fn(usize) -> T,
    ) -> Result<Option<M>, StoreError>
    where
        M: AsRef<Received>,
        T: Future<Output = Result<Vec<M>, StoreError>>,
    {
        let mut others = Vec::new();
        let found = async {
            loop {
                let taken = take(BATCH).await?;
                if taken.is_empty() {
                    return Ok(None);
                }
                let mut found = None;
                for message in taken {
                    match message.as_ref().id == id {
                        true => found = Some(message),
                        false => others.push(message),
                    }
                }
                if found.is_some() {
                    return Ok(found);
                }
            }
        };
        let found = found.await;
        self.put_back(url, &others).await;
        found
    }

    /// What cannot be put back now comes back by itself.
    pub(super) async fn put_back<'a, M: AsRef<Received> + 'a>(
        &self,
        url: &str,
        taken: impl IntoIterator<Item = &'a M>,
    ) {
        for message in taken {
            let message = message.as_ref();
            if let Err(error) = self.see_again(url, &message.receipt, Duration::ZERO).await {
                tracing::warn!(message.id = %message.id, error = %error, "a dead letter could not be put back");
            }
        }
    }

    pub(in crate::queue) async fn redrive(&self, id: &str) -> Result<(), StoreError> {
        let looked = self.each(|sqs, queue| {
            let id = id.to_owned();
            async move { sqs.redrive_of(queue, &id).await }
        });
        let (mut looked, undelivered) = tokio::join!(looked, self.redrive_undelivered(id));
        looked.push(undelivered);
        if looked.iter().any(|found| matches!(found, Ok(true))) {
            return Ok(());
        }
        looked.into_iter().collect::<Result<Vec<_>, _>>()?;
        Err(StoreError::Missing {
            what: "dead letter",
            name: id.to_owned(),
        })
    }

    /// Whether the letter was among those of this queue.
    async fn redrive_of(&self, queue: Queue, id: &str) -> Result<bool, StoreError> {
        let place = self.place(queue)?;
        let Some(url) = self.dead(place).await? else {
            return Ok(false);
        };
        let take = |max| self.take(url, max, LOOK, WAIT);
        let Some(found) = self.find(url, id, take).await? else {
            return Ok(false);
        };
        self.move_back(place, url, vec![found]).await?;
        Ok(true)
    }

    /// Those that die again meanwhile are left where they are.
    pub(in crate::queue) async fn redrive_all(&self, now: Timestamp) -> Result<usize, StoreError> {
        let moved = self.each(|sqs, queue| async move { sqs.redrive_all_of(queue, now).await });
        let (mut moved, undelivered) = tokio::join!(moved, self.redrive_all_undelivered(now));
        moved.push(undelivered);
        moved.into_iter().sum()
    }

    async fn redrive_all_of(&self, queue: Queue, now: Timestamp) -> Result<usize, StoreError> {
        let place = self.place(queue)?;
        let Some(url) = self.dead(place).await? else {
            return Ok(0);
        };
        let mut moved = 0;
        loop {
            let taken = self.take(url, BATCH, LOOK, WAIT).await?;
            let (old, new): (Vec<_>, Vec<_>) =
                taken.into_iter().partition(|message| message.queued <= now);
            self.put_back(url, &new).await;
            if old.is_empty() {
                return Ok(moved);
            }
            moved += old.len();
            self.move_back(place, url, old).await?;
        }
    }

    /// Sends letters to the queue they came from and only then removes them: a crash between makes twins, no loss.
    pub(super) async fn move_back(
        &self,
        place: &Place,
        dead: &str,
        letters: Vec<Received>,
    ) -> Result<(), StoreError> {
        let outgoing = letters.iter().map(|letter| {
            let outgoing = Outgoing::new(letter.body.as_bytes(), Duration::ZERO)?;
            Ok(outgoing.first_sent(letter.sent))
        });
        for batch in batches(outgoing.collect::<Result<_, _>>()?) {
            let sent = self.send_batch(&place.url, batch).await;
            sent.into_iter().collect::<Result<(), StoreError>>()?;
        }
        for letter in letters {
            self.delete(dead, &letter.receipt).await?;
        }
        self.news.send_replace(());
        Ok(())
    }
}
