//! Condition sets: reading them, and telling what can never hold.

use super::contradiction;
use super::fields;
use super::reader::Reader;
use crate::bind::{SEVERITIES, listed};
use crate::nearest::nearest;
use crate::yaml::{Content, Key, Node};
use quench_findings::Kind;
use quench_matching::{Condition, ConditionFault, InvalidCondition, Operator, ValueType};
use serde_json::Value;

/// Every operator by its name in files.
pub(super) const OPERATORS: [(&str, Operator); 15] = [
    ("equals", Operator::Equals),
    ("not_equals", Operator::NotEquals),
    ("contains", Operator::Contains),
    ("starts_with", Operator::StartsWith),
    ("ends_with", Operator::EndsWith),
    ("greater_than", Operator::GreaterThan),
    ("greater_than_or_equal", Operator::GreaterThanOrEqual),
    ("less_than", Operator::LessThan),
    ("less_than_or_equal", Operator::LessThanOrEqual),
    ("in", Operator::In),
    ("not_in", Operator::NotIn),
    ("exists", Operator::Exists),
    ("at_least", Operator::AtLeast),
    ("cidr", Operator::Cidr),
    ("matches", Operator::Matches),
];

const VALUE_TYPES: [(&str, ValueType); 4] = [
    ("string", ValueType::String),
    ("integer", ValueType::Integer),
    ("number", ValueType::Number),
    ("boolean", ValueType::Boolean),
];

/// Other names that people know the operators by.
const SYNONYMS: [(&str, &str); 20] = [
    ("is", "equals"),
    ("eq", "equals"),
    ("==", "equals"),
    ("=", "equals"),
    ("ne", "not_equals"),
    ("neq", "not_equals"),
    ("!=", "not_equals"),
    ("not", "not_equals"),
    ("gt", "greater_than"),
    (">", "greater_than"),
    ("gte", "greater_than_or_equal"),
    (">=", "greater_than_or_equal"),
    ("greater_than_or_equal_to", "greater_than_or_equal"),
    ("lt", "less_than"),
    ("<", "less_than"),
    ("lte", "less_than_or_equal"),
    ("<=", "less_than_or_equal"),
    ("lesser_than_or_equal_to", "less_than_or_equal"),
    ("regex", "matches"),
    ("one_of", "in"),
];

/// Reads `when`: a list of sets, or one set.
pub(super) fn sets(
    reader: &mut Reader<'_>,
    node: &Node,
    trigger: Option<Kind>,
) -> Vec<Vec<Condition>> {
    let items: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        Content::Mapping(_) => vec![node],
        _ => {
            let help = "such as `- severity: { at_least: high }`".to_owned();
            reader.misfit(node, "`when`", "a list of condition sets", help);
            return Vec::new();
        }
    };
    if items.is_empty() {
        reader.fault_with_help(
            &node.span,
            "`when` is empty",
            "remove the key to mean everything",
        );
    }
    items
        .into_iter()
        .map(|item| set(reader, item, trigger))
        .collect()
}

/// One condition with the places of its parts.
pub(super) struct Placed<'n> {
    pub(super) condition: Condition,
    pub(super) value: &'n Node,
}

fn set(reader: &mut Reader<'_>, node: &Node, trigger: Option<Kind>) -> Vec<Condition> {
    let Some(entries) = reader.entries(node, "a condition set") else {
        return Vec::new();
    };
    if entries.is_empty() {
        reader.fault_with_help(
            &node.span,
            "a condition set without conditions matches everything",
            "add a condition, or remove `when` to match everything",
        );
    }
    let before = reader.errors();
    let mut placed = Vec::new();
    for (key, value) in entries {
        field(reader, key, trigger);
        conditions(reader, key, value, trigger, &mut placed);
    }
    if reader.errors() == before {
        contradiction::find(reader, &placed, trigger);
    }
    placed.into_iter().map(|placed| placed.condition).collect()
}

fn field(reader: &mut Reader<'_>, key: &Key, trigger: Option<Kind>) {
    if let Err(fault) = fields::check(&key.text) {
        let part = fault.part.clone();
        let start = key.span.start
            + usize::from(reader.source.slice(&key.span).starts_with(['"', '\'']))
            + part.start;
        let span = start..start + part.len();
        reader.fault_with_help(&span, fault.message, fault.help);
    }
    let path = key.text.to_lowercase();
    let path = path.strip_prefix("$.").unwrap_or(&path);
    if trigger == Some(Kind::Alert) && path.starts_with("defender.properties.metadata") {
        reader.doubt(
            &key.span,
            format!(
                "`{}` is a field of recommendations, and alerts never have it",
                key.text
            ),
            "for alerts use `severity`, or `defender.Severity`",
        );
    }
}

/// Reads what is asked of one field: a scalar, which it must equal, or operators with their values.
fn conditions<'n>(
    reader: &mut Reader<'_>,
    key: &Key,
    node: &'n Node,
    trigger: Option<Kind>,
    placed: &mut Vec<Placed<'n>>,
) {
    match &node.content {
        Content::Broken => {}
        Content::Text(..) | Content::Number(_) | Content::Bool(_) => {
            condition(reader, key, Operator::Equals, node, None, trigger, placed);
        }
        Content::Null => reader.fault_with_help(
            &key.span,
            format!("`{}` has no condition", key.text),
            "such as `{ equals: … }`, or `{ exists: false }` for a field that must be absent",
        ),
        Content::List(_) => {
            let written = reader.source.slice(&node.span).to_owned();
            let help = if written.starts_with('[') && written.len() < 60 && !written.contains('\n')
            {
                format!("write `{{ in: {written} }}`")
            } else {
                "write `{ in: […] }`".to_owned()
            };
            reader.fault_with_help(
                &node.span,
                format!("`{}` needs an operator for a list", key.text),
                help,
            );
        }
        Content::Mapping(entries) => {
            let named = |name: &str| entries.iter().find(|(key, _)| key.text == name);
            let value_type =
                named("type").and_then(|(_, node)| reader.word(node, "type", &VALUE_TYPES));
            let mut asked = false;
            for (operator_key, value) in entries.iter().filter(|(key, _)| key.text != "type") {
                asked = true;
                let Some(operator) = operator(reader, operator_key, &key.text) else {
                    continue;
                };
                if value.is_null() && !matches!(operator, Operator::Equals | Operator::NotEquals) {
                    reader.fault_with_help(
                        &operator_key.span,
                        format!("`{}` has no value", operator_key.text),
                        "give it one, or remove the key",
                    );
                    continue;
                }
                condition(reader, key, operator, value, value_type, trigger, placed);
            }
            if !asked {
                reader.fault_with_help(
                    &node.span,
                    format!("`{}` has no condition", key.text),
                    "such as `{ equals: … }`",
                );
            }
        }
    }
}

pub(super) fn operator(reader: &mut Reader<'_>, key: &Key, field: &str) -> Option<Operator> {
    if let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| *name == key.text) {
        return Some(*operator);
    }
    let names = OPERATORS.map(|(name, _)| name);
    let folded = snake(&key.text);
    let meant = SYNONYMS
        .iter()
        .find(|(name, _)| *name == folded)
        .map(|(_, meant)| *meant)
        .or_else(|| nearest(&folded, names));
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if fields::check(&format!("{field}.{}", key.text)).is_ok() => {
            format!(
                "for a field within it write `{field}.{}: …`; the operators are {}",
                key.text,
                listed(&names)
            )
        }
        None => format!("the operators are {}", listed(&names)),
    };
    reader.fault_with_help(&key.span, format!("unknown operator `{}`", key.text), help);
    None
}

/// `GreaterThan` and `greaterThan` as `greater_than`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.char_indices() {
        if c.is_ascii_uppercase() && index > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn condition<'n>(
    reader: &mut Reader<'_>,
    key: &Key,
    operator: Operator,
    node: &'n Node,
    value_type: Option<ValueType>,
    trigger: Option<Kind>,
    placed: &mut Vec<Placed<'n>>,
) {
    if matches!(node.content, Content::Broken) {
        return;
    }
    if uncountable(reader, key, operator, node) {
        return;
    }
    let before = reader.errors();
    words(reader, key, operator, node, trigger);
    if reader.errors() > before {
        return;
    }
    if operator == Operator::Exists && !matches!(node.content, Content::Bool(_)) {
        reader.boolean(node, "`exists`");
        return;
    }
    let as_text =
        value_type.is_none() && fields::is_text(&key.text) && operator != Operator::Exists;
    let condition = Condition {
        field: key.text.clone(),
        operator,
        value: value(reader, node, as_text),
        value_type,
    };
    match quench_matching::check(&condition) {
        Ok(()) => placed.push(Placed {
            condition,
            value: node,
        }),
        Err(invalid) => note_invalid(reader, key, node, invalid),
    }
}

/// Notes what the matcher says of a condition, on its field or its value.
pub(super) fn note_invalid(
    reader: &mut Reader<'_>,
    key: &Key,
    node: &Node,
    invalid: InvalidCondition,
) {
    for fault in invalid.faults {
        let span = if matches!(fault, ConditionFault::Path(_)) {
            &key.span
        } else {
            &node.span
        };
        let said = fault.to_string();
        match (said.split_once("; "), fault) {
            (
                _,
                ConditionFault::Kind {
                    operator, expected, ..
                },
            ) => {
                let written = reader.source.slice(&node.span);
                let short = written.len() < 60 && !written.contains('\n');
                let help = match (&node.content, operator) {
                    (
                        Content::Text(..) | Content::Number(_) | Content::Bool(_),
                        Operator::In | Operator::NotIn,
                    ) if short => {
                        format!("write `[{written}]`")
                    }
                    (Content::List(_), Operator::Equals) => {
                        "use `in` for one of several values".to_owned()
                    }
                    (Content::List(_), Operator::NotEquals) => {
                        "use `not_in` for none of several values".to_owned()
                    }
                    (Content::Mapping(_), _) => {
                        "for a field within it write its path before the `:`".to_owned()
                    }
                    _ => format!("write {expected}"),
                };
                reader.fault_with_help(span, said, help);
            }
            (_, ConditionFault::Pattern { problem, .. }) => {
                let message = said
                    .rsplit_once("; ")
                    .map_or(said.as_str(), |(said, _)| said);
                reader.fault_with_help(span, message, pattern_advice(&problem));
            }
            (Some((message, help)), _) => reader.fault_with_help(span, message, help),
            (None, _) => reader.fault_with_help(span, said, "change the value"),
        }
    }
}

/// What to do about a regular expression that is refused.
fn pattern_advice(problem: &str) -> &'static str {
    if problem.contains("look-around") {
        "say it with several conditions: those of one set must all hold, and `not_in` or `not_equals` excludes"
    } else if problem.contains("backreference") {
        "write out what is repeated, or use several conditions"
    } else if problem.contains("when compiled") {
        "use smaller counts in `{…}` and fewer alternatives, or several sets with a shorter one each"
    } else if problem.contains("longer than") {
        "use `in` for a list of values, or several sets with a shorter one each"
    } else {
        "put a backslash before `.`, `(`, `[`, `*` and the like to mean the character itself"
    }
}

/// Tells why a field cannot be compared as a number, if it cannot.
fn uncountable(reader: &mut Reader<'_>, key: &Key, operator: Operator, node: &Node) -> bool {
    let below = matches!(operator, Operator::LessThan | Operator::LessThanOrEqual);
    if !below
        && !matches!(
            operator,
            Operator::GreaterThan | Operator::GreaterThanOrEqual
        )
    {
        return false;
    }
    let field = key.text.to_lowercase();
    let (what, help) = match field.strip_prefix("$.").unwrap_or(&field) {
        "severity" if below => ("a word", "name them: `{ in: [informational, low] }`"),
        "severity" => ("a word", "use `{ at_least: medium }`"),
        "first_seen" | "last_seen" | "updated" => (
            "a time",
            "a day, month or year can be named: `{ starts_with: \"2026-01\" }`",
        ),
        _ => return false,
    };
    let operator = OPERATORS
        .iter()
        .find(|(_, known)| *known == operator)
        .map_or("", |(name, _)| name);
    reader.fault_with_help(
        &node.span,
        format!(
            "`{}` is {what}, and `{operator}` compares numbers",
            key.text
        ),
        help,
    );
    true
}

/// The value of a condition; where the field holds text, numbers keep the form they are written in.
fn value(reader: &Reader<'_>, node: &Node, as_text: bool) -> Value {
    match &node.content {
        Content::Number(_) | Content::Bool(_) if as_text => {
            Value::String(reader.source.written(&node.span).to_owned())
        }
        Content::List(items) => items
            .iter()
            .map(|item| value(reader, item, as_text))
            .collect(),
        _ => node.to_json(),
    }
}

/// Checks values of fields that know only certain words.
fn words(
    reader: &mut Reader<'_>,
    key: &Key,
    operator: Operator,
    node: &Node,
    trigger: Option<Kind>,
) {
    let whole = matches!(
        operator,
        Operator::Equals | Operator::NotEquals | Operator::In | Operator::NotIn
    );
    let field = key.text.to_lowercase();
    let field = field.strip_prefix("$.").unwrap_or(&field);
    let field = if operator == Operator::AtLeast {
        "severity"
    } else {
        field
    };
    if !whole && operator != Operator::AtLeast {
        return;
    }
    let known: &[&str] = match (field, trigger) {
        ("severity", _) => &SEVERITIES,
        ("status", _) => fields::statuses(trigger),
        ("kind", _) => &fields::KINDS,
        ("source", _) => &fields::SOURCES,
        _ => return,
    };
    for item in reader.one_or_more(node) {
        let Content::Text(text, _) = &item.content else {
            if !matches!(
                item.content,
                Content::Broken | Content::Null | Content::List(_) | Content::Mapping(_)
            ) {
                reader.misfit(
                    item,
                    &format!("`{field}`"),
                    "a word",
                    format!("known are {}", listed(known)),
                );
            }
            continue;
        };
        let folded = text.to_lowercase();
        if known.contains(&folded.as_str()) {
            continue;
        }
        let elsewhere = field == "status" && fields::statuses(None).contains(&folded.as_str());
        let message = match trigger {
            Some(kind) if elsewhere => {
                format!("{} never have the status `{text}`", fields::plural(kind))
            }
            _ => format!("{field} `{text}` is not known"),
        };
        let help = match nearest(text, known.iter().copied()).filter(|_| !elsewhere) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(known)),
        };
        reader.fault_with_help(&item.span, message, help);
    }
}
