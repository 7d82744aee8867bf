//! The semantics of the crate's documentation once more, by other means and with no thought of speed: texts are compared
//! as lists of the smallest member of each letter's case orbit, numbers as exact decimal expansions, addresses as bits.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;

use quench_matching::{Condition, Operator, Rule, ValueType};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
use serde_json::Value;

pub(crate) fn rule_matches(rule: &Rule, document: &Value) -> bool {
    rule.sets.is_empty()
        || rule
            .sets
            .iter()
            .any(|set| set.iter().all(|condition| holds(condition, document)))
}

pub(crate) fn holds(condition: &Condition, document: &Value) -> bool {
    let places = walk(document, &segments(&condition.field));
    if condition.operator == Operator::Exists {
        return condition.value == Value::Bool(!places.is_empty());
    }
    let mut values = Vec::new();
    for place in places {
        flatten(place, &mut values);
    }
    values.into_iter().any(|value| passes(condition, value))
}

/// A name, and whether it may be a position too.
type Segments = Vec<(String, bool)>;

fn segments(field: &str) -> Segments {
    let mut rest = match field.strip_prefix('$') {
        Some(rest) if rest.is_empty() || rest.starts_with(['.', '[']) => rest.to_owned(),
        _ => format!(".{field}"),
    };
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let after;
        if let Some(bracket) = rest.strip_prefix('[') {
            let (inside, behind) = bracket
                .split_once(']')
                .expect("generated paths are well formed");
            match inside.strip_prefix('\'') {
                Some(quoted) => segments.push((quoted.trim_end_matches('\'').to_owned(), false)),
                None if inside == "*" => {}
                None => segments.push((inside.to_owned(), true)),
            }
            after = behind.to_owned();
        } else {
            let dotted = &rest[1..];
            if let Some(quoted) = dotted.strip_prefix('\'') {
                let (name, behind) = quoted
                    .split_once('\'')
                    .expect("generated paths are well formed");
                segments.push((name.to_owned(), false));
                after = behind.to_owned();
            } else if dotted.starts_with('[') {
                after = dotted.to_owned();
            } else {
                let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
                let name = &dotted[..end];
                segments.push((name.to_owned(), name.chars().all(|c| c.is_ascii_digit())));
                after = dotted[end..].to_owned();
            }
        }
        rest = after;
    }
    segments
}

fn walk<'a>(value: &'a Value, segments: &[(String, bool)]) -> Vec<&'a Value> {
    let Some(((name, position), deeper)) = segments.split_first() else {
        return vec![value];
    };
    match value {
        Value::Object(members) => {
            let exact: Vec<&Value> = members
                .iter()
                .filter(|(key, _)| *key == name)
                .map(|(_, member)| member)
                .collect();
            let chosen = if exact.is_empty() {
                members
                    .iter()
                    .filter(|(key, _)| letters(key) == letters(name))
                    .map(|(_, member)| member)
                    .collect()
            } else {
                exact
            };
            chosen
                .into_iter()
                .flat_map(|member| walk(member, deeper))
                .collect()
        }
        Value::Array(elements) if *position => {
            let wanted: usize = name.parse().expect("digits");
            elements
                .iter()
                .enumerate()
                .filter(|(index, _)| *index == wanted)
                .flat_map(|(_, element)| walk(element, deeper))
                .collect()
        }
        Value::Array(elements) => elements
            .iter()
            .flat_map(|element| walk(element, segments))
            .collect(),
        _ => Vec::new(),
    }
}

fn flatten<'a>(value: &'a Value, values: &mut Vec<&'a Value>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| flatten(element, values)),
        _ => values.push(value),
    }
}

fn passes(condition: &Condition, value: &Value) -> bool {
    let expected = &condition.value;
    let declared = condition.value_type;
    match condition.operator {
        Operator::Equals => same(expected, value, declared) == Some(true),
        Operator::NotEquals => same(expected, value, declared) == Some(false),
        Operator::In | Operator::NotIn => {
            let each: Option<Vec<bool>> = expected
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| same(one, value, declared))
                .collect();
            each.is_some_and(|each| each.contains(&true) == (condition.operator == Operator::In))
        }
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            let (Some(text), Some(needle)) = (as_text(value), as_text(expected)) else {
                return false;
            };
            let (text, needle) = (letters(&text), letters(&needle));
            let last = text.len().checked_sub(needle.len());
            let places: Vec<usize> = (0..=text.len())
                .filter(|start| text[*start..].iter().take(needle.len()).eq(needle.iter()))
                .collect();
            match condition.operator {
                Operator::StartsWith => places.contains(&0),
                Operator::EndsWith => last.is_some_and(|last| places.contains(&last)),
                _ => !places.is_empty(),
            }
        }
        Operator::GreaterThan
        | Operator::GreaterThanOrEqual
        | Operator::LessThan
        | Operator::LessThanOrEqual => {
            let whole = declared == Some(ValueType::Integer);
            let (Some(left), Some(right)) = (as_number(value, whole), as_number(expected, whole))
            else {
                return false;
            };
            let order = compare(&left, &right);
            match condition.operator {
                Operator::GreaterThan => order == Ordering::Greater,
                Operator::GreaterThanOrEqual => order != Ordering::Less,
                Operator::LessThan => order == Ordering::Less,
                _ => order != Ordering::Greater,
            }
        }
        Operator::AtLeast => {
            let scale = ["informational", "low", "medium", "high", "critical"];
            let place = |value: &Value| {
                let text = value.as_str()?.to_lowercase();
                scale.iter().position(|name| *name == text)
            };
            matches!((place(value), place(expected)), (Some(found), Some(least)) if found >= least)
        }
        Operator::Cidr => {
            let networks = match expected {
                Value::Array(networks) => networks.clone(),
                one => vec![one.clone()],
            };
            value.as_str().and_then(bits).is_some_and(|address| {
                networks.iter().any(|network| {
                    let network = network.as_str().expect("a text");
                    let (first, length) = network.split_once('/').unwrap_or((network, "128"));
                    let mapped = first.starts_with("::ffff:");
                    let first = bits(first).expect("an address");
                    let length: usize = length.parse().expect("a number");
                    let kept = if mapped && length < 128 {
                        length - 96
                    } else {
                        length
                    };
                    first.len() == address.len()
                        && address.starts_with(&first[..kept.min(first.len())])
                })
            })
        }
        Operator::Matches => as_text(value).is_some_and(|text| {
            let pattern = expected.as_str().expect("a text");
            has_match(&format!("(?i){pattern}"), &text)
        }),
        Operator::Exists => unreachable!("asked of places, not of values"),
        other => unreachable!("`{other}` has no second reading yet"),
    }
}

/// Whether a part of a text matches a pattern, each of which is compiled once.
fn has_match(pattern: &str, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, regex::Regex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        compiled
            .entry(pattern.to_owned())
            .or_insert_with(|| regex::Regex::new(pattern).expect("a pattern"))
            .is_match(text)
    })
}

/// Whether two values are equal as a type; nothing if the found one is not of that type.
fn same(expected: &Value, found: &Value, declared: Option<ValueType>) -> Option<bool> {
    let natural = match expected {
        Value::String(_) => ValueType::String,
        Value::Bool(_) => ValueType::Boolean,
        Value::Null => return Some(found.is_null()),
        _ => ValueType::Number,
    };
    match declared.unwrap_or(natural) {
        ValueType::String => Some(letters(&as_text(found)?) == letters(&as_text(expected)?)),
        ValueType::Boolean => {
            let truth = |value: &Value| match as_text(value)?.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            };
            Some(truth(found)? == truth(expected)?)
        }
        number => {
            let whole = number == ValueType::Integer;
            Some(
                compare(&as_number(found, whole)?, &as_number(expected, whole)?) == Ordering::Equal,
            )
        }
    }
}

/// Every letter as the smallest of its case variants.
fn letters(text: &str) -> Vec<char> {
    thread_local! {
        static SMALLEST: RefCell<HashMap<char, char>> = RefCell::default();
    }
    SMALLEST.with_borrow_mut(|known| {
        text.chars()
            .map(|c| {
                *known.entry(c).or_insert_with(|| {
                    let mut orbit = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
                    orbit.case_fold_simple();
                    orbit.ranges()[0].start()
                })
            })
            .collect()
    })
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Number(number) => {
            let text = number.to_string();
            // A whole float within the integers is shown as the integer it is.
            match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 => {
                    let digits = format!("{float:.0}");
                    let fits = digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok();
                    Some(if float == 0.0 {
                        "0".to_owned()
                    } else if fits {
                        digits
                    } else {
                        text
                    })
                }
                _ => Some(text),
            }
        }
        _ => None,
    }
}

/// An exact decimal expansion: sign, integral digits without leading zeros, fractional digits without trailing ones.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    integral: String,
    fraction: String,
}

fn as_number(value: &Value, whole: bool) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text
            .trim_matches([' ', '\t', '\n', '\r', '\u{c}'])
            .to_owned(),
        _ => return None,
    };
    if !has_match(r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$", &text) {
        return None;
    }
    let exact = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let digits = if exact {
        text.trim_start_matches('+').to_owned()
    } else {
        let float: f64 = text.parse().ok()?;
        if float.is_infinite() {
            return None;
        }
        // No double has more than 1074 digits after the point.
        format!("{float:.1074}")
    };
    let negative = digits.starts_with('-');
    let digits = digits.trim_start_matches('-');
    let (integral, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let integral = integral.trim_start_matches('0').to_owned();
    let fraction = fraction.trim_end_matches('0').to_owned();
    if whole && !fraction.is_empty() {
        return None;
    }
    let zero = integral.is_empty() && fraction.is_empty();
    Some(Decimal {
        negative: negative && !zero,
        integral,
        fraction,
    })
}

fn compare(left: &Decimal, right: &Decimal) -> Ordering {
    let size = |one: &Decimal, other: &Decimal| {
        (one.integral.len(), &one.integral, &one.fraction).cmp(&(
            other.integral.len(),
            &other.integral,
            &other.fraction,
        ))
    };
    match (left.negative, right.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => size(left, right),
        (true, true) => size(right, left),
    }
}

/// An address as text of noughts and ones: 32 for IPv4, mapped IPv4 too, and 128 for IPv6.
fn bits(address: &str) -> Option<String> {
    let octets = match address.parse().ok()? {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.octets().to_vec(),
            None => v6.octets().to_vec(),
        },
    };
    Some(octets.iter().map(|octet| format!("{octet:08b}")).collect())
}
