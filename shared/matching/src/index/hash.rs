//! Hashing of texts regardless of case, sixty-four bytes at a time.
//!
//! The function is fixed, so that compiling is deterministic. The table of an index is filled by rules only; documents merely
//! look things up, so a document cannot make it slow. What a document fills by hash is never slower than to go through its
//! values.

const START: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;
const LENGTH: u64 = 0xA076_1D64_78BD_642F;

/// Multiplies to 128 bits and folds the halves together.
#[inline(always)]
pub(crate) fn fold_multiply(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Lower-cases the ASCII letters among eight bytes.
#[inline(always)]
pub(crate) fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (0x7F * EACH);
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let past_z = low + (0x7F - b'Z' as u64) * EACH;
    let upper = (from_a ^ past_z) & !bytes & (0x80 * EACH);
    bytes | (upper >> 2)
}

/// Bytes that are hashed at a time.
pub(crate) const CHUNK: usize = 64;

type Words = [u64; CHUNK / 8];

/// The hash of a text that is ASCII, or folded already; ASCII letters count as lower case.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> u64 {
    let mut hash = seed(bytes.len());
    let mut rest = bytes;
    while let Some((chunk, behind)) = rest.split_first_chunk()
        && !behind.is_empty()
    {
        hash = mix(hash, words(chunk));
        rest = behind;
    }
    let mut last = [0; CHUNK];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, words(&last))
}

/// Takes the first `left` bytes, at most all, into a hash begun by [`seed`], as [`text`] does; and these bytes, ASCII
/// letters in lower case, with zeros behind.
#[inline(always)]
pub(crate) fn chunk(hash: u64, bytes: &[u8; CHUNK], left: usize) -> ([u8; CHUNK], u64) {
    let words = words(&masked(bytes, left));
    let folded = bytes_of(words);
    (folded, mix(hash, words))
}

/// Bytes with ASCII letters in lower case.
#[inline(always)]
pub(crate) fn folded_chunk(bytes: &[u8; CHUNK]) -> [u8; CHUNK] {
    bytes_of(words(bytes))
}

#[inline(always)]
fn bytes_of(words: Words) -> [u8; CHUNK] {
    let mut bytes = [0; CHUNK];
    for (at, word) in words.iter().enumerate() {
        bytes[8 * at..][..8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The hash of the first `length` bytes, at most all, of a folded text, as [`text`] makes it.
#[inline]
pub(crate) fn folded(bytes: &[u8; CHUNK], length: usize) -> u64 {
    let masked = masked(bytes, length);
    let mut words = [0; CHUNK / 8];
    for (at, word) in words.iter_mut().enumerate() {
        *word = eight(&masked[8 * at..]);
    }
    mix(seed(length), words)
}

/// The first `left` bytes, with zeros behind.
#[inline(always)]
fn masked(bytes: &[u8; CHUNK], left: usize) -> [u8; CHUNK] {
    /// Ones, then as many zeros.
    static MASK: [u8; 2 * CHUNK] = {
        let mut mask = [0; 2 * CHUNK];
        let mut at = 0;
        while at < CHUNK {
            mask[at] = 0xFF;
            at += 1;
        }
        mask
    };
    let mut masked = *bytes;
    for (byte, mask) in masked
        .iter_mut()
        .zip(&MASK[CHUNK - left.min(CHUNK)..][..CHUNK])
    {
        *byte &= mask;
    }
    masked
}

/// The bytes eight a word, ASCII letters in lower case.
#[inline(always)]
fn words(bytes: &[u8; CHUNK]) -> Words {
    let mut words = [0; CHUNK / 8];
    for (at, word) in words.iter_mut().enumerate() {
        *word = lower(eight(&bytes[8 * at..]));
    }
    words
}

/// What the hash of a text of so many bytes begins with.
#[inline(always)]
pub(crate) fn seed(length: usize) -> u64 {
    START ^ (length as u64).wrapping_mul(LENGTH)
}

/// Takes in sixty-four bytes. All of them at once: what is shorter costs little more than to ask how long it is.
///
/// Eight products of halves are added up, as in Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: fast and secure message
/// authentication" (CRYPTO 1999): one multiplication in the widest registers. The words themselves are added too, because a
/// product with zero tells nothing of its other half.
#[inline(always)]
fn mix(hash: u64, words: Words) -> u64 {
    const KEYS: Words = [
        0xE703_7ED1_A0B4_28DB,
        0x8EBC_6AF0_9C88_C6E3,
        0x5899_65CC_7537_4CC3,
        0x1D8E_4E27_C47D_124F,
        0xEB44_ACCA_B455_D165,
        0x9C6E_6877_736C_46E3,
        0x2127_599B_F432_5C37,
        0x8808_65BB_1C8F_5A6D,
    ];
    let mut sum = 0u64;
    for (word, key) in words.iter().zip(KEYS) {
        let keyed = word ^ key;
        let product = (keyed & u64::from(u32::MAX)) * (keyed >> 32);
        sum = sum.wrapping_add(product).wrapping_add(*word);
    }
    fold_multiply(sum ^ hash, MIX)
}

/// The first eight bytes of a text, ASCII letters in lower case; all of it, given its length, if it has no more.
#[inline]
pub(crate) fn head(bytes: &[u8]) -> u64 {
    lower(match bytes.first_chunk::<8>() {
        Some(first) => u64::from_le_bytes(*first),
        None => short(bytes),
    })
}

/// Whether two texts of the same length, more than eight bytes, are the same behind their heads but for the case of ASCII
/// letters.
#[inline]
pub(crate) fn same_behind_head(left: &[u8], right: &[u8]) -> bool {
    let pairs = left.chunks_exact(8).zip(right.chunks_exact(8)).skip(1);
    let mut same = pairs.fold(true, |same, (left, right)| {
        same & (lower(eight(left)) == lower(eight(right)))
    });
    if let (Some(left), Some(right)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        same &= lower(u64::from_le_bytes(*left)) == lower(u64::from_le_bytes(*right));
    }
    same
}

/// Less than eight bytes as a number.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    match bytes {
        [] => 0,
        [first, .., last] => {
            u64::from(*first) << 16 | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last)
        }
        [only] => u64::from(*only),
    }
}

#[inline(always)]
fn eight(chunk: &[u8]) -> u64 {
    u64::from_le_bytes(*chunk.first_chunk().expect("split off at eight bytes"))
}

/// Binds a hash to the place and the purpose it is looked up for.
#[inline]
pub(crate) fn bind(hash: u64, place: u32, purpose: u32) -> u64 {
    fold_multiply(
        hash ^ LENGTH,
        MIX ^ (u64::from(place) << 32 | u64::from(purpose)).wrapping_mul(START),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_letters_hash_regardless_of_case() {
        let all: Vec<u8> = (0..128).collect();
        assert_eq!(
            text(&all.to_ascii_lowercase()),
            text(&all.to_ascii_uppercase())
        );
        for length in 0..40 {
            let upper = vec![b'Q'; length];
            assert_eq!(text(&upper), text(&upper.to_ascii_lowercase()));
        }
    }

    #[test]
    fn chunks_hash_as_the_text_they_are() {
        let bytes: [u8; 128] = std::array::from_fn(|at| b'A' + (at % 64) as u8);
        let (first, second) = bytes.split_first_chunk().unwrap();
        let second = second.first_chunk().unwrap();
        for length in 0..=64 {
            let (kept, hash) = chunk(seed(length), first, length);
            assert_eq!(hash, text(&bytes[..length]));
            assert_eq!(hash, folded(&kept, length));
            assert_eq!(kept[..length], bytes[..length].to_ascii_lowercase());
            assert!(kept[length..].iter().all(|byte| *byte == 0));
        }
        for length in 65..=128 {
            let (_, hash) = chunk(seed(length), first, length);
            let (_, hash) = chunk(hash, second, length - 64);
            assert_eq!(hash, text(&bytes[..length]));
        }
    }

    #[test]
    fn every_byte_counts() {
        for length in 1..140 {
            let plain = vec![b'_'; length];
            for position in 0..length {
                let mut changed = plain.clone();
                changed[position] = b'-';
                assert_ne!(text(&plain), text(&changed), "{length} {position}");
            }
        }
        // Only letters have cases: these differ in the same bit.
        for (left, right) in [
            (b"@", b"`"),
            (b"[", b"{"),
            (b"\x80", b"\xA0"),
            (b"\xC1", b"\xE1"),
        ] {
            assert_ne!(text(left), text(right));
        }
    }

    #[test]
    fn places_and_purposes_are_apart() {
        let mut seen = std::collections::HashSet::new();
        for place in 0..200 {
            for purpose in 0..50 {
                assert!(seen.insert(bind(text(b"high"), place, purpose)));
            }
        }
    }
}
