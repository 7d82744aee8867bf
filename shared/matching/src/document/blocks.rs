//! The first look at a document: where its strings and brackets are, sixty-four bytes at a time.
//!
//! The bit tricks are those of G. Langdale and D. Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 28 (2019).

use wide::u8x16;

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
}

/// What was learnt of a whole document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Whether any byte is beyond ASCII.
    pub(crate) wide: bool,
    /// Whether there is any backslash.
    pub(crate) escapes: bool,
}

/// Bits that one block hands to the next.
#[derive(Default)]
struct Carry {
    /// All ones within a string.
    in_string: u64,
    /// One if the first byte is escaped.
    escaped: u64,
}

/// Fills `blocks` with what `document` holds.
pub(crate) fn survey(document: &[u8], blocks: &mut Vec<Block>) -> Result<Survey, NotJson> {
    blocks.clear();
    blocks.reserve(document.len() / BLOCK + 1);
    let mut carry = Carry::default();
    let mut survey = Survey::default();
    let mut control = None;
    let (whole, rest) = document.as_chunks::<BLOCK>();
    for chunk in whole {
        look(chunk, &mut carry, &mut survey, &mut control, blocks);
    }
    if !rest.is_empty() {
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        look(&last, &mut carry, &mut survey, &mut control, blocks);
    }
    if let Some(at) = control {
        return Err(NotJson::new(at, "a control character within a string"));
    }
    if carry.in_string != 0 {
        return Err(NotJson::new(document.len(), "a string that does not end"));
    }
    Ok(survey)
}

#[inline(always)]
fn look(
    chunk: &[u8; BLOCK],
    carry: &mut Carry,
    survey: &mut Survey,
    control: &mut Option<usize>,
    blocks: &mut Vec<Block>,
) {
    let parts: [u8x16; 4] =
        std::array::from_fn(|part| u8x16::from(chunk.as_chunks::<16>().0[part]));
    let each = |byte: u8| parts.map(|part| part.simd_eq(u8x16::splat(byte)));
    // Rare ones are asked for all at once, and place by place only if there are any.
    survey.wide |= any(parts);
    let found = each(b'\\');
    let escaped = if any(found) {
        survey.escapes = true;
        escapes(bits(found), &mut carry.escaped)
    } else {
        std::mem::take(&mut carry.escaped)
    };
    let quotes = bits(each(b'"')) & !escaped;
    // Ones from each opening quote up to its closing one.
    let in_string = running_xor(quotes) ^ carry.in_string;
    carry.in_string = ((in_string as i64) >> 63) as u64;
    let controls = parts.map(|part| part.min(u8x16::splat(0x1F)).simd_eq(part));
    if any(controls) {
        let controls = bits(controls) & in_string;
        if controls != 0 && control.is_none() {
            *control = Some(blocks.len() * BLOCK + controls.trailing_zeros() as usize);
        }
    }
    // `[` and `{` differ in one bit, and so do `]` and `}`.
    let joined = parts.map(|part| part | u8x16::splat(0x20));
    let opens = bits(joined.map(|part| part.simd_eq(u8x16::splat(b'{')))) & !in_string;
    let closes = bits(joined.map(|part| part.simd_eq(u8x16::splat(b'}')))) & !in_string;
    blocks.push(Block {
        quotes,
        opens,
        closes,
    });
}

/// The upper bit of every byte.
#[inline(always)]
fn bits(parts: [u8x16; 4]) -> u64 {
    let [first, second, third, fourth] = parts.map(|part| u64::from(part.to_bitmask()));
    first | second << 16 | third << 32 | fourth << 48
}

/// Whether the upper bit of any byte is set.
#[inline(always)]
fn any([first, second, third, fourth]: [u8x16; 4]) -> bool {
    (first | second | third | fourth).to_bitmask() != 0
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
#[inline]
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

/// Just behind the bracket that closes the one before `at`.
pub(crate) fn behind_close(blocks: &[Block], at: usize) -> Option<usize> {
    let mut depth = 1;
    let mut block = at / BLOCK;
    let mut kept = u64::MAX << (at % BLOCK);
    loop {
        let Block { opens, closes, .. } = *blocks.get(block)?;
        let (opens, closes) = (opens & kept, closes & kept);
        let closing = closes.count_ones() as usize;
        if closing < depth {
            depth += opens.count_ones() as usize;
            depth -= closing;
        } else {
            let mut closes = closes;
            let mut passed = 0;
            while closes != 0 {
                let close = closes.trailing_zeros();
                // Opens below this close, so many are still open with what was open before.
                let opened = (opens & ((1 << close) - 1)).count_ones() as usize;
                passed += 1;
                if depth + opened == passed {
                    return Some(block * BLOCK + close as usize + 1);
                }
                closes &= closes - 1;
            }
            depth += opens.count_ones() as usize;
            depth -= closing;
        }
        kept = u64::MAX;
        block += 1;
    }
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
            prop_assert_eq!(behind_close(&blocks, start), expected);
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
