use super::hash;
use super::table::Table;
use crate::fold::{fold, fold_into};
use crate::path::Path;

/// Number of the node that every path starts from.
pub(crate) const ROOT: u32 = 0;

const NONE: u32 = u32::MAX;

/// The paths that rules name, regardless of case, with their common beginnings shared.
///
/// A segment that is a number and one that is the same number in quotes lead to different nodes, because only the first
/// picks elements of arrays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// From (node, folded name) to the first edge with that hash.
    by_name: Table,
    /// The folded names, one behind the other.
    names: String,
}

#[derive(Debug, Clone)]
struct Node {
    /// Where its values are asked something, the slot of them.
    slot: u32,
    /// One bit for the looks of each child's name: most names of a document fail here.
    filter: [u64; 4],
    /// Whether any path goes on from here.
    branches: bool,
    positions: Vec<(usize, u32)>,
}

#[derive(Debug, Clone)]
struct Edge {
    node: u32,
    name: u32,
    length: u32,
    /// Child by name only.
    named: u32,
    /// Child by name or position.
    positional: u32,
    next: u32,
}

/// The children that a member of an object leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Children {
    /// By name.
    pub(crate) named: Option<u32>,
    /// By a number that is taken for a name here.
    pub(crate) positional: Option<u32>,
}

impl Trie {
    /// The slot of the values at a node.
    #[inline]
    pub(crate) fn slot(&self, node: u32) -> Option<u32> {
        some(self.nodes[node as usize].slot)
    }

    /// Whether any path goes on from a node.
    #[inline]
    pub(crate) fn branches(&self, node: u32) -> bool {
        self.nodes[node as usize].branches
    }

    /// The positions of an array that paths pick.
    #[inline]
    pub(crate) fn positions(&self, node: u32) -> &[(usize, u32)] {
        &self.nodes[node as usize].positions
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What a member of an object leads to; the name is ASCII or folded.
    #[inline]
    pub(crate) fn children(&self, node: u32, name: &[u8]) -> Option<Children> {
        let (word, bit) = sieve(name);
        if self.nodes[node as usize].filter[word] & bit == 0 {
            return None;
        }
        self.children_by_hash(node, name)
    }

    fn children_by_hash(&self, node: u32, name: &[u8]) -> Option<Children> {
        let mut edge = self.by_name.get(hash::bind(hash::text(name), node, 0));
        while let Some(found) = edge {
            let found = &self.edges[found as usize];
            if found.node == node && self.name(found).eq_ignore_ascii_case(name) {
                return Some(Children {
                    named: some(found.named),
                    positional: some(found.positional),
                });
            }
            edge = some(found.next);
        }
        None
    }

    fn name(&self, edge: &Edge) -> &[u8] {
        let start = edge.name as usize;
        &self.names.as_bytes()[start..start + edge.length as usize]
    }

    pub(crate) fn bytes(&self) -> usize {
        let positions: usize = self
            .nodes
            .iter()
            .map(|node| node.positions.capacity())
            .sum();
        self.nodes.capacity() * size_of::<Node>()
            + positions * size_of::<(usize, u32)>()
            + self.edges.capacity() * size_of::<Edge>()
            + self.by_name.bytes()
            + self.names.capacity()
    }
}

#[inline]
fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

/// The word and the bit of a name in the filter of a node: by its length, first, middle and last byte.
#[inline]
fn sieve(name: &[u8]) -> (usize, u64) {
    let (first, last) = (name.first().unwrap_or(&0), name.last().unwrap_or(&0));
    let middle = name.get(name.len() / 2).unwrap_or(&0);
    let looks = u32::from_le_bytes([first | 0x20, last | 0x20, middle | 0x20, name.len() as u8]);
    let hash = looks.wrapping_mul(0x9E37_79B1) >> 24;
    (hash as usize / 64, 1 << (hash % 64))
}

/// Makes a [`Trie`].
#[derive(Default)]
pub(crate) struct TrieBuilder {
    trie: Trie,
    known: std::collections::HashMap<(u32, String), u32>,
    slots: u32,
}

impl TrieBuilder {
    pub(crate) fn new() -> Self {
        let mut builder = Self::default();
        builder.node();
        builder
    }

    /// The slot of a path; paths that differ in case only share it.
    pub(crate) fn slot(&mut self, path: &Path) -> u32 {
        let mut node = ROOT;
        for segment in &path.segments {
            node = self.child(node, &segment.name, segment.index);
        }
        let slots = self.slots;
        let slot = &mut self.trie.nodes[node as usize].slot;
        if *slot == NONE {
            *slot = slots;
            self.slots += 1;
        }
        *slot
    }

    fn child(&mut self, node: u32, name: &str, index: Option<usize>) -> u32 {
        let folded = fold(name);
        let key = (node, folded);
        let edge = match self.known.get(&key) {
            Some(edge) => *edge,
            None => {
                let edge = self.trie.edges.len() as u32;
                let start = self.trie.names.len() as u32;
                fold_into(name, &mut self.trie.names);
                self.trie.edges.push(Edge {
                    node,
                    name: start,
                    length: key.1.len() as u32,
                    named: NONE,
                    positional: NONE,
                    next: NONE,
                });
                let parent = &mut self.trie.nodes[node as usize];
                let (word, bit) = sieve(key.1.as_bytes());
                parent.filter[word] |= bit;
                parent.branches = true;
                self.known.insert(key, edge);
                edge
            }
        };
        let edge = edge as usize;
        let known = match index {
            Some(_) => self.trie.edges[edge].positional,
            None => self.trie.edges[edge].named,
        };
        if known != NONE {
            return known;
        }
        let child = self.node();
        match index {
            Some(index) => {
                self.trie.edges[edge].positional = child;
                self.trie.nodes[node as usize]
                    .positions
                    .push((index, child));
            }
            None => self.trie.edges[edge].named = child,
        }
        child
    }

    fn node(&mut self) -> u32 {
        let node = self.trie.nodes.len() as u32;
        self.trie.nodes.push(Node {
            slot: NONE,
            filter: [0; 4],
            branches: false,
            positions: Vec::new(),
        });
        node
    }

    /// The trie, and how many slots it has.
    pub(crate) fn finish(self) -> (Trie, u32) {
        let mut trie = self.trie;
        let mut by_name = Table::with_room(trie.edges.len());
        for edge in 0..trie.edges.len() {
            let node = trie.edges[edge].node;
            let hash = hash::bind(hash::text(trie.name(&trie.edges[edge])), node, 0);
            if let Some(first) = by_name.insert(hash, edge as u32) {
                trie.edges[edge].next = trie.edges[first as usize].next;
                trie.edges[first as usize].next = edge as u32;
            }
        }
        trie.by_name = by_name;
        trie.nodes.shrink_to_fit();
        trie.edges.shrink_to_fit();
        trie.names.shrink_to_fit();
        (trie, self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_differ_in_case_share_a_slot() {
        let mut builder = TrieBuilder::new();
        let mut slot = |path: &str| builder.slot(&Path::parse(path).unwrap());
        assert_eq!(slot("a.Key"), 0);
        assert_eq!(slot("A.\u{212A}ey"), 0);
        assert_eq!(slot("a"), 1);
        assert_eq!(slot("a.0"), 2);
        assert_eq!(slot("a['0']"), 3);
        assert_eq!(slot("a[00]"), 4);
        let (trie, slots) = builder.finish();
        assert_eq!(slots, 5);
        let a = trie
            .children(ROOT, b"A")
            .and_then(|children| children.named)
            .unwrap();
        assert_eq!(trie.slot(a), Some(1));
        let zero = trie.children(a, b"0").unwrap();
        assert_eq!(zero.named.and_then(|node| trie.slot(node)), Some(3));
        assert_eq!(zero.positional.and_then(|node| trie.slot(node)), Some(2));
        assert_eq!(trie.positions(a).len(), 2);
        assert_eq!(trie.children(ROOT, b"b"), None);
    }
}
