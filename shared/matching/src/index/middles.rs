//! Sets of bytes that wanted grams have in their middle, and the search for them in a text.

use fearless_simd::{Simd, SimdBase, SimdFrom, SimdMask, u8x16, u8x64};

use crate::document::seen::BEHIND;

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

/// Whether looking for such bytes spares much.
pub(super) fn are_rare(bytes: Bytes, frequencies: &Frequencies) -> bool {
    const WORTHWHILE: f32 = 0.6;
    frequencies.share(bytes) < WORTHWHILE
}

/// What grams of one length have in their middle, which is looked for sixty-four bytes at a time.
///
/// The grams are in eight groups. Of the three bytes in the middle each, both halves are looked up by themselves: which
/// groups have a gram with such a half there. A place is found if there is a group that has all six: the method of Qiu et al.,
/// "Teddy: an efficient SIMD-based literal matching engine for scalable deep packet inspection" (ICPP 2021).
#[derive(Debug, Clone)]
pub(super) struct Middles {
    tables: [Halves; SIDE_BY_SIDE],
}

/// For each half of a byte, a bit for each group.
#[derive(Debug, Clone, Copy)]
struct Halves {
    lower: [u8; 16],
    upper: [u8; 16],
}

/// Bytes of a gram that are looked at.
const SIDE_BY_SIDE: usize = 3;

/// Bytes that [`Middles::find`] looks at.
pub(super) const WINDOW: usize = 64 + SIDE_BY_SIDE - 1;

// Else the last grams of a text would not be looked for.
const _: () = assert!(WINDOW <= BEHIND, "so much lies behind each text");

/// Where in a gram of such a length the bytes begin that are looked at.
#[inline(always)]
pub(super) fn first_of_middle(length: usize) -> usize {
    (length / 2).saturating_sub(1)
}

impl Middles {
    pub(super) fn of(grams: &[u64], length: usize) -> Self {
        const GROUPS: usize = 8;
        let byte = |gram: u64, place: usize| gram.to_le_bytes()[place];
        let mut grams = grams.to_vec();
        // What has a byte in common is in one group.
        grams.sort_unstable_by_key(|gram| gram.rotate_right(8 * (length / 2) as u32).swap_bytes());
        let anything = |place: usize| if place < length { 0 } else { u8::MAX };
        let first = first_of_middle(length);
        let mut tables = std::array::from_fn(|at| Halves {
            lower: [anything(first + at); 16],
            upper: [anything(first + at); 16],
        });
        let size = grams.len().div_ceil(GROUPS).max(1);
        for (group, grams) in grams.chunks(size).enumerate() {
            for gram in grams {
                for (place, halves) in (first..length).zip(&mut tables) {
                    let byte = usize::from(byte(*gram, place));
                    halves.lower[byte % 16] |= 1 << group;
                    halves.upper[byte / 16] |= 1 << group;
                }
            }
        }
        Self { tables }
    }

    /// Where grams may have their middle, one a bit; a few places more are found. The first byte is the one of which
    /// [`first_of_middle`] tells, of a gram at the first place.
    #[inline(always)]
    pub(super) fn find<S: Simd>(&self, simd: S, bytes: &[u8; WINDOW]) -> u64 {
        let four_times = |table: [u8; 16]| u8x64::block_splat(u8x16::simd_from(simd, table));
        let mut groups = u8x64::splat(simd, u8::MAX);
        for (at, halves) in self.tables.iter().enumerate() {
            let Some(bytes) = bytes[at..].first_chunk::<64>() else {
                break;
            };
            let bytes = u8x64::simd_from(simd, *bytes);
            let (lower, upper) = (bytes & u8x64::splat(simd, 0x0F), bytes >> 4);
            groups &= four_times(halves.lower).swizzle_dyn_within_blocks(lower);
            groups &= four_times(halves.upper).swizzle_dyn_within_blocks(upper);
        }
        !groups.simd_eq(u8x64::splat(simd, 0)).to_bitmask()
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::few;
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
        fn grams_are_found_and_not_much_else(
            text in prop::array::uniform32("[a-dA-É]"),
            grams in prop::collection::vec("[a-d]{8}", 1..4),
            length in 1usize..=8,
        ) {
            let grams: Vec<&[u8]> = grams.iter().map(|gram| &gram.as_bytes()[..length]).collect();
            let mut bytes = [0; WINDOW + 8];
            let text = [text.concat().into_bytes(), grams.concat()].concat();
            let kept = text.len().min(64);
            bytes[..kept].copy_from_slice(&text[text.len() - kept..]);
            let middles = Middles::of(&grams.iter().map(|gram| few(gram)).collect::<Vec<_>>(), length);
            let first = first_of_middle(length);
            let window = bytes[first..].first_chunk().expect("bytes enough");
            let looked_at = first..length.min(first + SIDE_BY_SIDE);
            for level in [Level::new(), Level::baseline()] {
                let found = dispatch!(level, simd => middles.find(simd, window));
                for at in 0..64 {
                    // So few grams have a group each.
                    let there = &bytes[at..][looked_at.clone()];
                    let wanted = grams.iter().any(|gram| gram[looked_at.clone()] == *there);
                    prop_assert_eq!(found >> at & 1 == 1, wanted, "{}", at);
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
        assert!(are_rare(set(b"z"), &frequencies));
        assert!(!are_rare(set(b"ea"), &frequencies));
    }
}
