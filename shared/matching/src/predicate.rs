use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::condition::{Condition, Operator, ValueType};
use crate::fold::{fold, same};
use crate::invalid::ConditionFault;
use crate::network::Network;
use crate::number::Number;
use crate::path::Path;
use crate::severity;

/// Bytes that one compiled regular expression may take.
const PATTERN_SIZE: usize = 256 * 1024;

/// Characters that one regular expression may have.
const PATTERN_LENGTH: usize = 4096;

/// A checked condition: where to look, and what to ask of each value found there.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    pub(crate) path: Path,
    pub(crate) test: Test,
}

/// What is asked of a value; every expectation is already read as its type.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Equals(Operand),
    NotEquals(Operand),
    In(List),
    NotIn(List),
    /// Folded.
    Contains(String),
    /// Folded.
    StartsWith(String),
    /// Folded.
    EndsWith(String),
    Compare(Comparison, Number, Reading),
    Exists(bool),
    /// Rank on the severity scale.
    AtLeast(u8),
    Cidr(Vec<Network>),
    Matches(Box<Regex>),
}

/// One expected value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Null,
    /// Folded.
    Text(String),
    Number(Number, Reading),
    Boolean(bool),
}

/// Several expected values of one type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum List {
    /// Folded.
    Texts(Vec<String>),
    Numbers(Vec<Number>, Reading),
    Booleans(Vec<bool>),
}

/// Which numbers count as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    Any,
    WholeOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What can be compared: anything in a document but an array, whose elements are compared instead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(&'a str),
    Object,
}

impl Predicate {
    /// Reads a condition, or says everything that is wrong with it.
    pub(crate) fn compile(condition: &Condition) -> Result<Self, Vec<ConditionFault>> {
        let path = Path::parse(&condition.field).map_err(ConditionFault::from);
        let test = Test::compile(condition);
        match (path, test) {
            (Ok(path), Ok(test)) => Ok(Self { path, test }),
            (Err(fault), Ok(_)) | (Ok(_), Err(fault)) => Err(vec![fault]),
            (Err(path), Err(test)) => Err(vec![path, test]),
        }
    }
}

impl Test {
    fn compile(condition: &Condition) -> Result<Self, ConditionFault> {
        let value = &condition.value;
        let text = |text: &str| fold(text);
        Ok(match condition.operator {
            Operator::Equals => Self::Equals(operand(condition)?),
            Operator::NotEquals => Self::NotEquals(operand(condition)?),
            Operator::In => Self::In(list(condition)?),
            Operator::NotIn => Self::NotIn(list(condition)?),
            Operator::Contains => Self::Contains(text(text_only(condition)?)),
            Operator::StartsWith => Self::StartsWith(text(text_only(condition)?)),
            Operator::EndsWith => Self::EndsWith(text(text_only(condition)?)),
            Operator::GreaterThan => comparison(condition, Comparison::Greater)?,
            Operator::GreaterThanOrEqual => comparison(condition, Comparison::GreaterOrEqual)?,
            Operator::LessThan => comparison(condition, Comparison::Less)?,
            Operator::LessThanOrEqual => comparison(condition, Comparison::LessOrEqual)?,
            Operator::Exists => {
                untyped(condition, ValueType::Boolean)?;
                match value {
                    Value::Bool(expected) => Self::Exists(*expected),
                    _ => return Err(wrong_kind(condition, "`true` or `false`")),
                }
            }
            Operator::AtLeast => {
                let name = text_only(condition)?;
                match severity::rank(name) {
                    Some(rank) => Self::AtLeast(rank),
                    None => {
                        return Err(ConditionFault::Severity {
                            value: name.to_owned(),
                            nearest: severity::nearest(name),
                        });
                    }
                }
            }
            Operator::Cidr => Self::Cidr(networks(condition)?),
            Operator::Matches => Self::Matches(Box::new(pattern(text_only(condition)?)?)),
        })
    }

    /// Whether one value passes. `Exists` asks about places, not values, and never does.
    pub(crate) fn holds(&self, scalar: Scalar<'_>) -> bool {
        match self {
            Self::Equals(operand) => operand.compare(scalar) == Some(true),
            Self::NotEquals(operand) => operand.compare(scalar) == Some(false),
            Self::In(list) => list.has(scalar) == Some(true),
            Self::NotIn(list) => list.has(scalar) == Some(false),
            Self::Contains(needle) => scalar
                .folded()
                .is_some_and(|text| text.contains(needle.as_str())),
            Self::StartsWith(needle) => scalar
                .folded()
                .is_some_and(|text| text.starts_with(needle.as_str())),
            Self::EndsWith(needle) => scalar
                .folded()
                .is_some_and(|text| text.ends_with(needle.as_str())),
            Self::Compare(comparison, expected, reading) => scalar
                .number(*reading)
                .is_some_and(|number| comparison.accepts(number.compare(*expected))),
            Self::Exists(_) => false,
            Self::AtLeast(least) => scalar.severity().is_some_and(|rank| rank >= *least),
            Self::Cidr(networks) => scalar
                .address()
                .is_some_and(|address| networks.iter().any(|network| network.holds(address))),
            Self::Matches(pattern) => scalar.text().is_some_and(|text| pattern.is_match(&text)),
        }
    }
}

impl Operand {
    /// Whether the value is the expected one; nothing if it cannot be read as the expected type.
    fn compare(&self, scalar: Scalar<'_>) -> Option<bool> {
        match self {
            Self::Null => Some(matches!(scalar, Scalar::Null)),
            Self::Text(expected) => scalar.text().map(|text| same(&text, expected)),
            Self::Number(expected, reading) => {
                scalar.number(*reading).map(|number| number == *expected)
            }
            Self::Boolean(expected) => scalar.boolean().map(|boolean| boolean == *expected),
        }
    }
}

impl List {
    /// Whether the value is one of the list; nothing if it cannot be read as the type of the list.
    fn has(&self, scalar: Scalar<'_>) -> Option<bool> {
        match self {
            Self::Texts(expected) => scalar.folded().map(|text| expected.contains(&text)),
            Self::Numbers(expected, reading) => scalar
                .number(*reading)
                .map(|number| expected.contains(&number)),
            Self::Booleans(expected) => scalar.boolean().map(|boolean| expected.contains(&boolean)),
        }
    }
}

impl Comparison {
    pub(crate) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl<'a> Scalar<'a> {
    /// Nothing for an array, and for a number that no operator can hold.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(boolean) => Self::Boolean(*boolean),
            Value::Number(number) => Self::Number(Number::of_json(number)?),
            Value::String(text) => Self::Text(text),
            Value::Object(_) => Self::Object,
            Value::Array(_) => return None,
        })
    }

    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Boolean(boolean) => Some(Cow::Borrowed(if boolean { "true" } else { "false" })),
            Self::Null | Self::Object => None,
        }
    }

    fn folded(self) -> Option<String> {
        self.text().map(|text| fold(&text))
    }

    fn number(self, reading: Reading) -> Option<Number> {
        let number = match self {
            Self::Number(number) => number,
            Self::Text(text) => Number::of_text(text)?,
            _ => return None,
        };
        (reading == Reading::Any || number.is_whole()).then_some(number)
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(boolean),
            Self::Text(text) => truth(text),
            _ => None,
        }
    }

    fn severity(self) -> Option<u8> {
        match self {
            Self::Text(text) => severity::rank(text),
            _ => None,
        }
    }

    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn operand(condition: &Condition) -> Result<Operand, ConditionFault> {
    let value = &condition.value;
    if value.is_null() {
        return match condition.value_type {
            None => Ok(Operand::Null),
            Some(value_type) => Err(unreadable(value, value_type)),
        };
    }
    let value_type = condition
        .value_type
        .or_else(|| natural_type(value))
        .ok_or_else(|| wrong_kind(condition, "a text, a number, a boolean or null"))?;
    read(condition, value, value_type)
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

fn read(
    condition: &Condition,
    value: &Value,
    value_type: ValueType,
) -> Result<Operand, ConditionFault> {
    let Some(scalar) = Scalar::of(value).filter(|_| natural_type(value).is_some()) else {
        return Err(wrong_kind(condition, "a text, a number or a boolean"));
    };
    let reading = match value_type {
        ValueType::Integer => Reading::WholeOnly,
        _ => Reading::Any,
    };
    let operand = match value_type {
        ValueType::String => scalar.folded().map(Operand::Text),
        ValueType::Boolean => scalar.boolean().map(Operand::Boolean),
        ValueType::Integer | ValueType::Number => scalar
            .number(reading)
            .map(|number| Operand::Number(number, reading)),
    };
    let operand = operand.ok_or_else(|| unreadable(value, value_type))?;
    let blurred = match &operand {
        Operand::Number(number, _) => number.is_blurred(),
        // As text, such a number would be compared in a form that nobody wrote.
        Operand::Text(_) => matches!(scalar, Scalar::Number(number) if number.is_blurred()),
        _ => false,
    };
    if blurred {
        return Err(ConditionFault::Inexact {
            number: value.to_string(),
        });
    }
    Ok(operand)
}

fn list(condition: &Condition) -> Result<List, ConditionFault> {
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
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut booleans = Vec::new();
    let mut reading = Reading::Any;
    for value in values {
        match read(condition, value, value_type)? {
            Operand::Text(text) => texts.push(text),
            Operand::Number(number, as_read) => {
                reading = as_read;
                numbers.push(number);
            }
            Operand::Boolean(boolean) => booleans.push(boolean),
            Operand::Null => {}
        }
    }
    Ok(match value_type {
        ValueType::String => List::Texts(texts),
        ValueType::Integer | ValueType::Number => List::Numbers(numbers, reading),
        ValueType::Boolean => List::Booleans(booleans),
    })
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
    match read(condition, &condition.value, value_type) {
        Ok(Operand::Number(number, reading)) => Ok(Test::Compare(comparison, number, reading)),
        Err(fault @ ConditionFault::Inexact { .. }) => Err(fault),
        _ => Err(wrong_kind(
            condition,
            if value_type == ValueType::Integer {
                "a whole number"
            } else {
                "a number"
            },
        )),
    }
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
    const EXPECTED: &str = "a network such as `10.0.0.0/8`, or a list of them";
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
            _ => Err(wrong_kind(condition, EXPECTED)),
        })
        .collect()
}

fn pattern(pattern: &str) -> Result<Regex, ConditionFault> {
    let fault = |problem: String| ConditionFault::Pattern {
        pattern: pattern.chars().take(80).collect(),
        problem,
    };
    if pattern.chars().count() > PATTERN_LENGTH {
        return Err(fault(format!(
            "is longer than {PATTERN_LENGTH} characters; shorten it"
        )));
    }
    RegexBuilder::new(pattern)
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
