//! Which runs somebody should take up, and how far runs are.

use super::{AT_ONCE, RUN, key, stage};
use crate::clock::after;
use crate::store::dynamodb::call::{Key, Reading, Refused, Request};
use crate::store::dynamodb::index::Due;
use crate::store::dynamodb::item::{Fields, micros, number, text};
use crate::store::dynamodb::{DynamoDb, token};
use crate::store::{Standing, StoreError};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long a run is left alone that a sweep took up, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// Runs that a sweep marks at once.
const MARKERS: usize = 16;

impl DynamoDb {
    pub(crate) async fn due_runs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let due = self.due(RUN, Some(now), limit).await?;
        Ok(due.into_iter().map(|entry| entry.key.sk).collect())
    }

    pub(crate) async fn take_due_runs(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let slots = Arc::new(Semaphore::new(MARKERS));
        let mut tasks = JoinSet::new();
        for (position, entry) in self
            .due(RUN, Some(before), limit)
            .await?
            .into_iter()
            .enumerate()
        {
            let (table, slots) = (self.clone(), Arc::clone(&slots));
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let taken = table.put_off(&entry, before, now).await?;
                Ok::<_, StoreError>(taken.then_some((position, entry.key.sk)))
            });
        }
        let (mut taken, mut failed) = (Vec::new(), None);
        for done in tasks.join_all().await {
            match done {
                Ok(run) => taken.extend(run),
                Err(error) => failed = Some(error),
            }
        }
        // Those that were put off are to be sent: otherwise they would wait for nothing.
        if let Some(error) = failed {
            if taken.is_empty() {
                return Err(error);
            }
            tracing::warn!(error = %error, "some due runs could not be taken up");
        }
        taken.sort_unstable();
        Ok(taken.into_iter().map(|(_, run)| run).collect())
    }

    /// Has sweeps leave a run alone for a while; false if it is not due any more.
    async fn put_off(
        &self,
        entry: &Due,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let pause = Duration::from_micros(u64::try_from(entry.pause).unwrap_or_default()) * 2;
        let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let token = token()?;
        let put_off = Request::update(&entry.key)
            .change("SET #due_at = :next, #pause = :pause, #sweep = :token")
            // Absent once it is finished, and later once somebody holds it or it waits.
            .only_if("#due_at <= :before")
            .value(":token", text(&token))
            .value(":next", micros(after(now, pause)))
            .value(":pause", number(pause.as_micros()))
            .value(":before", micros(before));
        match self.call(put_off).await {
            Ok(_) => Ok(true),
            // Ours, if the answer to it was lost and it was sent again.
            Err(Refused::Condition(found)) => Ok(found.is_some_and(|item| {
                let sweep = Fields::of(RUN, &item).maybe_text("sweep");
                sweep == Some(token.as_str())
            })),
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let first = self.due(RUN, None, 1).await?;
        Ok(first
            .first()
            .and_then(|entry| Timestamp::from_microsecond(entry.at).ok()))
    }

    pub(crate) async fn unfinished(&self) -> Result<u64, StoreError> {
        self.count_due(RUN).await
    }

    pub(crate) async fn standing(
        &self,
        runs: &[String],
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let keys: BTreeSet<Key> = runs.iter().filter_map(|id| key(id)).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let reading = Reading {
            consistent: true,
            at_once: AT_ONCE,
            attributes: Some("#stage, #leased_until, #until, #updated"),
        };
        let mut standing = Standing::default();
        for item in self.items(&keys, &reading).await? {
            if stage(&item)?.is_finished() {
                continue;
            }
            let fields = Fields::of(RUN, &item);
            let leased_until = fields.maybe_time("leased_until");
            let next = match leased_until.or(fields.maybe_time("until")) {
                Some(next) => next,
                None => fields.time("updated")?,
            };
            standing.unfinished += 1;
            standing.held += u64::from(leased_until.is_some_and(|until| until > now));
            standing.next = Some(standing.next.map_or(next, |first| first.min(next)));
        }
        Ok(standing)
    }
}
