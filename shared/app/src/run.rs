use jiff::Timestamp;
use quench_automations::Mode;
use quench_findings::{Finding, Transition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// One execution of one playbook for one finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Derived from what started it, so that the same cause makes the same run.
    pub id: String,
    /// The finding as it was when the run was made.
    pub finding: Finding,
    /// What had happened to the finding.
    pub transition: Transition,
    /// What started it.
    pub started_by: StartedBy,
    /// Name of the playbook.
    pub playbook: String,
    /// Version of that playbook and of every playbook it calls, by name, pinned when the run was made.
    pub versions: BTreeMap<String, String>,
    /// Values of the playbook's parameters as given; templates are rendered when the run starts.
    pub with: Map<String, Value>,
    /// How far its remediations may go.
    pub mode: Option<Mode>,
    /// Where it stands.
    pub state: RunState,
    /// When it was made.
    pub created: Timestamp,
    /// When its state last changed.
    pub updated: Timestamp,
}

/// What started a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedBy {
    /// An automation that matched.
    Automation {
        /// Its name.
        name: String,
        /// The version of it that matched.
        version: String,
        /// Why it matched: the explanation of its condition sets, as JSON.
        explanation: Value,
    },
    /// Somebody by hand.
    Manual {
        /// Who, as far as is known.
        by: String,
    },
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum RunState {
    /// Nobody has begun it.
    Queued,
    /// A worker holds it.
    Running,
    /// It goes on at a set time: a pause or a retry.
    Waiting {
        /// When it goes on.
        until: Timestamp,
        /// Why it waits.
        reason: String,
    },
    /// All its steps were done.
    Succeeded,
    /// A `stop` step ended it.
    Stopped {
        /// Why.
        reason: String,
    },
    /// It failed for good.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where in the playbook: step ids joined by `/`, with `[n]` for items of a loop; empty for the run itself.
    pub path: String,
    /// Which attempt at the step, from one; zero for the run itself.
    pub attempt: u32,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What a journal line tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Event {
    /// The effect is about to happen.
    Started {
        /// What will be done, rendered, secrets redacted.
        content: Value,
    },
    /// The effect happened, or a decision was taken.
    Succeeded {
        /// One line for people.
        summary: String,
        /// What later steps may read.
        output: Value,
        /// How long the attempt took.
        took: Duration,
    },
    /// This attempt failed; another follows.
    Retrying {
        /// Why it failed.
        reason: String,
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// The step failed for good.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody can tell whether this attempt took effect.
    Unknown {
        /// Why not.
        reason: String,
    },
    /// The step paused the run.
    Waiting {
        /// Until when.
        until: Timestamp,
    },
    /// The failed run was set going again; what failed it is tried afresh.
    Reopened,
}
