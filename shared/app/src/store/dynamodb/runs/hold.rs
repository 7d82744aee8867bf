//! What a worker does with a run: takes hold of it, writes its journal, and lets go.
//!
//! Each of these is one conditional write of the run's item; who holds the run no more is refused by it.

use super::{RUN, due, is_ours, key, stage};
use crate::clock::after;
use crate::run::{Entry, RunState};
use crate::store::dynamodb::call::{Key, Refused, Request};
use crate::store::dynamodb::item::{Attribute, Fields, Item, flag, micros, number, text};
use crate::store::dynamodb::journal::{self, Line};
use crate::store::dynamodb::{DynamoDb, token};
use crate::store::encoding::to_json;
use crate::store::{Claim, Lease, RunStage, StoreError};
use jiff::Timestamp;
use std::time::Duration;

const UNFINISHED: &str = "#stage IN (:queued, :running, :waiting)";
const HELD: &str = "#fence = :fence AND attribute_exists(#owner)";

impl DynamoDb {
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
                 #leased_until = :until, #due_at = if_not_exists(#pause, :zero) + :until, #updated = :now REMOVE #until, #woken",
            )
            .only_if(format!(
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
            Ok(answer) => answer.attributes.unwrap_or_default(),
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
        self.insisting().let_go(lease, state, now).await
    }

    async fn let_go(
        &self,
        lease: &Lease,
        state: &RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(&lease.run_id).ok_or_else(|| lost(lease))?;
        let token = token()?;
        let mut settle = self.settling(&key, lease, state, now, &token);
        // What lies beside a run's item is told first when it may go; nearly no run has any.
        let mut alone = due(state, now).is_none();
        // A run that was woken since it was claimed has not heard of what it is to hear.
        let mut asleep = matches!(state, RunState::Waiting { until, .. } if *until > now);
        loop {
            let condition = match (alone, asleep) {
                (true, _) => format!("{HELD} AND attribute_not_exists(#apart)"),
                (false, true) => format!("{HELD} AND attribute_not_exists(#woken)"),
                (false, false) => HELD.to_owned(),
            };
            match self.call(settle.clone().only_if(condition)).await {
                Ok(_) => return Ok(()),
                Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => return Ok(()),
                Err(Refused::Condition(Some(item))) if alone && is_held(&item, lease) => {
                    self.keep_apart(&lease.run_id, self.beyond(self.expiry(now)))
                        .await?;
                    alone = false;
                }
                Err(Refused::Condition(Some(item))) if asleep && is_held(&item, lease) => {
                    settle = self.settling(&key, lease, &state.clone().woken(now), now, &token);
                    asleep = false;
                }
                Err(Refused::Condition(_)) => return Err(lost(lease)),
                Err(Refused::Store(error)) => return Err(error),
            }
        }
    }

    fn settling(
        &self,
        key: &Key,
        lease: &Lease,
        state: &RunState,
        now: Timestamp,
        token: &str,
    ) -> Request {
        let mut set =
            "SET #stage = :stage, #state = :state, #updated = :now, #last = :token".to_owned();
        let mut remove = "REMOVE #owner, #leased_until, #pause, #sweep, #woken".to_owned();
        let mut settle = Request::update(key)
            .value(":fence", number(lease.fence))
            .value(":stage", text(RunStage::of(state).name()))
            .value(":state", text(to_json(state)))
            .value(":now", micros(now))
            .value(":token", text(token));
        match due(state, now) {
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
        settle.change(format!("{set} {remove}"))
    }

    pub(crate) async fn append(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        self.insisting().write_line(lease, entry).await
    }

    async fn write_line(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        let key = key(&lease.run_id).ok_or_else(|| lost(lease))?;
        let line = self.line(&lease.run_id, entry).await?;
        let token = token()?;
        let append = Request::update(&key)
            .change(
                "SET #journal = list_append(#journal, :lines), #length = #length + :length, #last = :token",
            )
            .only_if(format!(
                "{HELD} AND #length < :room AND #last <> :token"
            ))
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
        let done = match found.filter(|item| is_held(item, lease)) {
            Some(item) => self.turn_page(&key, lease, &item, &line).await,
            None => Err(lost(lease)),
        };
        if matches!(done, Err(StoreError::LeaseLost { .. })) {
            self.discard_line(&lease.run_id, &line).await;
        }
        done
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
            .only_if(format!("{HELD} AND #last = :before"))
            .value(":before", text(fields.text("last")?))
            .value(":yes", flag(true))
            .value(":none", Attribute::List(Vec::new()))
            .value(":page", Attribute::List(vec![text(page)]));
        match self.call(appended(turn, lease, line, &token)).await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => Ok(()),
            Err(Refused::Condition(_)) => Err(lost(lease)),
            Err(Refused::Store(error)) => Err(error),
        }
    }
}

fn stages() -> [(String, Attribute); 3] {
    [RunStage::Queued, RunStage::Running, RunStage::Waiting]
        .map(|stage| (format!(":{}", stage.name()), text(stage.name())))
}

fn appended(request: Request, lease: &Lease, line: &Line, token: &str) -> Request {
    request
        .value(":fence", number(lease.fence))
        .value(":lines", line.list())
        .value(":length", number(line.len()))
        .value(":token", text(token))
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
