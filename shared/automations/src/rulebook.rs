use crate::fires::{listens, names_status, takes_part};
use crate::scope::{self, ScopeFault, ScopePattern};
use crate::{Automation, Organization};
use jiff::Timestamp;
use quench_findings::{Finding, Kind, Transition};
use quench_matching::{Explanation, InvalidRule, Matcher, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// All automations, ready to be asked about findings.
#[derive(Debug)]
pub struct Rulebook {
    /// By order, then name.
    entries: Vec<Entry>,
    indexes: BTreeMap<Kind, Index>,
    organization: Option<Organization>,
}

#[derive(Debug)]
struct Entry {
    automation: Automation,
    scope: Vec<ScopePattern>,
    /// Its position in the index of its kind.
    rule: usize,
}

#[derive(Debug)]
struct Index {
    matcher: Matcher,
    /// Position among the entries of each rule of the matcher.
    entries: Vec<usize>,
}

/// An automation that a finding fires, and why its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Match<'a> {
    /// The automation.
    pub automation: &'a Automation,
    /// Its conditions with the values seen.
    pub explanation: Explanation,
}

/// Why an automation cannot be part of a rulebook.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidAutomation {
    /// One of its conditions is wrong.
    #[error("automation `{}`: {}", .0.rule, place(.0))]
    Condition(#[from] InvalidRule),
    /// One of its scope patterns is wrong.
    #[error("automation `{automation}`: {fault}{}", fault.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
    Scope {
        /// Name of the automation.
        automation: String,
        /// What is wrong with the pattern.
        fault: ScopeFault,
    },
    /// Two automations have one name.
    #[error("automation `{0}` is there twice; rename one of them")]
    Twice(String),
}

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
    /// Compiles automations into one index for each kind of finding.
    ///
    /// # Errors
    /// Every automation that is wrong, and why.
    pub fn compile(
        automations: impl IntoIterator<Item = Automation>,
        organization: Option<Organization>,
    ) -> Result<Self, Vec<InvalidAutomation>> {
        let mut automations: Vec<Automation> = automations.into_iter().collect();
        automations.sort_by(|one, other| (one.order, &one.name).cmp(&(other.order, &other.name)));
        let mut invalid = twice(&automations);
        let mut entries = Vec::with_capacity(automations.len());
        let mut rules: BTreeMap<Kind, (Vec<Rule>, Vec<usize>)> = BTreeMap::new();
        for (position, automation) in automations.into_iter().enumerate() {
            let (of_kind, positions) = rules.entry(automation.trigger).or_default();
            let mut patterns = Vec::with_capacity(automation.scope.len());
            for pattern in &automation.scope {
                match scope::parse(pattern) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(fault) => invalid.push(InvalidAutomation::Scope {
                        automation: automation.name.clone(),
                        fault,
                    }),
                }
            }
            entries.push(Entry {
                rule: of_kind.len(),
                scope: patterns,
                automation: automation.clone(),
            });
            of_kind.push(Rule {
                name: automation.name,
                sets: automation.when,
            });
            positions.push(position);
        }
        let mut indexes = BTreeMap::new();
        for (kind, (rules, entries)) in rules {
            match quench_matching::compile(&rules) {
                Ok(matcher) => {
                    indexes.insert(kind, Index { matcher, entries });
                }
                Err(faults) => {
                    invalid.extend(faults.into_iter().map(InvalidAutomation::Condition));
                }
            }
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Self {
            entries,
            indexes,
            organization,
        })
    }

    /// The automations, by order and then by name.
    pub fn automations(&self) -> impl Iterator<Item = &Automation> {
        self.entries.iter().map(|entry| &entry.automation)
    }

    /// Finds the automations that a finding fires, by order and then by name.
    #[must_use]
    pub fn evaluate(
        &self,
        finding: &Finding,
        transition: Transition,
        now: Timestamp,
    ) -> Vec<Match<'_>> {
        let Some(index) = self.indexes.get(&finding.kind) else {
            return Vec::new();
        };
        let document = finding.document();
        // Both the rules of an index and the entries are in the order of firing.
        index
            .matcher
            .matches(&document)
            .into_iter()
            .map(|rule| &self.entries[index.entries[rule]])
            .filter(|entry| {
                self.gates(entry, finding, transition, now)
                    .all(|(_, open)| open)
            })
            .map(|entry| Match {
                automation: &entry.automation,
                explanation: index.matcher.explain(entry.rule, &document),
            })
            .collect()
    }

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

    fn gates(
        &self,
        entry: &Entry,
        finding: &Finding,
        transition: Transition,
        now: Timestamp,
    ) -> impl Iterator<Item = (GateKind, bool)> {
        let automation = &entry.automation;
        let in_scope = scope::in_scope(&entry.scope, finding, self.organization.as_ref());
        [
            (GateKind::Kind, automation.trigger == finding.kind),
            (GateKind::Enabled, automation.enabled),
            (
                GateKind::Expiry,
                automation.expires.is_none_or(|expires| now < expires),
            ),
            (GateKind::Scope, in_scope),
            (GateKind::SubFinding, takes_part(automation, finding)),
            (
                GateKind::Transition,
                listens(automation, finding, transition),
            ),
        ]
        .into_iter()
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
                reason: self.reason(asks, entry, finding, transition),
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
                Some(expires) => format!("it expires at {expires}"),
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

/// Where in an automation a fault of its conditions is, and the fault.
fn place(invalid: &InvalidRule) -> String {
    match (invalid.set, invalid.condition) {
        (Some(set), Some(condition)) => format!(
            "condition {} of set {}: {}",
            condition + 1,
            set + 1,
            invalid.fault
        ),
        (Some(set), None) => format!("condition set {}: {}", set + 1, invalid.fault),
        _ => invalid.fault.to_string(),
    }
}

/// The names that several automations have; those are in no particular order, as sorting was by order first.
fn twice(automations: &[Automation]) -> Vec<InvalidAutomation> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for automation in automations {
        *count.entry(automation.name.as_str()).or_default() += 1;
    }
    count
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, _)| InvalidAutomation::Twice(name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn automation(name: &str, fields: Value) -> Automation {
        let mut automation =
            json!({ "name": name, "trigger": "alert", "run": [{ "playbook": "p" }] });
        for (name, value) in serde_json::from_value::<serde_json::Map<_, _>>(fields).unwrap() {
            automation[name.as_str()] = value;
        }
        serde_json::from_value(automation).unwrap()
    }

    fn sql_threat() -> Finding {
        serde_json::from_value(json!({
            "id": "f-1", "kind": "alert", "source": "defender", "title": "Brute force on SQL server",
            "severity": "high", "status": "new", "account": "111122223333", "scope": "aws:111122223333", "raw": {},
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn fired(automations: Vec<Automation>, finding: &Finding) -> Vec<String> {
        Rulebook::compile(automations, None)
            .unwrap()
            .evaluate(finding, Transition::Created, now())
            .iter()
            .map(|found| found.automation.name.clone())
            .collect()
    }

    fn condition(field: &str, operator: &str, value: &str) -> Value {
        json!({ "field": field, "operator": operator, "value": value })
    }

    #[test]
    fn those_that_match_come_by_order_and_then_by_name() {
        let automations = vec![
            automation("c", json!({})),
            automation("b", json!({ "order": 7 })),
            automation("a", json!({})),
            automation("d", json!({ "order": -1 })),
        ];
        assert_eq!(fired(automations, &sql_threat()), ["d", "b", "a", "c"]);
    }

    #[test]
    fn every_gate_can_keep_an_automation_from_firing() {
        let automations = vec![
            automation(
                "conditions",
                json!({ "when": [[condition("title", "contains", "disk")]] }),
            ),
            automation("disabled", json!({ "enabled": false })),
            automation("elsewhere", json!({ "scope": ["azure:*"] })),
            automation("excluded", json!({ "scope": ["!aws:1111*"] })),
            automation("expired", json!({ "expires": "2026-11-22T12:00:00Z" })),
            automation(
                "fires",
                json!({
                    "expires": "2026-11-22T12:00:01Z", "scope": ["aws:111122223333"],
                    "when": [[condition("title", "contains", "sql"), condition("severity", "at_least", "medium")]],
                }),
            ),
            automation("kind", json!({ "trigger": "compliance" })),
            automation("transition", json!({ "on": ["resolved"] })),
        ];
        assert_eq!(fired(automations.clone(), &sql_threat()), ["fires"]);
        let mut part = sql_threat();
        part.parent = Some("f-0".to_owned());
        assert_eq!(fired(automations, &part), Vec::<String>::new());
    }

    #[test]
    fn a_match_tells_which_conditions_held() {
        let rulebook = Rulebook::compile(
            [automation(
                "a",
                json!({ "when": [
                [condition("title", "contains", "disk")],
                [condition("title", "contains", "sql")],
            ] }),
            )],
            None,
        )
        .unwrap();
        let matches = rulebook.evaluate(&sql_threat(), Transition::Created, now());
        let held: Vec<bool> = matches[0]
            .explanation
            .sets
            .iter()
            .map(|set| set.held)
            .collect();
        assert_eq!(held, [false, true]);
    }

    #[test]
    fn the_explanation_says_of_each_gate_what_was_found() {
        let rulebook = Rulebook::compile(
            [
                automation("quiet", json!({
                    "enabled": false, "expires": "2026-01-01T00:00:00Z", "scope": ["aws:444455556666"], "on": ["changed"],
                    "when": [[condition("title", "contains", "sql"), condition("severity", "equals", "low")]],
                })),
                automation("loud", json!({})),
                automation("other", json!({ "trigger": "compliance" })),
            ],
            None,
        )
        .unwrap();
        let verdicts = rulebook.explain_all(&sql_threat(), Transition::Created, now());
        insta::assert_json_snapshot!(verdicts);
        assert_eq!(
            rulebook
                .explain("quiet", &sql_threat(), Transition::Created, now())
                .as_ref(),
            verdicts
                .iter()
                .find(|verdict| verdict.automation == "quiet")
        );
        assert_eq!(
            rulebook.explain("nobody", &sql_threat(), Transition::Created, now()),
            None
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let faults = Rulebook::compile(
            [
                automation("a", json!({ "scope": ["asw:111122223333", "aws:12"] })),
                automation(
                    "b",
                    json!({ "when": [[condition("severity", "at_least", "hgih")]] }),
                ),
                automation("c", json!({ "order": 1 })),
                automation("c", json!({ "trigger": "compliance" })),
            ],
            None,
        )
        .unwrap_err();
        let told: Vec<String> = faults.iter().map(InvalidAutomation::to_string).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    fn automations() -> impl Strategy<Value = Vec<Automation>> {
        let one = (
            proptest::sample::select(vec!["alert", "recommendation", "compliance"]),
            proptest::sample::select(vec![vec![], vec!["created"], vec!["changed", "resolved"]]),
            proptest::sample::select(vec![
                vec![],
                vec!["aws:1111*"],
                vec!["!aws:1111*"],
                vec!["gcp:*"],
            ]),
            proptest::sample::select(vec!["sql", "disk", "brute"]),
            any::<(bool, bool, bool)>(),
            -2_i64..3,
        );
        proptest::collection::vec(one, 0..12).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(number, (trigger, on, scope, word, (enabled, expired, unconditional), order))| {
                    let when = if unconditional {
                        json!([])
                    } else {
                        json!([[condition("title", "contains", word)], [condition("status", "equals", "new")]])
                    };
                    automation(&format!("a{number}"), json!({
                        "trigger": trigger, "on": on, "scope": scope, "enabled": enabled, "order": order, "when": when,
                        "expires": if expired { json!("2026-01-01T00:00:00Z") } else { Value::Null },
                    }))
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn an_automation_fires_exactly_if_its_explanation_says_so(
            automations in automations(),
            transition in proptest::sample::select(Transition::ALL),
            status in proptest::sample::select(vec!["new", "resolved"]),
        ) {
            let mut finding = sql_threat();
            finding.status = Some(serde_json::from_value(json!(status)).unwrap());
            let rulebook = Rulebook::compile(automations, None).unwrap();
            let fired: Vec<&str> = rulebook
                .evaluate(&finding, transition, now())
                .iter()
                .map(|found| found.automation.name.as_str())
                .collect();
            let verdicts = rulebook.explain_all(&finding, transition, now());
            let told: Vec<&str> = verdicts
                .iter()
                .filter(|verdict| verdict.fires)
                .map(|verdict| verdict.automation.as_str())
                .collect();
            prop_assert_eq!(fired, told);
        }
    }
}
