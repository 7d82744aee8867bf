mod verdict;

pub use verdict::{Gate, GateKind, Verdict};

use crate::fires::{listens, takes_part};
use crate::scope::{self, ScopeFault, ScopePattern};
use crate::{Automation, Organization};
use jiff::Timestamp;
use quench_findings::{Finding, Kind, Transition};
use quench_matching::{Document, Explanation, InvalidRule, Matcher, Rule};
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
    /// The automation, as far as a rulebook keeps it.
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

impl Rulebook {
    /// Compiles automations into one index for each kind of finding.
    ///
    /// Of each only what it takes to fire is kept: conditions are in the index, and descriptions and tests are for people.
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
            of_kind.push(Rule {
                name: automation.name.clone(),
                sets: automation.when,
            });
            entries.push(Entry {
                rule: of_kind.len() - 1,
                scope: patterns,
                automation: Automation {
                    description: None,
                    when: Vec::new(),
                    tests: Vec::new(),
                    ..automation
                },
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

    /// The automations, by order and then by name, as far as they are kept.
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
        let pieces = finding.pieces(index.matcher.reads("defender"));
        let members = pieces.members();
        let document = Document::Members(&members);
        // Both the rules of an index and the entries are in the order of firing.
        index
            .matcher
            .matches(document)
            .into_iter()
            .map(|rule| &self.entries[index.entries[rule]])
            .filter(|entry| {
                self.gates(entry, finding, transition, now)
                    .all(|(_, open)| open)
            })
            .map(|entry| Match {
                automation: &entry.automation,
                explanation: index.matcher.explain(entry.rule, document),
            })
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
    use serde_json::{Value, json};

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
