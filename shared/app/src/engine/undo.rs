//! What a worker does to restore what a run has changed.

use super::ledger::{Ledger, Task, Then, next_try};
use super::read_back::{LOOK, PAUSE};
use super::remediate::Pause;
use super::{EngineError, Outcome, Worker, log, settle};
use crate::clock::{after, until};
use crate::metrics::Count;
use crate::run::{Entry, Event, RunState};
use jiff::Timestamp;
use quench_actions::remediate::{self, Effect, Fault, Goal, Verified};
use std::time::Duration;
use tokio::time::Instant;

/// How long one change may take to be undone.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a resource is read back after it was restored.
const VERIFY: Duration = Duration::from_secs(5 * 60);
/// How long after undoing was begun a service may take to be done with it.
const SETTLING: Duration = Duration::from_secs(60 * 60);

impl Worker<'_> {
    /// Restores what the run has changed, as its ledger says.
    pub(super) async fn restore(mut self, mut ledger: Ledger) -> Result<Outcome, EngineError> {
        let outside = self.app.outside().await?;
        self.redact(&outside).await;
        loop {
            self.hold.refresh().await?;
            let now = self.app.clock.now();
            let pause = match ledger.then(now) {
                Then::End(state) => return settle(self.app, self.hold, self.run, state).await,
                Then::Wait { until, reason } => Some(Pause { until, reason }),
                Then::Undo(task) => {
                    let room = match &self.app.deadline {
                        Some(deadline) => deadline.room(LIMIT),
                        None => Some(LIMIT),
                    };
                    let Some(limit) = room else {
                        return self.hand_over().await;
                    };
                    let (entries, pause) = self.undo(&outside, &task, limit, now).await?;
                    for entry in &entries {
                        ledger.record(entry);
                    }
                    pause
                }
            };
            if let Some(Pause { until, reason }) = pause {
                let state = RunState::Waiting { until, reason };
                self.hold.settle(&state).await?;
                return Ok(Outcome::Waiting { until });
            }
        }
    }

    /// Undoes one change and reads it back; tells what it wrote down.
    async fn undo(
        &mut self,
        outside: &quench_actions::Outside,
        task: &Task<'_>,
        limit: Duration,
        now: Timestamp,
    ) -> Result<(Vec<Entry>, Option<Pause>), EngineError> {
        let hash = task.plan.hash.clone();
        let mut written = Vec::new();
        let undoing = Event::Undoing { hash: hash.clone() };
        written.push(self.note(task, undoing).await?);
        let since = task.since.unwrap_or(now);
        let event = match self.bring_back(outside, task, limit, since).await? {
            Ok(Ok(effect)) => Event::Undone { hash, effect },
            Ok(Err(pause)) => return Ok((written, Some(pause))),
            Err(fault) => {
                let asked = match &fault {
                    Fault::Transient { retry_after, .. } => Some(*retry_after),
                    Fault::Unknown { .. } => Some(None),
                    _ => None,
                };
                let now = self.app.clock.now();
                let due = asked.and_then(|asked| next_try(&self.run.id, task, asked, now));
                let reason = fault.to_string();
                match due {
                    Some(due) => Event::Retrying { reason, due },
                    None => Event::UndoFailed { hash, reason },
                }
            }
        };
        let is_undone = matches!(event, Event::Undone { .. });
        written.push(self.note(task, event).await?);
        self.app
            .metrics
            .count(Count::RemediationsUndone, usize::from(is_undone));
        Ok((written, None))
    }

    /// Restores a resource and reads it back; a pause where it is not yet as it was.
    async fn bring_back(
        &mut self,
        outside: &quench_actions::Outside,
        task: &Task<'_>,
        limit: Duration,
        since: Timestamp,
    ) -> Result<Result<Result<Effect, Pause>, Fault>, EngineError> {
        let plan = task.plan;
        let opened = self.open(outside, &plan.target, plan.remediation, limit);
        let aws = match opened.await? {
            Ok(aws) => aws,
            Err(fault) => return Ok(Err(fault)),
        };
        let (client, own, now) = (aws.clone(), plan.clone(), self.app.clock.now());
        let undoing = async move { remediate::undo(&client, &own, now).await };
        let effect = match self.call(limit, undoing).await? {
            Ok(effect) => effect,
            Err(fault) => return Ok(Err(fault)),
        };
        // Restored by an attempt before, it is so already, and its service is not done with it.
        let end = match effect {
            Effect::Done => after(self.app.clock.now(), VERIFY),
            Effect::Already => after(since, SETTLING),
        };
        let look = until(self.app.clock.now(), end).min(LOOK).min(limit);
        let own = plan.clone();
        let looking =
            async move { remediate::verify(&aws, &own, Goal::Before, Instant::now() + look).await };
        let reason = match self.call(limit.max(look), looking).await? {
            Ok(Verified::Holds { .. }) => return Ok(Ok(Ok(effect))),
            Ok(Verified::NotYet { reason, .. }) => reason,
            Err(fault @ Fault::Unknown { .. }) => fault.to_string(),
            Err(fault) => return Ok(Err(fault)),
        };
        let now = self.app.clock.now();
        if now < end {
            return Ok(Ok(Err(Pause {
                until: after(now, PAUSE).min(end),
                reason: format!("step `{}` was undone and is read back: {reason}", task.path),
            })));
        }
        Ok(Err(Fault::Refused(format!(
            "it was undone, but {} is not as before: {reason}",
            plan.target
        ))))
    }

    async fn note(&mut self, task: &Task<'_>, event: Event) -> Result<Entry, EngineError> {
        let entry = Entry {
            path: task.path.to_owned(),
            attempt: task.attempt,
            at: self.app.clock.now(),
            event,
        };
        let entry = match &self.redaction {
            Some(redaction) => redaction.entry(entry),
            None => entry,
        };
        self.hold.append(&entry).await?;
        log(&entry);
        Ok(entry)
    }
}
