pub(crate) mod build;
mod edges;
pub(crate) mod hash;
mod likelihood;
mod middles;
mod screen;
pub(crate) mod search;
pub(crate) mod table;
pub(crate) mod trie;

use std::cmp::Ordering;

use crate::conditions::Code;
use crate::document::seen::Seen;
use crate::document::traits::{self, Traits};
use crate::number::Number;
use crate::test::Comparison;
use edges::Edges;
use screen::Screen;
use table::Table;
use trie::Trie;

/// Compiled sets, each filed under its pivot: the condition by which it costs least to look at it.
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
    prefixes: Option<Edges>,
    suffixes: Option<Edges>,
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
        let is_there = self.near.get(at) == Some(&near);
        if number.is_exactly_near() {
            return 2 * at as u32 + u32::from(is_there);
        }
        let alike = if is_there {
            self.near[at..].partition_point(|other| *other <= near)
        } else {
            0
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

    pub(super) fn gram(length: usize) -> u32 {
        16 + length as u32
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

impl Index {
    /// Takes notice of the traits of a document.
    pub(crate) fn describe(&self, seen: &Seen, document: &[u8], traits: &mut Traits) {
        traits.all_noted = true;
        for (position, value) in (0..).zip(&seen.values) {
            if seen.is_latest(position, value.slot) {
                self.describe_slot(value.slot, seen, document, traits);
            }
        }
    }

    /// Takes notice of the traits that a set is judged by, given where the glance at it lies, and where it lies itself.
    fn describe_set(
        &self,
        (glance, filed): (u32, u32),
        seen: &Seen,
        document: &[u8],
        traits: &mut Traits,
    ) {
        let glance: Option<&Glance> = self.records[glance as usize..].first_chunk();
        let filed: Option<&Filed> = self.records[filed as usize..].first_chunk();
        let (Some([one, _, two, _]), Some(filed)) = (glance, filed) else {
            return;
        };
        let further = self.further(filed).iter().map(|[judge, ..]| judge);
        for judge in further.chain([one, two]) {
            if let Some(slot) = traits::slot_of(judge & judge::POSITION) {
                self.describe_slot(slot, seen, document, traits);
            }
        }
    }

    /// What a set asks beyond its first two conditions.
    #[inline(always)]
    fn further(&self, [_, _, _, more]: &Filed) -> &[Further] {
        if *more == 0 {
            return &[];
        }
        let (count, behind) = self.records[*more as usize..]
            .split_first()
            .expect("as many words as were written");
        &behind.as_chunks().0[..*count as usize]
    }

    /// Takes notice of the traits of one slot of a document, unless that was done before.
    #[inline]
    pub(crate) fn describe_slot(
        &self,
        slot: u32,
        seen: &Seen,
        document: &[u8],
        traits: &mut Traits,
    ) {
        if !seen.has(slot) || !traits.begin(slot) {
            return;
        }
        seen.describe(slot, traits);
        let Slot { looks, details } = &self.slots[slot as usize];
        if looks & look::SCALE != 0
            && let Some(details) = details
        {
            let place = |number: Number| details.scale.place(number);
            traits.set_reach(slot, seen.reach(slot, document, place));
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
                    + details
                        .short_screens
                        .iter()
                        .chain(&details.four_screen)
                        .chain(&details.eight_screen)
                        .map(Screen::bytes)
                        .sum::<usize>()
                    + details
                        .prefixes
                        .iter()
                        .chain(&details.suffixes)
                        .map(Edges::bytes)
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
