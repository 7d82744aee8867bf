//! Finding four bytes in a text.

use fearless_simd::{Simd, SimdBase, SimdFrom, SimdMask, u8x64};

/// Bytes that are looked at in one go.
const BLOCK: usize = 64;

/// The first place where a text has four bytes, given as a little-endian number; `behind` is the text and what lies behind
/// it, of which it looks at up to sixty-seven bytes where there are so many.
pub(crate) fn find<S: Simd>(simd: S, text: &[u8], behind: &[u8], four: u32) -> Option<usize> {
    simd.vectorize(
        #[inline(always)]
        || find_here(simd, text, behind, four),
    )
}

#[inline(always)]
fn find_here<S: Simd>(simd: S, text: &[u8], behind: &[u8], four: u32) -> Option<usize> {
    // One above the last place.
    let end = text.len().saturating_sub(3);
    let [first, .., last] = four.to_le_bytes().map(|byte| u8x64::splat(simd, byte));
    let mut at = 0;
    while at < end {
        let blocks = behind
            .get(at..at + BLOCK + 3)
            .and_then(|bytes| Some((bytes.first_chunk::<BLOCK>()?, bytes.last_chunk::<BLOCK>()?)));
        let Some((low, high)) = blocks else {
            let mut rest = text[at..].windows(4);
            return rest
                .position(|there| there == four.to_le_bytes())
                .map(|found| at + found);
        };
        let mut places = u8x64::simd_from(simd, *low).simd_eq(first).to_bitmask()
            & u8x64::simd_from(simd, *high).simd_eq(last).to_bitmask();
        while places != 0 {
            let place = at + places.trailing_zeros() as usize;
            if place >= end {
                return None;
            }
            if behind[place..]
                .first_chunk()
                .copied()
                .map(u32::from_le_bytes)
                == Some(four)
            {
                return Some(place);
            }
            places &= places - 1;
        }
        at += BLOCK;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_looking_at_each_place_finds(
            text in "[ab]{0,300}",
            four in "[ab]{4}",
            behind in 0usize..100,
        ) {
            let with_more = format!("{text}{}", "b".repeat(behind));
            let four: [u8; 4] = four.as_bytes().try_into().expect("four bytes");
            let expected = text.as_bytes().windows(4).position(|there| there == four);
            let four = u32::from_le_bytes(four);
            // Also as a processor without wider registers does it.
            for level in [Level::new(), Level::baseline()] {
                let found = dispatch!(level, simd => find(simd, text.as_bytes(), with_more.as_bytes(), four));
                prop_assert_eq!(found, expected);
            }
        }
    }
}
