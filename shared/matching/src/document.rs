//! Reading documents: from text, no further than the rules need, or from a parsed value.

pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod habits;
pub(crate) mod seen;
pub(crate) mod traits;
pub(crate) mod tree;

use thiserror::Error;

/// Levels of a document that are entered, as `serde_json` enters no more.
pub(crate) const DEEPEST: usize = 128;

/// What was given is not JSON, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {at} of the document: found {found}")]
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
