use super::{Entry, Rulebook};
use crate::fires::names_status;
use crate::{Automation, scope};
use jiff::Timestamp;
use quench_findings::{Finding, Kind, Transition};
use quench_matching::Explanation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether an automation fires for a finding, and what each of its gates says to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the automation.
    pub automation: String,
    /// Whether it fires: every gate is open.
    pub fires: bool,
    /// The gates, in the order they are asked.
    pub gates: Vec<Gate>,
    /// The conditions one by one, whatever the gates before them say; absent if the kind is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// One of the things that must be so before an automation fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What is asked.
    pub asks: GateKind,
    /// Whether it is so.
    pub open: bool,
    /// What was found, for people.
    pub reason: String,
}

/// What a gate asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// Is the finding of the kind the automation is triggered by?
    Kind,
    /// Is the automation enabled?
    Enabled,
    /// Has it not expired?
    Expiry,
    /// Does the finding lie in its scope?
    Scope,
    /// Is the finding a whole one, or are parts wanted?
    SubFinding,
    /// Does it listen to what happened to the finding?
    Transition,
    /// Do its conditions hold?
    Conditions,
}

impl Rulebook {
    /// Tells for one automation whether a finding fires it, and what every gate says; nothing if there is no such one.
    #[must_use]
    pub fn explain(
        &self,
        automation: &str,
        finding: &Finding,
        transition: Transition,
        now: Timestamp,
    ) -> Option<Verdict> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.automation.name == automation)?;
        Some(self.verdict(entry, finding, &finding.document(), transition, now))
    }

    /// As [`Rulebook::explain`], for every automation, by order and then by name.
    #[must_use]
    pub fn explain_all(
        &self,
        finding: &Finding,
        transition: Transition,
        now: Timestamp,
    ) -> Vec<Verdict> {
        let document = finding.document();
        self.entries
            .iter()
            .map(|entry| self.verdict(entry, finding, &document, transition, now))
            .collect()
    }

    fn verdict(
        &self,
        entry: &Entry,
        finding: &Finding,
        document: &Value,
        transition: Transition,
        now: Timestamp,
    ) -> Verdict {
        let automation = &entry.automation;
        let mut gates: Vec<Gate> = self
            .gates(entry, finding, transition, now)
            .map(|(asks, open)| Gate {
                asks,
                open,
                reason: self.reason(asks, open, entry, finding, transition),
            })
            .collect();
        let explanation = (automation.trigger == finding.kind)
            .then(|| self.indexes.get(&automation.trigger))
            .flatten()
            .map(|index| index.matcher.explain(entry.rule, document));
        let matched = explanation
            .as_ref()
            .is_some_and(|explanation| explanation.matched);
        gates.push(Gate {
            asks: GateKind::Conditions,
            open: matched,
            reason: conditions_reason(explanation.as_ref()),
        });
        Verdict {
            automation: automation.name.clone(),
            fires: gates.iter().all(|gate| gate.open),
            gates,
            explanation,
        }
    }

    fn reason(
        &self,
        asks: GateKind,
        open: bool,
        entry: &Entry,
        finding: &Finding,
        transition: Transition,
    ) -> String {
        let automation = &entry.automation;
        match asks {
            GateKind::Kind if automation.trigger == finding.kind => {
                format!("the finding is of kind `{}`", finding.kind)
            }
            GateKind::Kind => format!(
                "the finding is of kind `{}`, the trigger is `{}`",
                finding.kind, automation.trigger
            ),
            GateKind::Enabled if automation.enabled => "it is enabled".to_owned(),
            GateKind::Enabled => "it is disabled".to_owned(),
            GateKind::Expiry => match automation.expires {
                Some(expires) if open => format!("it expires at {expires}"),
                Some(expires) => format!("it expired at {expires}"),
                None => "it never expires".to_owned(),
            },
            GateKind::Scope => self.scope_reason(entry, finding),
            GateKind::SubFinding => match (&finding.parent, automation.sub_findings) {
                (None, _) => "the finding is not part of another".to_owned(),
                (Some(parent), true) => format!("it is part of `{parent}`, and parts are wanted"),
                (Some(parent), false) => {
                    format!("it is part of `{parent}`, and `sub_findings` is not set")
                }
            },
            GateKind::Transition => transition_reason(automation, finding, transition),
            GateKind::Conditions => String::new(),
        }
    }

    fn scope_reason(&self, entry: &Entry, finding: &Finding) -> String {
        let decision = scope::decide(&entry.scope, finding, self.organization.as_ref());
        let places = if decision.places.is_empty() {
            "the finding names no place".to_owned()
        } else {
            format!("the finding is in `{}`", decision.places.join("`, `"))
        };
        match (decision.by, decision.held) {
            (Some(pattern), true) => format!("{places}, which `{pattern}` includes"),
            (Some(pattern), false) => format!("{places}, which `{pattern}` excludes"),
            (None, true) if entry.scope.is_empty() => "its scope is everywhere".to_owned(),
            (None, true) => format!("{places}, which nothing excludes"),
            (None, false) => format!("{places}, which no pattern of its scope includes"),
        }
    }
}

fn transition_reason(automation: &Automation, finding: &Finding, transition: Transition) -> String {
    if !automation.on.is_empty() {
        let on: Vec<&str> = automation.on.iter().map(|on| on.as_str()).collect();
        return format!(
            "the finding was `{transition}`, it listens to `{}`",
            on.join("`, `")
        );
    }
    let status = match finding.status {
        Some(status) => format!("is `{status}`"),
        None => "has no status".to_owned(),
    };
    match automation.trigger {
        Kind::Alert => format!("the finding was `{transition}`, alerts fire when `created`"),
        Kind::Recommendation | Kind::Compliance if names_status(automation) => format!(
            "the finding was `{transition}`, it fires on any but `repeated` as a condition names a status"
        ),
        Kind::Recommendation | Kind::Compliance => format!(
            "the finding was `{transition}` and {status}, it fires on `created` and `changed` while the status is not a good one"
        ),
    }
}

fn conditions_reason(explanation: Option<&Explanation>) -> String {
    match explanation {
        None => "its conditions are about another kind of finding".to_owned(),
        Some(explanation) if explanation.sets.is_empty() => {
            "it has no conditions, so all findings match".to_owned()
        }
        Some(explanation) => {
            let held = explanation.sets.iter().filter(|set| set.held).count();
            let all = explanation.sets.len();
            format!("{held} of {all} condition sets held")
        }
    }
}
