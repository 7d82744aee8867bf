//! Filters that say no of nearly all runs of bytes that are not looked up.

use fearless_simd::{Level, Simd, dispatch};

use super::middles::{Middles, first_of_middle};

/// A filter of the grams of one length: says no of nearly all that are not looked up.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    length: u8,
    /// How many of the upper bits of a hash are taken.
    shift: u32,
    bits: Vec<u64>,
    /// What the grams have in their middle, if that is rare.
    middles: Option<Middles>,
}

impl Screen {
    pub(super) fn with_room(grams: usize, length: u8) -> Self {
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

    /// A filter of grams, of which it is told whether what they have in their middle is rare.
    pub(super) fn of_grams(grams: &[u64], length: u8, rare: bool) -> Self {
        let mut screen = Self::with_room(grams.len(), length);
        screen.middles = rare.then(|| Middles::of(grams, usize::from(length)));
        for gram in grams {
            screen.add(*gram);
        }
        screen
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * self.bits.len()
    }

    pub(super) fn add(&mut self, gram: u64) {
        let bit = hashed(gram, self.shift);
        self.bits[bit / 64] |= 1 << (bit % 64);
    }

    /// How long the grams are.
    #[inline(always)]
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// Notes where grams begin that pass, of the first so many, at most [`Self::STRETCH`]; says how many do. There are
    /// [`BEHIND`](crate::document::seen::BEHIND) bytes more than those of the grams.
    pub(super) fn places(
        &self,
        level: Level,
        bytes: &[u8],
        grams: usize,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        dispatch!(level, simd => match &self.middles {
            Some(middles) => self.sift_some(simd, bytes, grams, middles, places),
            None => self.sift(simd, bytes, grams, places),
        })
    }

    #[inline(always)]
    fn sift<S: Simd>(
        &self,
        _: S,
        bytes: &[u8],
        grams: usize,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        let (bits, shift, kept) = (self.bits.as_slice(), self.shift, self.kept());
        let mut count = 0;
        let eights = bytes.windows(8).filter_map(<[u8]>::first_chunk);
        for (at, eight) in (0..grams as u32).zip(eights) {
            // Which grams pass cannot be foreseen, so there is no branch.
            places[count % Self::STRETCH] = at;
            count += passes(bits, shift, u64::from_le_bytes(*eight) & kept);
        }
        count
    }

    /// As [`Self::sift`]; looks only where grams may have their middle.
    #[inline(always)]
    fn sift_some<S: Simd>(
        &self,
        simd: S,
        bytes: &[u8],
        grams: usize,
        middles: &Middles,
        places: &mut [u32; Self::STRETCH],
    ) -> usize {
        const BLOCK: usize = 64;
        let (bits, shift, kept) = (self.bits.as_slice(), self.shift, self.kept());
        let mut count = 0;
        for at in (0..grams).step_by(BLOCK) {
            let block = bytes.get(at + first_of_middle(self.length())..);
            let Some(block) = block.and_then(<[u8]>::first_chunk) else {
                break;
            };
            let mut found = middles.find(simd, block);
            found &= u64::MAX >> (BLOCK - (grams - at).min(BLOCK));
            while found != 0 {
                let at = at + found.trailing_zeros() as usize;
                found &= found - 1;
                places[count % Self::STRETCH] = at as u32;
                count += passes(bits, shift, few(&bytes[at..]) & kept);
            }
        }
        count
    }

    /// What of eight bytes a gram is.
    #[inline(always)]
    fn kept(&self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.length))
    }

    /// One if a gram passes, else zero.
    #[inline(always)]
    pub(super) fn passes(&self, gram: u64) -> usize {
        passes(&self.bits, self.shift, gram)
    }

    /// Grams that are looked at in one go.
    pub(super) const STRETCH: usize = 512;
}

/// One if a gram passes a filter, else zero.
#[inline(always)]
fn passes(bits: &[u64], shift: u32, gram: u64) -> usize {
    let bit = hashed(gram, shift);
    (bits[bit / 64] >> (bit % 64) & 1) as usize
}

/// The upper bits of the hash of a few bytes.
#[inline(always)]
pub(super) fn hashed(few: u64, shift: u32) -> usize {
    (few.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}

/// The first eight bytes as a number, with zeros behind what has fewer.
#[inline(always)]
pub(super) fn few(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        u64::from_le_bytes(*eight)
    } else if let Ok(four) = bytes.try_into() {
        u32::from_le_bytes(four).into()
    } else {
        bytes
            .iter()
            .rev()
            .fold(0, |few, byte| few << 8 | u64::from(*byte))
    }
}

/// The byte in the middle of a gram.
pub(super) fn middle(gram: u64, length: u8) -> u8 {
    (gram >> (8 * (length / 2))) as u8
}

/// How long the grams are by which a needle is found.
pub(super) fn gram_length(needle: usize) -> usize {
    if needle < 8 { needle.min(4) } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::seen::BEHIND;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn looking_at_some_places_finds_all_grams(
            needles in prop::collection::vec("[a-c]{4} [a-c-]{3}|[a-é]{8}", 1..4),
            text in "[a-c -]{0,200}|[a-é -]{0,200}",
            length in 1usize..=8,
            rare: bool,
        ) {
            let grams: Vec<u64> = needles.iter().map(|needle| few(&needle.as_bytes()[8 - length..8])).collect();
            let screen = Screen::of_grams(&grams, length as u8, rare);
            let total = (text.len() + 1).saturating_sub(length);
            let bytes = format!("{text}{}", "\0".repeat(BEHIND));
            let mut places = [0; Screen::STRETCH];
            // Also as a processor without wider registers does it.
            for level in [Level::new(), Level::baseline()] {
                let count = screen.places(level, bytes.as_bytes(), total, &mut places);
                for at in 0..total {
                    let there = few(&text.as_bytes()[at..at + length]);
                    prop_assert!(!grams.contains(&there) || places[..count].contains(&(at as u32)));
                }
            }
        }
    }
}
