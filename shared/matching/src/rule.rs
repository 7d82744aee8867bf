use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::expectation::faults;
use crate::invalid::{InvalidCondition, InvalidRule, RuleFault};
use crate::matcher::{Builder, Matcher};

/// Sets of conditions: in a set all must hold, of the sets any.
///
/// Without any set it matches every document.
///
/// ```
/// use quench_matching::{Rule, compile};
/// use serde_json::json;
///
/// let rule: Rule = serde_json::from_value(json!({
///     "name": "urgent",
///     "sets": [
///         [{"field": "severity", "operator": "equals", "value": "critical"}],
///         [
///             {"field": "severity", "operator": "equals", "value": "high"},
///             {"field": "tags.env", "operator": "equals", "value": "prod"},
///         ],
///     ],
/// }))?;
/// let matcher = compile(&[rule]).expect("a valid rule");
/// assert_eq!(matcher.matches(&json!({"severity": "critical"})), [0]);
/// assert_eq!(matcher.matches(&json!({"severity": "high", "tags": {"env": "prod"}})), [0]);
/// assert!(matcher.matches(&json!({"severity": "high"})).is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What errors call it.
    pub name: String,
    /// The alternatives.
    #[serde(default)]
    pub sets: Vec<Vec<Condition>>,
}

/// Checks rules and makes them ready to match.
///
/// The [`Matcher`] speaks of rules by their position in `rules`.
///
/// # Errors
/// Every fault of every rule, in the order of the rules.
///
/// # Panics
/// If rules name 2²² fields or more, have more than 2²⁸ distinct conditions, or take more than 4 GiB for the texts that they
/// expect or 16 GiB for their sets.
///
/// ```
/// use quench_matching::{Condition, Operator, Rule, compile};
/// use serde_json::json;
///
/// let threats = Rule {
///     name: "sql-threats".to_owned(),
///     sets: vec![vec![
///         Condition { field: "title".to_owned(), operator: Operator::Contains, value: json!("SQL"), value_type: None },
///         Condition { field: "severity".to_owned(), operator: Operator::AtLeast, value: json!("medium"), value_type: None },
///     ]],
/// };
/// let matcher = compile(&[threats])?;
/// assert_eq!(matcher.matches(&json!({"title": "Brute force on mysql", "severity": "High"})), [0]);
/// assert!(matcher.matches(&json!({"title": "Brute force on mysql", "severity": "low"})).is_empty());
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
pub fn compile(rules: &[Rule]) -> Result<Matcher, Vec<InvalidRule>> {
    let mut invalid = Vec::new();
    let mut builder = Builder::new();
    for (index, rule) in rules.iter().enumerate() {
        let mut refuse = |set, condition, fault| {
            invalid.push(InvalidRule {
                rule: rule.name.clone(),
                index,
                set,
                condition,
                fault,
            });
        };
        if rule.name.trim().is_empty() {
            refuse(None, None, RuleFault::Nameless);
        }
        for (set_index, set) in rule.sets.iter().enumerate() {
            if set.is_empty() {
                refuse(Some(set_index), None, RuleFault::EmptySet);
            }
            for (position, condition) in set.iter().enumerate() {
                if builder.condition(condition).is_err()
                    && let Err(fault) = check(condition)
                {
                    refuse(Some(set_index), Some(position), fault.into());
                }
            }
            builder.set();
        }
        builder.rule();
    }
    if invalid.is_empty() {
        Ok(builder.finish())
    } else {
        Err(invalid)
    }
}

/// Checks one condition as [`compile`] would.
///
/// # Errors
/// Everything that is wrong with it.
///
/// ```
/// use quench_matching::{Condition, Operator, check};
///
/// let condition = Condition {
///     field: "service.count".to_owned(),
///     operator: Operator::GreaterThan,
///     value: "ten".into(),
///     value_type: None,
/// };
/// let error = check(&condition).expect_err("not a number");
/// assert_eq!(error.to_string(), "`service.count greater_than`: `greater_than` takes a number, not a text");
/// ```
pub fn check(condition: &Condition) -> Result<(), InvalidCondition> {
    let faults = faults(condition);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(InvalidCondition::new(condition, faults))
    }
}
