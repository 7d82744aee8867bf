use super::{Catalog, CatalogError};
use crate::clock::until;
use crate::store::{Outline, Store, StoreError};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a table's catalogue is good for without another look.
const FRESH: Duration = Duration::from_secs(3);
/// How long it is made do with while the table cannot be read: events never go by definitions that were changed longer
/// ago. After that they fail and are delivered again; without the table they would come to nothing anyway.
const USABLE: Duration = Duration::from_secs(5);
/// How long nobody asks again after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The catalogue that was last compiled.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: Option<Last>,
    failed: Option<(Moment, CatalogError)>,
}

#[derive(Debug)]
struct Last {
    catalog: Arc<Catalog>,
    /// When it was last known to be what is in force.
    checked: Option<Moment>,
}

/// A time by two clocks: one may stand while the process is frozen, the other may be set.
#[derive(Debug, Clone, Copy)]
struct Moment {
    instant: Instant,
    time: Timestamp,
}

impl Moment {
    fn new(time: Timestamp) -> Moment {
        Moment {
            instant: Instant::now(),
            time,
        }
    }

    /// Whether less than `span` has passed since, by either clock.
    fn is_within(&self, span: Duration, now: Timestamp) -> bool {
        now >= self.time && until(self.time, now) < span && self.instant.elapsed() < span
    }
}

/// Where definitions are read.
trait Source {
    /// How long nothing need be read; zero where reading costs next to nothing.
    fn fresh(&self) -> Duration;
    fn revision(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
    fn outline(&self) -> impl Future<Output = Result<Outline, StoreError>> + Send;
}

impl Source for Store {
    fn fresh(&self) -> Duration {
        match self {
            #[cfg(feature = "local")]
            Store::Sqlite(_) => Duration::ZERO,
            Store::DynamoDb(_) => FRESH,
        }
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        Store::revision(self).await
    }

    async fn outline(&self) -> Result<Outline, StoreError> {
        Store::outline(self).await
    }
}

impl Cache {
    /// What is in force.
    ///
    /// On one machine the store's revision is read each time, so an event that comes after a change was reported is
    /// matched with the change. On AWS it is read by the first event after three seconds, while others wait for it, and
    /// changes hold within five. Everything else is read and compiled only when the revision moved.
    pub(crate) async fn get(
        &self,
        store: &Store,
        now: Timestamp,
    ) -> Result<Arc<Catalog>, CatalogError> {
        self.get_from(store, now).await
    }

    /// Makes the next event look, whatever the time.
    pub(crate) async fn outdate(&self) {
        if let Some(last) = &mut self.0.lock().await.last {
            last.checked = None;
        }
    }

    async fn get_from(
        &self,
        source: &impl Source,
        now: Timestamp,
    ) -> Result<Arc<Catalog>, CatalogError> {
        let mut kept = self.0.lock().await;
        let fresh = source.fresh();
        if let Some(catalog) = kept.within(fresh, now) {
            return Ok(catalog);
        }
        if let Some((at, error)) = &kept.failed
            && !fresh.is_zero()
            && at.is_within(PAUSE, now)
        {
            return kept.within(USABLE, now).ok_or_else(|| error.clone());
        }
        // From before it is read: what is changed meanwhile is found the next time.
        let checked = Moment::new(now);
        match kept.read(source).await {
            Ok(catalog) => {
                kept.last = Some(Last {
                    catalog: Arc::clone(&catalog),
                    checked: Some(checked),
                });
                kept.failed = None;
                Ok(catalog)
            }
            Err(error) => {
                if kept.failed.is_none() {
                    tracing::warn!(error = %error, "the definitions cannot be read");
                }
                let usable = kept.within(USABLE, now).filter(|_| !fresh.is_zero());
                kept.failed = Some((Moment::new(now), error.clone()));
                usable.ok_or(error)
            }
        }
    }
}

impl Kept {
    /// The last catalogue, if it was checked no longer than this ago.
    fn within(&self, span: Duration, now: Timestamp) -> Option<Arc<Catalog>> {
        let last = self.last.as_ref()?;
        let good = last.checked.is_some_and(|at| at.is_within(span, now));
        good.then(|| Arc::clone(&last.catalog))
    }

    async fn read(&self, source: &impl Source) -> Result<Arc<Catalog>, CatalogError> {
        if let Some(last) = &self.last
            && source.revision().await? == last.catalog.revision
        {
            return Ok(Arc::clone(&last.catalog));
        }
        Ok(Arc::new(Catalog::new(source.outline().await?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::after;
    use crate::specimen::moment;
    use crate::store::Unread;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// Definitions that change only in number; counts how often it is read.
    #[derive(Debug, Default)]
    struct Table {
        revision: AtomicU64,
        reads: AtomicU64,
        broken: AtomicBool,
    }

    impl Table {
        async fn read(&self) -> Result<u64, StoreError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            match self.broken.load(Ordering::SeqCst) {
                false => Ok(self.revision.load(Ordering::SeqCst)),
                true => Err(StoreError::Transient {
                    reason: "the table is away".to_owned(),
                }),
            }
        }

        fn reads(&self) -> u64 {
            self.reads.swap(0, Ordering::SeqCst)
        }
    }

    impl Source for Table {
        fn fresh(&self) -> Duration {
            FRESH
        }

        async fn revision(&self) -> Result<u64, StoreError> {
            self.read().await
        }

        async fn outline(&self) -> Result<Outline, StoreError> {
            Ok(Outline {
                revision: self.read().await?,
                automations: Unread::here(Vec::new()),
                playbooks: Vec::new(),
                connections: Vec::new(),
                organization: None,
            })
        }
    }

    fn at(milliseconds: u64) -> Timestamp {
        after(moment(0), Duration::from_millis(milliseconds))
    }

    async fn revision(cache: &Cache, table: &Table, now: Timestamp) -> Option<u64> {
        let catalog = cache.get_from(table, now).await;
        catalog.ok().map(|catalog| catalog.revision)
    }

    #[tokio::test]
    async fn a_hundred_events_read_the_table_once_and_then_not_for_three_seconds() {
        let (cache, table) = (Cache::default(), Table::default());
        for (now, reads) in [(0, 1), (2_999, 0), (3_000, 1), (5_999, 0), (6_000, 1)] {
            let events = (0..100).map(|_| revision(&cache, &table, at(now)));
            let mut running: Vec<_> = events.map(Box::pin).collect();
            // All of them are under way at once.
            let all = std::future::poll_fn(|context| {
                running.retain_mut(|event| event.as_mut().poll(context).is_pending());
                match running.is_empty() {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            });
            all.await;
            assert_eq!(table.reads(), reads, "at {now}");
        }
    }

    #[tokio::test]
    async fn a_change_holds_within_five_seconds() {
        let (cache, table) = (Cache::default(), Table::default());
        assert_eq!(revision(&cache, &table, at(0)).await, Some(0));
        table.revision.store(1, Ordering::SeqCst);
        assert_eq!(revision(&cache, &table, at(2_999)).await, Some(0));
        assert_eq!(revision(&cache, &table, at(3_000)).await, Some(1));
    }

    #[tokio::test]
    async fn what_this_process_changed_holds_at_once() {
        let (cache, table) = (Cache::default(), Table::default());
        assert_eq!(revision(&cache, &table, at(0)).await, Some(0));
        table.revision.store(1, Ordering::SeqCst);
        cache.outdate().await;
        assert_eq!(revision(&cache, &table, at(1)).await, Some(1));
    }

    #[tokio::test]
    async fn while_the_table_is_away_the_last_is_good_for_five_seconds_in_all() {
        let (cache, table) = (Cache::default(), Table::default());
        assert_eq!(revision(&cache, &table, at(0)).await, Some(0));
        table.broken.store(true, Ordering::SeqCst);
        table.reads();
        for (now, told, reads) in [
            (2_999, Some(0), 0),
            (3_000, Some(0), 1),
            (3_500, Some(0), 0),
            (4_100, Some(0), 1),
            (5_000, None, 0),
            (5_100, None, 1),
            (5_200, None, 0),
        ] {
            assert_eq!(revision(&cache, &table, at(now)).await, told, "at {now}");
            assert_eq!(table.reads(), reads, "at {now}");
        }
        let error = cache.get_from(&table, at(5_300)).await.unwrap_err();
        assert!(error.is_transient());
        table.broken.store(false, Ordering::SeqCst);
        assert_eq!(revision(&cache, &table, at(6_200)).await, Some(0));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_makes_nothing_fresh() {
        let (cache, table) = (Cache::default(), Table::default());
        assert_eq!(revision(&cache, &table, at(9_000)).await, Some(0));
        table.revision.store(1, Ordering::SeqCst);
        assert_eq!(revision(&cache, &table, at(0)).await, Some(1));
    }

    #[tokio::test]
    async fn a_clock_that_stands_makes_nothing_fresh() {
        let (cache, table) = (Cache::default(), Table::default());
        assert_eq!(revision(&cache, &table, at(0)).await, Some(0));
        table.revision.store(1, Ordering::SeqCst);
        assert_eq!(revision(&cache, &table, at(0)).await, Some(0));
        let ago = Instant::now().checked_sub(FRESH).unwrap();
        let mut kept = cache.0.lock().await;
        let checked = kept.last.as_mut().unwrap().checked.as_mut().unwrap();
        checked.instant = ago;
        drop(kept);
        assert_eq!(revision(&cache, &table, at(0)).await, Some(1));
    }
}
