use base16ct::lower::encode_string as hex;
use jiff::Timestamp;
use quench_actions::remediate::{Effect, Plan};
use quench_automations::Mode;
use quench_findings::{Finding, Transition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One execution of one playbook for one finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// 32 hex digits, derived from what started it, so that the same cause makes the same run.
    pub id: String,
    /// The finding as it was when the run was made.
    pub finding: Arc<Finding>,
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

/// Bytes of a digest that make an id: more than chance or malice bring together, and fit for a line on a screen.
const ID_BYTES: usize = 16;

impl Run {
    /// The id of the run that these parts, in this order, make.
    pub(crate) fn id_of(parts: &[&[u8]]) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            // The length keeps neighbours apart: (`ab`, `c`) is not (`a`, `bc`).
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex(&hash.finalize()[..ID_BYTES])
    }

    /// Whether this has the form of a run's id.
    pub(crate) fn is_id(text: &str) -> bool {
        text.len() == 2 * ID_BYTES
            && text
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    }
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
    /// What it had changed was restored.
    Undone {
        /// Who wanted it so.
        by: String,
        /// Paths of the steps whose changes stand, as nobody wanted them undone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
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
    /// This attempt began something that goes on by itself; a further one learns how it ends.
    Pending {
        /// What goes on.
        reason: String,
        /// When it is looked at next.
        due: Timestamp,
        /// What tells it from others.
        mark: String,
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
    /// The resource was read, and this is what the remediation would change; nothing is changed yet.
    Planned {
        /// What, and all that undoing it needs.
        plan: Box<Plan>,
        /// How far the step may go.
        mode: Mode,
    },
    /// This is what a step would do that is no remediation; nothing is done yet.
    Proposed {
        /// What, rendered, secrets redacted.
        content: Value,
        /// SHA-256, in hexadecimal digits, of what would be done, and of the run and the step.
        hash: String,
        /// How far the step may go.
        mode: Mode,
    },
    /// The guards were asked.
    Guarded {
        /// How far the step may go, as far as is known now.
        mode: Mode,
        /// What each of them says.
        checks: Vec<Check>,
    },
    /// A guard keeps the step from going on.
    Held {
        /// Which, and why.
        reason: String,
        /// When it is asked again.
        until: Timestamp,
    },
    /// People were asked whether it may be done.
    Asked {
        /// Id of the approval.
        approval: String,
        /// Hash of the plan or the proposal that they were shown.
        hash: String,
        /// Their addresses; none where whoever may decide looks for it.
        to: Vec<String>,
        /// Those of them whom no mail reaches, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        untold: Vec<String>,
        /// When the question expires.
        until: Timestamp,
    },
    /// There is an answer, or there will be none.
    Decided {
        /// Id of the approval.
        approval: String,
        /// Which.
        decision: Decision,
        /// Who decided; none where nobody did.
        by: Option<String>,
        /// Why, in their words.
        reason: Option<String>,
    },
    /// What was planned cannot be done any more as it was planned; it is planned anew.
    Outdated {
        /// Why.
        reason: String,
        /// Whether some of it may have been done.
        begun: bool,
    },
    /// The plan is about to be applied.
    Applying {
        /// Its hash.
        hash: String,
    },
    /// The plan was applied; it is not read back yet.
    Applied {
        /// What came of it.
        effect: Effect,
        /// Whether it had been begun before, so that an earlier attempt may have done it.
        resumed: bool,
    },
    /// What the run has changed is to be restored.
    UndoAsked {
        /// Who asked.
        by: String,
        /// The step, where it is one alone.
        step: Option<String>,
    },
    /// What a plan changed is about to be restored.
    Undoing {
        /// Its hash.
        hash: String,
    },
    /// What a plan changed was restored, and read back.
    Undone {
        /// Its hash.
        hash: String,
        /// What came of it.
        effect: Effect,
    },
    /// What a plan changed is not restored, and nothing was overwritten.
    UndoFailed {
        /// Its hash.
        hash: String,
        /// Why.
        reason: String,
    },
}

/// What came of a question to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may be done.
    Approved,
    /// It may not.
    Denied,
    /// Nobody answered in time, so it may not.
    Expired,
}

/// What a guard says of a step that would change something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which guard.
    pub guard: Guard,
    /// What it says.
    pub ruling: Ruling,
    /// Why, in one line.
    pub about: String,
}

/// What keeps automations from doing too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// Whether the automation that started the run is still in force.
    Automation,
    /// How far it may go by now.
    Mode,
    /// What is left alone.
    Exempt,
    /// When nothing is changed.
    Blackout,
    /// Resources that one run may change.
    MaxResources,
    /// Resources that the automation may change within an hour.
    MaxPerHour,
}

/// What a guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It has nothing against it.
    Passes,
    /// The resource is left alone, as somebody wished.
    Exempt,
    /// Not now.
    Waits,
    /// No; also where nobody can tell.
    Stops,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits_and_tell_neighbouring_parts_apart() {
        let id = Run::id_of(&[b"ab", b"c"]);
        assert_eq!(id.len(), 32);
        assert!(
            id.chars()
                .all(|digit| matches!(digit, '0'..='9' | 'a'..='f'))
        );
        assert_eq!(id, Run::id_of(&[b"ab", b"c"]));
        assert_ne!(id, Run::id_of(&[b"a", b"bc"]));
        assert_ne!(id, Run::id_of(&[b"c", b"ab"]));
    }
}
