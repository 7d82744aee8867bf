use crate::index::trie::{Edge, Node, Trie};

/// The names that objects had before, in their order: most documents name the same things in the same order again, and a
/// name that is expected need not be looked up.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    /// Which trie they are about.
    trie: u64,
    /// For each node what the objects there had.
    nodes: Vec<Vec<Habit>>,
    /// How many names are kept in all.
    kept: usize,
}

#[derive(Debug, Clone)]
struct Habit {
    /// The name, the quote behind it and a colon; zeros behind.
    text: [u64; 4],
    /// Ones for what of the text counts.
    mask: [u64; 4],
    length: u32,
    /// What the name leads to, if anything.
    edge: Option<u32>,
}

/// Names that are kept of one node at most.
const MOST: usize = 32;

/// Names that are kept at most.
const MOST_OF_ALL: usize = 4096;

impl Habits {
    /// Begins a document.
    pub(crate) fn clear(&mut self, trie: &Trie) {
        if self.trie != trie.identity() {
            self.trie = trie.identity();
            self.nodes.clear();
            self.kept = 0;
        }
        if self.nodes.len() < trie.len() {
            self.nodes.resize(trie.len(), Vec::new());
        }
    }

    /// Whether the name at `at` is the one that usually comes as number `turn`, and is followed by a colon: then where it
    /// ends, colon included, and what it leads to.
    #[inline]
    pub(crate) fn expected<'t>(
        &self,
        trie: &'t Trie,
        node: &Node,
        turn: usize,
        document: &[u8],
        at: usize,
    ) -> Option<(usize, Option<&'t Edge>)> {
        let habit = self.nodes[node.number() as usize].get(turn)?;
        let there = document.get(at..at + 32)?.as_chunks::<8>().0;
        let mut differs = 0;
        for ((there, text), mask) in there.iter().zip(habit.text).zip(habit.mask) {
            differs |= (u64::from_le_bytes(*there) ^ text) & mask;
        }
        (differs == 0).then(|| {
            let edge = habit.edge.map(|edge| trie.edge_at(edge));
            (at + habit.length as usize, edge)
        })
    }

    /// Takes notice of a name that was not expected as number `turn`; says which number it is.
    ///
    /// It is ASCII and as the document spells it.
    #[inline]
    pub(crate) fn learn(
        &mut self,
        trie: &Trie,
        node: &Node,
        turn: usize,
        name: &[u8],
        edge: Option<&Edge>,
    ) -> usize {
        let habits = &mut self.nodes[node.number() as usize];
        let length = name.len() + 2;
        if length > 32 {
            return turn;
        }
        let mut text = [0; 32];
        text[..name.len()].copy_from_slice(name);
        text[name.len()..length].copy_from_slice(b"\":");
        let words = |bytes: [u8; 32]| {
            let mut words = [0; 4];
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            words
        };
        let text = words(text);
        if let Some(known) = habits.iter().position(|habit| habit.text == text) {
            return known;
        }
        if habits.len() == MOST || self.kept == MOST_OF_ALL {
            return turn;
        }
        let mut mask = [0; 32];
        mask[..length].fill(0xFF);
        habits.push(Habit {
            text,
            mask: words(mask),
            length: length as u32,
            edge: edge.map(|edge| trie.position(edge)),
        });
        self.kept += 1;
        habits.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::trie::{ROOT, TrieBuilder};
    use crate::path::Path;

    #[test]
    fn a_name_is_expected_where_it_was_before() {
        let mut builder = TrieBuilder::new();
        builder.slot(&Path::parse("region").unwrap());
        let (trie, _) = builder.finish();
        let root = trie.node(ROOT);
        let mut habits = Habits::default();
        habits.clear(&trie);
        let edge = trie.edge(root, b"Region");
        assert!(edge.is_some());
        assert_eq!(habits.learn(&trie, root, 0, b"id", None), 0);
        assert_eq!(habits.learn(&trie, root, 1, b"Region", edge), 1);
        assert_eq!(habits.learn(&trie, root, 1, b"id", None), 0);
        let document = b"Region\": \"eu-central-1\", and so on until here";
        let expected = |turn, document| habits.expected(&trie, root, turn, document, 0);
        assert_eq!(expected(1, document), Some((8, edge)));
        assert_eq!(expected(0, document), None);
        assert_eq!(expected(2, document), None);
        assert_eq!(
            expected(1, b"regions\": \"eu-central-1\", and so on until"),
            None
        );
        assert_eq!(expected(1, &document[..31]), None);
    }

    #[test]
    fn little_is_kept_and_of_one_trie_only() {
        let (first, second) = (TrieBuilder::new().finish().0, TrieBuilder::new().finish().0);
        let mut habits = Habits::default();
        habits.clear(&first);
        for turn in 0..100 {
            let name = format!("name-{turn}");
            habits.learn(&first, first.node(ROOT), turn, name.as_bytes(), None);
        }
        assert_eq!(habits.kept, MOST);
        assert_eq!(
            habits.learn(&first, first.node(ROOT), 7, &[b'a'; 31], None),
            7
        );
        habits.clear(&first);
        assert_eq!(habits.kept, MOST);
        habits.clear(&second);
        assert_eq!(habits.kept, 0);
    }
}
