//! The two indexes: what there is by time, and what is due.
//!
//! Both trail the table by a moment. Lists may: they tell what was so a moment ago. Sweeps may as well: what they miss
//! they find a minute later, and what they find in vain is refused by the condition of the write that follows.

use super::DynamoDb;
use super::call::{Answer, Key, Request};
use super::item::{Attribute, Fields, number, text};
use crate::store::{Page, StoreError};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::VecDeque;
use tokio::task::JoinSet;

/// Partitions of each index and sort of item.
///
/// New entries come at the end of a partition, which takes 1,000 small writes a second: eight take more than 2,000 runs
/// or 4,000 findings a second, and a list costs eight queries at most.
const PARTITIONS: u64 = 8;
/// Entries that one query of a sweep yields at most.
const DUE_AT_ONCE: u32 = 1000;

/// The partition of both indexes that an item of this sort is in.
pub(super) fn partition(sort: &str, key: &Key) -> String {
    // FNV-1a: it stays the same over versions of everything.
    let seed = 0xcbf2_9ce4_8422_2325_u64;
    let names = key.pk.bytes().chain(key.sk.bytes());
    let hash = names.fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    partition_name(sort, (hash >> 32) % PARTITIONS)
}

fn partition_name(sort: &str, number: u64) -> String {
    format!("{sort}#{number}")
}

/// Which entries of a list are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    conditions: Vec<&'static str>,
    values: Vec<(&'static str, Attribute)>,
}

impl Listing {
    /// Wants only those for which this holds.
    pub(super) fn ask(&mut self, condition: &'static str, name: &'static str, value: Attribute) {
        self.conditions.push(condition);
        self.values.push((name, value));
    }
}

/// An entry of the index of what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: i64,
    pub(super) key: Key,
    /// How long sweeps leave it alone once it is due, in microseconds.
    pub(super) pause: i64,
}

impl DynamoDb {
    /// Keys of the items of this sort that are wanted, the newest first.
    pub(super) async fn listed(
        &self,
        sort: &str,
        listing: &Listing,
        page: Page,
    ) -> Result<Vec<Key>, StoreError> {
        let wanted = u64::from(page.skip) + u64::from(page.limit);
        if page.limit == 0 {
            return Ok(Vec::new());
        }
        // Without a filter, each partition holds about its share of what is wanted.
        let limit = match listing.conditions.is_empty() {
            true => Some(wanted / PARTITIONS * 5 / 4 + 8),
            false => None,
        };
        let mut partitions: Vec<Partition> = (0..PARTITIONS)
            .map(|number| Partition::new(self.listing(sort, number, listing, limit)))
            .collect();
        let mut found = Vec::new();
        for position in 0..wanted {
            self.fill(&mut partitions).await?;
            let newest = partitions
                .iter_mut()
                .filter(|partition| !partition.entries.is_empty())
                .max_by(|one, other| one.entries.front().cmp(&other.entries.front()));
            let Some(entry) = newest.and_then(|partition| partition.entries.pop_front()) else {
                break;
            };
            if position >= u64::from(page.skip) {
                found.push(entry.1);
            }
        }
        Ok(found)
    }

    fn listing(&self, sort: &str, number: u64, listing: &Listing, limit: Option<u64>) -> Request {
        let mut request = Request::query("#listed_in = :listed_in")
            .with("IndexName", "listed")
            .with("ScanIndexForward", false)
            .project("#pk, #sk, #listed_at")
            .value(":listed_in", text(partition_name(sort, number)))
            .values(listing.values.clone());
        if !listing.conditions.is_empty() {
            request = request.filter(listing.conditions.join(" AND "));
        }
        match limit {
            Some(limit) => request.with("Limit", limit),
            None => request,
        }
    }

    /// Asks for the next entries of all partitions that are at the end of theirs.
    async fn fill(&self, partitions: &mut Vec<Partition>) -> Result<(), StoreError> {
        if partitions.iter().all(Partition::is_ready) {
            return Ok(());
        }
        let mut tasks = JoinSet::new();
        for mut partition in partitions.drain(..) {
            let table = self.clone();
            tasks.spawn(async move {
                while !partition.is_ready() {
                    partition.next(&table).await?;
                }
                Ok::<_, StoreError>(partition)
            });
        }
        for done in tasks.join_all().await {
            partitions.push(done?);
        }
        Ok(())
    }

    /// Entries of this sort that are due by `until`, or ever, the most overdue first.
    pub(super) async fn due(
        &self,
        sort: &str,
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut tasks = JoinSet::new();
        for number in 0..PARTITIONS {
            let (table, request) = (self.clone(), due_in(sort, number, until));
            tasks.spawn(async move { table.due_of(request, limit).await });
        }
        let mut found = Vec::new();
        for part in tasks.join_all().await {
            found.extend(part?);
        }
        found.sort_by(|one, other| (one.at, &one.key).cmp(&(other.at, &other.key)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn due_of(&self, request: Request, limit: u32) -> Result<Vec<Due>, StoreError> {
        let mut found: Vec<Due> = Vec::new();
        let mut next = Some(request);
        while let Some(request) = next {
            let got = u32::try_from(found.len()).unwrap_or(u32::MAX);
            let left = limit.saturating_sub(got);
            if left == 0 {
                break;
            }
            let ask = request.clone();
            let ask = ask.with("Limit", u64::from(left.min(DUE_AT_ONCE)));
            let answer = self.plain(ask).await?;
            for item in &answer.items {
                let fields = Fields::of("entry of an index", item);
                found.push(Due {
                    at: fields.number("due_at")?,
                    key: Key::new(fields.text("pk")?, fields.text("sk")?),
                    pause: fields.maybe_number("pause").unwrap_or_default(),
                });
            }
            next = following(request, answer);
        }
        Ok(found)
    }

    /// How many entries of this sort there are in the index of what is due, whenever that is.
    pub(super) async fn count_due(&self, sort: &str) -> Result<u64, StoreError> {
        let mut tasks = JoinSet::new();
        for number in 0..PARTITIONS {
            let table = self.clone();
            let request = due_in(sort, number, None).with("Select", "COUNT");
            tasks.spawn(async move {
                let (mut count, mut next) = (0, Some(request));
                while let Some(request) = next {
                    let answer = table.plain(request.clone()).await?;
                    count += answer.count;
                    next = following(request, answer);
                }
                Ok::<u64, StoreError>(count)
            });
        }
        tasks.join_all().await.into_iter().sum()
    }
}

fn due_in(sort: &str, number: u64, until: Option<Timestamp>) -> Request {
    let condition = match until {
        Some(_) => "#due_in = :due_in AND #due_at <= :until",
        None => "#due_in = :due_in",
    };
    let request = Request::query(condition)
        .with("IndexName", "due")
        .value(":due_in", text(partition_name(sort, number)));
    match until {
        Some(until) => request.value(":until", self::number(until.as_microsecond())),
        None => request,
    }
}

/// The request for the page that follows this answer, if one does.
pub(super) fn following(request: Request, answer: Answer) -> Option<Request> {
    Some(request.after(answer.last_evaluated_key?))
}

/// What is known of one partition of a list.
struct Partition {
    /// By time and, where times are the same, by key; the last first.
    entries: VecDeque<(i64, Key)>,
    next: Option<Request>,
}

impl Partition {
    fn new(request: Request) -> Partition {
        Partition {
            entries: VecDeque::new(),
            next: Some(request),
        }
    }

    fn is_ready(&self) -> bool {
        !self.entries.is_empty() || self.next.is_none()
    }

    async fn next(&mut self, table: &DynamoDb) -> Result<(), StoreError> {
        let Some(request) = self.next.take() else {
            return Ok(());
        };
        let answer = table.plain(request.clone()).await?;
        let mut entries = Vec::new();
        for item in &answer.items {
            let fields = Fields::of("entry of an index", item);
            let key = Key::new(fields.text("pk")?, fields.text("sk")?);
            entries.push((fields.number("listed_at")?, key));
        }
        entries.sort_by(|one, other| Reverse(one).cmp(&Reverse(other)));
        self.entries = entries.into();
        self.next = following(request, answer);
        Ok(())
    }
}
