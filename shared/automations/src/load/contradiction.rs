//! Conditions of one set that cannot all hold.

use super::conditions::Placed;
use super::fields;
use super::reader::Reader;
use crate::bind::SEVERITIES;
use quench_matching::{Condition, Operator, Rule, compile};
use serde_json::{Map, Value, json};

/// Warns of conditions on one field that exclude each other.
///
/// Only fields that hold one value are judged: of several resources one may meet the one condition and another the
/// other.
pub(super) fn find(reader: &mut Reader<'_>, placed: &[Placed<'_>]) {
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
