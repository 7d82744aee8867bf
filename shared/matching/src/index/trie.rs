use std::sync::atomic::{AtomicU64, Ordering};

use super::hash;
use crate::fold::fold;
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
    /// Tells it from all others but its copies.
    identity: u64,
    nodes: Vec<Node>,
    /// For each node that branches, a hash table of its children; half of it at least is free.
    edges: Vec<Edge>,
    /// The folded names, one behind the other, and the names as rules spell them where that is something else.
    names: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    number: u32,
    /// Where its values are asked something, the slot of them.
    slot: u32,
    /// Where its children are.
    edges: u32,
    /// One less than how many edges that are, a power of two; none if no path goes on from here.
    mask: u32,
    /// One bit for each length in bytes that the names of its children have in any case; the uppermost for all above.
    lengths: u64,
    positions: Vec<(usize, u32)>,
}

/// What a name leads to, or, without children, a free place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// What [`hash::head`] makes of the name.
    head: u64,
    length: u32,
    name: u32,
    /// Where the name lies as rules spell it, and how long it is there; nowhere if they spell it in several ways.
    spelled: u32,
    spelled_length: u32,
    /// Where it is among all edges.
    position: u32,
    /// Child by name only.
    named: u32,
    /// Child by name or position.
    positional: u32,
}

impl Node {
    /// Its position among all nodes.
    #[inline(always)]
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The slot of the values at the node.
    #[inline(always)]
    pub(crate) fn slot(&self) -> Option<u32> {
        some(self.slot)
    }

    /// Whether any path goes on from the node.
    #[inline(always)]
    pub(crate) fn branches(&self) -> bool {
        self.mask != NONE
    }

    /// Whether a name of so many bytes may lead anywhere.
    #[inline(always)]
    pub(crate) fn has_length(&self, length: usize) -> bool {
        self.lengths >> length.min(63) & 1 == 1
    }

    /// The positions of an array that paths pick.
    #[inline(always)]
    pub(crate) fn positions(&self) -> &[(usize, u32)] {
        &self.positions
    }
}

impl Trie {
    #[inline(always)]
    pub(crate) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What a member of an object leads to; the name is ASCII or folded, and the node branches.
    #[inline]
    pub(crate) fn edge(&self, node: &Node, name: &[u8]) -> Option<&Edge> {
        let Node { edges, mask, .. } = *node;
        let mut place = place(name, mask);
        loop {
            let edge = &self.edges[(edges + place) as usize];
            if edge.is_free() {
                return None;
            }
            if edge.length as usize == name.len()
                && edge.head == hash::head(name)
                && (name.len() <= 8 || hash::same_behind_head(self.name(edge), name))
            {
                return Some(edge);
            }
            place = (place + 1) & mask;
        }
    }

    /// The edge at a position.
    #[inline(always)]
    pub(crate) fn edge_at(&self, position: u32) -> &Edge {
        &self.edges[position as usize]
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// Makes it equal to what was made of the same paths.
    #[cfg(test)]
    pub(crate) fn forget_identity(&mut self) {
        self.identity = 0;
    }

    fn name(&self, edge: &Edge) -> &[u8] {
        let start = edge.name as usize;
        &self.names[start..start + edge.length as usize]
    }

    /// The name of an edge as rules spell it, if all of them do so.
    pub(crate) fn spelled(&self, edge: &Edge) -> Option<&[u8]> {
        let start = some(edge.spelled)? as usize;
        Some(&self.names[start..start + edge.spelled_length as usize])
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
            + self.names.capacity()
    }
}

impl Edge {
    const FREE: Self = Self {
        head: 0,
        length: 0,
        name: 0,
        spelled: NONE,
        spelled_length: 0,
        position: 0,
        named: NONE,
        positional: NONE,
    };

    /// Where it is among all edges.
    pub(crate) fn position(&self) -> u32 {
        self.position
    }

    /// By name.
    #[inline(always)]
    pub(crate) fn named(&self) -> Option<u32> {
        some(self.named)
    }

    /// By name, if that is all.
    #[inline(always)]
    pub(crate) fn only_named(&self) -> Option<u32> {
        (self.positional == NONE).then_some(self.named)
    }

    /// By a number that is taken for a name here.
    #[inline(always)]
    pub(crate) fn positional(&self) -> Option<u32> {
        some(self.positional)
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.named == NONE && self.positional == NONE
    }
}

#[inline(always)]
fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

/// The lengths that a folded name has in any case, as [`Node::has_length`] looks at them.
fn lengths(name: &[u8]) -> u64 {
    if !name.is_ascii() {
        return u64::MAX;
    }
    // Of the ASCII letters, only two have a variant beyond ASCII: the Kelvin sign and the long s.
    let longer: usize = name
        .iter()
        .map(|byte| match byte {
            b'k' => 2,
            b's' => 1,
            _ => 0,
        })
        .sum();
    (name.len()..=name.len() + longer).fold(0, |lengths, length| lengths | 1 << length.min(63))
}

/// Where to look for a name among the edges of a node.
#[inline]
fn place(name: &[u8], mask: u32) -> u32 {
    // For few names their looks are enough to tell them apart: length, first, middle and last byte.
    let hash = if mask < 128 {
        let (first, last) = match name {
            [first, .., last] => (first, last),
            [only] => (only, only),
            [] => (&0, &0),
        };
        let middle = name.get(name.len() / 2).unwrap_or(&0);
        let looks = u32::from_le_bytes([*first, *last, *middle, name.len() as u8]);
        (looks | 0x0020_2020).wrapping_mul(0x9E37_79B1) >> 20
    } else {
        (hash::text(name) >> 32) as u32
    };
    hash & mask
}

/// Makes a [`Trie`].
#[derive(Default)]
pub(crate) struct TrieBuilder {
    trie: Trie,
    /// The children of each node by their folded names, in the order in which they were named.
    edges: Vec<Vec<Edge>>,
    known: std::collections::HashMap<(u32, String), usize>,
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
        let edges = &mut self.edges[node as usize];
        let key = (node, fold(name));
        let edge = match self.known.get(&key) {
            Some(edge) => {
                if self.trie.spelled(&edges[*edge]) != Some(name.as_bytes()) {
                    edges[*edge].spelled = NONE;
                }
                *edge
            }
            None => {
                let names = &mut self.trie.names;
                let folded = key.1.as_bytes();
                let at = names.len() as u32;
                names.extend_from_slice(folded);
                let mut spelled = at;
                if name != key.1 {
                    spelled = names.len() as u32;
                    names.extend_from_slice(name.as_bytes());
                }
                edges.push(Edge {
                    head: hash::head(folded),
                    length: folded.len() as u32,
                    name: at,
                    spelled,
                    spelled_length: name.len() as u32,
                    ..Edge::FREE
                });
                self.known.insert(key, edges.len() - 1);
                edges.len() - 1
            }
        };
        let known = match index {
            Some(_) => edges[edge].positional,
            None => edges[edge].named,
        };
        if known != NONE {
            return known;
        }
        let child = self.node();
        let edge = &mut self.edges[node as usize][edge];
        match index {
            Some(index) => {
                edge.positional = child;
                self.trie.nodes[node as usize]
                    .positions
                    .push((index, child));
            }
            None => edge.named = child,
        }
        child
    }

    fn node(&mut self) -> u32 {
        let node = self.trie.nodes.len() as u32;
        self.trie.nodes.push(Node {
            number: node,
            slot: NONE,
            edges: 0,
            mask: NONE,
            lengths: 0,
            positions: Vec::new(),
        });
        self.edges.push(Vec::new());
        node
    }

    /// The trie, and how many slots it has.
    pub(crate) fn finish(self) -> (Trie, u32) {
        static TRIES: AtomicU64 = AtomicU64::new(1);
        let mut trie = self.trie;
        trie.identity = TRIES.fetch_add(1, Ordering::Relaxed);
        for (node, edges) in trie.nodes.iter_mut().zip(self.edges) {
            if edges.is_empty() {
                continue;
            }
            let start = trie.edges.len();
            // Most names of a document are not named by rules, and a free place says so at once.
            let room = (4 * edges.len()).next_power_of_two();
            node.edges = start as u32;
            node.mask = room as u32 - 1;
            trie.edges.resize(start + room, Edge::FREE);
            for edge in edges {
                let name = edge.name as usize;
                let name = &trie.names[name..name + edge.length as usize];
                node.lengths |= lengths(name);
                let mut place = place(name, node.mask);
                while !trie.edges[start + place as usize].is_free() {
                    place = (place + 1) & node.mask;
                }
                let position = start as u32 + place;
                trie.edges[position as usize] = Edge { position, ..edge };
            }
        }
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
        let edge = |node: u32, name: &str| trie.edge(trie.node(node), name.as_bytes());
        let slot = |node: u32| trie.node(node).slot();
        let a = edge(ROOT, "A").unwrap().named().unwrap();
        assert_eq!(slot(a), Some(1));
        let zero = edge(a, "0").unwrap();
        assert_eq!(zero.named().and_then(slot), Some(3));
        assert_eq!(zero.positional().and_then(slot), Some(2));
        assert_eq!(trie.node(a).positions().len(), 2);
        assert_eq!(edge(ROOT, "b"), None);
    }

    #[test]
    fn a_name_that_all_rules_spell_alike_is_known_as_spelled() {
        let mut builder = TrieBuilder::new();
        for path in ["plain", "Own.way", "Own.way.down", "one", "One", "one"] {
            builder.slot(&Path::parse(path).unwrap());
        }
        let (trie, _) = builder.finish();
        let spelled =
            |name: &str| trie.spelled(trie.edge(trie.node(ROOT), name.as_bytes()).unwrap());
        assert_eq!(spelled("plain"), Some(&b"plain"[..]));
        assert_eq!(spelled("own"), Some(&b"Own"[..]));
        assert_eq!(spelled("one"), None);
    }

    #[test]
    fn a_name_of_another_length_leads_nowhere_at_once() {
        let mut builder = TrieBuilder::new();
        builder.slot(&Path::parse("task.count").unwrap());
        builder.slot(&Path::parse("vpcid").unwrap());
        let (trie, _) = builder.finish();
        let root = trie.node(ROOT);
        let lengths = (0..100).filter(|length| root.has_length(*length));
        assert_eq!(lengths.collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!("ta\u{17F}\u{212A}".len(), 7);
        let letters = ('\u{80}'..=char::MAX).filter(|c| crate::fold_char(*c).is_ascii());
        assert_eq!(letters.collect::<String>(), "\u{17F}\u{212A}");
        assert_eq!(super::lengths(&[b'a'; 70]), 1 << 63);
    }

    #[test]
    fn names_that_look_alike_are_told_apart() {
        for count in [3, 30, 3_000] {
            let mut builder = TrieBuilder::new();
            let names: Vec<String> = (0..count)
                .map(|name| format!("a{name:07}-bcdefgh{name:04}z"))
                .collect();
            for name in &names {
                builder.slot(&Path::parse(name).unwrap());
            }
            let (trie, _) = builder.finish();
            for (slot, name) in (0..).zip(&names) {
                let upper = name.to_uppercase();
                let child = trie
                    .edge(trie.node(ROOT), upper.as_bytes())
                    .unwrap()
                    .named()
                    .unwrap();
                assert_eq!(trie.node(child).slot(), Some(slot));
            }
            assert_eq!(trie.edge(trie.node(ROOT), b"a0000000-bcdefgi0000z"), None);
        }
    }
}
