//! Compressing texts of some kilobytes, as DEFLATE (RFC 1951) has it, with little work and little memory.
//!
//! Each block has codes of its own. What was seen before is looked for in one place only, by the hash of four bytes.

mod code;

use code::Code;

/// Fewest bytes worth a reference: as many as are hashed.
const SHORTEST: usize = 4;
/// Most bytes of one reference.
const LONGEST: usize = 258;
/// How far back a reference leads at most.
const WINDOW: usize = 32 << 10;
/// A reference of so many bytes is taken without a look at what begins one byte later.
const GOOD: usize = 32;
/// Tokens of a block.
const BLOCK: usize = 16 << 10;
/// The symbol that ends a block, and the number of those for bytes and lengths, and of those for distances.
const END: usize = 256;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
/// In which order lengths of the codes for lengths of codes are written.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// A symbol, and the bits that follow it: their number and their value.
type Symbol = (usize, u32, u32);

/// A byte as it is, or a reference to bytes that were there before: from the lowest bit, nine for the symbol of the byte or
/// of the length, five for what follows it, five for the symbol of the distance, and thirteen for what follows that.
#[derive(Clone, Copy)]
struct Token(u32);

impl Token {
    #[inline(always)]
    fn symbol(self) -> usize {
        (self.0 & 511) as usize
    }

    #[inline(always)]
    fn after_symbol(self) -> u32 {
        self.0 >> 9 & 31
    }

    #[inline(always)]
    fn distance(self) -> usize {
        (self.0 >> 14 & 31) as usize
    }

    #[inline(always)]
    fn after_distance(self) -> u32 {
        self.0 >> 19
    }
}

/// The tokens of a block, and how often each symbol occurs among them.
struct Block {
    tokens: Vec<Token>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

impl Block {
    fn new(tokens: usize) -> Self {
        Self {
            tokens: Vec::with_capacity(tokens),
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.tokens.push(Token(byte.into()));
    }

    fn reference(&mut self, length: usize, distance: usize) {
        let (length, _, after_length) = of_length(length);
        let (distance, _, after_distance) = of_distance(distance);
        self.literals[length] += 1;
        self.distances[distance] += 1;
        let token = length as u32 | after_length << 9;
        let token = token | (distance as u32) << 14 | after_distance << 19;
        self.tokens.push(Token(token));
    }
}

/// Compresses bytes.
pub(super) fn deflate(text: &[u8]) -> Vec<u8> {
    let mut out = Bits::with_capacity(text.len() / 2);
    let mut seen = Seen::of(text);
    let mut block = Block::new(BLOCK.min(text.len() / 4));
    let mut at = 0;
    while at < text.len() {
        let (mut length, mut distance) = seen.look(at);
        while (SHORTEST..GOOD).contains(&length) {
            let next = seen.look(at + 1);
            if next.0 <= length {
                break;
            }
            block.literal(text[at]);
            at += 1;
            (length, distance) = next;
        }
        if length < SHORTEST {
            block.literal(text[at]);
            at += 1;
        } else {
            block.reference(length, distance);
            at += length;
            // All would be more work, and find little more.
            for passed in at - SHORTEST..at {
                seen.note(passed);
            }
        }
        if block.tokens.len() >= BLOCK && at < text.len() {
            out.block(block, false);
            block = Block::new(BLOCK);
        }
    }
    out.block(block, true);
    out.finish()
}

/// Where four bytes were last met, by their hash.
struct Seen<'a> {
    text: &'a [u8],
    /// One more than the place; none is zero.
    places: Vec<u32>,
    shift: u32,
}

impl<'a> Seen<'a> {
    fn of(text: &'a [u8]) -> Self {
        let bits = text.len().max(1).ilog2().clamp(12, 15);
        Self {
            text,
            places: vec![0; 1 << bits],
            shift: 32 - bits,
        }
    }

    /// Notes what is there, and gives the place where the same may have been before.
    #[inline(always)]
    fn note(&mut self, at: usize) -> Option<usize> {
        let four = self.text.get(at..at + SHORTEST)?.first_chunk()?;
        let hash = u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> self.shift;
        let slot = self.places.get_mut(hash as usize)?;
        let before = std::mem::replace(slot, at as u32 + 1);
        (before as usize).checked_sub(1)
    }

    /// Length and distance of what is there and was there before; no length if nothing was.
    fn look(&mut self, at: usize) -> (usize, usize) {
        let Some(before) = self.note(at).filter(|before| at - before <= WINDOW) else {
            return (0, 0);
        };
        let here = &self.text[at..self.text.len().min(at + LONGEST)];
        let there = &self.text[before..];
        let same = here
            .iter()
            .zip(there)
            .take_while(|(one, other)| one == other);
        (same.count(), at - before)
    }
}

/// Bits in their order: the first is the lowest of the first byte.
struct Bits {
    bytes: Vec<u8>,
    open: u64,
    count: u32,
}

impl Bits {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            open: 0,
            count: 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, count: u32, value: u32) {
        self.open |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes
                .extend_from_slice(&(self.open as u32).to_le_bytes());
            self.open >>= 32;
            self.count -= 32;
        }
    }

    /// Writes a symbol and the bits that follow it, of which there are thirteen at most.
    #[inline(always)]
    fn symbol(&mut self, code: &Code, (symbol, count, value): Symbol) {
        let (length, bits) = code.of(symbol);
        self.put(length + count, bits | value << length);
    }

    fn finish(mut self) -> Vec<u8> {
        let rest = self.open.to_le_bytes();
        self.bytes
            .extend_from_slice(&rest[..self.count.div_ceil(8) as usize]);
        self.bytes
    }

    /// Writes a block with codes of its own (section 3.2.7).
    fn block(&mut self, mut block: Block, last: bool) {
        block.literals[END] = 1;
        let literals = Code::fit(&block.literals, 15);
        let distances = Code::fit(&block.distances, 15);
        self.put(3, u32::from(last) | 0b100);
        self.codes(&literals, &distances);
        for token in block.tokens {
            let symbol = token.symbol();
            if symbol < END {
                self.symbol(&literals, (symbol, 0, 0));
                continue;
            }
            let count = after_length(symbol);
            self.symbol(&literals, (symbol, count, token.after_symbol()));
            let symbol = token.distance();
            let count = (symbol as u32 / 2).saturating_sub(1);
            self.symbol(&distances, (symbol, count, token.after_distance()));
        }
        self.symbol(&literals, (END, 0, 0));
    }

    /// Writes two codes by the lengths of theirs, which are compressed themselves.
    fn codes(&mut self, literals: &Code, distances: &Code) {
        let (literals, distances) = (literals.lengths(END + 1), distances.lengths(1));
        let counts = (literals.len() - END - 1, distances.len() - 1);
        let symbols = shortened(&[literals, distances].concat());
        let mut used = [0; ORDER.len()];
        for symbol in &symbols {
            used[symbol.0] += 1;
        }
        let code = Code::fit(&used, 7);
        let last = ORDER.iter().rposition(|&symbol| code.of(symbol).0 > 0);
        let written = last.unwrap_or_default().max(3) + 1;
        self.put(5, counts.0 as u32);
        self.put(5, counts.1 as u32);
        self.put(4, written as u32 - 4);
        for symbol in &ORDER[..written] {
            self.put(3, code.of(*symbol).0);
        }
        for symbol in symbols {
            self.symbol(&code, symbol);
        }
    }
}

/// Lengths of codes, with runs of the same in one symbol.
fn shortened(lengths: &[u8]) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|one, other| one == other) {
        let (length, mut left) = (run[0], run.len());
        if length > 0 {
            symbols.push((usize::from(length), 0, 0));
            left -= 1;
        }
        while left > 0 {
            let (symbol, bits, least, most) = match (length, left) {
                (_, ..3) => (usize::from(length), 0, 1, 1),
                (0, ..11) => (17, 3, 3, 10),
                (0, _) => (18, 7, 11, 138),
                _ => (16, 2, 3, 6),
            };
            let taken = left.min(most);
            symbols.push((symbol, bits, (taken - least) as u32));
            left -= taken;
        }
    }
    symbols
}

/// The symbol for a length of 3 to 258 (section 3.2.5).
fn of_length(length: usize) -> Symbol {
    let over = length as u32 - 3;
    let symbol = match over {
        ..8 => over,
        255 => 28,
        _ => {
            let bits = over.ilog2() - 2;
            4 * (bits + 1) + (over >> bits & 3)
        }
    };
    let symbol = END + 1 + symbol as usize;
    let count = after_length(symbol);
    (symbol, count, over & ((1 << count) - 1))
}

/// How many bits follow the symbol for a length.
#[inline(always)]
fn after_length(symbol: usize) -> u32 {
    match symbol - END - 1 {
        28 => 0,
        over => (over as u32 / 4).saturating_sub(1),
    }
}

/// The symbol for a distance.
fn of_distance(distance: usize) -> Symbol {
    let over = distance as u32 - 1;
    let Some(bits) = over.checked_ilog2().unwrap_or_default().checked_sub(1) else {
        return (over as usize, 0, 0);
    };
    let symbol = 2 * (bits + 1) + (over >> bits & 1);
    (symbol as usize, bits, over & ((1 << bits) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;
    use miniz_oxide::inflate::decompress_to_vec;
    use proptest::prelude::*;

    fn comes_back(text: &[u8]) -> usize {
        let deflated = deflate(text);
        let inflated = decompress_to_vec(&deflated).unwrap();
        assert!(inflated == text, "{} bytes", text.len());
        deflated.len()
    }

    #[test]
    fn texts_of_any_kind_come_back_as_they_were() {
        for text in ["", "a", "ab", "aaaa", "abcabcabcabc", "ä ö ü"] {
            comes_back(text.as_bytes());
        }
        // Every length and, with what is random between, distances of every size.
        let noise: Vec<u8> = (0..200_000_u32)
            .map(|at| (at.wrapping_mul(0x9e37_79b1) >> 11 ^ at >> 3) as u8)
            .collect();
        comes_back(&noise);
        for length in 3..300 {
            let text = [&noise[..40_000], &noise[length * 100..][..length], b"!"].concat();
            comes_back(&text);
            comes_back(&vec![b'x'; length]);
        }
        assert!(comes_back(&vec![b'x'; 3 << 20]) < 10_000);
    }

    #[test]
    fn symbols_are_those_of_the_standard() {
        for (length, symbol) in [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 1, 0)),
            (12, (265, 1, 1)),
            (13, (266, 1, 0)),
            (19, (269, 2, 0)),
            (257, (284, 5, 30)),
            (258, (285, 0, 0)),
        ] {
            assert_eq!(of_length(length), symbol, "{length}");
        }
        for (distance, symbol) in [
            (1, (0, 0, 0)),
            (4, (3, 0, 0)),
            (5, (4, 1, 0)),
            (6, (4, 1, 1)),
            (7, (5, 1, 0)),
            (24_577, (29, 13, 0)),
            (32_768, (29, 13, 8191)),
        ] {
            assert_eq!(of_distance(distance), symbol, "{distance}");
        }
    }

    #[test]
    fn a_finding_gets_no_larger_than_by_the_library() {
        let finding = include_str!("../../../../findings/tests/data/aws/guardduty-event.json");
        let finding: serde_json::Value = serde_json::from_str(finding).unwrap();
        let finding = finding.to_string();
        let ours = comes_back(finding.as_bytes());
        let theirs = compress_to_vec(finding.as_bytes(), 1).len();
        assert!(ours <= theirs, "{} bytes: {ours}, {theirs}", finding.len());
    }

    proptest! {
        #[test]
        fn whatever_is_compressed_is_read_back(
            parts in prop::collection::vec((any::<u8>(), 0..5000_usize, 0..400_usize), 0..60),
        ) {
            let mut text = Vec::new();
            for (byte, back, length) in parts {
                text.push(byte);
                let from = text.len().saturating_sub(back + 1);
                for at in from..from + length {
                    text.push(text[at]);
                }
            }
            comes_back(&text);
        }

        #[test]
        fn noise_hardly_grows(noise in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(comes_back(&noise) <= noise.len() + noise.len() / 20 + 200);
        }
    }
}
