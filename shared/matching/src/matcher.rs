use std::collections::HashMap;

use serde_json::Value;

use crate::condition::Condition;
use crate::explanation::{self, Explanation};
use crate::path::elements;
use crate::predicate::{Predicate, Scalar, Test};

/// Compiled rules, made by [`crate::compile`]; matching cannot fail.
///
/// It is immutable, so threads may share it.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    conditions: Vec<(Condition, Predicate)>,
    rules: Vec<Vec<Vec<usize>>>,
}

impl Matcher {
    /// How many rules were compiled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that match a document, as ascending positions in what was compiled.
    #[must_use]
    pub fn matches(&self, document: &Value) -> Vec<usize> {
        let mut known = vec![None; self.conditions.len()];
        let mut holds = |condition: usize| {
            *known[condition].get_or_insert_with(|| self.conditions[condition].1.holds_in(document))
        };
        (0..self.rules.len())
            .filter(|rule| {
                let sets = &self.rules[*rule];
                sets.is_empty()
                    || sets
                        .iter()
                        .any(|set| set.iter().all(|condition| holds(*condition)))
            })
            .collect()
    }

    /// Says of every condition of a rule whether it holds, and which values it saw.
    ///
    /// # Panics
    /// If there is no rule at that position.
    ///
    /// ```
    /// use quench_matching::{Condition, Operator, Rule, compile};
    /// use serde_json::json;
    ///
    /// let rule = Rule {
    ///     name: "production".to_owned(),
    ///     sets: vec![vec![Condition {
    ///         field: "tags.env".to_owned(),
    ///         operator: Operator::Equals,
    ///         value: json!("prod"),
    ///         value_type: None,
    ///     }]],
    /// };
    /// let explanation = compile(&[rule])?.explain(0, &json!({"tags": {"env": "staging"}}));
    /// assert!(!explanation.matched);
    /// assert_eq!(explanation.sets[0].conditions[0].seen, [json!("staging")]);
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn explain(&self, rule: usize, document: &Value) -> Explanation {
        explanation::explain(
            self.rules[rule]
                .iter()
                .map(|set| set.iter().map(|condition| &self.conditions[*condition])),
            document,
        )
    }
}

impl Predicate {
    /// Whether any value that the path leads to passes.
    pub(crate) fn holds_in(&self, document: &Value) -> bool {
        if let Test::Exists(expected) = self.test {
            return self.path.resolve(document, |_| true) == expected;
        }
        self.path.resolve(document, |place| {
            elements(place, |value| {
                Scalar::of(value).is_some_and(|scalar| self.test.holds(scalar))
            })
        })
    }
}

/// Gathers checked rules; equal conditions are kept once.
#[derive(Default)]
pub(crate) struct Builder {
    matcher: Matcher,
    known: HashMap<String, usize>,
}

impl Builder {
    pub(crate) fn rule(&mut self) {
        self.matcher.rules.push(Vec::new());
    }

    pub(crate) fn set(&mut self) {
        if let Some(rule) = self.matcher.rules.last_mut() {
            rule.push(Vec::new());
        }
    }

    pub(crate) fn condition(&mut self, condition: &Condition, predicate: Predicate) {
        let key = format!("{condition:?}");
        let index = *self.known.entry(key).or_insert_with(|| {
            self.matcher.conditions.push((condition.clone(), predicate));
            self.matcher.conditions.len() - 1
        });
        if let Some(set) = self
            .matcher
            .rules
            .last_mut()
            .and_then(|rule| rule.last_mut())
        {
            set.push(index);
        }
    }

    pub(crate) fn finish(self) -> Matcher {
        self.matcher
    }
}
