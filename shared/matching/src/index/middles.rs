//! Sets of bytes that wanted grams have in their middle, and the search for them in a text.

use fearless_simd::{Simd, SimdBase, SimdFrom, SimdMask, u8x16, u8x64};

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bytes([u64; 4]);

impl Bytes {
    pub(super) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    pub(super) fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    fn without(mut self, byte: u8) -> Self {
        self.0[usize::from(byte / 64)] &= !(1 << (byte % 64));
        self
    }

    fn meets(self, other: Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(one, other)| one & other != 0)
    }

    fn all(self) -> impl Iterator<Item = u8> {
        [0, 64, 128, 192]
            .into_iter()
            .zip(self.0)
            .flat_map(|(first, mut bits)| {
                std::iter::from_fn(move || {
                    let lowest = bits.checked_sub(1).map(|_| bits.trailing_zeros())?;
                    bits &= bits - 1;
                    Some(first + lowest as u8)
                })
            })
    }
}

/// How often bytes occur.
#[derive(Debug, Clone)]
pub(super) struct Frequencies([u32; 256]);

impl Default for Frequencies {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Frequencies {
    pub(super) fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0[usize::from(*byte)] += 1;
        }
    }

    pub(super) fn of(&self, byte: u8) -> u32 {
        self.0[usize::from(byte)]
    }

    /// How many of all are in a set.
    fn share(&self, bytes: Bytes) -> f32 {
        let within: u64 = bytes.all().map(|byte| u64::from(self.of(byte))).sum();
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        within as f32 / all.max(1) as f32
    }
}

/// Few and rare bytes, so that each of the sets has one of them.
pub(super) fn cover(mut sets: Vec<Bytes>, frequencies: &Frequencies) -> Bytes {
    sets.sort_unstable();
    sets.dedup();
    let mut all = Bytes::default();
    for byte in sets.iter().flat_map(|set| set.all()) {
        all.insert(byte);
    }
    // Neither way finds the best, and each is better at times.
    let [picked, left] = [pick(&sets, frequencies), all].map(|all| thin(all, &sets, frequencies));
    if frequencies.share(picked) <= frequencies.share(left) {
        picked
    } else {
        left
    }
}

/// Takes the bytes first that are in the most sets for how frequent they are, until each set has one.
fn pick(sets: &[Bytes], frequencies: &Frequencies) -> Bytes {
    let mut picked = Bytes::default();
    let mut left = sets.to_vec();
    while !left.is_empty() {
        let mut found = [0u32; 256];
        for byte in left.iter().flat_map(|set| set.all()) {
            found[usize::from(byte)] += 1;
        }
        let worth = |byte: u8| found[usize::from(byte)] as f32 / (frequencies.of(byte) + 1) as f32;
        let best = (0..=u8::MAX).max_by(|one, other| worth(*one).total_cmp(&worth(*other)));
        let Some(best) = best.filter(|best| found[usize::from(*best)] > 0) else {
            break;
        };
        picked.insert(best);
        left.retain(|set| !set.has(best));
    }
    picked
}

/// Leaves out what is not needed for each set to have one, the most frequent first.
fn thin(mut all: Bytes, sets: &[Bytes], frequencies: &Frequencies) -> Bytes {
    let mut order: Vec<u8> = all.all().collect();
    order.sort_by_key(|byte| std::cmp::Reverse(frequencies.of(*byte)));
    for byte in order {
        let without = all.without(byte);
        if sets.iter().all(|set| set.meets(without)) {
            all = without;
        }
    }
    all
}

/// A set of bytes that is looked for sixty-four bytes at a time.
#[derive(Debug, Clone)]
pub(super) struct Middles {
    /// For each lower half of a byte, which upper halves below eight go with it.
    uppers: [u8; 16],
    /// The same of upper halves from eight on, if any does.
    beyond: Option<[u8; 16]>,
}

/// The bit of each upper half of a byte below eight.
const UPPER: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same of those from eight on.
const BEYOND: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128];

impl Middles {
    /// Nothing if looking for them would not spare much.
    pub(super) fn new(bytes: Bytes, frequencies: &Frequencies) -> Option<Self> {
        const WORTHWHILE: f32 = 0.4;
        (frequencies.share(bytes) < WORTHWHILE).then(|| Self::of(bytes))
    }

    fn of(bytes: Bytes) -> Self {
        let (mut uppers, mut beyond) = ([0; 16], [0; 16]);
        for byte in bytes.all() {
            let table = if byte.is_ascii() {
                &mut uppers
            } else {
                &mut beyond
            };
            table[usize::from(byte % 16)] |= 1 << (byte / 16 % 8);
        }
        Self {
            uppers,
            beyond: (beyond != [0; 16]).then_some(beyond),
        }
    }

    /// Where such bytes are, one a bit.
    #[inline(always)]
    pub(super) fn find<S: Simd>(&self, simd: S, bytes: &[u8; 64]) -> u64 {
        let bytes = u8x64::simd_from(simd, *bytes);
        let (lower, upper) = (bytes & u8x64::splat(simd, 0x0F), bytes >> 4);
        let four_times = |table: [u8; 16]| u8x64::block_splat(u8x16::simd_from(simd, table));
        let both = |uppers: [u8; 16], bits: [u8; 16]| {
            let wanted = four_times(uppers).swizzle_dyn_within_blocks(lower);
            wanted & four_times(bits).swizzle_dyn_within_blocks(upper)
        };
        let mut found = both(self.uppers, UPPER);
        if let Some(beyond) = self.beyond {
            found |= both(beyond, BEYOND);
        }
        !found.simd_eq(u8x64::splat(simd, 0)).to_bitmask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    fn set(bytes: &[u8]) -> Bytes {
        let mut set = Bytes::default();
        for byte in bytes {
            set.insert(*byte);
        }
        set
    }

    proptest! {
        #[test]
        fn bytes_of_a_set_are_found(bytes in prop::array::uniform32(any::<u8>()), wanted in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut text = [0; 64];
            text[..32].copy_from_slice(&bytes);
            text[32..32 + wanted.len()].copy_from_slice(&wanted);
            let middles = Middles::of(set(&wanted));
            for level in [Level::new(), Level::baseline()] {
                let found = dispatch!(level, simd => middles.find(simd, &text));
                for (at, byte) in text.iter().enumerate() {
                    prop_assert_eq!(found >> at & 1 == 1, wanted.contains(byte), "{} at {}", byte, at);
                }
            }
        }

        #[test]
        fn a_cover_has_a_byte_of_each_set(sets in prop::collection::vec(prop::collection::vec(b'a'..=b'h', 1..5), 0..20)) {
            let mut frequencies = Frequencies::default();
            for set in &sets {
                frequencies.count(set);
            }
            let sets: Vec<Bytes> = sets.iter().map(|bytes| set(bytes)).collect();
            let cover = cover(sets.clone(), &frequencies);
            prop_assert!(sets.iter().all(|set| set.meets(cover)));
            for byte in cover.all() {
                prop_assert!(!sets.iter().all(|set| set.meets(cover.without(byte))));
            }
        }
    }

    #[test]
    fn the_rarest_byte_covers() {
        let mut frequencies = Frequencies::default();
        frequencies.count(b"eeeeeaaaz");
        let sets = vec![set(b"eaz"), set(b"ea"), set(b"z")];
        assert_eq!(cover(sets, &frequencies), set(b"az"));
        assert!(Middles::new(set(b"z"), &frequencies).is_some());
        assert!(Middles::new(set(b"ea"), &frequencies).is_none());
    }
}
