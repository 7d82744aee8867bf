use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Operator;
use crate::conditions::{Asked, Code, Conditions};
use crate::document::Document;
use crate::path::elements;
use crate::test::{Found, Test};

/// Values that one condition lists at most.
const MOST_SEEN: usize = 16;

/// Characters of a value that are shown at most.
const LONGEST_SEEN: usize = 512;

/// Why a rule matches a document, or why not.
///
/// ```
/// use quench_matching::{Explanation, Rule, compile};
/// use serde_json::json;
///
/// let rule: Rule = serde_json::from_value(json!({
///     "name": "urgent",
///     "sets": [
///         [{"field": "severity", "operator": "at_least", "value": "high"}],
///         [{"field": "tags.env", "operator": "equals", "value": "prod"}],
///     ],
/// }))?;
/// let matcher = compile(&[rule]).expect("a valid rule");
/// let explanation = matcher.explain(0, &json!({"severity": "low", "tags": {"env": "Prod"}}));
/// assert!(explanation.matched);
/// assert!(!explanation.sets[0].held && explanation.sets[1].held);
/// // It can be stored.
/// let text = serde_json::to_string(&explanation)?;
/// assert_eq!(serde_json::from_str::<Explanation>(&text)?, explanation);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Whether any set held, or the rule has none.
    pub matched: bool,
    /// Each set of the rule, in its order.
    pub sets: Vec<SetExplanation>,
}

/// Why a set of conditions holds, or why not.
///
/// ```
/// use quench_matching::{Rule, compile};
/// use serde_json::json;
///
/// let rule: Rule = serde_json::from_value(json!({
///     "name": "urgent",
///     "sets": [[
///         {"field": "severity", "operator": "at_least", "value": "high"},
///         {"field": "tags.env", "operator": "equals", "value": "prod"},
///     ]],
/// }))?;
/// let matcher = compile(&[rule]).expect("a valid rule");
/// let set = &matcher.explain(0, &json!({"severity": "critical"})).sets[0];
/// assert!(!set.held);
/// let missed: Vec<&str> = set.conditions.iter().filter(|one| !one.held).map(|one| &*one.field).collect();
/// assert_eq!(missed, ["tags.env"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SetExplanation {
    /// Whether all of its conditions held.
    pub held: bool,
    /// Each condition of the set, in its order.
    pub conditions: Vec<ConditionExplanation>,
}

/// Why a condition holds, or why not.
///
/// ```
/// use quench_matching::{Operator, Rule, compile};
/// use serde_json::json;
///
/// let rule: Rule = serde_json::from_value(json!({
///     "name": "inside",
///     "sets": [[{"field": "hosts.ip", "operator": "cidr", "value": "10.0.0.0/8"}]],
/// }))?;
/// let matcher = compile(&[rule]).expect("a valid rule");
/// let document = json!({"hosts": [{"ip": "192.0.2.1"}, {"ip": "10.1.2.3"}]});
/// let condition = &matcher.explain(0, &document).sets[0].conditions[0];
/// assert_eq!((&*condition.field, condition.operator), ("hosts.ip", Operator::Cidr));
/// assert_eq!(condition.expected, json!("10.0.0.0/8"));
/// assert_eq!(condition.seen, [json!("192.0.2.1"), json!("10.1.2.3")]);
/// assert!(condition.held);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConditionExplanation {
    /// The field as the rule spells it.
    pub field: String,
    /// What was asked.
    pub operator: Operator,
    /// What the rule expected, as it spells it.
    pub expected: Value,
    /// Whether it held.
    pub held: bool,
    /// The values found at the field, in document order: the first sixteen, or the first fifteen and the one that
    /// passed. Long texts are cut, objects and lists are shown as JSON text; `…` marks a cut. Empty if there are none.
    pub seen: Vec<Value>,
}

/// Explains a rule given as its sets.
pub(crate) fn explain<'a>(
    conditions: &Conditions,
    sets: impl Iterator<Item = &'a [Code]>,
    document: Document<'_>,
) -> Explanation {
    let sets: Vec<SetExplanation> = sets
        .map(|set| {
            let explained: Vec<ConditionExplanation> = set
                .iter()
                .map(|code| {
                    let (held, seen) = look(conditions, *code, document);
                    let (field, operator, expected) = conditions.spelled(*code);
                    ConditionExplanation {
                        field: field.to_owned(),
                        operator,
                        expected,
                        held,
                        seen,
                    }
                })
                .collect();
            SetExplanation {
                held: explained.iter().all(|condition| condition.held),
                conditions: explained,
            }
        })
        .collect();
    Explanation {
        matched: sets.is_empty() || sets.iter().any(|set| set.held),
        sets,
    }
}

/// Whether a condition holds, and the values it was asked of.
fn look(conditions: &Conditions, code: Code, document: Document<'_>) -> (bool, Vec<Value>) {
    let mut seen = Vec::new();
    if let Asked::Other(Test::Exists(expected)) = conditions.asked(code) {
        conditions.resolve(code, document, |place| {
            seen.push(shown(place));
            seen.len() == MOST_SEEN
        });
        return (seen.is_empty() != *expected, seen);
    }
    let mut held = false;
    let mut buffer = Vec::new();
    conditions.resolve(code, document, |place| {
        elements(place, |value| {
            let passes =
                !held && Found::with(value, |found| conditions.passes(code, found, &mut buffer));
            held |= passes;
            if seen.len() < MOST_SEEN {
                seen.push(shown(value));
            } else if passes {
                seen[MOST_SEEN - 1] = shown(value);
            }
            held && seen.len() == MOST_SEEN
        })
    });
    (held, seen)
}

/// A value as it is shown: short.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => cut(text).map_or_else(|| value.clone(), Value::String),
        Value::Array(_) | Value::Object(_) => {
            let text = begun(value);
            Value::String(cut(&text).unwrap_or(text))
        }
        _ => value.clone(),
    }
}

/// A value as JSON text: all of it if it is short enough to be shown, else somewhat more than that.
fn begun(value: &Value) -> String {
    enum Open<'a> {
        Array(std::slice::Iter<'a, Value>),
        Object(serde_json::map::Iter<'a>),
    }
    fn write(own: &str, text: &mut String) {
        let shown = own.char_indices().nth(LONGEST_SEEN + 1);
        let shown = shown.map_or(own, |(end, _)| &own[..end]);
        text.push_str(&Value::from(shown).to_string());
    }
    let mut text = String::new();
    // A stack of our own: a document that was not read from text may nest without bound.
    let mut open = Vec::new();
    let mut value = value;
    // No character has more than four bytes.
    while text.len() <= 4 * LONGEST_SEEN {
        match value {
            Value::Array(elements) => {
                text.push('[');
                open.push(Open::Array(elements.iter()));
            }
            Value::Object(members) => {
                text.push('{');
                open.push(Open::Object(members.iter()));
            }
            Value::String(own) => write(own, &mut text),
            _ => text.push_str(&value.to_string()),
        }
        value = loop {
            let (close, next) = match open.last_mut() {
                None => return text,
                Some(Open::Array(elements)) => (']', elements.next().map(|one| (None, one))),
                Some(Open::Object(members)) => {
                    ('}', members.next().map(|(name, one)| (Some(name), one)))
                }
            };
            let Some((name, next)) = next else {
                text.push(close);
                open.pop();
                continue;
            };
            // Texts end with their quote.
            if !text.ends_with(['[', '{']) {
                text.push(',');
            }
            if let Some(name) = name {
                write(name, &mut text);
                text.push(':');
            }
            break next;
        };
    }
    text
}

/// The beginning of a text and `…`, if it is too long to be shown.
fn cut(text: &str) -> Option<String> {
    let (end, _) = text.char_indices().nth(LONGEST_SEEN)?;
    Some(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Rule, compile};
    use serde_json::json;

    fn explained(condition: Condition, document: &Value) -> ConditionExplanation {
        let rule = Rule {
            name: "r".to_owned(),
            sets: vec![vec![condition]],
        };
        let mut explanation = compile(&[rule]).unwrap().explain(0, document);
        explanation.sets.remove(0).conditions.remove(0)
    }

    fn condition(field: &str, operator: Operator, value: Value) -> Condition {
        Condition {
            field: field.to_owned(),
            operator,
            value,
            value_type: None,
        }
    }

    #[test]
    fn the_value_that_passed_is_always_shown() {
        let document = json!({ "n": (0..100).collect::<Vec<_>>() });
        let explanation = explained(condition("n", Operator::Equals, json!(77)), &document);
        assert!(explanation.held);
        assert_eq!(explanation.seen.len(), 16);
        assert_eq!(explanation.seen[15], 77);
        let explanation = explained(condition("n", Operator::Equals, json!(100)), &document);
        assert!(!explanation.held);
        assert_eq!(explanation.seen[15], 15);
    }

    #[test]
    fn long_values_are_cut() {
        let document = json!({"text": "é".repeat(2000), "object": {"list": vec![1; 1000]}});
        let explanation = explained(condition("text", Operator::Exists, json!(true)), &document);
        assert_eq!(explanation.seen[0].as_str().unwrap().chars().count(), 513);
        let explanation = explained(
            condition("object", Operator::Exists, json!(false)),
            &document,
        );
        assert!(!explanation.held);
        assert!(explanation.seen[0].as_str().unwrap().ends_with('…'));
    }

    #[test]
    fn values_of_any_depth_and_size_are_shown() {
        let mut deep = json!("[");
        for _ in 0..200_000 {
            deep = Value::Array(vec![deep]);
            deep = Value::Object([("a\"".to_owned(), deep)].into_iter().collect());
        }
        let wide = json!(vec![json!({"é": "é".repeat(2_000)}); 20]);
        let members = [("v".to_owned(), deep), ("wide".to_owned(), wide)];
        let mut document = Value::Object(members.into_iter().collect());
        for field in ["v", "wide"] {
            let explanation = explained(condition(field, Operator::Exists, json!(true)), &document);
            let shown = explanation.seen[0].as_str().unwrap();
            assert_eq!(shown.chars().count(), 513);
            assert!(shown.ends_with('…'));
        }
        let explanation = explained(condition("v", Operator::Equals, json!(1)), &document);
        assert!(
            explanation.seen[0]
                .as_str()
                .unwrap()
                .starts_with(r#"{"a\"":[{"a\"":[{"#)
        );
        // Dropping it would overflow the stack: that recursion is not ours.
        let mut rest = document["v"].take();
        loop {
            rest = match rest {
                Value::Array(mut inner) => inner.pop().unwrap_or(Value::Null),
                Value::Object(mut inner) => inner.remove("a\"").unwrap_or(Value::Null),
                _ => break,
            };
        }
    }

    #[test]
    fn what_is_short_is_shown_as_it_is_written() {
        let mut value = json!([[], {}, [[]], null, true, -1.5, "a\"\\\n[é", {"": [1, {"b": []}], "c{": "{"}, "[", 2]);
        for _ in 0..2 {
            assert_eq!(shown(&value), Value::String(value.to_string()));
            value = json!({ "more": value, "z": [] });
        }
        for length in 500..520 {
            let value = json!(["é".repeat(length)]);
            let text = value.to_string();
            let text = cut(&text).unwrap_or(text);
            assert_eq!(shown(&value), Value::String(text));
        }
    }

    #[test]
    fn each_set_says_for_itself_whether_it_held() {
        let rule = Rule {
            name: "r".to_owned(),
            sets: vec![
                vec![
                    condition("a", Operator::Equals, json!(1)),
                    condition("b", Operator::Equals, json!(1)),
                ],
                vec![condition("b", Operator::Equals, json!(2))],
            ],
        };
        let explanation = compile(&[rule])
            .unwrap()
            .explain(0, &json!({"a": 1, "b": 2}));
        assert!(explanation.matched);
        let held: Vec<bool> = explanation.sets.iter().map(|set| set.held).collect();
        assert_eq!(held, [false, true]);
        let text = serde_json::to_string(&explanation).unwrap();
        assert_eq!(
            serde_json::from_str::<Explanation>(&text).unwrap(),
            explanation
        );
    }
}
