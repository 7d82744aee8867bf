pub(crate) mod build;
pub(crate) mod hash;
pub(crate) mod search;
pub(crate) mod table;
pub(crate) mod trie;

use crate::number::Number;
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
    /// First the sets without a pivot. Then the pivots: code; where its sets end; where in the needle its gram lies, if it
    /// is found by one; its sets. Then the links, for what leads to several pivots: [`LINK`]; the next link; a pivot.
    ///
    /// A set is its rule, the number of words that follow, and what is left to ask. They are all in one place, because each
    /// look into another is a wait for memory.
    records: Vec<u32>,
    /// Where the sets without a pivot end.
    always: u32,
}

/// What the codes in a set are marked with, if their slot and a word to judge by follow.
mod mark {
    /// All marks.
    pub(super) const ANY: u32 = 7 << 28;
    /// The text is the expected one; its hash follows.
    pub(super) const EQUALS: u32 = 1 << 28;
    /// The text begins with at least four bytes; these follow.
    pub(super) const STARTS: u32 = 2 << 28;
    /// The text ends with at least four bytes; these follow.
    pub(super) const ENDS: u32 = 3 << 28;
    /// The text has a gram; this follows.
    pub(super) const HAS: u32 = 4 << 28;
}

/// Where the code of a pivot would be, if it were one.
const LINK: u32 = u32::MAX;

/// Words of a pivot before its sets.
const PIVOT: usize = 3;

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
    /// One for each length of grams looked up, the shortest first.
    screens: Vec<Screen>,
    /// What grams of four and of eight bytes begin with, so that a text is gone through once for both.
    starts: Option<Screen>,
    /// Lengths of the network prefixes looked up, each with whether it is IPv6.
    networks: Vec<(bool, u8)>,
    /// Lower bounds, the lowest first.
    rising: Vec<(Number, u32)>,
    /// Upper bounds, the highest first.
    falling: Vec<(Number, u32)>,
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
    pub(super) const DETAILED: u16 = PREFIXES | SUFFIXES | GRAMS | NETWORKS | THRESHOLDS;
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

    #[inline]
    fn passes(&self, gram: u64) -> bool {
        let bit = self.bit(gram);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }

    #[inline]
    fn bit(&self, gram: u64) -> usize {
        (gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

/// How long the grams are by which a needle is found.
fn gram_length(needle: usize) -> usize {
    if needle < 8 { needle.min(4) } else { 8 }
}

/// Up to eight bytes as a number.
#[inline]
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
                        .screens
                        .iter()
                        .chain(&details.starts)
                        .map(|screen| size_of::<Screen>() + 8 * screen.bits.len())
                        .sum::<usize>()
                    + 2 * details.networks.capacity()
                    + size_of::<(Number, u32)>()
                        * (details.rising.capacity() + details.falling.capacity())
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
