use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::invalid::{InvalidCondition, InvalidRule, RuleFault};
use crate::matcher::{Builder, Matcher};
use crate::predicate::Predicate;

/// Sets of conditions: in a set all must hold, of the sets any.
///
/// Without any set it matches every document.
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
    let mut builder = Builder::default();
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
        builder.rule();
        for (set_index, set) in rule.sets.iter().enumerate() {
            if set.is_empty() {
                refuse(Some(set_index), None, RuleFault::EmptySet);
            }
            builder.set();
            for (position, condition) in set.iter().enumerate() {
                match Predicate::compile(condition) {
                    Ok(predicate) => builder.condition(condition, predicate),
                    Err(faults) => {
                        let fault = InvalidCondition::new(condition, faults).into();
                        refuse(Some(set_index), Some(position), fault);
                    }
                }
            }
        }
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
    match Predicate::compile(condition) {
        Ok(_) => Ok(()),
        Err(faults) => Err(InvalidCondition::new(condition, faults)),
    }
}
