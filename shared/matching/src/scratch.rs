use crate::document::Visits;
use crate::document::blocks::Block;
use crate::document::seen::Seen;
use crate::index::search::{Batch, Memo};

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
    pub(crate) blocks: Vec<Block>,
    pub(crate) seen: Seen,
    pub(crate) visits: Visits,
    pub(crate) name: String,
    pub(crate) unescaped: String,
    pub(crate) buffer: String,
    pub(crate) batch: Batch,
    pub(crate) done: Memo,
    pub(crate) memo: Memo,
    pub(crate) matched: Vec<usize>,
}

impl Scratch {
    /// Begins a document, for so many slots and nodes.
    pub(crate) fn clear(&mut self, slots: usize, nodes: usize) {
        self.seen.clear(slots);
        self.visits.clear(nodes);
        self.memo.clear();
        self.done.clear();
        self.matched.clear();
    }
}
