use crate::document::Visits;
use crate::document::blocks::Blocks;
use crate::document::directory::Directory;
use crate::document::habits::{Habits, Lessons};
use crate::document::seen::Seen;
use crate::document::traits::Traits;
use crate::index::Index;
use crate::index::search::{Batch, Notes};
use crate::matches::Matches;

/// Room to work in, kept from one document to the next so that matching need not allocate.
///
/// It belongs to no matcher in particular; give each thread one.
///
/// ```
/// use quench_matching::{Scratch, compile};
///
/// let matcher = compile(&[])?;
/// let mut scratch = Scratch::default();
/// for document in ["{}", "[1, 2]"] {
///     assert!(matcher.matches_bytes(document.as_bytes(), &mut scratch).expect("JSON").is_empty());
/// }
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) blocks: Blocks,
    pub(crate) habits: Habits,
    pub(crate) lessons: Lessons,
    pub(crate) seen: Seen,
    pub(crate) directory: Directory,
    pub(crate) traits: Traits,
    pub(crate) visits: Visits,
    pub(crate) name: Vec<u8>,
    pub(crate) unescaped: String,
    pub(crate) buffer: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) done: Notes,
    pub(crate) asked: Notes,
    pub(crate) matches: Matches,
    pub(crate) matched: Vec<usize>,
}

impl Scratch {
    /// Begins a document.
    pub(crate) fn clear(&mut self, index: &Index, conditions: usize) {
        self.habits.clear(&index.trie);
        self.traits.clear(index.wants.len());
        self.seen.clear(index.wants.len());
        self.directory.clear(index.wants.len());
        self.visits.clear(index.trie.len());
        self.done.clear(index.pivots as usize);
        self.asked.clear(conditions);
        self.matched.clear();
    }
}
