//! Executes runs: claims one, does what its playbook says, and journals every step before and after its effect.

#[cfg(test)]
mod bench;
mod consent;
mod decide;
mod deed;
mod guards;
mod hold;
mod intent;
mod ledger;
#[cfg(test)]
mod mending;
mod perform;
mod progress;
mod propose;
mod read_back;
mod redact;
mod remediate;
mod retry;
mod scope;
mod script;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
mod undo;
mod verdict;
mod walk;

use crate::app::App;
use crate::catalog::CatalogError;
use crate::metrics::{Count, Timed};
use crate::run::{Entry, Event, Run, RunState};
use crate::store::{Claim, RunStage, StoreError};
use hold::Hold;
use jiff::Timestamp;
pub(crate) use ledger::Ledger;
use perform::Prepared;
use quench_actions::Outside;
use quench_automations::{Playbook, StepKind};
use redact::Redaction;
use remediate::Pause;
use script::Script;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::Span;
use tracing::field::Empty;
use walk::{Next, Task, Walker};

/// What came of working on a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is over, by this worker or before.
    Finished(RunState),
    /// It goes on at a set time.
    Waiting {
        /// When.
        until: Timestamp,
    },
    /// Another worker holds it.
    Busy {
        /// When that worker's lease ends, unless it is extended.
        until: Timestamp,
    },
    /// There is no such run.
    Missing,
}

/// Why work on a run was broken off; what was done of it is in its journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Another worker took the run over; this one wrote nothing since.
    #[error("run `{run}` was taken over by another worker")]
    LeaseLost {
        /// Id of the run.
        run: String,
    },
    /// The store does not work.
    #[error(transparent)]
    Store(StoreError),
    /// What is in force cannot be used.
    #[error(transparent)]
    Catalog(CatalogError),
    /// Nothing was done, as this invocation ends before anything could be.
    #[error("no time is left to work on the run")]
    NoTime,
}

impl EngineError {
    /// Whether the run may be taken up again later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LeaseLost { .. } | Self::NoTime => true,
            Self::Store(error) => error.is_transient(),
            Self::Catalog(error) => error.is_transient(),
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { run } => Self::LeaseLost { run },
            error => Self::Store(error),
        }
    }
}

impl From<CatalogError> for EngineError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) => error.into(),
            error => Self::Catalog(error),
        }
    }
}

/// The span to call [`execute`] in: whatever is logged within tells the ids of the run and of its finding.
///
/// It is there at every level of the log.
pub(crate) fn span(run: Option<&str>) -> Span {
    tracing::error_span!("run", run.id = run, finding.id = Empty)
}

/// Works on a run until it is over or has to wait.
///
/// It may be called at any time, by any number of workers, again and again: whoever holds the run goes on where its
/// journal ends. The span around the call learns what the run's finding is, if it has a field for its id.
///
/// # Errors
/// The run was taken over by another worker meanwhile, no time is left to begin, or the store fails.
pub async fn execute(app: &App, run_id: &str) -> Result<Outcome, EngineError> {
    if app.deadline.is_some_and(|deadline| !deadline.may_begin()) {
        return Err(EngineError::NoTime);
    }
    let (now, lease) = (app.clock.now(), app.config.lease);
    let claim = app.store.claim_run(run_id, &app.worker, now, lease).await?;
    let (hold, run, journal) = match claim {
        Claim::Held {
            lease,
            run,
            journal,
        } => (Hold::new(app, lease), run, journal),
        Claim::Busy { until } => return Ok(Outcome::Busy { until }),
        Claim::Waiting { until } => return Ok(Outcome::Waiting { until }),
        Claim::Finished(run) => return Ok(Outcome::Finished(run.state)),
        Claim::Missing => return Ok(Outcome::Missing),
    };
    Span::current().record("finding.id", run.finding.id.as_str());
    let resumed = !journal.is_empty();
    tracing::debug!(run.playbook = run.playbook, resumed, "working on a run");
    if is_undoing(&journal) {
        let worker = Worker {
            hold,
            run: &run,
            redaction: None,
            notified: true,
            app,
        };
        return worker.restore(Ledger::of(&journal)).await;
    }
    let playbooks = pinned(app, &run).await?;
    let script = match Script::compile(&run, playbooks) {
        Ok(script) => script,
        Err(invalid) => {
            let reason = invalid.to_string();
            return settle(app, hold, &run, RunState::Failed { reason }).await;
        }
    };
    let worker = Worker {
        hold,
        run: &run,
        redaction: None,
        notified: has_notified(&journal),
        app,
    };
    worker.work(&script, &journal).await
}

/// Whether somebody wants undone what the run has changed; from then on it does nothing else.
fn is_undoing(journal: &[Entry]) -> bool {
    let mut events = journal.iter().map(|entry| &entry.event);
    events.any(|event| matches!(event, Event::UndoAsked { .. }))
}

async fn pinned(app: &App, run: &Run) -> Result<BTreeMap<String, Playbook>, StoreError> {
    let mut playbooks = BTreeMap::new();
    for (name, version) in &run.versions {
        if let Some(playbook) = app.store.playbook_version(name, version).await? {
            playbooks.insert(name.clone(), playbook);
        }
    }
    Ok(playbooks)
}

/// One that holds a run.
struct Worker<'a> {
    app: &'a App,
    hold: Hold<'a>,
    run: &'a Run,
    /// Made when the first step talks to others.
    redaction: Option<Redaction>,
    /// Whether somebody was notified; another worker may have done so before.
    notified: bool,
}

impl Worker<'_> {
    async fn work(mut self, script: &Script, journal: &[Entry]) -> Result<Outcome, EngineError> {
        let url = self.app.config.url.as_ref();
        let url = url.and_then(|url| url.join(&format!("runs/{}", self.run.id)).ok());
        let url = url.as_ref().map(url::Url::as_str);
        let mut walker = Walker::new(script, self.run, journal, url);
        loop {
            self.hold.refresh().await?;
            match walker.next(self.app.clock.now()) {
                Next::Record(entry) => self.write(&mut walker, entry).await?,
                Next::Attempt(task) => match self.room(&task) {
                    Some(limit) => self.attempt(&mut walker, task, limit).await?,
                    None => return self.hand_over().await,
                },
                Next::Deed { task, phase } => {
                    let Some(limit) = self.room(&task) else {
                        return self.hand_over().await;
                    };
                    if let Some(pause) = self.deed(&mut walker, &task, phase, limit).await? {
                        let Pause { until, reason } = pause;
                        let state = RunState::Waiting { until, reason };
                        self.hold.settle(&state).await?;
                        return Ok(Outcome::Waiting { until });
                    }
                }
                Next::Doubt {
                    task,
                    reason,
                    journalled,
                } => {
                    self.decide(&mut walker, task, reason, journalled).await?;
                }
                Next::Wait { until, reason } => {
                    let state = RunState::Waiting { until, reason };
                    self.hold.settle(&state).await?;
                    return Ok(Outcome::Waiting { until });
                }
                Next::End(state) => return settle(self.app, self.hold, self.run, state).await,
            }
        }
    }

    /// How long an attempt may take; `None` if it should be left to another invocation.
    fn room(&self, task: &Task<'_>) -> Option<Duration> {
        let limit = perform::limit(task);
        match &self.app.deadline {
            Some(deadline) => deadline.room(limit),
            None => Some(limit),
        }
    }

    /// Lets go of the run for another invocation to go on with at once.
    async fn hand_over(self) -> Result<Outcome, EngineError> {
        let until = self.app.clock.now();
        let reason = "there was no time left for the next step; it follows at once".to_owned();
        let state = RunState::Waiting { until, reason };
        self.hold.settle(&state).await?;
        Ok(Outcome::Waiting { until })
    }

    /// Makes one attempt at a step, with a line in the journal before and one after.
    async fn attempt(
        &mut self,
        walker: &mut Walker<'_>,
        mut task: Task<'_>,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let outside = self.app.outside().await?;
        // Mail comes with nothing back that could tell our secrets.
        if !matches!(task.step.kind, StepKind::Email(_)) {
            self.redact(&outside).await;
        }
        let prepared = match Prepared::new(&task, walker.context()) {
            Ok(prepared) => prepared,
            Err(reason) => return self.tell(walker, &task, Event::Failed { reason }).await,
        };
        let Prepared { action, content } = prepared;
        task.since.get_or_insert(self.app.clock.now());
        self.tell(walker, &task, Event::Started { content }).await?;
        let idempotent = action.is_idempotent(&outside);
        let begun = std::time::Instant::now();
        let performing = perform::perform(
            action,
            outside,
            perform::attempt(&self.run.id, &task, limit),
        );
        let ending = self.hold.during(performing).await?;
        let now = self.app.clock.now();
        if ending == verdict::Ending::Panicked {
            tracing::error!(step.path = task.path, "an action broke down");
        }
        let event = verdict::of_attempt(
            &self.run.id,
            &task,
            ending,
            idempotent,
            begun.elapsed(),
            now,
        );
        let succeeded = matches!(event, Event::Succeeded { .. });
        self.tell(walker, &task, event).await?;
        if succeeded && !self.notified && notifies(&task.step.kind) {
            self.notified = true;
            let (made, now) = (self.run.created, self.app.clock.now());
            self.app.metrics.time(Timed::TimeToNotify, made, now);
        }
        Ok(())
    }

    /// Decides what follows an attempt that may or may not have taken effect.
    async fn decide(
        &mut self,
        walker: &mut Walker<'_>,
        task: Task<'_>,
        reason: String,
        journalled: bool,
    ) -> Result<(), EngineError> {
        let outside = self.app.outside().await?;
        let event = match Prepared::new(&task, walker.context()) {
            Err(fault) => Event::Failed {
                reason: format!("{reason}, and it cannot be repeated: {fault}"),
            },
            Ok(Prepared { action, .. }) => {
                let (run, now) = (&self.run.id, self.app.clock.now());
                let idempotent = action.is_idempotent(&outside);
                if journalled {
                    let fallback = action.default_on_unknown();
                    verdict::after_doubt(run, &task, reason, idempotent, fallback, now)
                } else {
                    verdict::of_doubt(run, &task, reason, idempotent, now)
                }
            }
        };
        self.tell(walker, &task, event).await
    }

    /// Gets ready to take secrets out of what is written down.
    async fn redact(&mut self, outside: &Outside) {
        if self.redaction.is_none() {
            self.redaction = Some(Redaction::of(outside).await);
        }
    }

    async fn tell(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        event: Event,
    ) -> Result<(), EngineError> {
        let entry = Entry {
            path: task.path.clone(),
            attempt: task.attempt,
            at: self.app.clock.now(),
            event,
        };
        self.write(walker, entry).await
    }

    async fn write(&mut self, walker: &mut Walker<'_>, entry: Entry) -> Result<(), EngineError> {
        let entry = match &self.redaction {
            Some(redaction) => redaction.entry(entry),
            None => entry,
        };
        self.hold.append(&entry).await?;
        log(&entry);
        walker.record(&entry);
        Ok(())
    }
}

async fn settle(
    app: &App,
    hold: Hold<'_>,
    run: &Run,
    state: RunState,
) -> Result<Outcome, EngineError> {
    hold.settle(&state).await?;
    let ended = match &state {
        RunState::Failed { .. } => Some(Count::RunsFailed),
        RunState::Stopped { .. } => Some(Count::RunsStopped),
        // It was counted when it ended.
        RunState::Undone { .. } => None,
        _ => Some(Count::RunsSucceeded),
    };
    if let Some(ended) = ended {
        app.metrics.count(ended, 1);
        let now = app.clock.now();
        app.metrics.time(Timed::RunTime, run.created, now);
    }
    let (stage, playbook) = (RunStage::of(&state).name(), &run.playbook);
    match &state {
        RunState::Failed { reason } => tracing::warn!(
            run.playbook = playbook,
            run.state = stage,
            reason,
            "run failed"
        ),
        _ => tracing::info!(run.playbook = playbook, run.state = stage, "run finished"),
    }
    Ok(Outcome::Finished(state))
}

/// Whether an earlier worker has notified somebody: what it began is told by the kind of action.
fn has_notified(journal: &[Entry]) -> bool {
    let begun = |path: &str| {
        journal.iter().any(|entry| {
            let Event::Started { content } = &entry.event else {
                return false;
            };
            let kinds = ["email", "slack", "teams"];
            entry.path == path && kinds.iter().any(|kind| content.get(kind).is_some())
        })
    };
    journal
        .iter()
        .any(|entry| matches!(entry.event, Event::Succeeded { .. }) && begun(&entry.path))
}

fn notifies(kind: &StepKind) -> bool {
    matches!(
        kind,
        StepKind::Email(_) | StepKind::Slack(_) | StepKind::Teams(_)
    )
}

fn log(entry: &Entry) {
    let (path, attempt) = (&entry.path, entry.attempt);
    match &entry.event {
        Event::Retrying { reason, due } => {
            tracing::info!(step.path = path, step.attempt = attempt, reason, due = %due, "step is tried again");
        }
        Event::Unknown { reason } => {
            tracing::warn!(
                step.path = path,
                step.attempt = attempt,
                reason,
                "step ended in doubt"
            );
        }
        Event::Decided { decision, .. } => {
            tracing::info!(step.path = path, decision = ?decision, "people have answered");
        }
        Event::Applied { effect, .. } => {
            tracing::info!(step.path = path, effect = ?effect, "remediation applied");
        }
        Event::Undone { effect, .. } => {
            tracing::info!(step.path = path, effect = ?effect, "remediation undone");
        }
        Event::UndoFailed { reason, .. } => {
            tracing::warn!(step.path = path, reason, "remediation not undone");
        }
        _ => {}
    }
}
