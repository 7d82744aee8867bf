//! Hashing of texts regardless of case, eight bytes at a time.
//!
//! The function is fixed, so that compiling is deterministic. Its table is filled by rules only; documents merely look
//! things up, so a document cannot make it slow.

const START: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;
const LENGTH: u64 = 0xA076_1D64_78BD_642F;

/// Multiplies to 128 bits and folds the halves together.
#[inline]
pub(crate) fn fold_multiply(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Lower-cases the ASCII letters among eight bytes.
#[inline]
pub(crate) fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (0x7F * EACH);
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let past_z = low + (0x7F - b'Z' as u64) * EACH;
    let upper = (from_a ^ past_z) & !bytes & (0x80 * EACH);
    bytes | (upper >> 2)
}

/// The hash of a text that is ASCII, or folded already; ASCII letters count as lower case.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> u64 {
    let mut hash = START ^ (bytes.len() as u64).wrapping_mul(LENGTH);
    let mut rest = bytes;
    while rest.len() > 8 {
        let (chunk, behind) = rest.split_at(8);
        hash = fold_multiply(hash ^ lower(eight(chunk)), MIX);
        rest = behind;
    }
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => short(bytes),
    };
    fold_multiply(hash ^ lower(last), MIX)
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

#[inline]
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
    fn every_byte_counts() {
        for length in 1..40 {
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
