use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::condition::{Condition, Operator, ValueType};
use crate::fold::fold;
use crate::invalid::ConditionFault;
use crate::literal;
use crate::network::Network;
use crate::number::Number;
use crate::path::Path;
use crate::severity;
use crate::test::{Comparison, Found, List, Pattern, Reading, Scalar, Test, TextOperator};

/// Bytes that one compiled regular expression may take.
const PATTERN_SIZE: usize = 256 * 1024;

/// Characters that one regular expression may have.
const PATTERN_LENGTH: usize = 4096;

/// What a checked condition expects.
#[derive(Debug)]
pub(crate) enum Expectation<'a> {
    /// By far the most common kind, so it is kept apart; the text is as the condition spells it.
    Text(TextOperator, &'a str),
    Other(Test),
}

/// Says everything that is wrong with a condition.
pub(crate) fn faults(condition: &Condition) -> Vec<ConditionFault> {
    let path = Path::parse(&condition.field)
        .err()
        .map(ConditionFault::from);
    path.into_iter()
        .chain(Expectation::of(condition).err())
        .collect()
}

impl<'a> Expectation<'a> {
    /// Reads the value of a condition as its operator asks for.
    pub(crate) fn of(condition: &'a Condition) -> Result<Self, ConditionFault> {
        let value = &condition.value;
        Ok(Self::Other(match condition.operator {
            Operator::Equals => match (value, condition.value_type) {
                (Value::String(text), None | Some(ValueType::String)) => {
                    return Ok(Self::Text(TextOperator::Equals, text));
                }
                _ => Test::In(single(condition)?),
            },
            Operator::NotEquals => Test::NotIn(single(condition)?),
            Operator::In => Test::In(several(condition)?),
            Operator::NotIn => Test::NotIn(several(condition)?),
            Operator::Contains => {
                return Ok(Self::Text(TextOperator::Contains, text_only(condition)?));
            }
            Operator::StartsWith => {
                return Ok(Self::Text(TextOperator::StartsWith, text_only(condition)?));
            }
            Operator::EndsWith => {
                return Ok(Self::Text(TextOperator::EndsWith, text_only(condition)?));
            }
            Operator::GreaterThan => comparison(condition, Comparison::Greater)?,
            Operator::GreaterThanOrEqual => comparison(condition, Comparison::GreaterOrEqual)?,
            Operator::LessThan => comparison(condition, Comparison::Less)?,
            Operator::LessThanOrEqual => comparison(condition, Comparison::LessOrEqual)?,
            Operator::Exists => {
                untyped(condition, ValueType::Boolean)?;
                match value {
                    Value::Bool(expected) => Test::Exists(*expected),
                    _ => return Err(wrong_kind(condition, "`true` or `false`")),
                }
            }
            Operator::AtLeast => {
                let name = text_only(condition)?;
                match severity::rank(name) {
                    Some(rank) => Test::AtLeast(rank),
                    None => {
                        return Err(ConditionFault::Severity {
                            value: name.to_owned(),
                            nearest: severity::nearest(name),
                        });
                    }
                }
            }
            Operator::Cidr => Test::Cidr(networks(condition)?),
            Operator::Matches => Test::Matches(Box::new(pattern(text_only(condition)?)?)),
        }))
    }
}

fn single(condition: &Condition) -> Result<List, ConditionFault> {
    let value = &condition.value;
    if value.is_null() {
        return match condition.value_type {
            None => Ok(List::Null),
            Some(value_type) => Err(unreadable(value, value_type)),
        };
    }
    let value_type = condition
        .value_type
        .or_else(|| natural_type(value))
        .ok_or_else(|| wrong_kind(condition, "a text, a number, a boolean or null"))?;
    list(condition, std::slice::from_ref(value), value_type)
}

fn several(condition: &Condition) -> Result<List, ConditionFault> {
    const EXPECTED: &str = "a list of texts, numbers or booleans";
    let Value::Array(values) = &condition.value else {
        return Err(wrong_kind(condition, EXPECTED));
    };
    let Some(first) = values.first() else {
        return Err(ConditionFault::EmptyList);
    };
    let value_type = match condition.value_type {
        Some(value_type) => value_type,
        None => {
            if let Some(other) = values.iter().find(|value| kind(value) != kind(first)) {
                return Err(ConditionFault::Mixed {
                    kinds: format!("{} and {}", plural(first), plural(other)),
                });
            }
            natural_type(first).ok_or_else(|| ConditionFault::Kind {
                operator: condition.operator,
                expected: EXPECTED,
                found: format!("a list of {}", plural(first)),
            })?
        }
    };
    list(condition, values, value_type)
}

/// The type that a value is compared as unless another is declared.
fn natural_type(value: &Value) -> Option<ValueType> {
    match value {
        Value::String(_) => Some(ValueType::String),
        Value::Number(_) => Some(ValueType::Number),
        Value::Bool(_) => Some(ValueType::Boolean),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn list(
    condition: &Condition,
    values: &[Value],
    value_type: ValueType,
) -> Result<List, ConditionFault> {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut booleans = Vec::new();
    for value in values {
        let Some(scalar) = natural_type(value).and_then(|_| Scalar::of(value)) else {
            return Err(wrong_kind(condition, "a text, a number or a boolean"));
        };
        let found = Found {
            scalar,
            text: None,
            folded: None,
        };
        match value_type {
            ValueType::String => {
                // As text, such a number would be compared in a form that nobody wrote.
                if matches!(value, Value::Number(_)) && Number::is_blurred(value) {
                    return Err(ConditionFault::Inexact {
                        number: value.to_string(),
                    });
                }
                let mut text = String::new();
                scalar.write_text(&mut text);
                texts.push(fold(&text).into_boxed_str());
            }
            ValueType::Boolean => booleans.push(
                found
                    .boolean()
                    .ok_or_else(|| unreadable(value, value_type))?,
            ),
            ValueType::Integer | ValueType::Number => {
                numbers.push(number(value, found, value_type)?)
            }
        }
    }
    texts.sort();
    texts.dedup();
    Ok(match value_type {
        ValueType::String => List::Texts(texts),
        ValueType::Integer | ValueType::Number => List::Numbers(numbers, reading(value_type)),
        ValueType::Boolean => List::Booleans(booleans),
    })
}

fn number(
    value: &Value,
    found: Found<'_>,
    value_type: ValueType,
) -> Result<Number, ConditionFault> {
    let number = found
        .number(reading(value_type))
        .ok_or_else(|| unreadable(value, value_type))?;
    if Number::is_blurred(value) {
        Err(ConditionFault::Inexact {
            number: value.to_string(),
        })
    } else {
        Ok(number)
    }
}

fn reading(value_type: ValueType) -> Reading {
    match value_type {
        ValueType::Integer => Reading::WholeOnly,
        _ => Reading::Any,
    }
}

fn comparison(condition: &Condition, comparison: Comparison) -> Result<Test, ConditionFault> {
    let value_type = match condition.value_type {
        None => ValueType::Number,
        Some(value_type @ (ValueType::Number | ValueType::Integer)) => value_type,
        Some(value_type) => {
            return Err(ConditionFault::Type {
                operator: condition.operator,
                value_type,
                advice: "use `number` or `integer`",
            });
        }
    };
    let value = &condition.value;
    if let Some(scalar) = natural_type(value).and_then(|_| Scalar::of(value)) {
        match number(
            value,
            Found {
                scalar,
                text: None,
                folded: None,
            },
            value_type,
        ) {
            Ok(number) => return Ok(Test::Compare(comparison, number, reading(value_type))),
            Err(fault @ ConditionFault::Inexact { .. }) => return Err(fault),
            Err(_) => {}
        }
    }
    Err(wrong_kind(
        condition,
        if value_type == ValueType::Integer {
            "a whole number"
        } else {
            "a number"
        },
    ))
}

/// The text an operator compares with that knows nothing but texts.
fn text_only(condition: &Condition) -> Result<&str, ConditionFault> {
    untyped(condition, ValueType::String)?;
    match &condition.value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Err(wrong_kind(condition, "a text in quotes")),
        _ => Err(wrong_kind(condition, "a text")),
    }
}

/// Refuses a declared type other than the only one that the operator has.
fn untyped(condition: &Condition, only: ValueType) -> Result<(), ConditionFault> {
    match condition.value_type {
        Some(value_type) if value_type != only => Err(ConditionFault::Type {
            operator: condition.operator,
            value_type,
            advice: "drop the type",
        }),
        _ => Ok(()),
    }
}

fn networks(condition: &Condition) -> Result<Vec<Network>, ConditionFault> {
    untyped(condition, ValueType::String)?;
    let values = match &condition.value {
        Value::Array(values) if values.is_empty() => return Err(ConditionFault::EmptyList),
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values
        .iter()
        .map(|value| match value {
            Value::String(text) => Network::of_text(text).map_err(ConditionFault::Network),
            _ => Err(wrong_kind(
                condition,
                "a network such as `10.0.0.0/8`, or a list of them",
            )),
        })
        .collect()
}

fn pattern(pattern: &str) -> Result<Pattern, ConditionFault> {
    let fault = |problem: String| ConditionFault::Pattern {
        pattern: pattern.chars().take(80).collect(),
        problem,
    };
    if pattern.chars().count() > PATTERN_LENGTH {
        return Err(fault(format!(
            "is longer than {PATTERN_LENGTH} characters; shorten it"
        )));
    }
    let regex: Regex = RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(PATTERN_SIZE)
        .nest_limit(64)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => fault(format!(
                "takes more than {} KiB when compiled; simplify it",
                PATTERN_SIZE / 1024
            )),
            regex::Error::Syntax(text) => {
                // The engine draws the place over several lines; its last one says what is wrong.
                let problem = text.lines().last().unwrap_or_default();
                fault(format!(
                    "does not parse: {}; mend it",
                    problem.trim_start_matches("error: ")
                ))
            }
            other => fault(format!("cannot be used: {other}")),
        })?;
    Ok(Pattern {
        regex,
        literals: literal::required(pattern),
    })
}

fn unreadable(value: &Value, value_type: ValueType) -> ConditionFault {
    ConditionFault::Unreadable {
        value: value.to_string(),
        value_type,
    }
}

fn wrong_kind(condition: &Condition, expected: &'static str) -> ConditionFault {
    ConditionFault::Kind {
        operator: condition.operator,
        expected,
        found: kind(&condition.value).to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn plural(value: &Value) -> &'static str {
    match value {
        Value::Null => "nulls",
        Value::Bool(_) => "booleans",
        Value::Number(_) => "numbers",
        Value::String(_) => "texts",
        Value::Array(_) => "lists",
        Value::Object(_) => "objects",
    }
}
