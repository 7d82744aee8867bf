use super::deed::Deed;
use crate::run::{Decision, Entry, Event};
use jiff::Timestamp;
use serde_json::Value;

/// How far the journal says one step has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Number of the last attempt, zero if there was none.
    pub(crate) attempt: u32,
    /// Attempts of the present series: a run set going again begins a fresh one.
    pub(crate) series: u32,
    /// When the present series began.
    pub(crate) since: Option<Timestamp>,
    /// Where it stands.
    pub(crate) stage: Stage,
    /// What is known of it if it changes things.
    pub(crate) deed: Deed,
    /// What the last attempt left for the next.
    pub(crate) mark: Option<String>,
    /// How often it was set going again after it had failed.
    pub(crate) round: u32,
}

/// Where a step stands.
#[derive(Debug, Clone, Default)]
pub(crate) enum Stage {
    /// It is to be done.
    #[default]
    Fresh,
    /// An attempt began and nothing says how it ended.
    Open,
    /// An attempt ended in doubt, and nothing says what was decided.
    Doubtful { reason: String, line: usize },
    /// The next attempt is due.
    Due { at: Timestamp, reason: String },
    /// It pauses the run.
    Paused { until: Timestamp },
    /// It goes on by itself, and is looked at then.
    Pending { at: Timestamp, reason: String },
    /// A guard keeps it from going on.
    Held { until: Timestamp, reason: String },
    /// It is on its way, as its deed tells.
    Underway,
    /// Somebody said that it must not be done.
    Denied,
    /// It is done.
    Done { output: Value },
    /// It failed for good.
    Failed { reason: String, line: usize },
}

impl Progress {
    /// Takes in the next entry of this step; `line` is its place in the journal.
    pub(crate) fn record(&mut self, entry: &Entry, line: usize) {
        self.deed.record(&entry.event, entry.at);
        self.stage = match &entry.event {
            Event::Started { .. } => {
                self.attempt = entry.attempt;
                self.series += 1;
                self.since.get_or_insert(entry.at);
                Stage::Open
            }
            Event::Succeeded { output, .. } => Stage::Done {
                output: output.clone(),
            },
            Event::Retrying { reason, due } => {
                // What is not begun by a line of its own is counted by its end.
                if !matches!(self.stage, Stage::Open | Stage::Doubtful { .. }) {
                    self.attempt = entry.attempt;
                    self.series += 1;
                    self.since.get_or_insert(entry.at);
                }
                Stage::Due {
                    at: *due,
                    reason: reason.clone(),
                }
            }
            Event::Failed { reason } => Stage::Failed {
                reason: reason.clone(),
                line,
            },
            Event::Unknown { reason } => Stage::Doubtful {
                reason: reason.clone(),
                line,
            },
            Event::Waiting { until } => Stage::Paused { until: *until },
            Event::Pending { reason, due, mark } => {
                self.mark = Some(mark.clone());
                // It is no failure, and counts as none.
                self.series = 0;
                self.since = None;
                Stage::Pending {
                    at: *due,
                    reason: reason.clone(),
                }
            }
            Event::Held { reason, until } => Stage::Held {
                until: *until,
                reason: reason.clone(),
            },
            Event::Planned { .. }
            | Event::Proposed { .. }
            | Event::Asked { .. }
            | Event::Outdated { .. }
            | Event::Applying { .. }
            | Event::Applied { .. } => self.step_on(),
            Event::Decided { decision, .. } => match decision {
                Decision::Denied => Stage::Denied,
                Decision::Approved | Decision::Expired => self.step_on(),
            },
            Event::Guarded { .. }
            | Event::Reopened
            | Event::UndoAsked { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. } => return,
        };
    }

    /// What comes next has a series of attempts of its own.
    fn step_on(&mut self) -> Stage {
        self.series = 0;
        self.since = None;
        Stage::Underway
    }

    /// Begins a fresh series of attempts; numbers go on counting.
    pub(crate) fn reopen(&mut self) {
        self.series = 0;
        self.since = None;
        self.stage = Stage::Fresh;
        self.mark = None;
        self.round += 1;
        self.deed.reopen();
    }
}
