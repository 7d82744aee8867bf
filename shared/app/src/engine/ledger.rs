//! What a run has changed and what of it was restored, by its journal.

use super::retry::{Attempts, next_attempt};
use crate::run::{Entry, Event, RunState};
use jiff::Timestamp;
use quench_actions::remediate::{Effect, Plan};
use quench_automations::Retry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How transient failures of undoing are retried: for a day, like those of steps, but sooner, as somebody waits for it.
const RETRY: Retry = Retry {
    window: Duration::from_secs(24 * 60 * 60),
    attempts: None,
    base: Duration::from_secs(1),
    cap: Duration::from_secs(5 * 60),
};

/// Everything that a run has changed, in the order in which it did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    items: Vec<Item>,
    /// Plans as they were made last, by the path of their steps.
    plans: BTreeMap<String, Plan>,
    /// Steps that did something which only others can undo.
    beyond: BTreeSet<String>,
    proposed: BTreeSet<String>,
    round: Option<Round>,
    lines: usize,
}

/// What somebody wants undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    /// Who.
    pub(crate) by: String,
    /// The step, if it is one alone.
    pub(crate) step: Option<String>,
    line: usize,
}

/// Something that a run has changed, or may have changed.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Path of the step.
    pub(crate) path: String,
    pub(crate) plan: Plan,
    /// Whether it turned out that the run changed nothing here.
    idle: bool,
    /// Whether nothing says yet what came of applying it.
    open: bool,
    /// Whether the same was begun before, and may have been done then.
    again: bool,
    undo: Undo,
}

/// How far undoing it has come.
#[derive(Debug, Clone, Default, PartialEq)]
struct Undo {
    /// When the present series of attempts began.
    since: Option<Timestamp>,
    /// Attempts of that series.
    attempts: u32,
    due: Option<(Timestamp, String)>,
    done: bool,
    failed: Option<(String, usize)>,
}

/// What has to be done next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Then<'l> {
    /// This is to be undone.
    Undo(Task<'l>),
    /// Nothing, until then.
    Wait { until: Timestamp, reason: String },
    /// Nothing, ever.
    End(RunState),
}

/// A change that is to be undone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task<'l> {
    pub(crate) path: &'l str,
    pub(crate) plan: &'l Plan,
    /// Which attempt it is, from one.
    pub(crate) attempt: u32,
    /// When the first one began, if one did.
    pub(crate) since: Option<Timestamp>,
}

impl Ledger {
    /// Reads a whole journal.
    pub(crate) fn of(journal: &[Entry]) -> Self {
        let mut ledger = Self::default();
        for entry in journal {
            ledger.record(entry);
        }
        ledger
    }

    /// Takes in an entry that is in the journal now.
    pub(crate) fn record(&mut self, entry: &Entry) {
        self.lines += 1;
        let (path, line) = (&entry.path, self.lines);
        match &entry.event {
            Event::Planned { plan, .. } => {
                self.plans.insert(path.clone(), (**plan).clone());
            }
            Event::Applying { hash } => {
                let plan = self.plans.get(path).filter(|plan| plan.hash == *hash);
                if let Some(plan) = plan.cloned() {
                    let is_same = |item: &Item| item.path == *path && item.plan.hash == *hash;
                    let again = self
                        .items
                        .iter()
                        .any(|item| is_same(item) && !item.idle && !item.undo.done);
                    // Applied once more, it is the same change.
                    self.items.retain(|item| !is_same(item));
                    self.items.push(Item {
                        path: path.clone(),
                        plan,
                        idle: false,
                        open: true,
                        again,
                        undo: Undo::default(),
                    });
                }
            }
            Event::Applied {
                effect: Effect::Already,
                resumed: false,
            }
            | Event::Outdated { begun: false, .. } => {
                if let Some(item) = self.items.iter_mut().rfind(|item| item.path == *path) {
                    item.idle |= item.open && !item.again;
                    item.open = false;
                }
            }
            Event::Applied { .. } => {
                if let Some(item) = self.items.iter_mut().rfind(|item| item.path == *path) {
                    item.open = false;
                }
            }
            Event::Proposed { .. } => {
                self.proposed.insert(path.clone());
            }
            Event::Started { .. } if self.proposed.contains(path) => {
                self.beyond.insert(path.clone());
            }
            Event::UndoAsked { by, step } => {
                self.round = Some(Round {
                    by: by.clone(),
                    step: step.clone(),
                    line,
                });
            }
            // What could not be undone is tried afresh.
            Event::Reopened => {
                if let Some(round) = &mut self.round {
                    round.line = line;
                }
            }
            Event::Undoing { hash } => {
                if let Some(undo) = self.undo(path, hash) {
                    undo.since.get_or_insert(entry.at);
                    undo.attempts += 1;
                    undo.due = None;
                }
            }
            Event::Undone { hash, .. } => {
                if let Some(undo) = self.undo(path, hash) {
                    undo.done = true;
                }
            }
            Event::UndoFailed { hash, reason } => {
                if let Some(undo) = self.undo(path, hash) {
                    *undo = Undo {
                        failed: Some((reason.clone(), line)),
                        ..Undo::default()
                    };
                }
            }
            Event::Retrying { reason, due } if self.round.is_some() => {
                let mut items = self.items.iter_mut().rev();
                let is_meant = |item: &&mut Item| {
                    item.path == *path && item.undo.since.is_some() && !item.undo.done
                };
                if let Some(item) = items.find(is_meant) {
                    item.undo.due = Some((*due, reason.clone()));
                }
            }
            _ => {}
        }
    }

    fn undo(&mut self, path: &str, hash: &str) -> Option<&mut Undo> {
        // The one that is undone is the last of those that are not.
        let mut items = self.items.iter_mut().rev();
        let item = items.find(|item| {
            item.path == path && item.plan.hash == hash && !item.idle && !item.undo.done
        })?;
        Some(&mut item.undo)
    }

    /// What is not undone, the last first; of one step alone if one is named.
    pub(crate) fn left<'l>(&'l self, step: Option<&'l str>) -> Vec<&'l Item> {
        self.of_step(step).filter(|item| !item.undo.done).collect()
    }

    /// What was changed, undone or not, the last first.
    pub(crate) fn of_step<'l>(&'l self, step: Option<&'l str>) -> impl Iterator<Item = &'l Item> {
        let items = self.items.iter().rev().filter(|item| !item.idle);
        items.filter(move |item| step.is_none_or(|step| item.path == step))
    }

    /// Paths of the steps that did something which only others can undo.
    pub(crate) fn beyond(&self) -> impl Iterator<Item = &str> {
        self.beyond.iter().map(String::as_str)
    }

    /// What has to be done next for what somebody wants undone.
    pub(crate) fn then(&self, now: Timestamp) -> Then<'_> {
        let Some(round) = &self.round else {
            let reason = "nobody asked for anything to be undone".to_owned();
            return Then::End(RunState::Failed { reason });
        };
        let mut failures = Vec::new();
        let mut done = 0;
        for item in self.of_step(round.step.as_deref()) {
            let undo = &item.undo;
            match (&undo.failed, &undo.due) {
                _ if undo.done => done += 1,
                (Some((reason, line)), _) if *line > round.line && undo.since.is_none() => {
                    failures.push(format!("step `{}`: {reason}", item.path));
                }
                (_, Some((due, reason))) if *due > now => {
                    return Then::Wait {
                        until: *due,
                        reason: format!("undoing step `{}` is tried again: {reason}", item.path),
                    };
                }
                _ => {
                    return Then::Undo(Task {
                        path: &item.path,
                        plan: &item.plan,
                        attempt: undo.attempts + 1,
                        since: undo.since,
                    });
                }
            }
        }
        if failures.is_empty() {
            let left = self.left(None);
            return Then::End(RunState::Undone {
                by: round.by.clone(),
                left: left.iter().map(|item| item.path.clone()).collect(),
            });
        }
        let all = done + failures.len();
        let reason = format!("{done} of {all} undone; {}", failures.join("; "));
        Then::End(RunState::Failed { reason })
    }
}

/// When undoing is tried again after the attempt of a task failed; none if it was tried for long enough.
pub(crate) fn next_try(
    run: &str,
    task: &Task<'_>,
    asked: Option<Duration>,
    now: Timestamp,
) -> Option<Timestamp> {
    let attempts = Attempts {
        run,
        path: task.path,
        attempt: task.attempt,
        series: task.attempt,
        since: task.since.unwrap_or(now),
    };
    next_attempt(&RETRY, attempts, asked, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::trial::World;

    fn journal(events: Vec<Event>) -> Vec<Entry> {
        let entry = |event| Entry {
            path: "close".to_owned(),
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
            event,
        };
        events.into_iter().map(entry).collect()
    }

    fn applying(plan: &Plan) -> [Event; 2] {
        let hash = plan.hash.clone();
        let planned = Event::Planned {
            plan: Box::new(plan.clone()),
            mode: quench_automations::Mode::Enforce,
        };
        [planned, Event::Applying { hash }]
    }

    fn already() -> Event {
        Event::Applied {
            effect: Effect::Already,
            resumed: false,
        }
    }

    fn outdated() -> Event {
        let reason = "changed".to_owned();
        Event::Outdated {
            reason,
            begun: false,
        }
    }

    #[test]
    fn what_was_found_done_is_the_runs_own_only_if_it_was_begun_before() {
        let plan = World::new(true, &[]).plan("logs");
        let left = |events| Ledger::of(&journal(events)).left(None).len();
        let [planned, begun] = applying(&plan);
        let once = vec![planned.clone(), begun.clone(), already()];
        assert_eq!(left(once), 0);
        let lost = Event::Failed {
            reason: "no answer".to_owned(),
        };
        let twice = vec![
            planned.clone(),
            begun.clone(),
            lost,
            planned,
            begun,
            already(),
        ];
        assert_eq!(left(twice), 1);
    }

    #[test]
    fn a_later_plan_that_is_outdated_leaves_what_was_done_before() {
        let plan = World::new(true, &[]).plan("logs");
        let [planned, begun] = applying(&plan);
        let done = Event::Applied {
            effect: Effect::Done,
            resumed: false,
        };
        let events = vec![planned.clone(), begun.clone(), done, planned, outdated()];
        assert_eq!(Ledger::of(&journal(events)).left(None).len(), 1);
        let [planned, begun] = applying(&plan);
        let events = vec![planned, begun, outdated()];
        assert_eq!(Ledger::of(&journal(events)).left(None).len(), 0);
    }
}
