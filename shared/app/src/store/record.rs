use crate::run::{Entry, Run, RunState};
use jiff::Timestamp;
use quench_automations::{Automation, Connection, Organization, Playbook};
use quench_findings::{Finding, Kind, Severity, Source, Status, Transition};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A definition as the store holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored<T> {
    /// What is in force.
    pub definition: T,
    /// Version of the text it was applied with.
    pub version: String,
    /// The YAML document it was applied with.
    pub text: String,
    /// When it was first applied.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Everything that is in force, each sort by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// Grows with every change.
    pub revision: u64,
    /// Automations.
    pub automations: Vec<Stored<Automation>>,
    /// Playbooks, each in its current version.
    pub playbooks: Vec<Stored<Playbook>>,
    /// Connections.
    pub connections: Vec<Stored<Connection>>,
    /// The organisation, if one was applied.
    pub organization: Option<Stored<Organization>>,
}

/// A definition to be put in force.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An automation.
    Automation {
        /// What it says.
        definition: Automation,
        /// Its version.
        version: String,
        /// Its YAML document.
        text: String,
    },
    /// A playbook.
    Playbook {
        /// What it says.
        definition: Playbook,
        /// Its version.
        version: String,
        /// Its YAML document.
        text: String,
    },
    /// A connection.
    Connection {
        /// What it says.
        definition: Connection,
        /// Its version.
        version: String,
        /// Its YAML document.
        text: String,
    },
    /// The organisation.
    Organization {
        /// What it says.
        definition: Organization,
        /// Its version.
        version: String,
        /// Its YAML document.
        text: String,
    },
}

/// What putting definitions in force came to; each is told as ``automation `name` ``.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Were not there before.
    pub created: Vec<String>,
    /// Were there with another content.
    pub updated: Vec<String>,
    /// Were there just so.
    pub unchanged: Vec<String>,
}

/// A finding as the store holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// The finding as last heard of.
    pub finding: Arc<Finding>,
    /// Grows by one with every write, from one.
    pub version: u64,
    /// Grows by one with every transition but `repeated`, from one.
    pub sequence: u64,
    /// The last transition but `repeated`.
    pub transition: Transition,
    /// Whether the runs of that transition may not all have been made.
    pub pending: bool,
    /// When it was first stored.
    pub created: Timestamp,
    /// When it was last stored.
    pub stored: Timestamp,
    /// When the last of the messages that told of it was sent, where queues told: the order of what tells no time.
    pub sent: Option<Timestamp>,
}

/// Which findings to list; what is `None` is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// From this product.
    pub source: Option<Source>,
    /// As bad as this or worse.
    pub severity: Option<Severity>,
    /// Standing so.
    pub status: Option<Status>,
    /// In this account.
    pub account: Option<String>,
    /// With this text in the title or the id, in any case.
    pub text: Option<String>,
}

/// Which runs to list; what is `None` is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// For the finding of this id.
    pub finding: Option<String>,
    /// Started by this automation.
    pub automation: Option<String>,
    /// Of this playbook.
    pub playbook: Option<String>,
    /// Standing so.
    pub stage: Option<RunStage>,
}

/// Where a run stands, without the particulars of [`RunState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "told at `RunState`")]
pub enum RunStage {
    Queued,
    Running,
    Waiting,
    Succeeded,
    Stopped,
    Failed,
    Undone,
}

impl RunStage {
    /// Every stage, in the order of a run's life.
    pub const ALL: [RunStage; 7] = [
        RunStage::Queued,
        RunStage::Running,
        RunStage::Waiting,
        RunStage::Succeeded,
        RunStage::Stopped,
        RunStage::Failed,
        RunStage::Undone,
    ];

    /// Those of runs that are over.
    pub(crate) const FINISHED: [RunStage; 4] = [
        RunStage::Succeeded,
        RunStage::Stopped,
        RunStage::Failed,
        RunStage::Undone,
    ];

    /// The stage of a state.
    pub fn of(state: &RunState) -> RunStage {
        match state {
            RunState::Queued => RunStage::Queued,
            RunState::Running => RunStage::Running,
            RunState::Waiting { .. } => RunStage::Waiting,
            RunState::Succeeded => RunStage::Succeeded,
            RunState::Stopped { .. } => RunStage::Stopped,
            RunState::Failed { .. } => RunStage::Failed,
            RunState::Undone { .. } => RunStage::Undone,
        }
    }

    /// Its name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            RunStage::Queued => "queued",
            RunStage::Running => "running",
            RunStage::Waiting => "waiting",
            RunStage::Succeeded => "succeeded",
            RunStage::Stopped => "stopped",
            RunStage::Failed => "failed",
            RunStage::Undone => "undone",
        }
    }

    /// Whether a run at this stage is over.
    pub fn is_finished(self) -> bool {
        Self::FINISHED.contains(&self)
    }
}

/// Which part of a long list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: u32,
    /// How many to leave out first.
    pub skip: u32,
}

impl Default for Page {
    fn default() -> Page {
        Page { limit: 50, skip: 0 }
    }
}

/// What came of asking for a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It is the caller's until the lease ends.
    Held {
        /// What proves it.
        lease: Lease,
        /// The run, running now.
        run: Run,
        /// What was done of it already.
        journal: Vec<Entry>,
    },
    /// Another worker holds it.
    Busy {
        /// When that worker's lease ends.
        until: Timestamp,
    },
    /// It is not due yet.
    Waiting {
        /// When it is.
        until: Timestamp,
    },
    /// It is over.
    Finished(Run),
    /// There is no such run.
    Missing,
}

/// The right to work on a run; whoever claims the run later gets a higher fence, and this one's writes are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Id of the run.
    pub run_id: String,
    /// Fencing token.
    pub fence: u64,
    /// When others may claim the run.
    pub until: Timestamp,
}

/// How far some runs are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How many of them are not finished.
    pub unfinished: u64,
    /// How many of those somebody works on.
    pub held: u64,
    /// When the first of those that are not finished becomes due, or may be taken from who holds it.
    pub next: Option<Timestamp>,
}

/// How much was removed for its age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Findings.
    pub findings: usize,
    /// Runs, with their journals.
    pub runs: usize,
    /// Questions to people.
    #[serde(default)]
    pub approvals: usize,
}
