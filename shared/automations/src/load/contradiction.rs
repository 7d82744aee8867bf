//! Conditions of one set that cannot all hold.

use super::conditions::Placed;
use super::fields;
use super::reader::Reader;
use crate::bind::SEVERITIES;
use quench_findings::Kind;
use quench_matching::{Condition, Operator, Rule, compile};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Warns of conditions on one field that exclude each other.
///
/// Only fields that hold one value are judged: of several resources one may meet the one condition and another the
/// other.
pub(super) fn find(reader: &mut Reader<'_>, placed: &[Placed<'_>], trigger: Option<Kind>) {
    absent(reader, placed);
    if let Some(trigger) = trigger {
        other_kinds(reader, placed, trigger);
    }
    let mut judged: Vec<String> = Vec::new();
    for (index, first) in placed.iter().enumerate() {
        let field = folded(&first.condition.field);
        if judged.contains(&field) || !fields::is_text(&field) || field.contains('.') {
            continue;
        }
        judged.push(field.clone());
        let same: Vec<&Placed<'_>> = placed[index..]
            .iter()
            .filter(|other| folded(&other.condition.field) == field)
            .collect();
        if same.len() < 2 {
            continue;
        }
        let Some(candidates) = candidates(&field, &same) else {
            continue;
        };
        let conditions: Vec<&Condition> = same.iter().map(|placed| &placed.condition).collect();
        if candidates
            .iter()
            .any(|value| holds(&field, value, &conditions))
        {
            continue;
        }
        let last = same[same.len() - 1];
        let fault = reader
            .source
            .warning(last.value.span.clone(), format!("the conditions on `{field}` in this set can never hold together"))
            .with_label("cannot hold together with the other")
            .with_related(
                &reader.source.path,
                &reader.source.shown,
                same[0].value.span.clone(),
                "the other",
            )
            .with_help("conditions of one set must all hold: use `in` for one of several values, or a set for each");
        reader.note(fault);
    }
}

/// Warns of fields that must be absent and yet have a value.
fn absent(reader: &mut Reader<'_>, placed: &[Placed<'_>]) {
    let mut fields: HashMap<String, Vec<&Placed<'_>>> = HashMap::new();
    for placed in placed {
        fields
            .entry(folded(&placed.condition.field))
            .or_default()
            .push(placed);
    }
    for gone in placed.iter().filter(|placed| {
        placed.condition.operator == Operator::Exists && placed.condition.value == json!(false)
    }) {
        let field = folded(&gone.condition.field);
        let unmet = fields
            .get(&field)
            .into_iter()
            .flatten()
            .find(|other| !holds(&field, &Value::Null, &[&other.condition]));
        let Some(other) = unmet else { continue };
        let fault = reader
            .source
            .warning(
                gone.value.span.clone(),
                format!(
                    "`{field}` must be absent and yet have a value, so this set can never hold"
                ),
            )
            .with_label("must be absent")
            .with_related(
                &reader.source.path,
                &reader.source.shown,
                other.value.span.clone(),
                "must have a value",
            )
            .with_help("remove one of the two, or make a set for each");
        reader.note(fault);
    }
}

/// Warns of kinds that the trigger leaves no finding of.
fn other_kinds(reader: &mut Reader<'_>, placed: &[Placed<'_>], trigger: Kind) {
    for kind in placed
        .iter()
        .filter(|placed| folded(&placed.condition.field) == "kind")
    {
        if kind.condition.operator != Operator::Exists
            && !holds("kind", &json!(trigger), &[&kind.condition])
        {
            reader.doubt(
                &kind.value.span,
                format!("the trigger is `{trigger}`, so this condition on `kind` can never hold"),
                "remove the condition, or change `trigger`",
            );
        }
    }
}

/// The values that could meet all conditions, where they can be counted.
fn candidates(field: &str, conditions: &[&Placed<'_>]) -> Option<Vec<Value>> {
    let words: Option<&[&str]> = match field {
        "severity" => Some(&SEVERITIES),
        "status" => Some(fields::statuses(None)),
        "kind" => Some(&fields::KINDS),
        "source" => Some(&fields::SOURCES),
        _ => None,
    };
    if let Some(words) = words {
        // Its absence is a candidate, too.
        return Some(
            words
                .iter()
                .map(|word| json!(word))
                .chain([Value::Null])
                .collect(),
        );
    }
    conditions.iter().find_map(|placed| {
        match (&placed.condition.operator, &placed.condition.value) {
            (Operator::Equals, value @ Value::String(_)) => Some(vec![value.clone()]),
            (Operator::In, Value::Array(values)) => Some(values.clone()),
            _ => None,
        }
    })
}

fn holds(field: &str, value: &Value, conditions: &[&Condition]) -> bool {
    let mut document = Map::new();
    if !value.is_null() {
        document.insert(field.to_owned(), value.clone());
    }
    let set = conditions
        .iter()
        .map(|condition| (*condition).clone())
        .collect();
    compile(&[Rule {
        name: field.to_owned(),
        sets: vec![set],
    }])
    .is_ok_and(|matcher| !matcher.matches(&Value::Object(document)).is_empty())
}

fn folded(field: &str) -> String {
    let field = field.to_lowercase();
    field.strip_prefix("$.").unwrap_or(&field).to_owned()
}
