mod cause;
mod hold;
mod sweep;
mod wake;

use super::body::Packed;
use super::call::{Key, Reading, Refused, Request};
use super::findings::name;
use super::index::Listing;
use super::item::{Attribute, Fields, Item, flag, micros, number, text};
use super::journal::Line;
use super::parts::{Place, is_apart};
use super::{DynamoDb, index, token};
use crate::run::{Entry, Event, Run, RunState, StartedBy};
use crate::store::encoding::{from_json, to_json};
use crate::store::{Expired, Page, RunFilter, RunStage, StoreError};
use cause::Cause;
use jiff::Timestamp;

/// Most bytes of a run's own body that are kept in its item, which every write of a worker pays for.
const INLINE: usize = 6 << 10;
/// Runs that a list asks for at once.
const AT_ONCE: usize = 100;
/// Most bytes of a run's id: longer ones are none.
const LONGEST_ID: usize = 256;

const RUN: &str = "run";

impl DynamoDb {
    pub(crate) async fn create_run(&self, run: &Run) -> Result<bool, StoreError> {
        let Some(key) = key(&run.id) else {
            return Err(StoreError::Permanent {
                reason: format!("`{}` cannot be the id of a run", run.id),
            });
        };
        let place = Place::of_run(&run.id);
        let far = self.far(run.created);
        let body = Packed::of(to_json(&Cause::of(run)));
        let room = INLINE.saturating_sub(body.len());
        let body = self.keep(body, Some(INLINE), &place, far).await?;
        let finding = self.recent.packed(&run.finding);
        let finding = self.keep(finding, Some(room), &place, far).await?;
        let token = token()?;
        let mut item = key.attributes();
        let mut set = |name: &'static str, value| item.insert(name.into(), value);
        set("stage", text(RunStage::of(&run.state).name()));
        set("state", text(to_json(&run.state)));
        set("created", micros(run.created));
        set("updated", micros(run.updated));
        set("fence", number(0));
        set("last", text(&token));
        set("journal", Attribute::List(Vec::new()));
        set("length", number(0));
        if is_apart(&body) || is_apart(&finding) {
            set("apart", flag(true));
        }
        set("body", body.clone());
        set("subject", finding.clone());
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
                self.discard(&finding, &place).await;
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
        let mut runs = Vec::new();
        for item in self.by_prefix(RUN, prefix, limit).await? {
            runs.push(self.whole(&item).await?);
        }
        Ok(runs)
    }

    /// The items of this sort whose ids begin so, by id.
    pub(super) async fn by_prefix(
        &self,
        sort: &str,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        if prefix.is_empty()
            || prefix.len() > LONGEST_ID
            || !prefix.chars().all(|digit| digit.is_ascii_hexdigit())
        {
            return Ok(Vec::new());
        }
        let prefix = prefix.to_ascii_lowercase();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for pk in partitions(sort, &prefix) {
            let request = Request::query("#pk = :pk AND begins_with(#sk, :prefix)")
                .with("ConsistentRead", true)
                .value(":pk", text(pk))
                .value(":prefix", text(&prefix));
            let mut next = Some(request);
            while let Some(request) = next
                && found.len() < limit
            {
                let left = u64::try_from(limit - found.len()).unwrap_or(u64::MAX);
                let ask = request.clone().with("Limit", left);
                let mut answer = self.plain(ask).await?;
                found.append(&mut answer.items);
                next = index::following(request, answer);
            }
        }
        Ok(found)
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
            attributes: Some("#pk, #sk, #body, #subject, #playbook, #state, #created, #updated"),
        };
        let mut runs = Vec::with_capacity(keys.len());
        for item in self.items_in_order(&keys, &reading).await? {
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

    /// Makes a run queued again that stands so, with this line in its journal.
    pub(crate) async fn reopen_run(
        &self,
        id: &str,
        stages: &'static [RunStage],
        event: Event,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(None);
        };
        let Some(item) = self.item(&key).await? else {
            return Ok(None);
        };
        if !stages.contains(&stage(&item)?) {
            return Ok(None);
        }
        let names: Vec<_> = (0..stages.len())
            .map(|place| format!(":from{place}"))
            .collect();
        if Fields::of(RUN, &item).flag("apart") {
            self.keep_apart(id, self.far(now)).await?;
        }
        let line = Line::of(&Entry {
            path: String::new(),
            attempt: 0,
            at: now,
            event,
        });
        let token = token()?;
        let requeue = Request::update(&key)
            .change(
                "SET #stage = :queued, #state = :state, #updated = :now, #due_in = :due_in, #due_at = :now, \
                 #journal = list_append(#journal, :lines), #length = #length + :length, #last = :token \
                 REMOVE #expires, #pause, #until",
            )
            .only_if(format!("#stage IN ({})", names.join(", ")))
            .with("ReturnValues", "ALL_NEW")
            .value(":queued", text(RunStage::Queued.name()))
            .value(":state", text(to_json(&RunState::Queued)))
            .value(":now", micros(now))
            .value(":due_in", text(index::partition(RUN, &key)))
            .value(":lines", line.list())
            .value(":length", number(line.len()))
            .value(":token", text(&token));
        let names = names.into_iter();
        let stages = stages.iter().map(|stage| text(stage.name()));
        let requeue = requeue.values(names.zip(stages));
        let item = match self.call(requeue).await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(Refused::Condition(Some(item))) if is_ours(Some(&item), &token) => item,
            Err(Refused::Condition(_)) => return Ok(None),
            Err(Refused::Store(error)) => return Err(error),
        };
        self.whole(&item).await.map(Some)
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

    /// The run of an item, with its body and its finding wherever they are.
    async fn whole(&self, item: &Item) -> Result<Run, StoreError> {
        let cause: Cause<'_> = from_json(RUN, &self.kept(item, "body").await?)?;
        let finding = from_json("run's finding", &self.kept(item, "subject").await?)?;
        cause.run(finding, item)
    }

    /// What a run was made with never changes, so it is there as long as the run is.
    async fn kept(&self, item: &Item, name: &str) -> Result<String, StoreError> {
        let fields = Fields::of(RUN, item);
        let (id, value) = (fields.text("sk")?, fields.attribute(name)?);
        let kept = self.body(RUN, value, &Place::of_run(id)).await?;
        kept.ok_or_else(|| StoreError::Permanent {
            reason: format!("a part of run `{id}` is not there"),
        })
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
fn partitions(sort: &str, prefix: &str) -> Vec<String> {
    if prefix.len() >= 2 {
        return vec![format!("{sort}#{}", &prefix[..2])];
    }
    let digits = "0123456789abcdef".chars();
    let longer = digits.map(|digit| format!("{sort}#{prefix}{digit}"));
    std::iter::once(format!("{sort}#{prefix}"))
        .chain(longer)
        .collect()
}

/// When somebody should take up a run in this state, which it came to at `since`.
fn due(state: &RunState, since: Timestamp) -> Option<Timestamp> {
    match state {
        RunState::Queued | RunState::Running => Some(since),
        RunState::Waiting { until, .. } => Some(*until),
        RunState::Succeeded
        | RunState::Stopped { .. }
        | RunState::Failed { .. }
        | RunState::Undone { .. } => None,
    }
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

/// Whether the last write to an item was the one with this token.
fn is_ours(item: Option<&Item>, token: &str) -> bool {
    item.is_some_and(|item| Fields::of(RUN, item).maybe_text("last") == Some(token))
}
