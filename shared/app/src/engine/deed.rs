//! Steps that change things, or ask whether they may be changed: what is on the table, who agreed to it and what of it
//! was done, all by the journal.

use super::walk::decided;
use crate::run::{Decision, Event};
use base16ct::lower::encode_string as hex;
use jiff::Timestamp;
use quench_actions::remediate::{Effect, Entry, Plan};
use quench_automations::{Approval, Mode, Step, StepKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How often a step that does not ask anybody plans anew because the resource changed meanwhile.
pub(crate) const MOST_REPLANS: u32 = 3;

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Draft {
    /// A remediation.
    Plan(Arc<Plan>),
    /// Anything else, as it was rendered.
    Content { content: Value, hash: String },
}

impl Draft {
    /// What whoever agrees to it agrees to.
    pub(crate) fn hash(&self) -> &str {
        match self {
            Self::Plan(plan) => &plan.hash,
            Self::Content { hash, .. } => hash,
        }
    }
}

/// A question that people were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Id of the approval.
    pub(crate) approval: String,
    /// Hash of what it is about.
    pub(crate) hash: String,
    /// When it expires.
    pub(crate) until: Timestamp,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Answer {
    /// Why it is not done, for people.
    pub(crate) fn refusal(&self) -> String {
        let by = self.by.as_deref().unwrap_or("somebody");
        match &self.reason {
            Some(reason) => format!("denied by {by}: {reason}"),
            None => format!("denied by {by}"),
        }
    }
}

/// What was done of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) effect: Effect,
    /// Whether an attempt before this one may have done it.
    pub(crate) resumed: bool,
    pub(crate) at: Timestamp,
}

impl Done {
    /// Whether the run has changed something by it, as far as is known.
    pub(crate) fn is_ours(self) -> bool {
        self.effect == Effect::Done || self.resumed
    }
}

/// How far a step has come that changes things.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Deed {
    pub(crate) draft: Option<Draft>,
    pub(crate) mode: Option<Mode>,
    pub(crate) question: Option<Question>,
    pub(crate) answer: Option<Answer>,
    /// Questions so far, also about what was planned before, and those that reached nobody.
    pub(crate) asks: u32,
    /// Whether applying the plan was begun.
    pub(crate) applying: bool,
    pub(crate) done: Option<Done>,
    /// Whether an attempt of another kind was begun.
    pub(crate) begun: bool,
    /// Whether that goes on by itself.
    pub(crate) pending: bool,
    /// How often the resource was found changed.
    pub(crate) outdated: u32,
}

impl Deed {
    /// Takes in the next event of the step.
    pub(crate) fn record(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Planned { plan, mode } => {
                self.table(Draft::Plan(Arc::new((**plan).clone())), *mode);
            }
            Event::Proposed {
                content,
                hash,
                mode,
            } => {
                let (content, hash) = (content.clone(), hash.clone());
                self.table(Draft::Content { content, hash }, *mode);
            }
            Event::Guarded { mode, .. } => {
                self.mode = self.mode.map(|own| lower(own, *mode));
            }
            Event::Asked {
                approval,
                hash,
                until,
                ..
            } => {
                self.asks += 1;
                self.answer = None;
                self.question = Some(Question {
                    approval: approval.clone(),
                    hash: hash.clone(),
                    until: *until,
                });
            }
            Event::Decided {
                decision,
                by,
                reason,
                ..
            } => {
                self.answer = Some(Answer {
                    decision: *decision,
                    by: by.clone(),
                    reason: reason.clone(),
                });
            }
            Event::Outdated { .. } => {
                let (asks, outdated) = (self.asks, self.outdated + 1);
                *self = Self {
                    asks,
                    outdated,
                    ..Self::default()
                };
            }
            // Whoever tries it again asks anew.
            Event::Failed { .. } if self.draft.is_some() && self.question.is_none() => {
                self.asks += 1;
            }
            Event::Applying { .. } => self.applying = true,
            Event::Applied { effect, resumed } => {
                self.done = Some(Done {
                    effect: *effect,
                    resumed: *resumed,
                    at,
                });
            }
            Event::Started { .. } => self.begun = true,
            Event::Pending { .. } => self.pending = true,
            Event::Retrying { .. } | Event::Unknown { .. } => self.pending = false,
            _ => {}
        }
    }

    fn table(&mut self, draft: Draft, mode: Mode) {
        let (asks, outdated) = (self.asks, self.outdated);
        *self = Self {
            draft: Some(draft),
            mode: Some(mode),
            asks,
            outdated,
            ..Self::default()
        };
    }

    /// Begins anew, as after a failure that somebody wants tried again.
    pub(crate) fn reopen(&mut self) {
        *self = Self {
            asks: self.asks,
            ..Self::default()
        };
    }

    pub(crate) fn plan(&self) -> Option<&Arc<Plan>> {
        match &self.draft {
            Some(Draft::Plan(plan)) => Some(plan),
            _ => None,
        }
    }

    /// Whether somebody agreed to just what is on the table.
    fn is_approved(&self) -> bool {
        let (Some(draft), Some(question), Some(answer)) =
            (&self.draft, &self.question, &self.answer)
        else {
            return false;
        };
        answer.decision == Decision::Approved && question.hash == draft.hash()
    }
}

/// What was decided at an `approve` step about a remediation that a later step may do.
#[derive(Debug, Clone)]
pub(crate) struct Gate<'a> {
    /// Name of the remediation.
    pub(crate) name: &'a str,
    /// Absent where it could not be planned: whatever it was to be about is then not agreed to.
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) approved: bool,
    pub(crate) approval: &'a Approval,
}

impl Gate<'_> {
    /// Whether it is about the same remediation of the same resource, told the same.
    fn is_about(&self, plan: &Plan) -> bool {
        match &self.plan {
            None => self.name == plan.remediation.name(),
            Some(own) => {
                own.remediation == plan.remediation
                    && own.target == plan.target
                    && own.parameters == plan.parameters
            }
        }
    }

    /// Whether just this was agreed to.
    fn is_agreed(&self, hash: &str) -> bool {
        let own = self.plan.as_ref();
        self.approved && own.is_some_and(|own| own.hash == hash)
    }
}

/// What has to be done for such a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase<'a> {
    /// It is to be found out what would be done.
    Draft,
    /// People are to be asked.
    Ask {
        draft: Draft,
        approval: Option<&'a Approval>,
        /// Questions that the step asked before.
        asks: u32,
    },
    /// It is to be seen whether they answered.
    Answer(Question),
    /// The plan is to be applied, if no guard objects.
    Apply {
        plan: Arc<Plan>,
        entry: Entry,
        mode: Mode,
        /// Whether it is planned anew by itself if the resource changed, so many more times.
        replans: Option<u32>,
        question: Option<Question>,
    },
    /// The resource is to be read until it is as planned.
    Verify {
        plan: Arc<Plan>,
        done: Done,
        answer: Option<Answer>,
    },
    /// What was proposed is to be done, if no guard objects.
    Attempt {
        /// Hash of the proposal.
        hash: String,
        /// Whether an attempt was begun before.
        again: bool,
        /// Whether it goes on by itself, so that it is only looked at.
        pending: bool,
        mode: Mode,
        question: Option<Question>,
    },
}

/// What follows for such a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Then<'a> {
    /// This is to be done.
    Do(Phase<'a>),
    /// This is to be written down, and needs nothing else.
    Tell(Event),
}

/// What follows, by how far the step has come and by what was decided at `approve` steps before it, in their order.
pub(crate) fn then<'a>(step: &'a Step, deed: &Deed, gates: &[Gate<'a>]) -> Then<'a> {
    let Some(draft) = &deed.draft else {
        return Then::Do(Phase::Draft);
    };
    if let Some(plan) = deed.plan() {
        if let Some(done) = deed.done {
            let plan = Arc::clone(plan);
            let answer = deed.answer.clone();
            return Then::Do(Phase::Verify { plan, done, answer });
        }
        if let Some(why) = &plan.nothing_to_do {
            let output = output("nothing_to_do", plan, false, deed.answer.as_ref());
            return Then::Tell(decided(format!("nothing to do: {why}"), output));
        }
    }
    let mode = deed.mode.unwrap_or(Mode::Observe);
    let is_gate = matches!(step.kind, StepKind::Approve(_));
    if mode == Mode::Observe && !is_gate && !deed.applying && !deed.begun {
        return Then::Tell(observed(draft));
    }
    // The last word counts.
    let gate = deed.plan().and_then(|plan| {
        let mut gates = gates.iter().rev();
        gates.find(|gate| gate.is_about(plan))
    });
    let agreed = gate.is_some_and(|gate| gate.is_agreed(draft.hash()));
    let asks = is_gate || mode != Mode::Enforce || gate.is_some();
    if asks && !agreed && !deed.is_approved() && !deed.applying && !deed.begun {
        return question(step, deed, draft, gate);
    }
    if is_gate {
        return Then::Tell(agreement(draft, deed.answer.as_ref()));
    }
    Then::Do(match draft {
        Draft::Plan(plan) => Phase::Apply {
            plan: Arc::clone(plan),
            entry: match deed.applying {
                true => Entry::Again,
                false => Entry::First,
            },
            mode,
            replans: (!asks).then(|| MOST_REPLANS.saturating_sub(deed.outdated)),
            question: deed.question.clone(),
        },
        Draft::Content { hash, .. } => Phase::Attempt {
            hash: hash.clone(),
            again: deed.begun,
            pending: deed.pending,
            mode,
            question: deed.question.clone(),
        },
    })
}

/// What follows where somebody has to agree and has not.
fn question<'a>(step: &'a Step, deed: &Deed, draft: &Draft, gate: Option<&Gate<'a>>) -> Then<'a> {
    match (&deed.question, &deed.answer) {
        (Some(question), None) => Then::Do(Phase::Answer(question.clone())),
        (Some(_), Some(answer)) if answer.decision == Decision::Expired => {
            Then::Tell(Event::Failed {
                reason: "nobody answered in time".to_owned(),
            })
        }
        _ => Then::Do(Phase::Ask {
            draft: draft.clone(),
            approval: approval(step).or(gate.map(|gate| gate.approval)),
            asks: deed.asks,
        }),
    }
}

/// Whom a step asks, where it says so.
fn approval(step: &Step) -> Option<&Approval> {
    match &step.kind {
        StepKind::Remediate(step) => step.approval.as_ref(),
        StepKind::Ssm(step) => step.approval.as_ref(),
        StepKind::Lambda(step) => step.approval.as_ref(),
        StepKind::StepFunctions(step) => step.approval.as_ref(),
        StepKind::Approve(step) => Some(&step.approval),
        _ => None,
    }
}

/// Whether a step is walked by what is on the table and not by attempts alone.
pub(crate) fn is_deed(kind: &StepKind) -> bool {
    kind.follows_mode() || matches!(kind, StepKind::Approve(_))
}

fn observed(draft: &Draft) -> Event {
    match draft {
        Draft::Plan(plan) => decided(
            format!(
                "planned {} of {}; nothing is changed",
                count(plan),
                plan.target
            ),
            output("planned", plan, false, None),
        ),
        Draft::Content { content, hash } => decided(
            "written down; nothing is done".to_owned(),
            json!({"outcome": "planned", "content": content, "plan_hash": hash}),
        ),
    }
}

fn agreement(draft: &Draft, answer: Option<&Answer>) -> Event {
    let by = answer.and_then(|answer| answer.by.as_deref());
    let mut output = match draft {
        Draft::Plan(plan) => output("approved", plan, false, answer),
        Draft::Content { hash, .. } => json!({"outcome": "approved", "plan_hash": hash}),
    };
    output["by"] = json!(by);
    output["reason"] = json!(answer.and_then(|answer| answer.reason.as_deref()));
    decided(format!("approved by {}", by.unwrap_or("somebody")), output)
}

/// What a step says that was applied and read back.
pub(crate) fn applied(plan: &Plan, done: Done, answer: Option<&Answer>) -> (String, Value) {
    match done.is_ours() {
        true => (
            format!("{} of {} made and read back", count(plan), plan.target),
            output("applied", plan, true, answer),
        ),
        false => (
            format!("{} was so already; nothing was changed", plan.target),
            output("already", plan, true, answer),
        ),
    }
}

/// What a step says that was kept from a resource.
pub(crate) fn exempt(target: &str, remediation: &str, reason: &str) -> Event {
    decided(
        format!("left alone: {reason}"),
        json!({
            "outcome": "exempt",
            "remediation": remediation,
            "resource": target,
            "reason": reason,
            "verified": false,
        }),
    )
}

fn count(plan: &Plan) -> String {
    match plan.changes.len() {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}

/// What later steps may read of a remediation.
fn output(outcome: &str, plan: &Plan, verified: bool, answer: Option<&Answer>) -> Value {
    let mut output = json!({
        "outcome": outcome,
        "remediation": plan.remediation,
        "resource": plan.target.arn,
        "account": plan.target.account,
        "region": plan.target.region,
        "risk": plan.risk,
        "changes": plan.changes,
        "warnings": plan.warnings,
        "verified": verified,
        "plan_hash": plan.hash,
    });
    if let Some(why) = &plan.nothing_to_do {
        output["reason"] = json!(why);
    }
    if let Some(by) = answer.and_then(|answer| answer.by.as_ref()) {
        output["approved_by"] = json!(by);
    }
    output
}

/// The fields of an output that do not depend on what the finding or a resource says.
pub(crate) const OWN_FIELDS: [&str; 5] =
    ["outcome", "remediation", "risk", "verified", "plan_hash"];

/// Names what a step would do, in this run and at this place.
pub(crate) fn hash(run: &str, path: &str, content: &Value) -> String {
    let mut hash = Sha256::new();
    for part in [run, path, &content.to_string()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// The one of two modes that allows less.
pub(crate) fn lower(one: Mode, other: Mode) -> Mode {
    let rank = |mode| match mode {
        Mode::Observe => 0,
        Mode::Approve => 1,
        Mode::Enforce => 2,
    };
    if rank(one) <= rank(other) { one } else { other }
}
