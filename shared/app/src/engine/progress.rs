use crate::run::{Entry, Event};
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
    /// It is done.
    Done { output: Value },
    /// It failed for good.
    Failed { reason: String, line: usize },
}

impl Progress {
    /// Takes in the next entry of this step; `line` is its place in the journal.
    pub(crate) fn record(&mut self, entry: &Entry, line: usize) {
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
            Event::Retrying { reason, due } => Stage::Due {
                at: *due,
                reason: reason.clone(),
            },
            Event::Failed { reason } => Stage::Failed {
                reason: reason.clone(),
                line,
            },
            Event::Unknown { reason } => Stage::Doubtful {
                reason: reason.clone(),
                line,
            },
            Event::Waiting { until } => Stage::Paused { until: *until },
            _ => return,
        };
    }

    /// Begins a fresh series of attempts; numbers go on counting.
    pub(crate) fn reopen(&mut self) {
        self.series = 0;
        self.since = None;
        self.stage = Stage::Fresh;
    }
}
