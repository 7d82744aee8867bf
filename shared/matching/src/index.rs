pub(crate) mod build;
pub(crate) mod hash;
pub(crate) mod search;
pub(crate) mod table;
pub(crate) mod trie;

use std::cmp::Ordering;

use fearless_simd::{Level, Simd, dispatch};

use crate::document::seen::Seen;
use crate::document::traits::Traits;
use crate::number::Number;
use crate::test::Comparison;
use table::Table;
use trie::Trie;

/// Compiled sets, each filed under its pivot: the condition that a document is least likely to fulfil.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) trie: Trie,
    /// For each slot what is to be kept of its values.
    pub(crate) wants: Vec<u8>,
    slots: Vec<Slot>,
    /// From what is looked up to where a pivot, or a link, lies in `records`.
    table: Table,
    /// First the sets without a pivot. Then the pivots, each with what [`pivot`] tells, its needle and its sets. Then, for
    /// what leads to several pivots: [`SEVERAL`], how many, and where each lies.
    ///
    /// A set is its rule, the number of conditions that are left to ask, and what [`asked`] tells of each. They are all in one
    /// place, because each look into another is a wait for memory.
    records: Vec<u32>,
    /// Where the sets without a pivot end.
    always: u32,
    /// How many pivots there are.
    pub(crate) pivots: u32,
}

/// What the codes in a set are marked with: how the words behind tell whether the condition may hold.
mod mark {
    /// All marks.
    pub(super) const ANY: u32 = 7 << 28;
    /// The text is the expected one; the lower half of its hash follows.
    pub(super) const EQUALS: u32 = 1 << 28;
    /// The text begins with up to four bytes; these follow.
    pub(super) const STARTS: u32 = 2 << 28;
    /// The text ends with up to four bytes; these follow.
    pub(super) const ENDS: u32 = 3 << 28;
    /// The text has a gram; this follows.
    pub(super) const HAS: u32 = 4 << 28;
    /// The highest number lies there or above it on the scale of the slot.
    pub(super) const ABOVE: u32 = 5 << 28;
    /// The lowest number lies there or below it.
    pub(super) const BELOW: u32 = 6 << 28;
}

/// What the words of a condition in a set are: its code with a mark, which trait of the document it is about, and in which
/// range that must lie.
mod asked {
    pub(super) const CODE: usize = 0;
    /// A position among the traits. The bit above is set if the trait tells all.
    pub(super) const TRAIT: usize = 1;
    /// Where the range begins.
    pub(super) const FROM: usize = 2;
    /// How many more numbers are in the range.
    pub(super) const SPAN: usize = 3;
    /// How many words these are.
    pub(super) const WORDS: usize = 4;

    /// Set beside a trait that tells all: up to four bytes are all that is expected.
    pub(super) const ALL: u32 = 1 << 31;
    /// Set in the number of conditions of a set if the last is none, but makes two of one.
    pub(super) const PADDED: u32 = 1 << 31;
}

/// What the words of a pivot are, and how it is confirmed.
mod pivot {
    /// The code of the condition.
    pub(super) const CODE: usize = 0;
    /// Where its sets end.
    pub(super) const END: usize = 1;
    /// The slot, and in the upper four bits how it is confirmed.
    pub(super) const SLOT: usize = 2;
    /// Where in the needle its gram lies, if it is found by one.
    pub(super) const NEEDLE_AT: usize = 3;
    /// How many bytes the needle has; the needle follows, four bytes a word.
    pub(super) const LENGTH: usize = 4;
    /// Its position among all pivots.
    pub(super) const ORDINAL: usize = 5;
    /// How many words these are.
    pub(super) const WORDS: usize = 6;

    /// What of the word is the slot.
    pub(super) const SLOT_BITS: u32 = (1 << 28) - 1;

    /// The condition is asked.
    pub(super) const ASK: u32 = 0;
    /// The text is the needle.
    pub(super) const EQUALS: u32 = 1;
    /// The text begins with the needle.
    pub(super) const STARTS: u32 = 2;
    /// The text ends with the needle.
    pub(super) const ENDS: u32 = 3;
    /// The text has the needle where its gram was found.
    pub(super) const HAS: u32 = 4;
    /// What was found needs no confirmation.
    pub(super) const SURE: u32 = 5;

    /// Bytes of a needle that are kept with its pivot at most.
    pub(super) const LONGEST: usize = 256;
}

/// Where the code of a pivot would be, if it were one.
const SEVERAL: u32 = u32::MAX;

const NOWHERE: u32 = u32::MAX;

/// How the values of a slot are looked up.
#[derive(Debug, Clone, Default)]
struct Slot {
    looks: u16,
    details: Option<Box<Details>>,
}

/// What only some slots need.
#[derive(Debug, Clone, Default)]
struct Details {
    /// Lengths of the prefixes looked up.
    prefixes: Vec<u32>,
    /// Lengths of the suffixes looked up.
    suffixes: Vec<u32>,
    /// The last eight bytes of each prefix.
    prefix_screen: Option<Screen>,
    /// The first eight bytes of each suffix.
    suffix_screen: Option<Screen>,
    /// One for each length of grams below four that is looked up.
    short_screens: Vec<Screen>,
    /// Grams of four bytes.
    four_screen: Option<Screen>,
    /// Grams of eight bytes.
    eight_screen: Option<Screen>,
    /// Lengths of the network prefixes looked up, each with whether it is IPv6.
    networks: Vec<(bool, u8)>,
    /// The numbers that conditions compare with.
    scale: Scale,
    /// Where on the scale the highest number must be at least, the lowest first, and the pivot.
    rising: Vec<(u32, u32)>,
    /// Where on the scale the lowest number may be at most, the highest first, and the pivot.
    falling: Vec<(u32, u32)>,
}

/// Numbers in order, each once.
#[derive(Debug, Clone, Default)]
struct Scale {
    /// As near as a float gets.
    near: Vec<f64>,
    numbers: Vec<Number>,
}

impl Scale {
    fn of(mut numbers: Vec<Number>) -> Self {
        numbers.sort_unstable_by(|left, right| left.compare(*right));
        numbers.dedup();
        numbers.shrink_to_fit();
        Self {
            near: numbers.iter().map(|number| number.near()).collect(),
            numbers,
        }
    }

    /// Twice the count of numbers below this one, and one more if it is one of them.
    fn place(&self, number: Number) -> u32 {
        let near = number.near();
        let mut at = self.near.partition_point(|other| *other < near);
        let alike = self.near[at..].partition_point(|other| *other <= near);
        at += self.numbers[at..at + alike]
            .partition_point(|other| other.compare(number) == Ordering::Less);
        2 * at as u32 + u32::from(self.numbers.get(at) == Some(&number))
    }

    /// The mark and the bound that a comparison with one of the numbers comes to.
    fn bound(&self, comparison: Comparison, number: Number) -> (u32, u32) {
        let at = self.place(number);
        match comparison {
            Comparison::Greater => (mark::ABOVE, at + 1),
            Comparison::GreaterOrEqual => (mark::ABOVE, at),
            Comparison::Less => (mark::BELOW, at - 1),
            Comparison::LessOrEqual => (mark::BELOW, at),
        }
    }
}

/// One bit each.
mod look {
    pub(super) const TEXT: u16 = 1;
    pub(super) const NUMBER: u16 = 2;
    pub(super) const BOOLEAN: u16 = 4;
    pub(super) const NULL: u16 = 8;
    pub(super) const RANK: u16 = 16;
    pub(super) const PRESENT: u16 = 32;
    pub(super) const PREFIXES: u16 = 64;
    pub(super) const SUFFIXES: u16 = 128;
    pub(super) const GRAMS: u16 = 256;
    pub(super) const NETWORKS: u16 = 512;
    pub(super) const THRESHOLDS: u16 = 1024;
    /// Rules compare its numbers.
    pub(super) const SCALE: u16 = 2048;
    pub(super) const PARTS: u16 = PREFIXES | SUFFIXES | GRAMS;
    pub(super) const DETAILED: u16 = PARTS | NETWORKS | THRESHOLDS;
}

/// What the keys of the table are for.
mod key {
    use super::hash::fold_multiply;
    use crate::number::Number;

    pub(super) const TEXT: u32 = 0;
    pub(super) const NUMBER: u32 = 1;
    pub(super) const BOOLEAN: u32 = 2;
    pub(super) const NULL: u32 = 3;
    pub(super) const RANK: u32 = 4;
    pub(super) const PRESENT: u32 = 5;
    pub(super) const PREFIX: u32 = 6;
    pub(super) const SUFFIX: u32 = 7;
    pub(super) const NETWORK: u32 = 8;

    pub(super) fn gram(length: u8) -> u32 {
        16 + u32::from(length)
    }

    pub(super) fn of_number(number: Number) -> u64 {
        match number {
            Number::Whole(whole) => fold_multiply(
                whole as u64 ^ 0x5851_F42D_4C95_7F2D,
                (whole >> 64) as u64 ^ 0x1405_7B7E_F767_814F,
            ),
            Number::Float(float) => !float.to_bits(),
        }
    }
}

/// A filter of the grams of one length: says no of nearly all that are not looked up.
#[derive(Debug, Clone)]
struct Screen {
    length: u8,
    /// How many of the upper bits of a hash are taken.
    shift: u32,
    bits: Vec<u64>,
}

impl Screen {
    fn with_room(grams: usize, length: u8) -> Self {
        let bits = (grams * 24).next_power_of_two().max(64);
        Self {
            length,
            shift: 64 - bits.ilog2(),
            bits: vec![0; bits / 64],
        }
    }

    fn add(&mut self, gram: u64) {
        let bit = self.bit(gram);
        self.bits[bit / 64] |= 1 << (bit % 64);
    }

    /// Notes where a text of at most [`Self::STRETCH`] grams has some that pass; says how many.
    fn places(&self, level: Level, text: &[u8], places: &mut [u32; Self::STRETCH]) -> usize {
        dispatch!(level, simd => self.sift(simd, text, places))
    }

    #[inline(always)]
    fn sift<S: Simd>(&self, _: S, text: &[u8], places: &mut [u32; Self::STRETCH]) -> usize {
        let (bits, shift) = (self.bits.as_slice(), self.shift);
        let mut count = 0;
        match self.length {
            8 => {
                for (at, gram) in windows::<8>(text) {
                    let passes = passes(bits, shift, u64::from_le_bytes(*gram));
                    // Which grams pass cannot be foreseen, so there is no branch.
                    places[count % Self::STRETCH] = at as u32;
                    count += passes;
                }
            }
            4 => {
                for (at, gram) in windows::<4>(text) {
                    let passes = passes(bits, shift, u32::from_le_bytes(*gram).into());
                    places[count % Self::STRETCH] = at as u32;
                    count += passes;
                }
            }
            length => {
                for (at, bytes) in text.windows(usize::from(length)).enumerate() {
                    places[count % Self::STRETCH] = at as u32;
                    count += passes(bits, shift, gram(bytes));
                }
            }
        }
        count
    }

    /// Notes which lengths parts of a text have that pass; says how many. `part` tells where a part of some length may be
    /// judged, in bytes that go on behind the text.
    #[inline(always)]
    fn lengths(
        &self,
        lengths: &[u32],
        bytes: &[u8],
        part: impl Fn(usize) -> usize,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        let (bits, shift) = (self.bits.as_slice(), self.shift);
        let mut count = 0;
        for length in lengths {
            places[count % Self::STRETCH] = *length;
            let length = *length as usize;
            let gram = part_gram(length, few(&bytes[part(length)..]));
            count += passes(bits, shift, gram);
        }
        count
    }

    /// Grams that are looked at in one go.
    const STRETCH: usize = 512;

    #[inline(always)]
    fn bit(&self, gram: u64) -> usize {
        place(gram, self.shift)
    }
}

/// One if a gram passes a filter.
#[inline(always)]
fn passes(bits: &[u64], shift: u32, gram: u64) -> usize {
    let bit = place(gram, shift);
    (bits[bit / 64] >> (bit % 64) & 1) as usize
}

/// The bit of a gram in a filter.
#[inline(always)]
fn place(gram: u64, shift: u32) -> usize {
    (gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}

/// All runs of so many bytes, with where they begin.
#[inline(always)]
fn windows<const LENGTH: usize>(text: &[u8]) -> impl Iterator<Item = (usize, &[u8; LENGTH])> {
    let runs = text.windows(LENGTH).filter_map(<[u8]>::first_chunk);
    runs.enumerate()
}

/// What a prefix is screened by: its length and its last eight bytes, given those from there on.
#[inline(always)]
fn part_gram(length: usize, bytes: u64) -> u64 {
    let kept = u64::MAX >> (64 - 8 * length.clamp(1, 8));
    bytes & kept ^ (length as u64) << 32
}

/// What a prefix is screened by: its length and its last eight bytes.
fn prefix_gram(prefix: &[u8]) -> u64 {
    part_gram(prefix.len(), few(&prefix[prefix.len().saturating_sub(8)..]))
}

/// What a suffix is screened by: its length and its first eight bytes.
fn suffix_gram(suffix: &[u8]) -> u64 {
    part_gram(suffix.len(), few(suffix))
}

/// The first eight bytes as a number, with zeros behind what has fewer.
#[inline(always)]
fn few(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes
            .iter()
            .rev()
            .fold(0, |few, byte| few << 8 | u64::from(*byte)),
    }
}

/// How long the grams are by which a needle is found.
fn gram_length(needle: usize) -> usize {
    if needle < 8 { needle.min(4) } else { 8 }
}

/// Up to eight bytes as a number.
#[inline(always)]
fn gram(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk::<8>() {
        u64::from_le_bytes(*eight)
    } else if let Some(four) = bytes.first_chunk::<4>() {
        u32::from_le_bytes(*four).into()
    } else {
        bytes
            .iter()
            .rev()
            .fold(0, |gram, byte| gram << 8 | u64::from(*byte))
    }
}

impl Index {
    /// Takes notice of the traits of a document.
    pub(crate) fn describe(&self, seen: &Seen, document: &[u8], traits: &mut Traits) {
        traits.noted = true;
        seen.describe(traits);
        for (position, value) in (0..).zip(&seen.values) {
            let slot = &self.slots[value.slot as usize];
            if slot.looks & look::SCALE != 0
                && seen.is_latest(position, value.slot)
                && let Some(details) = &slot.details
            {
                let place = |number: Number| details.scale.place(number);
                traits.set_reach(value.slot, seen.reach(value.slot, document, place));
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let details: usize = self
            .slots
            .iter()
            .filter_map(|slot| slot.details.as_deref())
            .map(|details| {
                size_of::<Details>()
                    + 4 * (details.prefixes.capacity() + details.suffixes.capacity())
                    + details
                        .short_screens
                        .iter()
                        .chain(&details.four_screen)
                        .chain(&details.eight_screen)
                        .chain(&details.prefix_screen)
                        .chain(&details.suffix_screen)
                        .map(|screen| size_of::<Screen>() + 8 * screen.bits.len())
                        .sum::<usize>()
                    + 2 * details.networks.capacity()
                    + (8 + size_of::<Number>()) * details.scale.numbers.capacity()
                    + 8 * (details.rising.capacity() + details.falling.capacity())
            })
            .sum();
        self.trie.bytes()
            + self.wants.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + details
            + self.table.bytes()
            + self.records.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_on_the_scale_tells_what_comparing_tells(
            texts in prop::collection::vec("-?[0-9]{1,2}(\\.5)?|900719925474099[0-9]|1844674407370955161[0-9]", 2..20),
        ) {
            let numbers: Vec<Number> = texts.iter().filter_map(|text| Number::of_text(text)).collect();
            let scale = Scale::of(numbers[1..].to_vec());
            let place = scale.place(numbers[0]);
            for number in &numbers[1..] {
                for comparison in [
                    Comparison::Greater,
                    Comparison::GreaterOrEqual,
                    Comparison::Less,
                    Comparison::LessOrEqual,
                ] {
                    let holds = match scale.bound(comparison, *number) {
                        (mark::ABOVE, bound) => place >= bound,
                        (_, bound) => place <= bound,
                    };
                    prop_assert_eq!(holds, comparison.accepts(numbers[0].compare(*number)));
                }
            }
        }
    }
}
