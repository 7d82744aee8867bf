//! The first look at a document: where its strings and brackets are, sixty-four bytes at a time.
//!
//! The bit tricks are those of G. Langdale and D. Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 28 (2019).

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x64};

use super::NotJson;

/// Bytes that one block tells of, one a bit.
pub(crate) const BLOCK: usize = 64;

/// What sixty-four bytes hold; bit *n* is byte *n*.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Block {
    /// Quotes that begin or end a string.
    pub(crate) quotes: u64,
    /// Opening brackets and braces outside strings.
    pub(crate) opens: u64,
    /// Closing ones.
    pub(crate) closes: u64,
    /// Brackets that were open before it, less all that it closes: what is open never gets below that within it.
    pub(crate) lowest: i64,
}

/// What was learnt of a whole document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Whether any byte is beyond ASCII.
    pub(crate) wide: bool,
    /// Whether there is any backslash.
    pub(crate) escapes: bool,
}

/// What one block hands to the next.
#[derive(Default)]
struct Carry {
    /// All ones within a string.
    in_string: u64,
    /// One if the first byte is escaped.
    escaped: u64,
    /// Brackets that are open.
    open: i64,
    /// Whether any byte is beyond ASCII.
    wide: bool,
    /// All backslashes so far, place disregarded.
    backslashes: u64,
    /// All control characters within strings so far, place disregarded.
    controls: u64,
}

/// Fills the beginning of `blocks` with what `document` holds.
pub(crate) fn survey(document: &[u8], blocks: &mut Vec<Block>) -> Result<Survey, NotJson> {
    let count = document.len().div_ceil(BLOCK);
    if blocks.len() < count {
        blocks.resize(count, Block::default());
    }
    let blocks = &mut blocks[..count];
    let carry = dispatch!(Level::new(), simd => look_all(simd, document, blocks));
    if carry.controls != 0 {
        return Err(NotJson::new(
            first_control(document, blocks),
            "a control character within a string",
        ));
    }
    if carry.in_string != 0 {
        return Err(NotJson::new(document.len(), "a string that does not end"));
    }
    Ok(Survey {
        wide: carry.wide,
        escapes: carry.backslashes != 0,
    })
}

/// Where the first control character within a string is.
fn first_control(document: &[u8], blocks: &[Block]) -> usize {
    let mut in_string = false;
    for (at, byte) in document.iter().enumerate() {
        in_string ^= blocks[at / BLOCK].quotes >> (at % BLOCK) & 1 == 1;
        if in_string && *byte < b' ' {
            return at;
        }
    }
    document.len()
}

#[inline(always)]
fn look_all<S: Simd>(simd: S, document: &[u8], blocks: &mut [Block]) -> Carry {
    let mut carry = Carry::default();
    // The bits that any byte has.
    let mut all = u8x64::splat(simd, 0);
    let (whole, rest) = document.as_chunks::<BLOCK>();
    for (chunk, block) in whole.iter().zip(blocks.iter_mut()) {
        *block = look(simd, chunk, &mut carry, &mut all);
    }
    if !rest.is_empty()
        && let Some(block) = blocks.last_mut()
    {
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        *block = look(simd, &last, &mut carry, &mut all);
    }
    carry.wide = all.simd_ge(u8x64::splat(simd, 0x80)).any_true();
    carry
}

#[inline(always)]
fn look<S: Simd>(simd: S, chunk: &[u8; BLOCK], carry: &mut Carry, all: &mut u8x64<S>) -> Block {
    let bytes = u8x64::simd_from(simd, *chunk);
    let are = |byte: u8| bytes.simd_eq(u8x64::splat(simd, byte)).to_bitmask();
    *all |= bytes;
    let backslashes = are(b'\\');
    let escaped = if backslashes != 0 {
        carry.backslashes |= backslashes;
        escapes(backslashes, &mut carry.escaped)
    } else {
        std::mem::take(&mut carry.escaped)
    };
    let quotes = are(b'"') & !escaped;
    // Ones from each opening quote up to its closing one.
    let in_string = running_xor(quotes) ^ carry.in_string;
    carry.in_string = ((in_string as i64) >> 63) as u64;
    let controls = bytes.simd_lt(u8x64::splat(simd, b' ')).to_bitmask();
    if controls != 0 {
        carry.controls |= controls & in_string;
    }
    // `[` and `{` differ in one bit, and so do `]` and `}`.
    let joined = bytes | u8x64::splat(simd, 0x20);
    let opens = joined.simd_eq(u8x64::splat(simd, b'{')).to_bitmask() & !in_string;
    let closes = joined.simd_eq(u8x64::splat(simd, b'}')).to_bitmask() & !in_string;
    let lowest = carry.open - i64::from(closes.count_ones());
    carry.open = lowest + i64::from(opens.count_ones());
    Block {
        quotes,
        opens,
        closes,
        lowest,
    }
}

/// The characters that a backslash takes as they are, given the backslashes: those after a run of odd length.
#[inline]
fn escapes(backslashes: u64, carried: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let acting = backslashes & !*carried;
    let follows = (acting << 1) | *carried;
    let odd_starts = acting & !EVEN & !follows;
    let (even_runs, overflow) = odd_starts.overflowing_add(acting);
    *carried = u64::from(overflow);
    (EVEN ^ (even_runs << 1)) & follows
}

/// Each bit becomes the parity of itself and all below.
#[inline(always)]
fn running_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

/// The first quote at or behind `at`.
#[inline]
pub(crate) fn next_quote(blocks: &[Block], at: usize) -> Option<usize> {
    let mut block = at / BLOCK;
    let mut quotes = blocks.get(block)?.quotes & (u64::MAX << (at % BLOCK));
    while quotes == 0 {
        block += 1;
        quotes = blocks.get(block)?.quotes;
    }
    Some(block * BLOCK + quotes.trailing_zeros() as usize)
}

/// Just behind the bracket that closes the one before `at`, which has `depth` open brackets around it.
#[inline]
pub(crate) fn behind_close(blocks: &[Block], at: usize, depth: usize) -> Option<usize> {
    let depth = depth as i64;
    let mut block = at / BLOCK;
    let Block { opens, closes, .. } = *blocks.get(block)?;
    let kept = u64::MAX << (at % BLOCK);
    if let Some(close) = falls_to(depth, depth + 1, opens & kept, closes & kept) {
        return Some(block * BLOCK + close + 1);
    }
    loop {
        block += 1;
        let found = blocks[block..]
            .iter()
            .position(|block| block.lowest <= depth)?;
        block += found;
        let Block {
            opens,
            closes,
            lowest,
            ..
        } = blocks[block];
        let open = lowest + i64::from(closes.count_ones());
        if let Some(close) = falls_to(depth, open, opens, closes) {
            return Some(block * BLOCK + close + 1);
        }
    }
}

/// Where so few brackets are open, of `open` at first.
#[inline]
fn falls_to(depth: i64, mut open: i64, opens: u64, closes: u64) -> Option<usize> {
    let mut brackets = opens | closes;
    while brackets != 0 {
        let lowest = brackets & brackets.wrapping_neg();
        open += if opens & lowest == 0 { -1 } else { 1 };
        if open == depth {
            return Some(lowest.trailing_zeros() as usize);
        }
        brackets ^= lowest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Quotes, opens and closes found one byte after the other.
    fn plainly(document: &[u8]) -> [Vec<usize>; 3] {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        let (mut in_string, mut escaped) = (false, false);
        for (at, byte) in document.iter().enumerate() {
            if escaped {
                escaped = false;
                continue;
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => {
                    found[0].push(at);
                    in_string = !in_string;
                }
                b'{' | b'[' if !in_string => found[1].push(at),
                b'}' | b']' if !in_string => found[2].push(at),
                _ => {}
            }
        }
        found
    }

    fn positions(blocks: &[Block], of: impl Fn(&Block) -> u64) -> Vec<usize> {
        let bits = blocks
            .iter()
            .flat_map(|block| (0..64).map(move |bit| (block, bit)));
        bits.enumerate()
            .filter(|(_, (block, bit))| of(block) >> bit & 1 == 1)
            .map(|(at, _)| at)
            .collect()
    }

    proptest! {
        #[test]
        fn blocks_tell_what_a_plain_look_tells(text in "[\\\\\"a{}\\[\\]@`é]{0,300}") {
            let mut blocks = Vec::new();
            let result = survey(text.as_bytes(), &mut blocks);
            let [quotes, opens, closes] = plainly(text.as_bytes());
            prop_assert_eq!(result.is_err(), quotes.len() % 2 == 1);
            // A bracket after a backslash outside strings is no JSON at all.
            prop_assert_eq!(positions(&blocks, |block| block.quotes), quotes);
            if !text.contains('\\') {
                prop_assert_eq!(positions(&blocks, |block| block.opens), opens);
                prop_assert_eq!(positions(&blocks, |block| block.closes), closes);
            }
        }

        #[test]
        fn the_closing_bracket_is_found(text in "[\\[\\] a]{0,300}", start in 0usize..50) {
            let mut blocks = Vec::new();
            survey(text.as_bytes(), &mut blocks).expect("no strings");
            let around: i64 = text.bytes().take(start).map(|byte| match byte {
                b'[' => 1,
                b']' => -1,
                _ => 0,
            }).sum();
            prop_assume!(around > 0);
            let mut depth = 1;
            let mut expected = None;
            for (at, byte) in text.bytes().enumerate().skip(start) {
                match byte {
                    b'[' => depth += 1,
                    b']' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    expected = Some(at + 1);
                    break;
                }
            }
            prop_assert_eq!(behind_close(&blocks, start, around as usize - 1), expected);
        }
    }

    #[test]
    fn control_characters_within_strings_are_found() {
        let mut blocks = Vec::new();
        assert!(survey(b"{\n\t\"a\": 1}\r\n", &mut blocks).is_ok());
        let error = survey(b"{\"a\n\": 1}", &mut blocks).expect_err("a line end in a name");
        assert_eq!(error.at, 3);
    }
}
