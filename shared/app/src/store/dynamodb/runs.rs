use super::body::Packed;
use super::call::{Key, Reading, Refused, Request, object};
use super::findings::name;
use super::index::{Due, Listing};
use super::item::{Fields, Item, flag, micros, number, text};
use super::journal::{self, Line};
use super::parts::{Place, is_apart};
use super::{DynamoDb, index, token};
use crate::clock::after;
use crate::run::{Entry, Event, Run, RunState, StartedBy};
use crate::store::encoding::{from_json, to_json};
use crate::store::{Claim, Expired, Lease, Page, RunFilter, RunStage, Standing, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Most bytes of a run's own body that are kept in its item, which every write of a worker pays for.
const INLINE: usize = 6 << 10;
/// How long a run is left alone that a sweep took up, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// Runs that a sweep marks at once.
const MARKERS: usize = 16;
/// Runs that a list asks for at once.
const AT_ONCE: usize = 100;
/// Most bytes of a run's id: longer ones are none.
const LONGEST_ID: usize = 256;

const RUN: &str = "run";
const UNFINISHED: &str = "#stage IN (:queued, :running, :waiting)";
const HELD: &str = "#fence = :fence AND attribute_exists(#owner)";

impl DynamoDb {
    pub(crate) async fn create_run(&self, run: &Run) -> Result<bool, StoreError> {
        let Some(key) = key(&run.id) else {
            return Err(StoreError::Permanent {
                reason: format!("`{}` cannot be the id of a run", run.id),
            });
        };
        let place = Place::of_run(&run.id);
        let body = Packed::of(to_json(run));
        let body = self
            .keep(body, Some(INLINE), &place, self.far(run.created))
            .await?;
        let token = token()?;
        let mut item = key.attributes();
        let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
        set("stage", text(RunStage::of(&run.state).name()));
        set("state", text(to_json(&run.state)));
        set("created", micros(run.created));
        set("updated", micros(run.updated));
        set("fence", number(0));
        set("last", text(&token));
        set("journal", json!({"L": []}));
        set("length", number(0));
        if is_apart(&body) {
            set("apart", flag(true));
        }
        set("body", body.clone());
        set("listed_in", text(index::partition(RUN, &key)));
        set("listed_at", micros(run.created));
        set("finding", text(name(&run.finding.id)));
        set("playbook", text(&run.playbook));
        if let StartedBy::Automation { name, .. } = &run.started_by {
            set("automation", text(name));
        }
        match due(&run.state, run.created) {
            Some(due) => {
                set("due_in", text(index::partition(RUN, &key)));
                set("due_at", micros(due));
            }
            None => {
                set("expires", number(self.expiry(run.updated)));
            }
        }
        if let RunState::Waiting { until, .. } = &run.state {
            set("until", micros(*until));
        }
        let put = Request::put(item).only_if("attribute_not_exists(#pk)");
        match self.call(put).await {
            Ok(_) => Ok(true),
            Err(Refused::Condition(found)) => {
                // Ours, if the answer to it was lost and it was sent again.
                if is_ours(found.as_ref(), &token) {
                    return Ok(true);
                }
                self.discard(&body, &place).await;
                Ok(false)
            }
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(None);
        };
        match self.item(&key).await? {
            Some(item) => self.whole(&item).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn runs_by_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        if prefix.is_empty()
            || prefix.len() > LONGEST_ID
            || !prefix.chars().all(|digit| digit.is_ascii_hexdigit())
        {
            return Ok(Vec::new());
        }
        let prefix = prefix.to_ascii_lowercase();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut runs = Vec::new();
        for pk in partitions(&prefix) {
            let request = Request::query("#pk = :pk AND begins_with(#sk, :prefix)")
                .with("ConsistentRead", true)
                .value(":pk", text(pk))
                .value(":prefix", text(&prefix));
            let mut next = Some(request);
            while let Some(request) = next
                && runs.len() < limit
            {
                let ask = request.clone().with("Limit", limit - runs.len());
                let mut answer = self.plain(ask).await?;
                for item in index::items(&mut answer) {
                    runs.push(self.whole(&item).await?);
                }
                next = index::following(request, &mut answer);
            }
        }
        Ok(runs)
    }

    pub(crate) async fn runs(
        &self,
        filter: &RunFilter,
        page: Page,
    ) -> Result<Vec<Run>, StoreError> {
        let keys = self.listed(RUN, &listing(filter), page).await?;
        let reading = Reading {
            consistent: false,
            at_once: AT_ONCE,
            attributes: Some("#pk, #sk, #body, #state, #updated"),
        };
        let mut items: HashMap<Key, Item> = self
            .items(&keys, &reading)
            .await?
            .into_iter()
            .filter_map(|item| Some((Key::of(&item)?, item)))
            .collect();
        let mut runs = Vec::with_capacity(items.len());
        for key in keys {
            let Some(item) = items.remove(&key) else {
                continue;
            };
            let run = self.whole(&item).await?;
            // The index may tell the stage of a moment ago.
            if filter
                .stage
                .is_none_or(|stage| RunStage::of(&run.state) == stage)
            {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    pub(crate) async fn claim_run(
        &self,
        id: &str,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let Some(key) = key(id) else {
            return Ok(Claim::Missing);
        };
        let (until, token) = (after(now, lease), token()?);
        let claim = Request::update(&key)
            .change(
                "SET #stage = :running, #state = :state, #owner = :owner, #fence = #fence + :one, #last = :token, \
                 #leased_until = :until, #due_at = if_not_exists(#pause, :zero) + :until, #updated = :now REMOVE #until",
            )
            .only_if(&format!(
                "{UNFINISHED} AND (attribute_not_exists(#leased_until) OR #leased_until <= :now) \
                 AND (attribute_not_exists(#until) OR #until <= :now)"
            ))
            .with("ReturnValues", "ALL_NEW")
            .values(stages())
            .value(":state", text(to_json(&RunState::Running)))
            .value(":owner", text(owner))
            .value(":one", number(1))
            .value(":zero", number(0))
            .value(":token", text(&token))
            .value(":until", micros(until))
            .value(":now", micros(now));
        let item = match self.call(claim).await {
            Ok(answer) => object(answer, "Attributes").unwrap_or_default(),
            Err(Refused::Condition(None)) => return Ok(Claim::Missing),
            // Ours, if the answer to it was lost and it was sent again.
            Err(Refused::Condition(Some(item))) if is_ours(Some(&item), &token) => item,
            Err(Refused::Condition(Some(item))) => return self.unclaimed(&item, now).await,
            Err(Refused::Store(error)) => return Err(error),
        };
        let fence = Fields::of(RUN, &item).count("fence")?;
        Ok(Claim::Held {
            lease: Lease {
                run_id: id.to_owned(),
                fence,
                until,
            },
            run: self.whole(&item).await?,
            journal: self.lines(id, &item, Some(now)).await?,
        })
    }

    /// Why a run was not to be had.
    async fn unclaimed(&self, item: &Item, now: Timestamp) -> Result<Claim, StoreError> {
        let fields = Fields::of(RUN, item);
        if stage(item)?.is_finished() {
            return self.whole(item).await.map(Claim::Finished);
        }
        let later = |name: &str| fields.maybe_time(name).filter(|until| *until > now);
        if let Some(until) = later("leased_until") {
            return Ok(Claim::Busy { until });
        }
        if let Some(until) = later("until") {
            return Ok(Claim::Waiting { until });
        }
        Err(StoreError::Transient {
            reason: "a run can neither be claimed nor told why".into(),
        })
    }

    pub(crate) async fn extend_lease(
        &self,
        lease: &Lease,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(&lease.run_id).ok_or_else(|| lost(lease))?;
        let extend = Request::update(&key)
            .change("SET #leased_until = :until, #due_at = if_not_exists(#pause, :zero) + :until")
            .only_if(HELD)
            .with("ReturnValuesOnConditionCheckFailure", "NONE")
            .value(":fence", number(lease.fence))
            .value(":until", micros(until))
            .value(":zero", number(0));
        match self.call(extend).await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(_)) => Err(lost(lease)),
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn settle(
        &self,
        lease: &Lease,
        state: &RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(&lease.run_id).ok_or_else(|| lost(lease))?;
        let token = token()?;
        let mut set =
            "SET #stage = :stage, #state = :state, #updated = :now, #last = :token".to_owned();
        let mut remove = "REMOVE #owner, #leased_until, #pause".to_owned();
        let mut settle = Request::update(&key)
            .value(":fence", number(lease.fence))
            .value(":stage", text(RunStage::of(state).name()))
            .value(":state", text(to_json(state)))
            .value(":now", micros(now))
            .value(":token", text(&token));
        let due = due(state, now);
        match due {
            Some(due) => {
                set.push_str(", #due_at = :due");
                settle = settle.value(":due", micros(due));
            }
            None => {
                set.push_str(", #expires = :expires");
                remove.push_str(", #due_in, #due_at");
                settle = settle.value(":expires", number(self.expiry(now)));
            }
        }
        if let RunState::Waiting { until, .. } = state {
            set.push_str(", #until = :until");
            settle = settle.value(":until", micros(*until));
        }
        settle = settle.change(&format!("{set} {remove}"));
        // What lies beside a run's item is told first when it may go; nearly no run has any.
        let mut alone = due.is_none();
        loop {
            let condition = match alone {
                true => format!("{HELD} AND attribute_not_exists(#apart)"),
                false => HELD.to_owned(),
            };
            match self.call(settle.clone().only_if(&condition)).await {
                Ok(_) => return Ok(()),
                Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => return Ok(()),
                Err(Refused::Condition(Some(item))) if alone && is_held(&item, lease) => {
                    self.keep_apart(&lease.run_id, self.beyond(self.expiry(now)))
                        .await?;
                    alone = false;
                }
                Err(Refused::Condition(_)) => return Err(lost(lease)),
                Err(Refused::Store(error)) => return Err(error),
            }
        }
    }

    pub(crate) async fn requeue_run(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(None);
        };
        let Some(item) = self.item(&key).await? else {
            return Ok(None);
        };
        if stage(&item)? != RunStage::Failed {
            return Ok(None);
        }
        if Fields::of(RUN, &item).flag("apart") {
            self.keep_apart(id, self.far(now)).await?;
        }
        let line = Line::of(&Entry {
            path: String::new(),
            attempt: 0,
            at: now,
            event: Event::Reopened,
        });
        let token = token()?;
        let requeue = Request::update(&key)
            .change(
                "SET #stage = :queued, #state = :state, #updated = :now, #due_in = :due_in, #due_at = :now, \
                 #journal = list_append(#journal, :lines), #length = #length + :length, #last = :token \
                 REMOVE #expires, #pause, #until",
            )
            .only_if("#stage = :failed")
            .with("ReturnValues", "ALL_NEW")
            .value(":queued", text(RunStage::Queued.name()))
            .value(":failed", text(RunStage::Failed.name()))
            .value(":state", text(to_json(&RunState::Queued)))
            .value(":now", micros(now))
            .value(":due_in", text(index::partition(RUN, &key)))
            .value(":lines", json!({"L": [line.value()]}))
            .value(":length", number(line.len()))
            .value(":token", text(&token));
        let item = match self.call(requeue).await {
            Ok(answer) => object(answer, "Attributes").unwrap_or_default(),
            Err(Refused::Condition(Some(item))) if is_ours(Some(&item), &token) => item,
            Err(Refused::Condition(_)) => return Ok(None),
            Err(Refused::Store(error)) => return Err(error),
        };
        self.whole(&item).await.map(Some)
    }

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
        let put_off = Request::update(&entry.key)
            .change("SET #due_at = :next, #pause = :pause")
            // Absent once it is finished, and later once somebody holds it or it waits.
            .only_if("#due_at <= :before")
            .with("ReturnValuesOnConditionCheckFailure", "NONE")
            .value(":next", micros(after(now, pause)))
            .value(":pause", number(pause.as_micros()))
            .value(":before", micros(before));
        match self.call(put_off).await {
            Ok(_) => Ok(true),
            Err(Refused::Condition(_)) => Ok(false),
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

    pub(crate) async fn append(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        let key = key(&lease.run_id).ok_or_else(|| lost(lease))?;
        let line = self.line(&lease.run_id, entry).await?;
        let token = token()?;
        let append = Request::update(&key)
            .change(
                "SET #journal = list_append(#journal, :lines), #length = #length + :length, #last = :token",
            )
            .only_if(&format!("{HELD} AND #length < :room"))
            .value(":room", number(journal::ROOM));
        let append = match line.is_apart() {
            true => append
                .change(
                    "SET #journal = list_append(#journal, :lines), #length = #length + :length, #last = :token, #apart = :yes",
                )
                .value(":yes", flag(true)),
            false => append,
        };
        let append = appended(append, lease, &line, &token);
        let found = match self.call(append).await {
            Ok(_) => return Ok(()),
            Err(Refused::Condition(found)) => found,
            Err(Refused::Store(error)) => return Err(error),
        };
        // Ours, if the answer to it was lost and it was sent again.
        if is_ours(found.as_ref(), &token) {
            return Ok(());
        }
        let Some(item) = found.filter(|item| is_held(item, lease)) else {
            return Err(lost(lease));
        };
        self.turn_page(&key, lease, &item, &line).await
    }

    /// Moves what a run's item holds of its journal to a page of its own, and begins anew with this line.
    async fn turn_page(
        &self,
        key: &Key,
        lease: &Lease,
        item: &Item,
        line: &Line,
    ) -> Result<(), StoreError> {
        let fields = Fields::of(RUN, item);
        let page = self
            .page(
                &lease.run_id,
                fields.list("journal"),
                self.far(fields.time("updated")?),
            )
            .await?;
        let token = token()?;
        let turn = Request::update(key)
            .change(
                "SET #journal = :lines, #length = :length, #last = :token, #apart = :yes, \
                 #pages = list_append(if_not_exists(#pages, :none), :page)",
            )
            // The page holds the journal as it was: nothing may have come to it since.
            .only_if(&format!("{HELD} AND #last = :before"))
            .value(":before", text(fields.text("last")?))
            .value(":yes", flag(true))
            .value(":none", json!({"L": []}))
            .value(":page", json!({"L": [text(page)]}));
        match self.call(appended(turn, lease, line, &token)).await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => Ok(()),
            Err(Refused::Condition(_)) => Err(lost(lease)),
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn journal(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(Vec::new());
        };
        match self.item(&key).await? {
            Some(item) => self.lines(id, &item, None).await,
            None => Ok(Vec::new()),
        }
    }

    /// Removes nothing: every item carries the time after which DynamoDB removes it, as a rule within two days and free
    /// of charge, so there is nothing left to do.
    #[expect(
        clippy::unused_async,
        reason = "a store in a file has something to do here"
    )]
    pub(crate) async fn expire(
        &self,
        _before: Timestamp,
        _limit: u32,
    ) -> Result<Expired, StoreError> {
        Ok(Expired::default())
    }

    /// The run of an item, with its body wherever that is.
    async fn whole(&self, item: &Item) -> Result<Run, StoreError> {
        let fields = Fields::of(RUN, item);
        let id = fields.text("sk")?;
        let body = item.get("body").unwrap_or(&Value::Null);
        // A run's body never changes, so it is there as long as the run is.
        let Some(body) = self.body(RUN, body, &Place::of_run(id)).await? else {
            return Err(StoreError::Permanent {
                reason: format!("a part of run `{id}` is not there"),
            });
        };
        let mut run: Run = from_json(RUN, &body)?;
        run.state = from_json("run's state", fields.text("state")?)?;
        run.updated = fields.time("updated")?;
        Ok(run)
    }
}

impl Place {
    fn of_run(id: &str) -> Place {
        Place {
            pk: format!("parts#run#{id}"),
            role: "body".into(),
        }
    }
}

/// Where a run is; none if no run has such an id.
///
/// The first two digits make the partition, so that those whose ids begin alike lie together and in order.
fn key(id: &str) -> Option<Key> {
    if id.is_empty() || id.len() > LONGEST_ID {
        return None;
    }
    let start: String = id.chars().take(2).collect();
    Some(Key::new(format!("run#{start}"), id))
}

/// The partitions, in order, in which ids begin so.
fn partitions(prefix: &str) -> Vec<String> {
    if prefix.len() >= 2 {
        return vec![format!("run#{}", &prefix[..2])];
    }
    let digits = "0123456789abcdef".chars();
    let longer = digits.map(|digit| format!("run#{prefix}{digit}"));
    std::iter::once(format!("run#{prefix}"))
        .chain(longer)
        .collect()
}

/// When somebody should take up a run in this state, which it came to at `since`.
fn due(state: &RunState, since: Timestamp) -> Option<Timestamp> {
    match state {
        RunState::Queued | RunState::Running => Some(since),
        RunState::Waiting { until, .. } => Some(*until),
        RunState::Succeeded | RunState::Stopped { .. } | RunState::Failed { .. } => None,
    }
}

fn stages() -> [(String, Value); 3] {
    [RunStage::Queued, RunStage::Running, RunStage::Waiting]
        .map(|stage| (format!(":{}", stage.name()), text(stage.name())))
}

fn stage(item: &Item) -> Result<RunStage, StoreError> {
    let name = Fields::of(RUN, item).text("stage")?;
    let mut stages = RunStage::ALL.into_iter();
    stages
        .find(|stage| stage.name() == name)
        .ok_or_else(|| StoreError::Permanent {
            reason: format!("a stored run is `{name}`, which this program does not know"),
        })
}

fn listing(filter: &RunFilter) -> Listing {
    let mut listing = Listing::default();
    if let Some(finding) = &filter.finding {
        listing.ask("#finding = :finding", ":finding", text(name(finding)));
    }
    if let Some(automation) = &filter.automation {
        listing.ask("#automation = :automation", ":automation", text(automation));
    }
    if let Some(playbook) = &filter.playbook {
        listing.ask("#playbook = :playbook", ":playbook", text(playbook));
    }
    if let Some(stage) = filter.stage {
        listing.ask("#stage = :stage", ":stage", text(stage.name()));
    }
    listing
}

fn appended(request: Request, lease: &Lease, line: &Line, token: &str) -> Request {
    request
        .value(":fence", number(lease.fence))
        .value(":lines", json!({"L": [line.value()]}))
        .value(":length", number(line.len()))
        .value(":token", text(token))
}

/// Whether the last write to an item was the one with this token.
fn is_ours(item: Option<&Item>, token: &str) -> bool {
    item.is_some_and(|item| Fields::of(RUN, item).maybe_text("last") == Some(token))
}

fn is_held(item: &Item, lease: &Lease) -> bool {
    let fields = Fields::of(RUN, item);
    let fence = fields.count("fence").ok();
    fields.has("owner") && fence == Some(lease.fence)
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::LeaseLost {
        run: lease.run_id.clone(),
    }
}
