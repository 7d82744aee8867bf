use std::ops::Range;

use crate::index::trie::{Edge, Node, Trie};

/// The names that objects had before, in their order: most documents name the same things in the same order again, and a
/// name that is expected need not be looked up.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    /// Which trie they are about.
    trie: u64,
    /// For each node what the objects there had.
    nodes: Vec<Names>,
    /// How many names are kept in all.
    kept: usize,
}

/// The names that objects at one node had.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    all: Vec<Habit>,
    /// What the text of each begins with, all near at hand for those that are none of them.
    heads: Vec<u64>,
}

/// A name that was met.
#[derive(Debug, Clone)]
pub(crate) struct Habit {
    /// The name in its quotes and a colon; zeros behind.
    text: [u64; 4],
    /// Ones for what of the text counts.
    mask: [u64; 4],
    /// How long the text is.
    pub(crate) length: usize,
    /// The position of what the name leads to, if anything.
    edge: u32,
}

/// Leads to nothing.
const NOWHERE: u32 = u32::MAX;

/// Names that are kept of one node at most: a finding of AWS Security Hub has up to forty, those of other sources have others.
const MOST: usize = 128;

/// Names that are kept at most.
const MOST_OF_ALL: usize = 4096;

/// Names that one document teaches at most.
const MOST_AT_ONCE: usize = 64;

impl Habit {
    /// Whether the document has the name, in its quotes and with a colon, at `at`.
    #[inline(always)]
    pub(crate) fn is_at(&self, document: &[u8], at: usize) -> bool {
        let Some(there) = document.get(at..).and_then(<[u8]>::first_chunk::<32>) else {
            return false;
        };
        let there = there.as_chunks::<8>().0;
        let mut differs = 0;
        for ((there, text), mask) in there.iter().zip(self.text).zip(self.mask) {
            differs |= (u64::from_le_bytes(*there) ^ text) & mask;
        }
        differs == 0
    }

    /// What the name leads to.
    #[inline(always)]
    pub(crate) fn edge<'t>(&self, trie: &'t Trie) -> Option<&'t Edge> {
        (self.edge != NOWHERE).then(|| trie.edge_at(self.edge))
    }

    /// A name that leads to nothing yet; nothing if it is too long.
    ///
    /// It is ASCII and as the document spells it.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let length = name.len() + 3;
        let (mut text, mut mask) = ([0; 32], [0; 32]);
        text.get_mut(..length)?[0] = b'"';
        text[1..length - 2].copy_from_slice(name);
        text[length - 2..length].copy_from_slice(b"\":");
        mask[..length].fill(0xFF);
        Some(Self {
            text: words(text),
            mask: words(mask),
            length,
            edge: NOWHERE,
        })
    }
}

impl Names {
    /// The one that is expected as number `turn`.
    #[inline(always)]
    pub(crate) fn get(&self, turn: usize) -> Option<&Habit> {
        self.all.get(turn)
    }

    /// The next one that the document has at `at`, of a few from number `turn` on, and its number: some are left out in
    /// some documents.
    #[inline]
    pub(crate) fn ahead(&self, turn: usize, document: &[u8], at: usize) -> Option<(usize, &Habit)> {
        const FEW: usize = 6;
        let mut few = self.all.iter().enumerate().skip(turn).take(FEW);
        few.find(|(_, habit)| habit.is_at(document, at))
    }

    /// The same name as another, and its number, of those from number `turn` on if there.
    pub(crate) fn find(&self, turn: usize, other: &Habit) -> Option<(usize, &Habit)> {
        let turn = turn.min(self.heads.len());
        self.find_in(turn..self.heads.len(), other)
            .or_else(|| self.find_in(0..turn, other))
    }

    fn find_in(&self, mut numbers: Range<usize>, other: &Habit) -> Option<(usize, &Habit)> {
        let head = other.text[0];
        while let Some(found) = self.heads[numbers.clone()]
            .iter()
            .position(|one| *one == head)
        {
            let number = numbers.start + found;
            if self.all[number].text == other.text {
                return Some((number, &self.all[number]));
            }
            numbers.start = number + 1;
        }
        None
    }

    fn push(&mut self, habit: Habit) {
        self.heads.push(habit.text[0]);
        self.all.push(habit);
    }
}

fn words(bytes: [u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

impl Habits {
    /// Begins a document.
    pub(crate) fn clear(&mut self, trie: &Trie) {
        if self.trie != trie.identity() {
            self.trie = trie.identity();
            self.nodes.clear();
            self.kept = 0;
        }
        if self.nodes.len() < trie.len() {
            self.nodes.resize(trie.len(), Names::default());
        }
    }

    /// What objects at a node had.
    #[inline(always)]
    pub(crate) fn of(&self, node: &Node) -> &Names {
        &self.nodes[node.number() as usize]
    }

    /// Keeps what a document taught.
    pub(crate) fn keep(&mut self, lessons: &mut Lessons) {
        for (node, habit) in lessons.0.drain(..) {
            let names = &mut self.nodes[node as usize];
            let is_new = names.find(0, &habit).is_none();
            if is_new && names.all.len() < MOST && self.kept < MOST_OF_ALL {
                names.push(habit);
                self.kept += 1;
            }
        }
    }
}

/// Names that were not expected.
#[derive(Debug, Default)]
pub(crate) struct Lessons(Vec<(u32, Habit)>);

impl Lessons {
    /// Takes notice of a name that is none of those that objects at the node had before, and of what it leads to.
    pub(crate) fn learn(
        &mut self,
        node: &Node,
        names: &Names,
        mut habit: Habit,
        edge: Option<&Edge>,
    ) {
        if names.all.len() < MOST && self.0.len() < MOST_AT_ONCE {
            habit.edge = edge.map_or(NOWHERE, Edge::position);
            self.0.push((node.number(), habit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::trie::{ROOT, TrieBuilder};
    use crate::path::Path;

    /// Keeps what one object with these names teaches; says which are known already.
    fn kept(habits: &mut Habits, trie: &Trie, names: &[&str]) -> Vec<Option<usize>> {
        let (root, mut lessons) = (trie.node(ROOT), Lessons::default());
        habits.clear(trie);
        let turns = (0..).zip(names).map(|(turn, name)| {
            let habit = Habit::of(name.as_bytes())?;
            let known = habits.of(root);
            if let Some((turn, _)) = known.find(turn, &habit) {
                return Some(turn);
            }
            lessons.learn(root, known, habit, trie.edge(root, name.as_bytes()));
            None
        });
        let turns = turns.collect();
        habits.keep(&mut lessons);
        turns
    }

    fn trie() -> Trie {
        let mut builder = TrieBuilder::new();
        builder.slot(&Path::parse("region").unwrap());
        builder.finish().0
    }

    #[test]
    fn a_name_is_expected_where_it_was_before() {
        let trie = trie();
        let mut habits = Habits::default();
        kept(&mut habits, &trie, &["id", "Region", "id"]);
        let turns = kept(&mut habits, &trie, &["id", "id", "Region", "region"]);
        assert_eq!(turns, [Some(0), Some(0), Some(1), None]);
        let names = habits.of(trie.node(ROOT));
        let [id, region, _] = names.all.as_slice() else {
            panic!("three names are kept");
        };
        let document = b"{\"Region\": \"eu-central-1\", and so on until here";
        assert!(region.is_at(document, 1));
        assert_eq!(region.edge(&trie), trie.edge(trie.node(ROOT), b"region"));
        assert!(region.edge(&trie).is_some());
        assert_eq!(region.length, 9);
        assert_eq!(id.edge(&trie), None);
        assert!(!id.is_at(document, 1));
        assert!(!region.is_at(document, 0));
        assert!(!region.is_at(b"{\"region\": \"eu-central-1\", and so on until", 1));
        assert!(!region.is_at(&document[..32], 1));
        let ahead = |turn| names.ahead(turn, document, 1).map(|(ahead, _)| ahead);
        assert_eq!([0, 1, 2].map(ahead), [Some(1), Some(1), None]);
    }

    #[test]
    fn little_is_kept_and_of_one_trie_only() {
        let (first, second) = (trie(), trie());
        let mut habits = Habits::default();
        let names: Vec<String> = (0..2 * MOST).map(|name| format!("name-{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        kept(&mut habits, &first, &names);
        assert_eq!(habits.kept, MOST_AT_ONCE);
        for _ in 0..3 {
            kept(&mut habits, &first, &names);
        }
        assert_eq!(habits.kept, MOST);
        kept(
            &mut habits,
            &first,
            &["a name that is too long for it to be kept"],
        );
        assert_eq!(habits.kept, MOST);
        habits.clear(&second);
        assert_eq!(habits.kept, 0);
    }
}
