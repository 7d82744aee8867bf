use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One test of a rule: `field operator value`.
///
/// Plain data, so that it can be stored; [`crate::compile`] checks it.
///
/// ```
/// use quench_matching::{Condition, ValueType, check};
/// use serde_json::json;
///
/// let condition: Condition = serde_json::from_value(json!({
///     "field": "service.count",
///     "operator": "greater_than",
///     "value": "10",
///     "type": "integer",
/// }))?;
/// assert_eq!(condition.value_type, Some(ValueType::Integer));
/// assert_eq!(check(&condition), Ok(()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Dotted path into the document, such as `resources.tags.tier`; an optional leading `$.` is dropped.
    pub field: String,
    /// What is asked of the value found there.
    pub operator: Operator,
    /// What the value is compared with: a scalar, or a list for `in`, `not_in` and `cidr`.
    pub value: Value,
    /// How both sides are read before they are compared; derived from `value` where absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
}

/// What a condition asks of the value at its field.
///
/// ```
/// use quench_matching::Operator;
/// use serde_json::json;
///
/// let operator: Operator = serde_json::from_value(json!("less_than_or_equal"))?;
/// assert_eq!(operator, Operator::LessThanOrEqual);
/// assert_eq!(operator.to_string(), "less_than_or_equal");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// There may be more of them one day, so whoever matches on one says what else may come:
///
/// ```compile_fail,E0004
/// use quench_matching::Operator;
///
/// fn is_of_numbers(operator: Operator) -> bool {
///     use Operator::*;
///     match operator {
///         GreaterThan | GreaterThanOrEqual | LessThan | LessThanOrEqual => true,
///         Equals | NotEquals | Contains | StartsWith | EndsWith | In | NotIn | Exists | AtLeast | Cidr | Matches => false,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operator {
    /// The value is the expected one.
    Equals,
    /// The value is there and is not the expected one.
    NotEquals,
    /// The text holds the expected text.
    Contains,
    /// The text begins with the expected text.
    StartsWith,
    /// The text ends with the expected text.
    EndsWith,
    /// The number is above the expected one.
    GreaterThan,
    /// The number is the expected one or above it.
    GreaterThanOrEqual,
    /// The number is below the expected one.
    LessThan,
    /// The number is the expected one or below it.
    LessThanOrEqual,
    /// The value is one of the expected ones.
    In,
    /// The value is there and is none of the expected ones.
    NotIn,
    /// The field is there (`true`) or is not (`false`).
    Exists,
    /// The severity is the expected one or worse.
    AtLeast,
    /// The IP address lies in one of the expected networks.
    Cidr,
    /// The text matches the expected regular expression.
    Matches,
}

/// How a value and its expectation are read before comparison.
///
/// ```
/// use quench_matching::{Condition, Operator, Rule, ValueType, compile};
/// use serde_json::json;
///
/// let version = |value_type| Rule {
///     name: "five".to_owned(),
///     sets: vec![vec![Condition {
///         field: "version".to_owned(),
///         operator: Operator::Equals,
///         value: json!("5"),
///         value_type,
///     }]],
/// };
/// let matcher = compile(&[version(None), version(Some(ValueType::Number))])?;
/// // The value `"5"` makes a condition compare texts unless it says otherwise.
/// assert_eq!(matcher.matches(&json!({"version": "5.0"})), [1]);
/// assert_eq!(matcher.matches(&json!({"version": 5.0})), [0, 1]);
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ValueType {
    /// As text, compared without regard to case.
    String,
    /// As a whole number.
    Integer,
    /// As a number.
    Number,
    /// As true or false.
    Boolean,
}

impl Operator {
    /// The operator as files spell it.
    ///
    /// ```
    /// assert_eq!(quench_matching::Operator::StartsWith.name(), "starts_with");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::GreaterThan => "greater_than",
            Self::GreaterThanOrEqual => "greater_than_or_equal",
            Self::LessThan => "less_than",
            Self::LessThanOrEqual => "less_than_or_equal",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Exists => "exists",
            Self::AtLeast => "at_least",
            Self::Cidr => "cidr",
            Self::Matches => "matches",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_print_as_they_are_stored() {
        for operator in [
            Operator::Equals,
            Operator::NotEquals,
            Operator::Contains,
            Operator::StartsWith,
            Operator::EndsWith,
            Operator::GreaterThan,
            Operator::GreaterThanOrEqual,
            Operator::LessThan,
            Operator::LessThanOrEqual,
            Operator::In,
            Operator::NotIn,
            Operator::Exists,
            Operator::AtLeast,
            Operator::Cidr,
            Operator::Matches,
        ] {
            assert_eq!(serde_json::to_value(operator).unwrap(), operator.name());
        }
        for value_type in [
            ValueType::String,
            ValueType::Integer,
            ValueType::Number,
            ValueType::Boolean,
        ] {
            assert_eq!(
                serde_json::to_value(value_type).unwrap(),
                value_type.to_string()
            );
        }
    }
}
