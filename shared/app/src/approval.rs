//! Questions to people: whether what a run has planned may be done.
//!
//! Each person who is asked has a link of his own. The token in it is 32 random bytes, of which only the digest is kept;
//! it stands for the one record, and so for the run, the step and the hash of what was shown. The first answer stands:
//! the record can be decided once, before it expires, by nobody who asked for the run himself.

mod ask;
mod decide;
mod http;
#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod tests;

pub use ask::{AskError, Untold, ask};
pub(crate) use decide::tell_runs;
pub use decide::{Decision, Proof, Refused, decide, may_decide, show};
pub use http::{BODY_LIMIT, answer, public};

use crate::run::StartedBy;
use jiff::Timestamp;
use quench_actions::remediate::{Change, Plan, Risk};
use quench_findings::{Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A question to people about a step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// 32 hex digits, derived from the run, the step, what is asked about and how many times the step asked before.
    pub id: String,
    /// Id of the run.
    pub run: String,
    /// Path of the step.
    pub path: String,
    /// Hash of what is asked about: whoever decides says it again.
    pub plan_hash: String,
    /// How much harm it may do, where that is known. What is high takes a login to decide.
    pub risk: Option<Risk>,
    /// What would be done, in one line.
    pub title: String,
    /// What would be done.
    pub what: Proposal,
    /// What the people who are asked ought to know besides.
    pub message: Option<String>,
    /// The finding that the run is for.
    pub finding: About,
    /// Name of the playbook.
    pub playbook: String,
    /// Name of the automation that started the run, if one did.
    pub automation: Option<String>,
    /// Who was asked.
    pub asked: Vec<Asked>,
    /// Who started the run by hand, and so may not decide.
    pub requester: Option<String>,
    /// When it was asked.
    pub created: Timestamp,
    /// When it can be decided no more.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: ApprovalState,
}

impl Approval {
    /// Whether a token with this digest was made for one of those who are asked.
    pub(crate) fn has_token(&self, hash: &str) -> bool {
        self.asked
            .iter()
            .any(|asked| asked.tokens.iter().any(|known| known == hash))
    }

    /// Whether it can be decided at this time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == ApprovalState::Pending && now < self.expires
    }

    /// What it becomes where nobody decided in time.
    pub(crate) fn lapsed(&self, now: Timestamp) -> Option<ApprovalState> {
        let is_late = self.state == ApprovalState::Pending && now >= self.expires;
        is_late.then_some(ApprovalState::Expired { at: self.expires })
    }

    /// What it becomes where what it is about is no more, also if that was agreed to and not yet done.
    pub(crate) fn overtaken(&self, now: Timestamp) -> Option<ApprovalState> {
        let is_over = matches!(
            self.state,
            ApprovalState::Denied { .. } | ApprovalState::Superseded { .. }
        );
        (!is_over).then_some(ApprovalState::Superseded { at: now })
    }

    /// Where it stands by the clock: what nobody decided in time is expired, whether that was written down or not.
    pub fn standing(&self, now: Timestamp) -> ApprovalState {
        match &self.state {
            ApprovalState::Pending if now >= self.expires => {
                ApprovalState::Expired { at: self.expires }
            }
            state => state.clone(),
        }
    }
}

/// What would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// A remediation, without the images that undoing it needs.
    Plan {
        /// Name of the remediation.
        remediation: String,
        /// ARN of the resource.
        resource: String,
        /// Account of the resource.
        account: String,
        /// Region of the resource.
        region: String,
        /// What was said to the remediation.
        parameters: Map<String, Value>,
        /// What changes.
        changes: Vec<Change>,
        /// What people ought to know before they agree.
        warnings: Vec<String>,
    },
    /// Something else, as it was rendered.
    Content(Value),
    /// Nothing but going on.
    Gate,
}

impl Proposal {
    /// What a plan would do; whoever passes it on has taken secrets out of it.
    pub fn of(plan: &Plan) -> Proposal {
        let word = |value: Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let parameters = serde_json::to_value(&plan.parameters).unwrap_or_default();
        Proposal::Plan {
            remediation: word(serde_json::to_value(plan.remediation).unwrap_or_default()),
            resource: plan.target.arn.clone(),
            account: plan.target.account.clone(),
            region: plan.target.region.clone(),
            parameters: parameters.as_object().cloned().unwrap_or_default(),
            changes: plan.changes.clone(),
            warnings: plan.warnings.clone(),
        }
    }
}

/// A finding, as far as people are told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
}

impl From<&Finding> for About {
    fn from(finding: &Finding) -> About {
        About {
            id: finding.id.clone(),
            title: finding.title.clone(),
            severity: finding.severity,
        }
    }
}

/// A person who was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Mail address.
    pub to: String,
    /// SHA-256, in hexadecimal digits, of each token that was made for this person: one, but for mail that had to be
    /// sent again.
    #[serde(default)]
    pub tokens: Vec<String>,
    /// When the mail had left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

impl Asked {
    /// Somebody who was not told yet.
    pub fn new(to: impl Into<String>) -> Asked {
        Asked {
            to: to.into(),
            tokens: Vec::new(),
            told: None,
        }
    }
}

/// Where a question stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ApprovalState {
    /// Nobody has answered.
    Pending,
    /// It may be done.
    Approved {
        /// Who said so.
        by: String,
        /// When.
        at: Timestamp,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It may not be done.
    Denied {
        /// Who said so.
        by: String,
        /// When.
        at: Timestamp,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Nobody answered in time.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// What it was about changed, so that another question was asked.
    Superseded {
        /// When.
        at: Timestamp,
    },
}

/// Where a question stands, without the particulars of [`ApprovalState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "told at `ApprovalState`")]
pub enum ApprovalStage {
    Pending,
    Approved,
    Denied,
    Expired,
    Superseded,
}

impl ApprovalStage {
    /// Every stage.
    pub const ALL: [ApprovalStage; 5] = [
        ApprovalStage::Pending,
        ApprovalStage::Approved,
        ApprovalStage::Denied,
        ApprovalStage::Expired,
        ApprovalStage::Superseded,
    ];

    /// The stage of a state.
    pub fn of(state: &ApprovalState) -> ApprovalStage {
        match state {
            ApprovalState::Pending => ApprovalStage::Pending,
            ApprovalState::Approved { .. } => ApprovalStage::Approved,
            ApprovalState::Denied { .. } => ApprovalStage::Denied,
            ApprovalState::Expired { .. } => ApprovalStage::Expired,
            ApprovalState::Superseded { .. } => ApprovalStage::Superseded,
        }
    }

    /// Its name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ApprovalStage::Pending => "pending",
            ApprovalStage::Approved => "approved",
            ApprovalStage::Denied => "denied",
            ApprovalStage::Expired => "expired",
            ApprovalStage::Superseded => "superseded",
        }
    }
}

/// What somebody says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Do it.
    Approve,
    /// Do not do it.
    Deny,
}

impl Choice {
    /// The state that it leads to.
    pub(crate) fn state(self, by: &str, reason: Option<&str>, at: Timestamp) -> ApprovalState {
        let (by, reason) = (by.to_owned(), reason.map(str::to_owned));
        match self {
            Choice::Approve => ApprovalState::Approved { by, at, reason },
            Choice::Deny => ApprovalState::Denied { by, at, reason },
        }
    }
}

/// Who may not decide: whoever started the run by hand.
pub(crate) fn requester(started_by: &StartedBy) -> Option<String> {
    match started_by {
        StartedBy::Manual { by } => Some(by.clone()),
        StartedBy::Automation { .. } => None,
    }
}
