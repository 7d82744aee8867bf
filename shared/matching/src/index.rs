pub(crate) mod build;
pub(crate) mod hash;
pub(crate) mod search;
pub(crate) mod table;
pub(crate) mod trie;

use std::cmp::Ordering;

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x64};

use crate::conditions::Code;
use crate::document::seen::Seen;
use crate::document::traits::{self, Traits};
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
    /// First the sets without a pivot, as a [`Group`]. Then the pivots, each with what [`pivot`] tells, its needle and the group
    /// of its sets; and the groups of comparisons. Then, for what leads to several pivots: [`SEVERAL`], how many, and where each
    /// lies.
    ///
    /// They are all in one place, because each look into another is a wait for memory.
    records: Vec<u32>,
    /// The sets without a pivot.
    always: Group,
    /// How many pivots there are.
    pub(crate) pivots: u32,
}

/// Sets that are filed together.
///
/// First comes a [`Glance`] at each of them, then each as a [`Filed`], then what some have more than two conditions for:
/// how many more, and each as a [`Further`].
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    /// Where it lies.
    first: u32,
    /// How many sets it has.
    count: u32,
}

impl Group {
    /// Where the glance at a set lies, and where the set does.
    #[inline(always)]
    fn set(self, at: u32) -> (u32, u32) {
        let glance = self.first + WORDS * at;
        (glance, glance + WORDS * self.count)
    }
}

/// How many words a [`Glance`] has, and a [`Filed`].
const WORDS: u32 = 4;

/// Which traits of the document must lie in which ranges for a set to be worth a look: what [`judge`] makes of its first two
/// conditions.
type Glance = [u32; WORDS as usize];

/// A set: its rule, its first two conditions as marked codes, and where it has more, if it has, else zero.
type Filed = [u32; WORDS as usize];

/// What [`judge`] makes of a condition, and its marked code.
type Further = [u32; 3];

/// What the codes in a set are marked with: what is left to ask once the trait lies in its range.
mod mark {
    /// All marks.
    pub(super) const ANY: u32 = 7 << 28;
    /// Everything.
    pub(super) const ASK: u32 = 0;
    /// Whether the text is the expected one; half of its hash is the same.
    pub(super) const EQUALS: u32 = 1 << 28;
    /// Nothing, if the slot has one value only.
    pub(super) const TOLD: u32 = 2 << 28;
    /// Whether the text has the expected one. Four bytes of that are told where the range would begin, and where in it they lie
    /// where the width of the range would be.
    pub(super) const HAS: u32 = 3 << 28;
    /// Nothing.
    pub(super) const SURE: u32 = 4 << 28;
    /// There is no condition.
    pub(super) const NONE: u32 = 7 << 28;
}

/// What a trait is judged by: its position, with how wide the range is in the upper bits, and where the range begins.
mod judge {
    /// What of the first word is the position.
    pub(super) const POSITION: u32 = (1 << SHIFT) - 1;
    /// Where it is told in how many bits the numbers of the range differ at most.
    pub(super) const SHIFT: u32 = 26;
    /// All from the first on, in the lower half of the numbers.
    pub(super) const FROM: u32 = 31;
}

/// What the words of a pivot are, and how it is confirmed.
mod pivot {
    /// The code of the condition.
    pub(super) const CODE: usize = 0;
    /// How many sets it has.
    pub(super) const COUNT: usize = 1;
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
    /// What the highest number must reach, the lowest first.
    rising: Thresholds,
    /// What the lowest number may reach, the highest first.
    falling: Thresholds,
}

/// Sets of which the pivots compare the numbers of one slot in the same direction, those first that hold most often.
#[derive(Debug, Clone, Default)]
struct Thresholds {
    sets: Group,
    /// For each set, what the trait of the slot must be at least.
    bounds: Vec<u32>,
    /// For each set, its pivot.
    codes: Vec<Code>,
}

/// Numbers in order, each once.
#[derive(Debug, Clone, Default)]
struct Scale {
    /// As near as a float gets.
    near: Vec<f64>,
    numbers: Vec<Number>,
    /// Where each of many equal steps from the lowest number to the highest begins, and where the last ends.
    steps: Vec<u32>,
    /// How many steps there are to one.
    steepness: f64,
}

impl Scale {
    fn of(mut numbers: Vec<Number>) -> Self {
        numbers.sort_unstable_by(|left, right| left.compare(*right));
        numbers.dedup();
        numbers.shrink_to_fit();
        let near: Vec<f64> = numbers.iter().map(|number| number.near()).collect();
        let mut scale = Self {
            near,
            numbers,
            ..Self::default()
        };
        if let [lowest, .., highest] = scale.near[..] {
            let steps = scale.near.len() / 4 + 1;
            scale.steps = vec![0; steps + 1];
            scale.steepness = steps as f64 / (highest - lowest);
            for at in 0..scale.near.len() {
                let step = scale.step(scale.near[at]);
                scale.steps[step + 1] = at as u32 + 1;
            }
            let mut behind = 0;
            for step in &mut scale.steps {
                behind = behind.max(*step);
                *step = behind;
            }
        }
        scale
    }

    /// The step that a number is on.
    #[inline]
    fn step(&self, near: f64) -> usize {
        let above = (near - self.near[0]) * self.steepness;
        (above as usize).min(self.steps.len() - 2)
    }

    /// Twice the count of numbers below this one, and one more if it is one of them.
    fn place(&self, number: Number) -> u32 {
        let near = number.near();
        let (mut at, mut end) = (0, self.near.len());
        if !self.steps.is_empty() {
            // Floats keep the order of what they are computed from.
            let step = self.step(near);
            (at, end) = (self.steps[step] as usize, self.steps[step + 1] as usize);
        }
        at += self.near[at..end].partition_point(|other| *other < near);
        let alike = match self.near.get(at) {
            Some(other) if *other == near => {
                self.near[at..].partition_point(|other| *other <= near)
            }
            _ => 0,
        };
        at += self.numbers[at..at + alike]
            .partition_point(|other| other.compare(number) == Ordering::Less);
        2 * at as u32 + u32::from(alike > 0 && self.numbers.get(at) == Some(&number))
    }

    /// Which trait a comparison with one of the numbers is about, and what that must be at least.
    fn bound(&self, comparison: Comparison, number: Number) -> (u32, u32) {
        let at = self.place(number);
        match comparison {
            Comparison::Greater => (traits::HIGHEST, at + 1),
            Comparison::GreaterOrEqual => (traits::HIGHEST, at),
            Comparison::Less => (traits::LOWEST, traits::flipped(at - 1)),
            Comparison::LessOrEqual => (traits::LOWEST, traits::flipped(at)),
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
    /// The bytes that the grams have in their middle, if these are few; else none. The last is there several times.
    middles: Option<[u8; Self::FEW]>,
}

impl Screen {
    fn with_room(grams: usize, length: u8) -> Self {
        // What passes in error costs a look into memory; small filters are near at hand all the same.
        let bits = (grams * 256)
            .min(1 << 15)
            .max(grams * 32)
            .next_power_of_two();
        let bits = bits.max(64);
        Self {
            length,
            shift: 64 - bits.ilog2(),
            bits: vec![0; bits / 64],
            middles: None,
        }
    }

    fn of_grams(grams: &[u64], length: u8) -> Self {
        let mut screen = Self::with_room(grams.len(), length);
        let mut middles: Vec<u8> = grams.iter().map(|gram| middle(*gram, length)).collect();
        middles.sort_unstable();
        middles.dedup();
        if let Some(last) = middles.last()
            && middles.len() <= Self::FEW
        {
            screen.middles = Some(std::array::from_fn(|at| *middles.get(at).unwrap_or(last)));
        }
        for gram in grams {
            screen.add(*gram);
        }
        screen
    }

    fn add(&mut self, gram: u64) {
        let bit = self.bit(gram);
        self.bits[bit / 64] |= 1 << (bit % 64);
    }

    /// Notes which of the first grams, at most [`Self::STRETCH`], pass; says how many. Behind the grams there are sixty-four
    /// bytes more.
    fn places(
        &self,
        level: Level,
        bytes: &[u8],
        grams: usize,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        dispatch!(level, simd => match self.middles {
            Some(middles) => self.sift_some(simd, bytes, grams, middles, places),
            None => self.sift(simd, bytes, grams, places),
        })
    }

    /// As [`Self::places`]; looks only where a gram may have its middle.
    #[inline(always)]
    fn sift_some<S: Simd>(
        &self,
        simd: S,
        bytes: &[u8],
        grams: usize,
        middles: [u8; Self::FEW],
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        const BLOCK: usize = 64;
        let length = usize::from(self.length);
        let kept = u64::MAX >> (64 - 8 * length);
        let middles = middles.map(|byte| u8x64::splat(simd, byte));
        let mut count = 0;
        let mut at = 0;
        while at < grams {
            let Some(block) = bytes.get(at + length / 2..).and_then(<[u8]>::first_chunk) else {
                break;
            };
            let block = u8x64::simd_from(simd, *block);
            let mut found = middles
                .iter()
                .fold(0, |found, byte| found | block.simd_eq(*byte).to_bitmask());
            found &= u64::MAX >> (BLOCK - (grams - at).min(BLOCK));
            while found != 0 {
                let place = at + found.trailing_zeros() as usize;
                found &= found - 1;
                let gram = bytes.get(place..).and_then(<[u8]>::first_chunk);
                let gram = gram.map_or(0, |gram| u64::from_le_bytes(*gram)) & kept;
                places[count % Self::STRETCH] = place as u32;
                count += passes(&self.bits, self.shift, gram);
            }
            at += BLOCK;
        }
        count
    }

    #[inline(always)]
    fn sift<S: Simd>(
        &self,
        _: S,
        bytes: &[u8],
        grams: usize,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        let text = &bytes[..grams + usize::from(self.length) - 1];
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

    /// Bytes that are looked for at once.
    const FEW: usize = 4;

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

/// The byte in the middle of a gram.
fn middle(gram: u64, length: u8) -> u8 {
    (gram >> (8 * (length / 2))) as u8
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
                    + 4 * details.scale.steps.capacity()
                    + 8 * (details.rising.bounds.capacity() + details.falling.bounds.capacity())
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
                        (traits::HIGHEST, bound) => place >= bound,
                        (_, bound) => traits::flipped(place) >= bound,
                    };
                    prop_assert_eq!(holds, comparison.accepts(numbers[0].compare(*number)));
                }
            }
        }
    }
}
