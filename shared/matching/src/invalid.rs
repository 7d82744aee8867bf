use std::fmt;

use thiserror::Error;

use crate::condition::{Condition, Operator, ValueType};
use crate::path::InvalidPath;

/// A rule that cannot be compiled, and where in it the fault lies.
///
/// ```
/// use quench_matching::{Condition, Operator, Rule, compile};
///
/// let rule = Rule {
///     name: "urgent".to_owned(),
///     sets: vec![vec![Condition {
///         field: "severity".to_owned(),
///         operator: Operator::AtLeast,
///         value: "hgih".into(),
///         value_type: None,
///     }]],
/// };
/// let faults = compile(&[rule]).expect_err("no such severity");
/// assert_eq!(
///     faults[0].to_string(),
///     "rule `urgent`, set 1, condition 1: `severity at_least`: severity `hgih` is not known; did you mean `high`?"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub struct InvalidRule {
    /// Name of the rule.
    pub rule: String,
    /// Position of the rule in what was compiled, from zero.
    pub index: usize,
    /// Position of the set in the rule, from zero; absent if the fault is the rule's own.
    pub set: Option<usize>,
    /// Position of the condition in the set, from zero; absent if the fault is the set's or the rule's.
    pub condition: Option<usize>,
    /// What is wrong there.
    #[source]
    pub fault: RuleFault,
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rule.trim().is_empty() {
            write!(f, "rule {}", self.index + 1)?;
        } else {
            write!(f, "rule `{}`", self.rule)?;
        }
        if let Some(set) = self.set {
            write!(f, ", set {}", set + 1)?;
        }
        if let Some(condition) = self.condition {
            write!(f, ", condition {}", condition + 1)?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// What is wrong with a rule.
///
/// ```
/// use quench_matching::{Rule, RuleFault, compile};
///
/// let rule = |name: &str| Rule { name: name.to_owned(), sets: vec![vec![]] };
/// let faults = compile(&[rule(""), rule("all")]).expect_err("nameless, and sets that are empty");
/// let faults: Vec<(usize, &RuleFault)> = faults.iter().map(|one| (one.index, &one.fault)).collect();
/// assert_eq!(
///     faults,
///     [(0, &RuleFault::Nameless), (0, &RuleFault::EmptySet), (1, &RuleFault::EmptySet)]
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// It has no name, so nobody could say which one matched.
    #[error("the name is empty; give the rule one")]
    Nameless,
    /// A set without conditions would match everything, which is hardly ever meant.
    #[error(
        "the set is empty and would match everything; add a condition, or drop all sets to say so"
    )]
    EmptySet,
    /// One of its conditions is wrong.
    #[error(transparent)]
    Condition(#[from] InvalidCondition),
}

/// A condition that cannot be compiled, with everything that is wrong with it.
///
/// ```
/// use quench_matching::{Condition, Operator, check};
///
/// let condition = Condition {
///     field: "tags.".to_owned(),
///     operator: Operator::In,
///     value: "prod".into(),
///     value_type: None,
/// };
/// let invalid = check(&condition).expect_err("a dot too many, and no list");
/// assert_eq!((&*invalid.field, invalid.operator), ("tags.", Operator::In));
/// assert_eq!(invalid.faults.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub struct InvalidCondition {
    /// The field as the condition spells it.
    pub field: String,
    /// Its operator.
    pub operator: Operator,
    /// What is wrong; at least one.
    pub faults: Vec<ConditionFault>,
}

impl InvalidCondition {
    pub(crate) fn new(condition: &Condition, faults: Vec<ConditionFault>) -> Self {
        Self {
            field: condition.field.clone(),
            operator: condition.operator,
            faults,
        }
    }
}

impl fmt::Display for InvalidCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`: ", self.field, self.operator)?;
        for (position, fault) in self.faults.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// What is wrong with a condition.
///
/// ```
/// use quench_matching::{Condition, ConditionFault, Operator, check};
/// use serde_json::json;
///
/// let condition = Condition {
///     field: "region".to_owned(),
///     operator: Operator::In,
///     value: json!([]),
///     value_type: None,
/// };
/// let invalid = check(&condition).expect_err("an empty list");
/// assert_eq!(invalid.faults, [ConditionFault::EmptyList]);
/// assert_eq!(invalid.faults[0].to_string(), "the list is empty; name at least one value");
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ConditionFault {
    /// The field is no path.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The value is of a kind that the operator cannot compare with.
    #[error("`{operator}` takes {expected}, not {found}")]
    Kind {
        /// The operator.
        operator: Operator,
        /// What it takes.
        expected: &'static str,
        /// What was given, in words.
        found: String,
    },
    /// The declared type does not go with the operator.
    #[error("`{operator}` does not compare as `{value_type}`; {advice}")]
    Type {
        /// The operator.
        operator: Operator,
        /// The declared type.
        value_type: ValueType,
        /// What to write instead.
        advice: &'static str,
    },
    /// The value cannot be read as the declared type.
    #[error("`{value}` cannot be read as `{value_type}`; change the value or the type")]
    Unreadable {
        /// The value as JSON.
        value: String,
        /// The declared type.
        value_type: ValueType,
    },
    /// A number that a document cannot hold exactly, so that comparing with it would be a guess.
    #[error(
        "number `{number}` cannot be compared exactly; use a whole number from -2^63 to 2^64-1 written in full, or one below 2^53 with a fraction or an exponent"
    )]
    Inexact {
        /// The number as JSON.
        number: String,
    },
    /// The values of a list are of several kinds.
    #[error("the list mixes {kinds}; make them all alike, or set the type")]
    Mixed {
        /// The kinds found.
        kinds: String,
    },
    /// A list that nothing can be in.
    #[error("the list is empty; name at least one value")]
    EmptyList,
    /// Not one of the five severities.
    #[error("severity `{value}` is not known; {}", known_severities(*nearest))]
    Severity {
        /// What was given.
        value: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// Not an IP network; the text says what to write.
    #[error("{0}")]
    Network(String),
    /// A regular expression that does not parse or is too large.
    #[error("regular expression `{pattern}` {problem}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn known_severities(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "use `informational`, `low`, `medium`, `high` or `critical`".to_owned(),
    }
}
