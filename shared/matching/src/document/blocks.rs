//! The first look at a document: where its strings and brackets are, sixty-four bytes at a time.
//!
//! The bit tricks are those of G. Langdale and D. Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 28 (2019).

use fearless_simd::{Level, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x64};

use super::NotJson;
use crate::near;

/// Bytes that one block tells of, one a bit.
pub(crate) const BLOCK: usize = 64;

/// What each sixty-four bytes of a document hold; bit *n* is byte *n*.
///
/// A document is looked at a stretch at a time, as far as is asked for. Meanwhile the processor brings the next stretch near.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The instructions that the processor has.
    level: Level,
    /// Quotes that begin or end a string. Behind the last block there is one that holds nothing.
    quotes: Vec<u64>,
    brackets: Vec<Brackets>,
    /// Brackets that were open before, less all that are closed within: what is open never gets below that.
    lowest: Vec<i64>,
    /// Bytes that were looked at.
    seen: usize,
    carry: Carry,
}

/// Brackets and braces outside strings.
#[derive(Debug, Clone, Copy, Default)]
struct Brackets {
    opens: u64,
    closes: u64,
}

/// What one block hands to the next.
#[derive(Debug, Clone, Copy, Default)]
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

/// Bytes that are looked at in one go.
const STRETCH: usize = 16 * BLOCK;

/// The same of what lies behind the beginning of a long document, where the processor fetches by itself what is next.
const LONG_STRETCH: usize = 16 * STRETCH;

/// Where long documents begin.
const LONG: usize = 32 * STRETCH;

impl Default for Blocks {
    fn default() -> Self {
        Self::at(Level::new())
    }
}

impl Blocks {
    /// For a processor with such instructions.
    fn at(level: Level) -> Self {
        Self {
            level,
            quotes: Vec::new(),
            brackets: Vec::new(),
            lowest: Vec::new(),
            seen: 0,
            carry: Carry::default(),
        }
    }

    /// Begins a document.
    pub(crate) fn begin(&mut self, document: &[u8]) {
        self.quotes.clear();
        self.brackets.clear();
        self.lowest.clear();
        self.seen = 0;
        self.carry = Carry::default();
        near::fetch_beginning(self.level, document);
    }

    /// Looks at the next stretch; says whether there is one.
    #[inline(never)]
    fn go_on(&mut self, document: &[u8]) -> bool {
        let rest = &document[self.seen.min(document.len())..];
        if rest.is_empty() {
            return false;
        }
        let level = self.level;
        let length = if self.seen < LONG {
            STRETCH
        } else {
            LONG_STRETCH
        };
        let length = rest.len().min(length);
        let from = self.quotes.len();
        let to = from + length.div_ceil(BLOCK);
        // The one behind the last holds nothing.
        let room = to + usize::from(length == rest.len());
        self.quotes.resize(room, 0);
        self.brackets.resize(room, Brackets::default());
        self.lowest.resize(room, i64::MAX);
        dispatch!(level, simd => self.look_all(simd, rest, length, from));
        self.seen += length;
        true
    }

    /// Looks at what is left; says what is wrong with strings, wherever they are.
    pub(crate) fn finish(&mut self, document: &[u8]) -> Result<(), NotJson> {
        while self.go_on(document) {}
        if self.carry.controls != 0 {
            return Err(NotJson::new(
                self.first_control(document),
                "a control character within a string",
            ));
        }
        if self.carry.in_string != 0 {
            return Err(NotJson::new(document.len(), "a string that does not end"));
        }
        Ok(())
    }

    /// Whether any byte is beyond ASCII, as far as was looked.
    #[inline(always)]
    pub(crate) fn wide(&self) -> bool {
        self.carry.wide
    }

    /// Whether there is any backslash, as far as was looked.
    #[inline(always)]
    pub(crate) fn escapes(&self) -> bool {
        self.carry.backslashes != 0
    }

    /// Where the first control character within a string is.
    fn first_control(&self, document: &[u8]) -> usize {
        let mut in_string = false;
        for (at, byte) in document.iter().enumerate() {
            in_string ^= self.quotes[at / BLOCK] >> (at % BLOCK) & 1 == 1;
            if in_string && *byte < b' ' {
                return at;
            }
        }
        document.len()
    }

    /// The first quote at or behind `at`.
    #[inline(always)]
    pub(crate) fn next_quote(&mut self, document: &[u8], at: usize) -> Option<usize> {
        // Looking at two blocks as one spares most strings the question in which of them they end.
        if let Some([low, high]) = self.quotes.get(at / BLOCK..).and_then(<[u64]>::first_chunk)
            && let quotes = straddle(*low, *high, at)
            && quotes != 0
        {
            return Some(at + quotes.trailing_zeros() as usize);
        }
        self.far_quote(document, at)
    }

    #[inline(never)]
    fn far_quote(&mut self, document: &[u8], at: usize) -> Option<usize> {
        let mut block = at / BLOCK;
        let mut kept = u64::MAX << (at % BLOCK);
        loop {
            let Some(quotes) = self.quotes.get(block) else {
                if self.go_on(document) {
                    continue;
                }
                return None;
            };
            if quotes & kept != 0 {
                return Some(block * BLOCK + (quotes & kept).trailing_zeros() as usize);
            }
            block += 1;
            kept = u64::MAX;
        }
    }

    /// Just behind the bracket that closes the one before `at`, which has `depth` open brackets around it.
    #[inline(always)]
    pub(crate) fn behind_close(
        &mut self,
        document: &[u8],
        at: usize,
        depth: usize,
    ) -> Option<usize> {
        if let Some([low, high]) = self
            .brackets
            .get(at / BLOCK..)
            .and_then(<[Brackets]>::first_chunk)
        {
            let opens = straddle(low.opens, high.opens, at);
            let closes = straddle(low.closes, high.closes, at);
            // What is short has nothing open within.
            if closes.trailing_zeros() < opens.trailing_zeros() {
                return Some(at + closes.trailing_zeros() as usize + 1);
            }
        }
        self.far_close(document, at, depth)
    }

    #[inline(never)]
    fn far_close(&mut self, document: &[u8], at: usize, depth: usize) -> Option<usize> {
        let depth = depth as i64;
        let mut block = at / BLOCK;
        while block >= self.brackets.len() {
            if !self.go_on(document) {
                return None;
            }
        }
        let Brackets { opens, closes } = self.brackets[block];
        let kept = u64::MAX << (at % BLOCK);
        if let Some(close) = falls_to(depth, depth + 1, opens & kept, closes & kept) {
            return Some(block * BLOCK + close + 1);
        }
        block += 1;
        loop {
            let low = |lowest: &i64| *lowest <= depth;
            match self.lowest[block..].iter().position(low) {
                Some(found) => block += found,
                None => {
                    block = self.lowest.len();
                    if !self.go_on(document) {
                        return None;
                    }
                    continue;
                }
            }
            let Brackets { opens, closes } = self.brackets[block];
            let open = self.lowest[block] + i64::from(closes.count_ones());
            if let Some(close) = falls_to(depth, open, opens, closes) {
                return Some(block * BLOCK + close + 1);
            }
            block += 1;
        }
    }

    /// Looks at the next bytes, so many, of which the first block is number `from`.
    #[inline(always)]
    fn look_all<S: Simd>(&mut self, simd: S, rest: &[u8], length: usize, from: usize) {
        let mut carry = self.carry;
        // The bits that any byte has, and the least byte at each place of a block.
        let mut all = u8x64::splat(simd, 0);
        let mut least = u8x64::splat(simd, u8::MAX);
        let stretch = &rest[..length];
        let (whole, last) = stretch.as_chunks::<BLOCK>();
        let places = self.quotes[from..]
            .iter_mut()
            .zip(&mut self.brackets[from..])
            .zip(&mut self.lowest[from..]);
        for ((at, chunk), ((quotes, brackets), lowest)) in whole.iter().enumerate().zip(places) {
            // One at a time: when many are asked for at once, the processor waits for the first of them.
            near::fetch(simd.level(), rest, at * BLOCK + STRETCH);
            (*quotes, *brackets, *lowest) = look(simd, chunk, &mut carry, &mut all, &mut least);
        }
        if !last.is_empty() {
            let at = from + whole.len();
            (self.quotes[at], self.brackets[at], self.lowest[at]) =
                look(simd, &padded(last), &mut carry, &mut all, &mut least);
        }
        carry.wide |= all.simd_ge(u8x64::splat(simd, 0x80)).any_true();
        // Where a stretch has no control character at all, as compact documents have none, that is all there is to ask.
        if least.simd_lt(u8x64::splat(simd, b' ')).any_true() {
            carry.controls |= self.controls(simd, stretch, from);
        }
        self.carry = carry;
    }

    /// The control characters within strings of the stretch that was just looked at, place disregarded.
    #[inline(always)]
    fn controls<S: Simd>(&self, simd: S, stretch: &[u8], from: usize) -> u64 {
        let mut in_string = self.carry.in_string;
        let mut found = 0;
        let mut add = |chunk: &[u8; BLOCK], quotes: u64| {
            let strings = running_xor(simd, quotes) ^ in_string;
            in_string = last_of_all(strings);
            let bytes = u8x64::simd_from(simd, *chunk);
            found |= bytes.simd_lt(u8x64::splat(simd, b' ')).to_bitmask() & strings;
        };
        let (whole, rest) = stretch.as_chunks::<BLOCK>();
        for (chunk, quotes) in whole.iter().zip(&self.quotes[from..]) {
            add(chunk, *quotes);
        }
        if !rest.is_empty() {
            add(&padded(rest), self.quotes[from + whole.len()]);
        }
        found
    }
}

/// The sixty-four bits from `at` on, given the two blocks where they lie.
#[inline(always)]
fn straddle(low: u64, high: u64, at: usize) -> u64 {
    let bit = at % BLOCK;
    low >> bit | high << 1 << (BLOCK - 1 - bit)
}

#[inline(always)]
fn look<S: Simd>(
    simd: S,
    chunk: &[u8; BLOCK],
    carry: &mut Carry,
    all: &mut u8x64<S>,
    least: &mut u8x64<S>,
) -> (u64, Brackets, i64) {
    let bytes = u8x64::simd_from(simd, *chunk);
    let are = |byte: u8| bytes.simd_eq(u8x64::splat(simd, byte)).to_bitmask();
    *all |= bytes;
    *least = least.min(bytes);
    let backslashes = are(b'\\');
    let escaped = if backslashes != 0 {
        carry.backslashes |= backslashes;
        escapes(backslashes, &mut carry.escaped)
    } else {
        std::mem::take(&mut carry.escaped)
    };
    let quotes = are(b'"') & !escaped;
    // Ones from each opening quote up to its closing one.
    let in_string = running_xor(simd, quotes) ^ carry.in_string;
    carry.in_string = last_of_all(in_string);
    // `[` and `{` differ in one bit, and so do `]` and `}`.
    let joined = bytes | u8x64::splat(simd, 0x20);
    let opens = joined.simd_eq(u8x64::splat(simd, b'{')).to_bitmask() & !in_string;
    let closes = joined.simd_eq(u8x64::splat(simd, b'}')).to_bitmask() & !in_string;
    let lowest = carry.open - i64::from(closes.count_ones());
    carry.open = lowest + i64::from(opens.count_ones());
    (quotes, Brackets { opens, closes }, lowest)
}

/// What is less than a block, with blanks behind.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// All ones if the last bit is one, else zeros.
#[inline(always)]
fn last_of_all(bits: u64) -> u64 {
    (bits.cast_signed() >> 63).cast_unsigned()
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
fn running_xor<S: Simd>(simd: S, bits: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        return carryless_running_xor(avx512, bits);
    }
    let _ = simd;
    shifted_running_xor(bits)
}

#[inline(always)]
fn shifted_running_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    /// Multiplies with all ones, carrying nothing.
    #[inline]
    fn carryless_running_xor(avx512: Avx512, bits: u64) -> u64 {
        use std::arch::x86_64::{
            _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8,
        };
        let product =
            _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
);

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

    fn positions(blocks: impl Iterator<Item = u64>) -> Vec<usize> {
        let bits = blocks.flat_map(|block| (0..64).map(move |bit| block >> bit & 1 == 1));
        bits.enumerate()
            .filter(|(_, set)| *set)
            .map(|(at, _)| at)
            .collect()
    }

    /// All levels of instructions that this machine can run, from none to the best.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        let mut levels = vec![Level::fallback(), Level::baseline()];
        #[cfg(target_arch = "x86_64")]
        levels.extend(
            [
                best.as_sse2().map(Level::Sse2),
                best.as_sse4_2().map(Level::Sse4_2),
                best.as_avx2().map(Level::Avx2),
                best.as_avx512().map(Level::Avx512),
            ]
            .into_iter()
            .flatten(),
        );
        levels.push(best);
        let mut known = Vec::new();
        levels.retain(|level| {
            let name = format!("{level:?}");
            !known.contains(&name) && {
                known.push(name);
                true
            }
        });
        levels
    }

    #[test]
    fn the_levels_reach_from_none_to_the_best() {
        let levels = levels();
        assert!(levels[0].is_fallback());
        assert!(levels[1..].iter().all(|level| !level.is_fallback()));
        let best = levels.last().map(|level| format!("{level:?}"));
        assert_eq!(best, Some(format!("{:?}", Level::new())));
    }

    /// What is open before each block, less all that is closed within.
    fn lowest(length: usize, opens: &[usize], closes: &[usize]) -> Vec<i64> {
        let below = |all: &[usize], at: usize| all.partition_point(|one| *one < at) as i64;
        let blocks = (0..length).step_by(BLOCK);
        blocks
            .map(|at| below(opens, at) - below(closes, at + BLOCK))
            .collect()
    }

    proptest! {
        #[test]
        fn blocks_tell_what_a_plain_look_tells(text in "[\\\\\"a{}\\[\\]@`é]{0,3000}") {
            let [quotes, opens, closes] = plainly(text.as_bytes());
            for level in levels() {
                let mut blocks = Blocks::at(level);
                blocks.begin(text.as_bytes());
                let result = blocks.finish(text.as_bytes());
                prop_assert_eq!(result.is_err(), quotes.len() % 2 == 1);
                prop_assert_eq!(blocks.wide(), !text.is_ascii());
                prop_assert_eq!(blocks.escapes(), text.contains('\\'));
                // A bracket after a backslash outside strings is no JSON at all.
                prop_assert_eq!(&positions(blocks.quotes.iter().copied()), &quotes, "{:?}", level);
                if !text.contains('\\') {
                    let brackets = blocks.brackets.iter();
                    prop_assert_eq!(&positions(brackets.clone().map(|block| block.opens)), &opens, "{:?}", level);
                    prop_assert_eq!(&positions(brackets.map(|block| block.closes)), &closes, "{:?}", level);
                    prop_assert_eq!(&blocks.lowest[..text.len().div_ceil(BLOCK)], lowest(text.len(), &opens, &closes), "{:?}", level);
                }
            }
        }

        #[test]
        fn any_bytes_are_told_of_alike_at_all_levels(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
            let [quotes, ..] = plainly(&bytes);
            let mut first: Option<Blocks> = None;
            for level in levels() {
                let mut blocks = Blocks::at(level);
                blocks.begin(&bytes);
                let result = blocks.finish(&bytes).map_err(|error| error.at);
                prop_assert_eq!(&positions(blocks.quotes.iter().copied()), &quotes, "{:?}", level);
                prop_assert_eq!(blocks.wide(), !bytes.is_ascii(), "{:?}", level);
                let first = first.get_or_insert_with(|| {
                    let mut blocks = Blocks::at(level);
                    blocks.begin(&bytes);
                    let _ = blocks.finish(&bytes);
                    blocks
                });
                prop_assert_eq!(result, first.finish(&bytes).map_err(|error| error.at), "{:?}", level);
                prop_assert_eq!(format!("{:?}", blocks.brackets), format!("{:?}", first.brackets), "{:?}", level);
                prop_assert_eq!(&blocks.lowest, &first.lowest, "{:?}", level);
            }
        }

        #[test]
        fn the_first_control_character_within_a_string_is_found(
            text in "[\\\\\"a]{0,2500}", controls in prop::collection::vec((0usize..2500, 0u8..b' '), 0..4),
        ) {
            let mut text = text.into_bytes();
            for (at, control) in controls {
                if let Some(byte) = text.get_mut(at) {
                    *byte = control;
                }
            }
            let [quotes, ..] = plainly(&text);
            let within = |at: usize| quotes.partition_point(|quote| *quote < at) % 2 == 1;
            let first = (0..text.len()).find(|at| text[*at] < b' ' && within(*at));
            let end = (quotes.len() % 2 == 1).then_some(text.len());
            for level in levels() {
                let mut blocks = Blocks::at(level);
                blocks.begin(&text);
                prop_assert_eq!(blocks.finish(&text).err().map(|error| error.at), first.or(end), "{:?}", level);
            }
        }

        #[test]
        fn the_next_quote_is_found(text in "[\"a]{0,200}|a{0,1500}\"?a{0,800}\"?", start in 0usize..1600) {
            let expected = (start..text.len()).find(|at| text.as_bytes()[*at] == b'"');
            for level in levels() {
                let mut blocks = Blocks::at(level);
                blocks.begin(text.as_bytes());
                prop_assert_eq!(blocks.next_quote(text.as_bytes(), start), expected, "{:?}", level);
            }
        }

        #[test]
        fn the_closing_bracket_is_found(text in "[\\[\\] a]{0,3000}", start in 0usize..50) {
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
            for level in levels() {
                let mut blocks = Blocks::at(level);
                blocks.begin(text.as_bytes());
                prop_assert_eq!(blocks.behind_close(text.as_bytes(), start, around as usize - 1), expected, "{:?}", level);
            }
        }
    }

    proptest! {
        #[test]
        fn parities_run_over_all_bits_below(bits in any::<u64>()) {
            let plain = (0..64).map(|bit| {
                let below = bits << (63 - bit);
                u64::from(below.count_ones() % 2) << bit
            });
            let plain: u64 = plain.sum();
            prop_assert_eq!(shifted_running_xor(bits), plain);
            for level in levels() {
                prop_assert_eq!(dispatch!(level, simd => running_xor(simd, bits)), plain);
            }
        }
    }

    #[test]
    fn long_documents_are_told_of_to_their_end() {
        let text = r#"[{"a\"{": [1, "é]", "\\"]}], "#.repeat(4 * LONG / 28);
        let [quotes, opens, closes] = plainly(text.as_bytes());
        for level in levels() {
            let mut blocks = Blocks::at(level);
            blocks.begin(text.as_bytes());
            assert_eq!(blocks.next_quote(text.as_bytes(), 0), Some(2));
            assert_eq!(blocks.finish(text.as_bytes()), Ok(()));
            assert_eq!(positions(blocks.quotes.iter().copied()), quotes);
            let brackets = blocks.brackets.iter();
            assert_eq!(positions(brackets.clone().map(|block| block.opens)), opens);
            assert_eq!(positions(brackets.map(|block| block.closes)), closes);
        }
    }

    #[test]
    fn control_characters_within_strings_are_found() {
        let mut blocks = Blocks::default();
        let mut look = |document: &[u8]| {
            blocks.begin(document);
            blocks.finish(document)
        };
        assert!(look(b"{\n\t\"a\": 1}\r\n").is_ok());
        let error = look(b"{\"a\n\": 1}").expect_err("a line end in a name");
        assert_eq!(error.at, 3);
    }
}
