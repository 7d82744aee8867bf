use std::sync::Mutex;

use fearless_simd::{Level, dispatch};
use serde_json::Value;

use crate::condition::Condition;
use crate::conditions::{Code, Conditions, Gatherer};
use crate::document::bytes::Reader;
use crate::document::tree::Walker;
use crate::document::{Document, NotJson};
use crate::explanation::{self, Explanation};
use crate::fold::fold_into;
use crate::index::Index;
use crate::index::build::{Set, build};
use crate::index::search::Search;
use crate::index::trie::ROOT;
use crate::invalid::ConditionFault;
use crate::scratch::Scratch;

/// Compiled rules, made by [`crate::compile`]; matching cannot fail.
///
/// It is immutable, so threads may share it.
///
/// ```
/// use quench_matching::{Matcher, compile, workload};
///
/// let matcher: Matcher = compile(&workload::rules(100, workload::Mix::Mixed, 1))?;
/// let document = serde_json::from_str(&workload::findings(1, 1)[0]).expect("JSON");
/// let here = matcher.matches(&document);
/// let there = std::thread::scope(|scope| scope.spawn(|| matcher.matches(&document)).join().expect("no panic"));
/// assert_eq!(here, there);
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
///
/// By default it has no rules, as if none had been compiled.
#[derive(Debug, Clone)]
pub struct Matcher {
    conditions: Conditions,
    index: Index,
    rules: Rules,
    idle: Idle,
}

/// The rules as they were given: sets and conditions by position.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// For each rule, the position behind its last set.
    set_ends: Vec<u32>,
    /// For each set, the position behind its last condition.
    code_ends: Vec<u32>,
    codes: Vec<Code>,
    /// Rules without sets.
    unconditional: Vec<u32>,
}

/// Scratches that no thread uses now.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Scratch>>);

impl Clone for Idle {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Builder::new().finish()
    }
}

impl Matcher {
    /// How many rules were compiled.
    ///
    /// ```
    /// use quench_matching::{Rule, compile};
    ///
    /// let rule = |name: &str| Rule { name: name.to_owned(), sets: vec![] };
    /// assert_eq!(compile(&[rule("one"), rule("other")])?.len(), 2);
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.set_ends.len()
    }

    /// Whether there are no rules.
    ///
    /// ```
    /// use quench_matching::{Rule, compile};
    ///
    /// assert!(compile(&[])?.is_empty());
    /// assert!(!compile(&[Rule { name: "everything".to_owned(), sets: vec![] }])?.is_empty());
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.set_ends.is_empty()
    }

    /// Whether any condition looks into the member of that name of a document; what none does need not be there.
    ///
    /// ```
    /// use quench_matching::{Condition, Operator, Rule, compile};
    ///
    /// let rule = Rule {
    ///     name: "production".to_owned(),
    ///     sets: vec![vec![Condition {
    ///         field: "tags.env".to_owned(),
    ///         operator: Operator::Equals,
    ///         value: "prod".into(),
    ///         value_type: None,
    ///     }]],
    /// };
    /// let matcher = compile(&[rule])?;
    /// assert!(matcher.reads("Tags"));
    /// assert!(!matcher.reads("env"));
    /// assert!(!compile(&[])?.reads("tags"));
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn reads(&self, member: &str) -> bool {
        let trie = &self.index.trie;
        let mut name = Vec::new();
        fold_into(member, &mut name);
        let root = trie.node(ROOT);
        root.branches() && trie.edge(root, &name).is_some()
    }

    /// The rules that match a document, as ascending positions in what was compiled.
    ///
    /// ```
    /// use quench_matching::{Condition, Operator, Rule, compile};
    /// use serde_json::json;
    ///
    /// let region = |name: &str| Rule {
    ///     name: name.to_owned(),
    ///     sets: vec![vec![Condition {
    ///         field: "region".to_owned(),
    ///         operator: Operator::StartsWith,
    ///         value: name.into(),
    ///         value_type: None,
    ///     }]],
    /// };
    /// let matcher = compile(&[region("eu"), region("us"), region("eu-west")])?;
    /// assert_eq!(matcher.matches(&json!({"region": "EU-West-1"})), [0, 2]);
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn matches<'d>(&self, document: impl Into<Document<'d>>) -> Vec<usize> {
        let idle = self.idle.0.lock().ok().and_then(|mut idle| idle.pop());
        let mut scratch = idle.unwrap_or_default();
        let matched = self.matches_value(document, &mut scratch).to_vec();
        if let Ok(mut idle) = self.idle.0.lock() {
            idle.push(scratch);
        }
        matched
    }

    /// As [`Matcher::matches`], in room that is used again.
    ///
    /// ```
    /// use quench_matching::{Rule, Scratch, compile};
    /// use serde_json::json;
    ///
    /// let matcher = compile(&[Rule { name: "everything".to_owned(), sets: vec![] }])?;
    /// assert_eq!(matcher.matches_value(&json!({}), &mut Scratch::default()), [0]);
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    pub fn matches_value<'s, 'd>(
        &self,
        document: impl Into<Document<'d>>,
        scratch: &'s mut Scratch,
    ) -> &'s [usize] {
        let document = document.into();
        self.walk(document, false, scratch);
        if scratch.visits.ambiguous {
            return self.matches_carefully(document, scratch);
        }
        if scratch.seen.overflows() {
            return self.ask_each(document, scratch);
        }
        self.search(&[], None, scratch)
    }

    /// Notes what rules ask about of a document.
    fn walk(&self, document: Document<'_>, careful: bool, scratch: &mut Scratch) {
        self.clear(scratch);
        Walker {
            trie: &self.index.trie,
            wants: &self.index.wants,
            seen: &mut scratch.seen,
            visits: &mut scratch.visits,
            name: &mut scratch.name,
            careful,
        }
        .walk(document);
        scratch.seen.seal(&self.index.wants, &[]);
    }

    /// As [`Matcher::matches_value`], of a document in which names are ambiguous at first sight.
    #[cold]
    fn matches_carefully<'s>(
        &self,
        document: Document<'_>,
        scratch: &'s mut Scratch,
    ) -> &'s [usize] {
        self.walk(document, true, scratch);
        if scratch.seen.overflows() {
            return self.ask_each(document, scratch);
        }
        let exact = scratch.visits.ambiguous.then_some(document);
        self.search(&[], exact, scratch)
    }

    /// As [`Matcher::matches`], of a document that is not parsed yet.
    ///
    /// Only what a rule's path leads to is read; of the rest, strings must end, brackets must balance and the bytes must
    /// be UTF-8. Whatever [`serde_json`] accepts gives the result that its parsed value would give, with one reservation:
    /// `serde_json` must be built with its feature `float_roundtrip`, else it misreads some fractions.
    ///
    /// # Errors
    /// The document is not JSON, as far as it was read.
    ///
    /// ```
    /// use quench_matching::{Condition, Operator, Rule, Scratch, compile};
    ///
    /// let rule = Rule {
    ///     name: "production".to_owned(),
    ///     sets: vec![vec![Condition {
    ///         field: "tags.env".to_owned(),
    ///         operator: Operator::StartsWith,
    ///         value: "prod".into(),
    ///         value_type: None,
    ///     }]],
    /// };
    /// let matcher = compile(&[rule])?;
    /// let mut scratch = Scratch::default();
    /// assert_eq!(matcher.matches_bytes(br#"{"Tags": {"Env": "PROD-eu"}}"#, &mut scratch), Ok(&[0][..]));
    /// let error = matcher.matches_bytes(br#"{"Tags": {"Env" "PROD"}}"#, &mut scratch).expect_err("a colon is missing");
    /// assert_eq!(error.to_string(), "byte 16 of the document: found something else than a colon");
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    pub fn matches_bytes<'s>(
        &self,
        document: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [usize], NotJson> {
        if u32::try_from(document.len()).is_err() {
            return Err(NotJson::new(0, "more than 4 GiB"));
        }
        // The document is on its way meanwhile.
        scratch.blocks.begin(document);
        self.clear(scratch);
        let read = dispatch!(Level::new(), simd => Reader {
            simd,
            document,
            blocks: &mut scratch.blocks,
            trie: &self.index.trie,
            wants: &self.index.wants,
            habits: &scratch.habits,
            lessons: &mut scratch.lessons,
            seen: &mut scratch.seen,
            visits: &mut scratch.visits,
            name: &mut scratch.name,
            unescaped: &mut scratch.unescaped,
            fault: None,
        }
        .read());
        scratch.habits.keep(&mut scratch.lessons);
        read?;
        scratch.blocks.finish(document)?;
        if scratch.blocks.wide()
            && let Err(error) = std::str::from_utf8(document)
        {
            return Err(NotJson::new(error.valid_up_to(), "bytes that are no UTF-8"));
        }
        scratch.seen.seal(&self.index.wants, document);
        let overflows = scratch.seen.overflows();
        if !scratch.visits.ambiguous && !overflows {
            return Ok(self.search(document, None, scratch));
        }
        let parsed: Value = serde_json::from_slice(document).map_err(|error| {
            let lines = document
                .split_inclusive(|byte| *byte == b'\n')
                .take(error.line().saturating_sub(1));
            NotJson::new(
                lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1),
                "no JSON",
            )
        })?;
        let parsed = Document::Value(&parsed);
        if overflows {
            return Ok(self.ask_each(parsed, scratch));
        }
        Ok(self.matches_carefully(parsed, scratch))
    }

    /// Asks every rule, without the index: of what has more text than can be kept.
    #[cold]
    fn ask_each<'s>(&self, document: Document<'_>, scratch: &'s mut Scratch) -> &'s [usize] {
        let matched = (0..self.len()).filter(|rule| self.matches_rule(*rule, document));
        scratch.matched.extend(matched);
        &scratch.matched
    }

    fn clear(&self, scratch: &mut Scratch) {
        scratch.clear(&self.index, self.conditions.len());
    }

    fn search<'s>(
        &self,
        document: &[u8],
        exact: Option<Document<'_>>,
        scratch: &'s mut Scratch,
    ) -> &'s [usize] {
        let matches = &mut scratch.matches;
        matches.clear(self.len());
        for rule in &self.rules.unconditional {
            matches.add(*rule);
        }
        dispatch!(Level::new(), simd => Search {
            simd,
            index: &self.index,
            conditions: &self.conditions,
            document,
            exact,
            seen: &scratch.seen,
            directory: &mut scratch.directory,
            traits: &mut scratch.traits,
            batch: &mut scratch.batch,
            done: &mut scratch.done,
            asked: &mut scratch.asked,
            buffer: &mut scratch.buffer,
            matches,
        }
        .run());
        matches.drain_into(&mut scratch.matched);
        &scratch.matched
    }

    /// Whether one rule matches a document, found without the index: by asking its conditions one after the other.
    ///
    /// # Panics
    /// If there is no rule at that position.
    ///
    /// ```
    /// use quench_matching::{Rule, compile};
    /// use serde_json::json;
    ///
    /// let matcher = compile(&[Rule { name: "everything".to_owned(), sets: vec![] }])?;
    /// assert!(matcher.matches_rule(0, &json!({})));
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn matches_rule<'d>(&self, rule: usize, document: impl Into<Document<'d>>) -> bool {
        let document = document.into();
        let mut sets = self.rules.sets(rule).peekable();
        sets.peek().is_none()
            || sets.any(|set| {
                set.iter()
                    .all(|code| self.conditions.holds_in(*code, document))
            })
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
    pub fn explain<'d>(&self, rule: usize, document: impl Into<Document<'d>>) -> Explanation {
        explanation::explain(&self.conditions, self.rules.sets(rule), document.into())
    }

    /// Bytes that the matcher takes on the heap, near enough: what regular expressions take is guessed, and depends on the
    /// features that `regex` is built with.
    ///
    /// ```
    /// use quench_matching::{compile, workload};
    ///
    /// let size = |rules| compile(&workload::rules(rules, workload::Mix::Mixed, 1)).map(|matcher| matcher.heap_size());
    /// assert!(size(1_000)? > 2 * size(100)?);
    /// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
    /// ```
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let rules = &self.rules;
        let words = rules.set_ends.capacity() + rules.code_ends.capacity() + rules.codes.capacity();
        4 * (words + rules.unconditional.capacity()) + self.conditions.bytes() + self.index.bytes()
    }
}

impl Rules {
    /// The conditions of each set of a rule.
    fn sets(&self, rule: usize) -> impl Iterator<Item = &[Code]> {
        let first = before(&self.set_ends, rule);
        let last = self.set_ends[rule] as usize;
        (first..last)
            .map(|set| &self.codes[before(&self.code_ends, set)..self.code_ends[set] as usize])
    }
}

/// Where an item begins, given where each ends.
fn before(ends: &[u32], item: usize) -> usize {
    item.checked_sub(1)
        .map_or(0, |previous| ends[previous] as usize)
}

/// Gathers rules; equal conditions are kept once.
pub(crate) struct Builder<'a> {
    gatherer: Gatherer<'a>,
    rules: Rules,
}

impl<'a> Builder<'a> {
    pub(crate) fn new() -> Self {
        Self {
            gatherer: Gatherer::new(),
            rules: Rules::default(),
        }
    }

    /// Adds a condition to the set that is being gathered.
    pub(crate) fn condition(&mut self, condition: &'a Condition) -> Result<(), ConditionFault> {
        self.gatherer
            .add(condition)
            .map(|code| self.rules.codes.push(code))
    }

    /// Ends a set.
    pub(crate) fn set(&mut self) {
        self.rules.code_ends.push(self.rules.codes.len() as u32);
    }

    /// Ends a rule.
    pub(crate) fn rule(&mut self) {
        let rules = &mut self.rules;
        let sets = rules.code_ends.len() as u32;
        if rules.set_ends.last().copied().unwrap_or(0) == sets {
            rules.unconditional.push(rules.set_ends.len() as u32);
        }
        rules.set_ends.push(sets);
    }

    pub(crate) fn finish(self) -> Matcher {
        let (conditions, trie) = self.gatherer.finish();
        let mut rules = self.rules;
        rules.set_ends.shrink_to_fit();
        rules.code_ends.shrink_to_fit();
        rules.codes.shrink_to_fit();
        rules.unconditional.shrink_to_fit();
        let sets: Vec<Set<'_>> = (0..rules.set_ends.len())
            .flat_map(|rule| {
                rules.sets(rule).map(move |conditions| Set {
                    rule: rule as u32,
                    conditions,
                })
            })
            .collect();
        let index = build(&conditions, trie, &sets);
        Matcher {
            conditions,
            index,
            rules,
            idle: Idle::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operator, Rule, compile};
    use serde_json::json;

    #[test]
    fn a_matcher_without_rules_matches_nothing() {
        let matcher = Matcher::default();
        let mut scratch = Scratch::default();
        let document = json!({"a": [1, {"b": "text"}], "A": 2});
        assert!(matcher.is_empty() && !matcher.reads("a"));
        assert!(matcher.matches(&document).is_empty());
        let text = document.to_string();
        let matched = matcher.matches_bytes(text.as_bytes(), &mut scratch);
        assert_eq!(matched, Ok(&[][..]));
    }

    fn conditions(asked: &[(&str, Operator, Value)]) -> Vec<Condition> {
        let conditions = asked.iter().map(|(field, operator, value)| Condition {
            field: (*field).to_owned(),
            operator: *operator,
            value: value.clone(),
            value_type: None,
        });
        conditions.collect()
    }

    fn rules(sets: impl IntoIterator<Item = Vec<Condition>>) -> Vec<Rule> {
        let rules = sets.into_iter().map(|set| Rule {
            name: "r".to_owned(),
            sets: vec![set],
        });
        rules.collect()
    }

    #[test]
    fn what_ambiguous_names_hide_neither_fulfils_nor_spoils_a_condition() {
        use Operator::{Contains, Equals, Exists, GreaterThan, Matches, NotEquals, StartsWith};
        let asked = [
            ("a.b", Exists, json!(false)),
            ("a.b", Exists, json!(true)),
            ("a.b", NotEquals, json!("shown text")),
            ("a.b", Equals, json!("hidden text")),
            ("a.b", Contains, json!("den text")),
            ("a.b", StartsWith, json!("hid")),
            ("a.b", Matches, json!("d.*x")),
            ("a.n", GreaterThan, json!(5)),
            ("a.n", Exists, json!(false)),
            ("a.never", Exists, json!(false)),
        ];
        // Alone, and beside a pivot that holds.
        let pivot = ("kind", Equals, json!("rare"));
        let alone = asked
            .iter()
            .map(|one| conditions(std::slice::from_ref(one)));
        let beside = asked
            .iter()
            .map(|one| conditions(&[pivot.clone(), one.clone()]));
        let twice = beside.clone();
        let matcher = compile(&rules(alone.chain(beside).chain(twice))).unwrap();
        let mut scratch = Scratch::default();
        let hidden = r#"{"b": "hidden text", "n": 9}"#;
        for (shown, expected) in [
            (r#"{}"#, vec![0, 8, 9]),
            (r#"{"b": "shown text"}"#, vec![1, 8, 9]),
            (r#"{"b": "other", "n": 6}"#, vec![1, 2, 7, 9]),
            (
                r#"{"b": ["other", "Hidden Text"]}"#,
                vec![1, 2, 3, 4, 5, 6, 8, 9],
            ),
        ] {
            let all = (0..3).flat_map(|round| expected.iter().map(move |one| one + 10 * round));
            let all: Vec<usize> = all.collect();
            // Of equal names the last counts, of others the one spelled the same.
            for members in [
                format!(r#""A": {hidden}, "a": {shown}"#),
                format!(r#""a": {shown}, "A": {hidden}"#),
                format!(r#""a": {hidden}, "a": {shown}"#),
            ] {
                let text = format!(r#"{{"kind": "rare", {members}}}"#);
                let matched = matcher.matches_bytes(text.as_bytes(), &mut scratch);
                assert_eq!(matched, Ok(&all[..]), "{text}");
                let parsed: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(matcher.matches_value(&parsed, &mut scratch), all, "{text}");
            }
        }
    }

    #[test]
    fn only_what_rules_spell_in_several_ways_stays_ambiguous() {
        let asked = [
            ("a.B", Operator::Equals, json!("yes")),
            ("C", Operator::Equals, json!("yes")),
            ("c", Operator::Equals, json!("yes")),
        ];
        let sets = asked
            .iter()
            .map(|one| conditions(std::slice::from_ref(one)));
        let matcher = compile(&rules(sets)).unwrap();
        let mut scratch = Scratch::default();
        for (text, expected, ambiguous) in [
            (r#"{"a": 1, "a": {"B": "no", "B": "yes"}}"#, &[0][..], false),
            (r#"{"a": {"b": "no", "B": "yes"}}"#, &[0], false),
            (r#"{"a": {"b": "yes", "B": "no"}}"#, &[], false),
            (
                r#"{"a": {"b": "yes", "B": "no"}, "A": {"B": "yes"}}"#,
                &[],
                false,
            ),
            (r#"{"A": [{"b": "yes"}, {"B": "no", "b": 1}]}"#, &[0], false),
            (r#"{"c": "no", "c": "yes"}"#, &[1, 2], false),
            (r#"{"C": "no", "c": "yes"}"#, &[2], true),
        ] {
            let parsed: Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                matcher.matches_value(&parsed, &mut scratch),
                expected,
                "{text}"
            );
            let members: Vec<(&str, &Value)> = parsed
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, member)| (&**name, member))
                .collect();
            let pieces = Document::Members(&members);
            assert_eq!(
                matcher.matches_value(pieces, &mut scratch),
                expected,
                "{text}"
            );
            let matched = matcher.matches_bytes(text.as_bytes(), &mut scratch);
            assert_eq!(matched, Ok(expected), "{text}");
            // What is not ambiguous is found by the index alone.
            assert_eq!(scratch.visits.ambiguous, ambiguous, "{text}");
        }
    }

    #[test]
    fn more_text_than_can_be_kept_is_asked_without_the_index() {
        let asked = [
            ("a", Operator::Equals, json!("last")),
            ("a", Operator::Equals, json!("absent")),
            ("a", Operator::StartsWith, json!("xx")),
            ("a.0", Operator::Equals, json!("LAST")),
            ("b", Operator::Equals, json!(1)),
        ];
        let sets = asked
            .iter()
            .map(|one| conditions(std::slice::from_ref(one)));
        let matcher = compile(&rules(sets)).unwrap();
        let mut scratch = Scratch::default();
        for length in [10, 2 << 20] {
            for text in [
                "x".repeat(length),
                "xé".repeat(length / 2),
                "x\n".repeat(length / 2),
            ] {
                let document = json!({"a": ["first", text, "last"], "b": 1});
                let overflows = length > 10;
                let expected = if text.starts_with("xx") {
                    vec![0, 2, 4]
                } else {
                    vec![0, 4]
                };
                assert_eq!(matcher.matches_value(&document, &mut scratch), expected);
                assert_eq!(scratch.seen.overflows(), overflows);
                let bytes = document.to_string();
                let matched = matcher.matches_bytes(bytes.as_bytes(), &mut scratch);
                assert_eq!(matched, Ok(&expected[..]));
                assert_eq!(scratch.seen.overflows(), overflows);
            }
        }
    }

    #[test]
    fn the_same_rules_make_the_same_matcher() {
        let rules = crate::workload::rules(300, crate::workload::Mix::Mixed, 7);
        let [left, right] = [(); 2].map(|()| {
            let mut matcher = compile(&rules).unwrap();
            matcher.index.trie.forget_identity();
            format!("{matcher:?}")
        });
        assert!(left == right, "the matchers differ");
    }

    #[test]
    fn threads_share_a_matcher_and_own_a_scratch() {
        fn is_shared<T: Send + Sync>(_: &T) {}
        fn is_sent<T: Send>(_: &T) {}
        is_shared(&Matcher::default());
        is_sent(&Scratch::default());
    }

    #[test]
    fn many_sets_ask_the_same_of_many_values() {
        let second = |text: String| {
            conditions(&[
                ("kind", Operator::Equals, json!("rare")),
                ("all", Operator::Equals, json!(text)),
            ])
        };
        // What many other rules ask of the kind makes it the pivot.
        let others = (0..6_000)
            .map(|kind| conditions(&[("kind", Operator::Equals, json!(kind.to_string()))]));
        let asked = (0..2_000).map(|rule| second(format!("value {}", rule % 2 * 100_000 + 7)));
        let matcher = compile(&rules(asked.chain(others))).unwrap();
        let all: Vec<String> = (0..50_000).map(|at| format!("value {at}")).collect();
        let document = json!({"kind": "rare", "all": all});
        let expected: Vec<usize> = (0..2_000).step_by(2).collect();
        assert_eq!(matcher.matches(&document), expected);
        let text = document.to_string();
        let mut scratch = Scratch::default();
        let matched = matcher.matches_bytes(text.as_bytes(), &mut scratch);
        assert_eq!(matched, Ok(&expected[..]));
    }

    #[test]
    fn what_much_is_asked_of_and_has_many_values_is_looked_up() {
        use crate::document::directory::Form::{Number, Text};
        let pair = |number: usize| {
            let text = |number: usize| ("texts", Operator::Equals, json!(format!("Text {number}")));
            let whole = |number: usize| ("numbers", Operator::Equals, json!(number));
            let either = json!([format!("TEXT {}", number + 4), "none"]);
            [
                conditions(&[text(number), text(number + 1)]),
                conditions(&[whole(number), whole(number + 1)]),
                conditions(&[text(number), ("texts", Operator::In, either)]),
            ]
        };
        let matcher = compile(&rules((0..400).flat_map(pair))).unwrap();
        let mut scratch = Scratch::default();
        for (count, many) in [(40, false), (300, true)] {
            let texts: Vec<String> = (0..count).map(|number| format!("tExt {number}")).collect();
            let numbers: Vec<Value> = (0..count)
                .map(|number| match number % 3 {
                    0 => json!(number),
                    1 => json!(number as f64),
                    _ => json!(number.to_string()),
                })
                .collect();
            let document = json!({"texts": texts, "numbers": numbers});
            let expected: Vec<usize> = (0..400)
                .flat_map(|number| {
                    let seconds = [number + 1, number + 1, number + 4];
                    let held = (0..).zip(seconds).filter(|(_, second)| *second < count);
                    held.map(move |(rule, _)| 3 * number + rule)
                })
                .collect();
            let text = document.to_string();
            for _ in 0..2 {
                assert_eq!(matcher.matches_value(&document, &mut scratch), expected);
                let matched = matcher.matches_bytes(text.as_bytes(), &mut scratch);
                assert_eq!(matched, Ok(&expected[..]));
                for (field, form) in [("texts", Text), ("numbers", Number)] {
                    let slot = matcher.conditions.slot_of(field).expect("a field");
                    assert_eq!(scratch.directory.is_filled(slot, form), many, "{field}");
                }
            }
        }
    }
}
