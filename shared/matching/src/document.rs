//! Reading documents: from text, no further than the rules need, or from a parsed value.

pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod directory;
pub(crate) mod habits;
pub(crate) mod seen;
pub(crate) mod traits;
pub(crate) mod tree;

use serde_json::Value;
use thiserror::Error;

/// Levels of a document that are entered, as `serde_json` enters no more.
pub(crate) const DEEPEST: usize = 128;

/// A document that is parsed: a value, or an object that is in several places.
///
/// ```
/// use quench_matching::{Condition, Document, Operator, Rule, compile};
/// use serde_json::json;
///
/// let rule = Rule {
///     name: "production".to_owned(),
///     sets: vec![vec![Condition {
///         field: "raw.env".to_owned(),
///         operator: Operator::Equals,
///         value: json!("prod"),
///         value_type: None,
///     }]],
/// };
/// let matcher = compile(&[rule])?;
/// let (id, raw) = (json!("one"), json!({"env": "prod"}));
/// assert_eq!(matcher.matches(Document::Members(&[("id", &id), ("raw", &raw)])), [0]);
/// assert_eq!(matcher.matches(&json!({"id": "one", "raw": {"env": "prod"}})), [0]);
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Document<'a> {
    /// The value.
    Value(&'a Value),
    /// The members of the object, each name once.
    Members(&'a [(&'a str, &'a Value)]),
}

impl<'a> From<&'a Value> for Document<'a> {
    fn from(value: &'a Value) -> Self {
        Document::Value(value)
    }
}

/// What was given is not JSON, as far as it was read.
///
/// ```
/// use quench_matching::{Condition, Operator, Rule, Scratch, compile};
///
/// let rule = Rule {
///     name: "one".to_owned(),
///     sets: vec![vec![Condition {
///         field: "id".to_owned(),
///         operator: Operator::Equals,
///         value: "one".into(),
///         value_type: None,
///     }]],
/// };
/// let matcher = compile(&[rule])?;
/// let error = matcher.matches_bytes(br#"{"id": one}"#, &mut Scratch::default()).expect_err("quotes are missing");
/// assert_eq!(error.at, 7);
/// assert_eq!(error.to_string(), format!("byte 7 of the document: found {}", error.found));
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {at} of the document: found {found}")]
#[non_exhaustive]
pub struct NotJson {
    /// Counted in bytes, from zero.
    pub at: usize,
    /// What is wrong there.
    pub found: &'static str,
}

impl NotJson {
    pub(crate) fn new(at: usize, found: &'static str) -> Self {
        Self { at, found }
    }
}

/// Notices when two members of one object lead to the same place, because a name is there twice or in several cases.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    /// For each node of the trie, the object in which it was met last.
    nodes: Vec<u32>,
    objects: u32,
    /// Whether that happened in this document.
    pub(crate) ambiguous: bool,
}

impl Visits {
    /// Begins a document, for a trie of so many nodes.
    pub(crate) fn clear(&mut self, nodes: usize) {
        self.ambiguous = false;
        // Numbers of objects are never used again, unless they run out.
        if self.objects > u32::MAX / 2 {
            self.nodes.clear();
            self.objects = 0;
        }
        if self.nodes.len() < nodes {
            self.nodes.resize(nodes, 0);
        }
    }

    /// A number for an object that is entered.
    #[inline(always)]
    pub(crate) fn enter(&mut self) -> u32 {
        self.objects = self.objects.wrapping_add(1);
        self.objects
    }

    #[inline(always)]
    pub(crate) fn visit(&mut self, node: u32, object: u32) {
        let last = &mut self.nodes[node as usize];
        self.ambiguous |= *last == object;
        *last = object;
    }
}
