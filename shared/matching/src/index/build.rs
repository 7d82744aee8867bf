use std::cmp::Reverse;

use super::edges::{Edges, Side};
use super::hash;
use super::likelihood::likelihoods;
use super::middles::{Bytes, Frequencies, are_rare, cover};
use super::screen::{Screen, few, gram_length, middle};
use super::table::Table;
use super::trie::{Trie, TrieBuilder};
use super::{
    Details, Filed, Further, Glance, Group, Index, NOWHERE, SEVERAL, Scale, Slot, Thresholds,
    WORDS, judge, key, look, mark, pivot,
};
use crate::conditions::{Asked, Code, Conditions};
use crate::document::traits;
use crate::fold::fold;
use crate::test::{List, Reading, Test, TextOperator};

/// A set of a rule.
pub(crate) struct Set<'a> {
    pub(crate) rule: u32,
    pub(crate) conditions: &'a [Code],
}

/// Files every set under the condition by which it costs least to look at it, mostly the one that a document is least likely
/// to fulfil.
pub(crate) fn build(conditions: &Conditions, trie: TrieBuilder, sets: &[Set<'_>]) -> Index {
    let (trie, slots) = trie.finish();
    let mut builder = Builder::new(conditions, trie, slots as usize);
    let likelihoods = likelihoods(conditions, slots as usize, sets);
    // The sets of a pivot lie one behind the other, in the order of the rules.
    let mut filed: Vec<(Place, u32)> = (0..)
        .zip(sets)
        .map(|(position, set)| (builder.place_of(set, &likelihoods), position))
        .collect();
    filed.sort_unstable();
    for group in filed.chunk_by(|(left, _), (right, _)| left.is_with(*right)) {
        builder.group(group, sets, &likelihoods);
    }
    builder.finish()
}

/// Under what a set is filed, in the order in which that lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Under nothing.
    Always,
    Pivot(Code),
    /// Under a slot and a kind of trait, which must be at least the bound; those first that hold most often.
    Threshold(u32, u32, u32, Code),
}

impl Place {
    /// Whether sets lie in one group.
    fn is_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Threshold(slot, kind, ..), Self::Threshold(other, other_kind, ..)) => {
                (slot, kind) == (other, other_kind)
            }
            _ => self == other,
        }
    }
}

struct Builder<'a> {
    conditions: &'a Conditions,
    index: Index,
    /// The pivots, and where they lie.
    pivots: Vec<(Code, u32)>,
    /// What is looked up, and where the pivot found there lies.
    keys: Vec<(u64, u32)>,
    details: Vec<Details>,
    /// For each slot the prefixes that are looked up.
    prefixes: Vec<(u32, Box<str>)>,
    /// The same of suffixes.
    suffixes: Vec<(u32, Box<str>)>,
    /// What [`count_fours`] counts.
    fours: Vec<u32>,
}

impl<'a> Builder<'a> {
    fn new(conditions: &'a Conditions, trie: Trie, slots: usize) -> Self {
        assert!(
            slots < traits::MOST_SLOTS,
            "rules name fewer than {} fields",
            traits::MOST_SLOTS
        );
        let mut index = Index {
            trie,
            wants: vec![0; slots],
            ..Index::default()
        };
        for code in conditions.codes() {
            index.wants[conditions.slot(code) as usize] |= conditions.asked(code).wants();
        }
        index.slots = vec![Slot::default(); slots];
        let mut numbers = vec![Vec::new(); slots];
        for code in conditions.codes() {
            if let Asked::Other(Test::Compare(_, number, _)) = conditions.asked(code) {
                numbers[conditions.slot(code) as usize].push(*number);
            }
        }
        let details = numbers
            .into_iter()
            .map(|numbers| Details {
                scale: Scale::of(numbers),
                ..Details::default()
            })
            .collect();
        Self {
            conditions,
            index,
            pivots: Vec::new(),
            keys: Vec::new(),
            details,
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            fours: count_fours(conditions),
        }
    }

    /// The condition of a set under which it costs least; nothing if all hold of what is not there.
    fn pivot_of(&self, set: &Set<'_>, likelihoods: &[f32]) -> Option<Code> {
        /// How many glances it costs to ask a condition of which no trait tells.
        const ASKING: f32 = 4.0;
        let likely = |code: &Code| likelihoods[self.conditions.ordinal(*code)];
        let told = |code: &Code| is_told(self.conditions.asked(*code));
        let untold = set.conditions.iter().filter(|code| !told(code)).count();
        // How likely it is that all hold of which traits tell.
        let pass: f32 = set
            .conditions
            .iter()
            .filter(|code| told(code))
            .map(likely)
            .product();
        let cost = |code: &Code| {
            let likely = likely(code);
            let (left, asked) = if told(code) {
                (untold, pass)
            } else {
                (untold - 1, pass * likely)
            };
            let asking = if left > 0 { ASKING * asked } else { 0.0 };
            likely + asking
        };
        set.conditions
            .iter()
            .filter(|code| likely(code) < 1.0)
            .map(|code| (cost(code), *code))
            .min_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, code)| code)
    }

    fn place_of(&self, set: &Set<'_>, likelihoods: &[f32]) -> Place {
        let Some(code) = self.pivot_of(set, likelihoods) else {
            return Place::Always;
        };
        let Asked::Other(Test::Compare(comparison, number, _)) = self.conditions.asked(code) else {
            return Place::Pivot(code);
        };
        let slot = self.conditions.slot(code);
        let scale = &self.details[slot as usize].scale;
        let (kind, bound) = scale.bound(*comparison, *number);
        Place::Threshold(slot, kind, bound, code)
    }

    /// Writes sets that are filed in one place.
    fn group(&mut self, filed: &[(Place, u32)], sets: &[Set<'_>], likelihoods: &[f32]) {
        let Some((place, _)) = filed.first() else {
            return;
        };
        let start = self.index.records.len() as u32;
        if let Place::Pivot(code) = *place {
            self.pivots.push((code, start));
            self.head(code, filed.len() as u32);
        }
        let group = self.records(filed, sets, likelihoods);
        match *place {
            Place::Always => self.index.always = group,
            Place::Pivot(_) => {}
            Place::Threshold(slot, kind, ..) => {
                let thresholds = filed.iter().filter_map(|(place, _)| match place {
                    Place::Threshold(_, _, bound, code) => Some((*bound, *code)),
                    _ => None,
                });
                let (bounds, codes) = thresholds.unzip();
                let details = &mut self.details[slot as usize];
                let thresholds = match kind {
                    traits::HIGHEST => &mut details.rising,
                    _ => &mut details.falling,
                };
                *thresholds = Thresholds {
                    sets: group,
                    bounds,
                    codes,
                };
                self.index.slots[slot as usize].looks |= look::THRESHOLDS;
            }
        }
    }

    /// Writes what is left to ask of each set when its pivot holds, as [`Group`] tells.
    fn records(&mut self, filed: &[(Place, u32)], sets: &[Set<'_>], likelihoods: &[f32]) -> Group {
        const NONE: Further = [traits::ALWAYS, 0, mark::NONE];
        let group = Group {
            first: self.index.records.len() as u32,
            count: filed.len() as u32,
        };
        let room = group.first as usize + 2 * WORDS as usize * filed.len();
        self.index.records.resize(room, 0);
        for (at, (place, position)) in (0..).zip(filed) {
            let set = &sets[*position as usize];
            let left = self.left(set, *place, likelihoods);
            let asked = |at: usize| left.get(at).copied().unwrap_or(NONE);
            let ([one, from_one, code_one], [two, from_two, code_two]) = (asked(0), asked(1));
            let records = &mut self.index.records;
            let mut more = 0;
            if let Some(further @ [_, ..]) = left.get(2..) {
                more = records.len() as u32;
                records.push(further.len() as u32);
                records.extend(further.as_flattened());
            }
            let glance: Glance = [one, from_one, two, from_two];
            let filed: Filed = [set.rule, code_one, code_two, more];
            let (glance_at, filed_at) = group.set(at);
            records[glance_at as usize..][..glance.len()].copy_from_slice(&glance);
            records[filed_at as usize..][..filed.len()].copy_from_slice(&filed);
        }
        group
    }

    /// The conditions of a set that are left to ask when its pivot holds, those first that should be asked first.
    fn left(&self, set: &Set<'_>, place: Place, likelihoods: &[f32]) -> Vec<Further> {
        let pivot = match place {
            Place::Always => None,
            Place::Pivot(code) | Place::Threshold(.., code) => Some(code),
        };
        // The traits of a slot tell of all its numbers, whole or not.
        let settled = pivot.filter(|code| {
            let asked = self.conditions.asked(*code);
            !matches!(asked, Asked::Other(Test::Compare(_, _, Reading::WholeOnly)))
        });
        let mut costs: Vec<(u8, u32, Code)> = set
            .conditions
            .iter()
            .filter(|code| Some(**code) != settled)
            .map(|code| {
                // Floats that are not negative are in the order of their bits.
                let likely = likelihoods[self.conditions.ordinal(*code)].to_bits();
                (self.cost(*code), likely, *code)
            })
            .collect();
        costs.sort_unstable();
        costs.dedup();
        costs
            .into_iter()
            .map(|(_, _, code)| self.judge(code))
            .collect()
    }

    /// Which trait must lie in which range for a condition to hold, and the code of the condition with its mark.
    fn judge(&self, code: Code) -> Further {
        let slot = self.conditions.slot(code);
        let judged = match self.conditions.asked(code) {
            Asked::Text(TextOperator::Contains, text) => self.rarest_four(slot, text),
            Asked::Text(operator, text) => judge(operator, text),
            Asked::Other(Test::Compare(comparison, number, Reading::Any)) => {
                let scale = &self.details[slot as usize].scale;
                let (kind, bound) = scale.bound(*comparison, *number);
                Some((mark::SURE, kind, bound, judge::FROM))
            }
            Asked::Other(_) => None,
        };
        let (mark, kind, from, bits) = judged.unwrap_or((mark::ASK, traits::UNKNOWN, 0, 0));
        [
            traits::of(slot, kind) | bits << judge::SHIFT,
            from,
            code.0 | mark,
        ]
    }

    /// As [`judge()`], of a text that others are asked to have: its rarest four bytes, of those that begin where a width could
    /// be.
    fn rarest_four(&self, slot: u32, text: &str) -> Option<(u32, u32, u32, u32)> {
        let folded = fold(text);
        let (at, four) = fours(folded.as_bytes())
            .take(u32::BITS as usize)
            .min_by_key(|(_, four)| self.fours[place(slot, 4, *four)])?;
        Some((mark::HAS, traits::TEXT, four as u32, at))
    }

    /// Writes what a pivot is and how it is confirmed.
    fn head(&mut self, code: Code, sets: u32) {
        let asked = self.conditions.asked(code);
        let (how, needle) = match asked {
            Asked::Text(_, text) if text.is_empty() || text.len() > pivot::LONGEST => {
                (pivot::ASK, String::new())
            }
            Asked::Text(operator, text) => {
                let how = match operator {
                    TextOperator::Equals => pivot::EQUALS,
                    TextOperator::StartsWith => pivot::STARTS,
                    TextOperator::EndsWith => pivot::ENDS,
                    TextOperator::Contains => pivot::HAS,
                };
                (how, fold(text))
            }
            Asked::Other(_) => (pivot::ASK, String::new()),
        };
        let slot = self.conditions.slot(code);
        let index = &mut self.index;
        index.records.extend([
            code.0,
            sets,
            slot | how << 28,
            NOWHERE,
            needle.len() as u32,
            index.pivots,
        ]);
        index.pivots += 1;
        let words = needle.as_bytes().chunks(4).map(|four| few(four) as u32);
        index.records.extend(words);
    }

    /// What is asked first among the conditions of a set.
    fn cost(&self, code: Code) -> u8 {
        match self.conditions.asked(code) {
            Asked::Text(TextOperator::Equals, _) => 0,
            Asked::Text(TextOperator::StartsWith | TextOperator::EndsWith, _) => 1,
            Asked::Text(TextOperator::Contains, _) => 2,
            Asked::Other(Test::Compare(..)) => 0,
            Asked::Other(Test::Matches(_)) => 4,
            Asked::Other(_) => 3,
        }
    }

    fn finish(mut self) -> Index {
        let counts = self.count_grams();
        let mut sought = Vec::new();
        for (code, pivot) in std::mem::take(&mut self.pivots) {
            let slot = self.conditions.slot(code);
            match rare_grams(slot, &self.needles(code), &counts).next() {
                Some((_, length, _)) => sought.push((slot, length, pivot, code)),
                None => self.enter(code, pivot),
            }
        }
        sought.sort_unstable();
        for alike in sought.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
            self.enter_sought(alike, &counts);
        }
        self.link();
        assert!(
            u32::try_from(self.index.records.len()).is_ok(),
            "the sets of all rules take less than 16 GiB"
        );
        self.screen_edges();
        for (slot, mut details) in self.details.into_iter().enumerate() {
            let Slot {
                looks,
                details: kept,
            } = &mut self.index.slots[slot];
            if !details.scale.numbers.is_empty() {
                *looks |= look::SCALE;
            }
            if *looks & (look::DETAILED | look::SCALE) != 0 {
                details.settle();
                *kept = Some(Box::new(details));
            }
        }
        let index = &mut self.index;
        index.records.shrink_to_fit();
        self.index
    }

    /// How often each gram occurs in the needles of pivots, by its hash.
    fn count_grams(&self) -> Vec<u32> {
        let mut counts = vec![0; 1 << 16];
        for (code, _) in &self.pivots {
            let slot = self.conditions.slot(*code);
            for needle in self.needles(*code) {
                for (_, length, gram) in grams(needle.as_bytes()) {
                    counts[place(slot, length, gram)] += 1;
                }
            }
        }
        counts
    }

    /// The folded texts that must all be somewhere in a value; none if others than their grams find it.
    fn needles(&self, code: Code) -> Vec<Box<str>> {
        match self.conditions.asked(code) {
            Asked::Text(TextOperator::Contains, text) if !text.is_empty() => {
                vec![fold(text).into_boxed_str()]
            }
            Asked::Other(Test::Matches(pattern)) => pattern.literals.clone(),
            _ => Vec::new(),
        }
    }

    /// Makes pivots of one slot findable that grams of one length find: each by its slot, that length, where it lies, and its
    /// code.
    ///
    /// Of the grams of each that are about as rare, one is taken that has one of few and rare bytes in its middle: then only
    /// few places of a text need be looked at.
    fn enter_sought(&mut self, sought: &[(u32, u8, u32, Code)], counts: &[u32]) {
        let Some((slot, length, ..)) = sought.first().copied() else {
            return;
        };
        // For want of the texts that the needles are looked for in, of these themselves.
        let mut frequencies = Frequencies::default();
        let mut sets = Vec::new();
        for (_, _, _, code) in sought {
            let needles = self.needles(*code);
            let mut bytes = Bytes::default();
            for (_, _, gram) in rare_grams(slot, &needles, counts) {
                bytes.insert(middle(gram, length));
            }
            sets.push(bytes);
            for needle in &needles {
                frequencies.count(needle.as_bytes());
            }
        }
        let cover = cover(sets, &frequencies);
        let rare = are_rare(cover, &frequencies);
        let mut grams = Vec::new();
        for (_, _, pivot, code) in sought {
            let needles = self.needles(*code);
            let rarest = rare_grams(slot, &needles, counts)
                .filter(|(_, _, gram)| !rare || cover.has(middle(*gram, length)))
                .min_by_key(|(_, _, gram)| {
                    let count = counts[place(slot, length, *gram)];
                    (count, frequencies.of(middle(*gram, length)))
                });
            let Some((at, _, gram)) = rarest else {
                continue;
            };
            if let Asked::Text(..) = self.conditions.asked(*code) {
                self.index.records[*pivot as usize + pivot::NEEDLE_AT] = at;
            }
            self.key(slot, gram, key::gram(usize::from(length)), *pivot);
            grams.push(gram);
        }
        grams.sort_unstable();
        grams.dedup();
        self.index.slots[slot as usize].looks |= look::GRAMS;
        let screen = Screen::of_grams(&grams, length, rare);
        let details = &mut self.details[slot as usize];
        match length {
            8 => details.eight_screen = Some(screen),
            4 => details.four_screen = Some(screen),
            _ => details.short_screens.push(screen),
        }
    }

    /// Makes a pivot findable that no gram finds.
    fn enter(&mut self, code: Code, pivot: u32) {
        let slot = self.conditions.slot(code);
        let conditions = self.conditions;
        let looks = match conditions.asked(code) {
            Asked::Text(operator, text) if operator == TextOperator::Equals || !text.is_empty() => {
                let folded = fold(text);
                let hash = hash::text(folded.as_bytes());
                let (purpose, looks) = match operator {
                    TextOperator::Equals => (key::TEXT, look::TEXT),
                    TextOperator::StartsWith => {
                        self.prefixes.push((slot, folded.into_boxed_str()));
                        (key::PREFIX, look::PREFIXES)
                    }
                    _ => {
                        self.suffixes.push((slot, folded.into_boxed_str()));
                        (key::SUFFIX, look::SUFFIXES)
                    }
                };
                self.key(slot, hash, purpose, pivot);
                looks
            }
            Asked::Other(Test::In(List::Texts(texts))) => {
                for text in texts {
                    self.key(slot, hash::text(text.as_bytes()), key::TEXT, pivot);
                }
                look::TEXT
            }
            Asked::Other(Test::In(List::Numbers(numbers, _))) => {
                for number in numbers {
                    self.key(slot, key::of_number(*number), key::NUMBER, pivot);
                }
                look::NUMBER
            }
            Asked::Other(Test::In(List::Booleans(booleans))) => {
                for boolean in booleans {
                    self.key(slot, u64::from(*boolean), key::BOOLEAN, pivot);
                }
                look::BOOLEAN
            }
            Asked::Other(Test::In(List::Null)) => {
                self.key(slot, 0, key::NULL, pivot);
                look::NULL
            }
            Asked::Other(Test::AtLeast(rank)) => {
                self.key(slot, u64::from(*rank), key::RANK, pivot);
                look::RANK
            }
            Asked::Other(Test::Cidr(networks)) => {
                for network in networks {
                    self.details[slot as usize].networks.push(network.block());
                    self.key(slot, network.block_hash(), key::NETWORK, pivot);
                }
                look::NETWORKS
            }
            // All that holds of most values that are there. Comparisons have places of their own.
            Asked::Text(..)
            | Asked::Other(
                Test::NotIn(_) | Test::Exists(_) | Test::Matches(_) | Test::Compare(..),
            ) => {
                self.key(slot, 0, key::PRESENT, pivot);
                look::PRESENT
            }
        };
        self.index.slots[slot as usize].looks |= looks;
    }

    fn key(&mut self, slot: u32, hash: u64, purpose: u32, pivot: u32) {
        self.keys.push((hash::bind(hash, slot, purpose), pivot));
    }

    /// Fills the table; where several pivots have one key, it leads to the list of them.
    fn link(&mut self) {
        let mut hashes: Vec<u64> = self.keys.iter().map(|(hash, _)| *hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut table = Table::with_room(hashes.len());
        // Which key came first of those that are found in the same place, and what else is.
        let mut first = Vec::new();
        for (position, (hash, pivot)) in (0..).zip(&self.keys) {
            first.push((table.insert(*hash, position).unwrap_or(position), *pivot));
        }
        let mut leads = vec![NOWHERE; first.len()];
        first.sort_unstable();
        first.dedup();
        let records = &mut self.index.records;
        for group in first.chunk_by(|left, right| left.0 == right.0) {
            leads[group[0].0 as usize] = if let [(_, pivot)] = group {
                *pivot
            } else {
                let start = records.len() as u32;
                records.extend([SEVERAL, group.len() as u32]);
                records.extend(group.iter().map(|(_, pivot)| *pivot));
                start
            };
        }
        table.replace(|position| leads[position as usize]);
        self.index.table = table;
    }

    /// Gives each slot filters for the beginnings and ends that are looked up.
    fn screen_edges(&mut self) {
        for (slot, prefixes) in edges(Side::Start, &mut self.prefixes) {
            self.details[slot as usize].prefixes = Some(prefixes);
        }
        for (slot, suffixes) in edges(Side::End, &mut self.suffixes) {
            self.details[slot as usize].suffixes = Some(suffixes);
        }
    }
}

/// Those of each slot.
fn edges(side: Side, all: &mut [(u32, Box<str>)]) -> impl Iterator<Item = (u32, Edges)> {
    all.sort_unstable();
    let slots = all.chunk_by(|left, right| left.0 == right.0);
    slots.map(move |slot| {
        let edges: Vec<&str> = slot.iter().map(|(_, edge)| &**edge).collect();
        (slot[0].0, Edges::new(side, &edges))
    })
}

/// How a condition on a text is marked; which trait must lie in which range for it to hold: its kind, where the range begins,
/// and in how many bits its numbers differ at most. Nothing if no trait tells.
fn judge(operator: TextOperator, text: &str) -> Option<(u32, u32, u32, u32)> {
    let folded = fold(text);
    let bytes = folded.as_bytes();
    if operator == TextOperator::Equals {
        return Some((mark::EQUALS, traits::HASH, hash::text(bytes) as u32, 0));
    }
    // All that begins alike lies together, in the order of the bytes.
    let (mark, bits) = match bytes.len() {
        0 => return None,
        // What is shorter than a trait is filled up with zeros.
        length @ 1..=4 if !folded.contains('\0') => (mark::TOLD, 32 - 8 * length as u32),
        length => (mark::ASK, 32 - 8 * length.min(4) as u32),
    };
    Some(if operator == TextOperator::StartsWith {
        (mark, traits::FIRST, traits::first(bytes), bits)
    } else {
        (mark, traits::LAST, traits::last(bytes), bits)
    })
}

/// Whether a trait tells of most documents that a condition does not hold.
fn is_told(asked: Asked<'_>) -> bool {
    match asked {
        Asked::Text(TextOperator::Equals, _) => true,
        Asked::Text(TextOperator::StartsWith | TextOperator::EndsWith, text) => !text.is_empty(),
        Asked::Text(TextOperator::Contains, _) => false,
        Asked::Other(test) => matches!(test, Test::Compare(_, _, Reading::Any)),
    }
}

/// The pieces of a needle by which it may be found: offset, length, bytes.
fn grams(needle: &[u8]) -> impl Iterator<Item = (u32, u8, u64)> + Clone {
    let length = gram_length(needle.len());
    (0..)
        .zip(needle.windows(length.max(1)))
        .map(move |(at, gram)| (at, length as u8, few(gram)))
}

/// The pieces of needles by which they may be found that are about as rare as the rarest, and as long.
fn rare_grams(
    slot: u32,
    needles: &[Box<str>],
    counts: &[u32],
) -> impl Iterator<Item = (u32, u8, u64)> {
    let all = needles.iter().flat_map(|needle| grams(needle.as_bytes()));
    let count = move |length, gram| counts[place(slot, length, gram)];
    // Long ones are rarer in documents, whatever the rules make of them.
    let rarest = all
        .clone()
        .map(|(_, length, gram)| (count(length, gram), Reverse(length)))
        .min();
    all.filter(move |(_, length, gram)| {
        rarest.is_some_and(|(least, Reverse(rarest))| {
            *length == rarest && count(*length, *gram) <= 2 * least + 1
        })
    })
}

/// All runs of four bytes, with where they lie.
fn fours(needle: &[u8]) -> impl Iterator<Item = (u32, u64)> {
    (0..).zip(needle.windows(4).map(few))
}

/// How often four bytes occur in the texts that values are asked to have, by their hash.
fn count_fours(conditions: &Conditions) -> Vec<u32> {
    let mut counts = vec![0; 1 << 16];
    for code in conditions.codes() {
        if let Asked::Text(TextOperator::Contains, text) = conditions.asked(code) {
            for (_, four) in fours(fold(text).as_bytes()) {
                counts[place(conditions.slot(code), 4, four)] += 1;
            }
        }
    }
    counts
}

/// Where the count of a gram is kept.
fn place(slot: u32, length: u8, gram: u64) -> usize {
    (hash::bind(gram, slot, key::gram(usize::from(length))) >> 48) as usize
}

impl Details {
    fn settle(&mut self) {
        self.networks.sort_unstable();
        self.networks.dedup();
        self.networks.shrink_to_fit();
        self.short_screens.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traits_of_all_slots_have_positions() {
        let last = traits::MOST_SLOTS as u32 - 1;
        let position = traits::of(last, traits::LOWEST);
        assert!(position <= judge::POSITION);
        assert_eq!(traits::slot(position), last);
        assert!(last <= pivot::SLOT_BITS);
    }
}
