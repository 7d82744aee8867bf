use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;
use std::net::IpAddr;

use memchr::memmem;
use regex::Regex;
use serde_json::Value;

use crate::condition::Operator;
use crate::fold::{fold, fold_into};
use crate::network::Network;
use crate::number::Number;
use crate::severity;

/// How a text is related to an expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TextOperator {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
}

/// What is asked of a value; every expectation is already read as its type.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    In(List),
    NotIn(List),
    Compare(Comparison, Number, Reading),
    Exists(bool),
    /// Rank on the severity scale.
    AtLeast(u8),
    Cidr(Vec<Network>),
    Matches(Box<Pattern>),
}

/// Expected values of one type; `equals` is a list of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum List {
    Null,
    /// Folded, in order.
    Texts(Vec<Box<str>>),
    Numbers(Vec<Number>, Reading),
    Booleans(Vec<bool>),
}

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// Folded texts that are all in the folding of whatever matches.
    pub(crate) literals: Vec<Box<str>>,
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

/// A value of a document with the forms that it is compared in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) scalar: Scalar<'a>,
    /// As text; absent if it has no such form, or none is asked for.
    pub(crate) text: Option<&'a str>,
    /// The folding of `text`, as UTF-8; absent likewise.
    pub(crate) folded: Option<&'a [u8]>,
}

impl TextOperator {
    pub(crate) fn operator(self) -> Operator {
        match self {
            Self::Equals => Operator::Equals,
            Self::Contains => Operator::Contains,
            Self::StartsWith => Operator::StartsWith,
            Self::EndsWith => Operator::EndsWith,
        }
    }

    /// Whether a text is so related to the expected one; `buffer` is room for the folded expectation.
    ///
    /// The text is folded; where equality is asked, but for the case of ASCII letters.
    pub(crate) fn holds(self, expected: &str, text: &[u8], buffer: &mut Vec<u8>) -> bool {
        if expected.is_ascii() && self != Self::Contains {
            return self.holds_at_end(expected.as_bytes(), text);
        }
        buffer.clear();
        fold_into(expected, buffer);
        match self {
            Self::Contains => memmem::find(text, buffer).is_some(),
            _ => self.holds_at_end(buffer, text),
        }
    }

    /// As [`TextOperator::holds`], but of what is not asked for anywhere in the text.
    fn holds_at_end(self, expected: &[u8], text: &[u8]) -> bool {
        let part = match self {
            Self::StartsWith => text.get(..expected.len()),
            Self::EndsWith => text
                .len()
                .checked_sub(expected.len())
                .map(|start| &text[start..]),
            Self::Equals | Self::Contains => Some(text),
        };
        part.is_some_and(|part| part.eq_ignore_ascii_case(expected))
    }
}

impl Test {
    /// Bytes on the heap, near enough.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::In(list) | Self::NotIn(list) => list.bytes(),
            Self::Cidr(networks) => networks.capacity() * size_of::<Network>(),
            Self::Matches(pattern) => size_of::<Pattern>() + pattern.bytes(),
            Self::Compare(..) | Self::Exists(_) | Self::AtLeast(_) => 0,
        }
    }

    /// Whether one value passes. `Exists` asks about places, not values, and never does.
    pub(crate) fn holds(&self, found: Found<'_>) -> bool {
        match self {
            Self::In(list) => list.has(found) == Some(true),
            Self::NotIn(list) => list.has(found) == Some(false),
            Self::Compare(comparison, expected, reading) => found
                .number(*reading)
                .is_some_and(|number| comparison.accepts(number.compare(*expected))),
            Self::Exists(_) => false,
            Self::AtLeast(least) => found.severity().is_some_and(|rank| rank >= *least),
            Self::Cidr(networks) => found
                .address()
                .is_some_and(|address| networks.iter().any(|network| network.holds(address))),
            Self::Matches(pattern) => found.text.is_some_and(|text| pattern.regex.is_match(text)),
        }
    }
}

impl Pattern {
    /// Bytes on the heap, as its text suggests: the expression does not tell.
    fn bytes(&self) -> usize {
        let literals: usize = self.literals.iter().map(|text| text.len()).sum();
        4096 + 64 * self.regex.as_str().len()
            + self.literals.capacity() * size_of::<Box<str>>()
            + literals
    }
}

impl List {
    /// Bytes on the heap.
    fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Texts(texts) => {
                let within: usize = texts.iter().map(|text| text.len()).sum();
                texts.capacity() * size_of::<Box<str>>() + within
            }
            Self::Numbers(numbers, _) => numbers.capacity() * size_of::<Number>(),
            Self::Booleans(booleans) => booleans.capacity(),
        }
    }

    /// Whether a folded text is one of these, which are folded and in order.
    pub(crate) fn has_text(expected: &[Box<str>], text: &[u8]) -> bool {
        expected
            .binary_search_by(|one| one.as_bytes().cmp(text))
            .is_ok()
    }

    /// Whether the value is one of the list; nothing if it cannot be read as the type of the list.
    fn has(&self, found: Found<'_>) -> Option<bool> {
        match self {
            Self::Null => Some(matches!(found.scalar, Scalar::Null)),
            Self::Texts(expected) => found.folded.map(|text| Self::has_text(expected, text)),
            Self::Numbers(expected, reading) => found
                .number(*reading)
                .map(|number| expected.contains(&number)),
            Self::Booleans(expected) => found.boolean().map(|boolean| expected.contains(&boolean)),
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

    /// Appends the text that the value is compared as; says whether it has one.
    pub(crate) fn write_text(self, text: &mut String) -> bool {
        match self {
            Self::Text(own) => text.push_str(own),
            Self::Number(number) => {
                write!(text, "{number}").expect("a text takes whatever is written to it")
            }
            Self::Boolean(boolean) => text.push_str(if boolean { "true" } else { "false" }),
            Self::Null | Self::Object => return false,
        }
        true
    }
}

impl Found<'_> {
    /// Shows a value in all its forms to `look`; an array is not shown, and the answer is no.
    pub(crate) fn with(value: &Value, look: impl FnOnce(Found<'_>) -> bool) -> bool {
        let Some(scalar) = Scalar::of(value) else {
            return false;
        };
        let mut written = String::new();
        let text = match scalar {
            Scalar::Text(text) => Some(text),
            _ => scalar.write_text(&mut written).then_some(&*written),
        };
        let folded = text.map(|text| {
            let is_folded = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
            if text.bytes().all(is_folded) {
                Cow::Borrowed(text)
            } else {
                Cow::Owned(fold(text))
            }
        });
        look(Found {
            scalar,
            text,
            folded: folded.as_deref().map(str::as_bytes),
        })
    }

    pub(crate) fn number(self, reading: Reading) -> Option<Number> {
        let number = match self.scalar {
            Scalar::Number(number) => number,
            Scalar::Text(text) => Number::of_text(text)?,
            _ => return None,
        };
        (reading == Reading::Any || number.is_whole()).then_some(number)
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.scalar {
            Scalar::Boolean(boolean) => Some(boolean),
            Scalar::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Scalar::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    pub(crate) fn severity(self) -> Option<u8> {
        match self.scalar {
            Scalar::Text(text) => severity::rank(text),
            _ => None,
        }
    }

    pub(crate) fn address(self) -> Option<IpAddr> {
        match self.scalar {
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}
