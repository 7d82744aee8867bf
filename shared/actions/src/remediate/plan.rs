use super::fault::Fault;
use super::parameters::Parameters;
use super::remediation;
use super::target::Target;
use crate::neutral;
use base16ct::lower::encode_string as hex;
use quench_automations::remediation::{Remediation, Risk};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What a remediation would do to a resource as it was read, and all that undoing it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which one.
    pub remediation: Remediation,
    /// What it is applied to.
    pub target: Target,
    /// What was said to it, with the defaults of what was not.
    pub parameters: Parameters,
    /// How much harm it may do.
    pub risk: Risk,
    /// What changes, for people.
    pub changes: Vec<Change>,
    /// Why nothing has to be done; then there are no changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_to_do: Option<String>,
    /// What people ought to know before they agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The state that it was planned upon, as far as the remediation has to do with it.
    pub before: Value,
    /// The same as it is to be.
    pub after: Value,
    /// SHA-256, in hexadecimal digits, of all that decides what is done.
    pub hash: String,
}

/// One difference between before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where, such as `ingress.tcp 22 from 0.0.0.0/0`.
    pub path: String,
    /// What is there; null for nothing.
    pub before: Value,
    /// What is to be there; null for nothing.
    pub after: Value,
}

impl Plan {
    pub(super) fn seal(mut self) -> Self {
        self.hash = self.digest();
        self
    }

    /// Says that it is the one that its hash was made of.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.digest() == self.hash {
            Ok(())
        } else {
            Err(Fault::Altered)
        }
    }

    fn digest(&self) -> String {
        let decisive = json!({
            "remediation": self.remediation,
            "target": self.target,
            "parameters": self.parameters,
            "before": remediation::identity(self.remediation, &self.before),
            "after": remediation::identity(self.remediation, &self.after),
        });
        hex(&Sha256::digest(canonical(&decisive).to_string()))
    }
}

/// The same with the names of every object in their order.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let fields = sorted
                .into_iter()
                .map(|(name, value)| (name.clone(), canonical(value)))
                .collect();
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The differences between two states; policies, which stand in them as text, are compared by their statements.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    differ(String::new(), before, after, &mut changes);
    changes
}

fn differ(path: String, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    if let (Some(old), Some(new)) = (fields(before), fields(after)) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let below = match path.as_str() {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            let value = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            differ(below, &value(&old), &value(&new), changes);
        }
        return;
    }
    changes.push(Change {
        path,
        before: readable(before),
        after: readable(after),
    });
}

/// What an object holds, or a policy, whose statements stand under their ids or else their places.
fn fields(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::String(text) => {
            let mut policy: Map<String, Value> = serde_json::from_str(text).ok()?;
            let statements = match policy.remove("Statement")? {
                Value::Array(statements) => statements,
                one => vec![one],
            };
            for (place, statement) in statements.into_iter().enumerate() {
                let id = statement.get("Sid").and_then(Value::as_str);
                let mut name = match id {
                    Some(id) => format!("Statement.{id}"),
                    None => format!("Statement.{}", place + 1),
                };
                if policy.contains_key(&name) {
                    name = format!("{name} ({})", place + 1);
                }
                policy.insert(name, statement);
            }
            Some(policy)
        }
        _ => None,
    }
}

fn readable(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with('{') => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        other => other.clone(),
    }
}

/// Where two states differ, in one line.
pub(super) fn paths(planned: &Value, found: &Value) -> String {
    let told: Vec<String> = differences(planned, found)
        .iter()
        .map(|change| {
            let (planned, found) = (change.before.to_string(), change.after.to_string());
            let (planned, found) = (neutral::line(&planned, 120), neutral::line(&found, 120));
            let path = neutral::line(&change.path, 120);
            format!("`{path}` was {planned} and is {found}")
        })
        .collect();
    match told.len() {
        0..=3 => told.join("; "),
        more => format!("{}; and {} more", told[..3].join("; "), more - 3),
    }
}

/// Says whether a state may come of a change that was broken off: each part is as before or as after.
///
/// `depth` tells the parts, each changed by one call: 0 the whole, 1 the fields, 2 the fields of the fields.
pub(super) fn is_between(found: &Value, before: &Value, after: &Value, depth: usize) -> bool {
    if found == before || found == after {
        return true;
    }
    let (Some(below), Some(found), Some(before), Some(after)) = (
        depth.checked_sub(1),
        found.as_object(),
        before.as_object(),
        after.as_object(),
    ) else {
        return false;
    };
    let names: BTreeSet<&String> = found
        .keys()
        .chain(before.keys())
        .chain(after.keys())
        .collect();
    names.into_iter().all(|name| {
        let value = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or_default();
        is_between(&value(found), &value(before), &value(after), below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_place_and_both_values() {
        let policy = |statements: Value| {
            let policy = json!({ "Version": "2012-10-17", "Statement": statements });
            Value::String(policy.to_string())
        };
        let before =
            json!({ "a": { "b": 1, "c": [1] }, "policy": policy(json!([{ "Sid": "x" }])) });
        let after = json!({
            "a": { "b": 2, "c": [1], "d": {} },
            "policy": policy(json!([{ "Sid": "x" }, { "Sid": "y", "Effect": "Deny" }])),
        });
        let changes: Vec<_> = differences(&before, &after)
            .into_iter()
            .map(|change| (change.path, change.before, change.after))
            .collect();
        assert_eq!(
            changes,
            [
                ("a.b".to_owned(), json!(1), json!(2)),
                ("a.d".to_owned(), Value::Null, json!({})),
                (
                    "policy.Statement.y".to_owned(),
                    Value::Null,
                    json!({ "Sid": "y", "Effect": "Deny" })
                ),
            ]
        );
        assert_eq!(
            paths(&json!({ "on": true }), &json!({ "on": false })),
            "`on` was true and is false"
        );
    }

    #[test]
    fn what_was_broken_off_is_known_by_its_parts() {
        let before = json!({ "a": { "x": 1, "y": 1 }, "b": 1 });
        let after = json!({ "a": { "x": 2 }, "b": 2 });
        let half = json!({ "a": { "x": 2, "y": 1 }, "b": 1 });
        let other = json!({ "a": { "x": 3, "y": 1 }, "b": 1 });
        for (depth, expected) in [(0, false), (1, false), (2, true)] {
            assert_eq!(is_between(&half, &before, &after, depth), expected);
            assert!(!is_between(&other, &before, &after, depth));
            assert!(is_between(&before, &before, &after, depth));
            assert!(is_between(&after, &before, &after, depth));
        }
    }

    #[test]
    fn the_order_of_names_does_not_matter_to_the_canonical_form() {
        let one: Value = serde_json::from_str(r#"{"b":[{"d":1,"c":2}],"a":0}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":0,"b":[{"c":2,"d":1}]}"#).unwrap();
        assert_eq!(canonical(&one).to_string(), canonical(&two).to_string());
    }
}
