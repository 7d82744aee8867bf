//! Texts as attributes: short ones as they are, long ones compressed, since DynamoDB charges by the kilobyte.

use super::item::{Attribute, unreadable};
use crate::store::StoreError;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::cell::RefCell;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

/// Below this many bytes, compressing saves nothing that is charged for.
const SHORT: usize = 512;
/// Most bytes that a text may have: far more than any that is ever stored.
const LONGEST: usize = 256 << 20;

thread_local! {
    /// Compresses with little work, since most texts have some kilobytes, and writes nothing about the text, as a negative
    /// window asks for. It is kept, for it takes longer to get its 150 KB from the system than to compress a text.
    static COMPRESSOR: RefCell<Deflate> = RefCell::new(Deflate::new_with_config(DeflateConfig {
        level: 2,
        window_bits: -12,
        mem_level: 6,
        method: Method::Deflated,
        strategy: Strategy::Default,
    }));
}

/// A text, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Packed {
    Plain(String),
    Deflated(Vec<u8>),
}

impl Packed {
    pub(super) fn of(text: String) -> Packed {
        if text.len() < SHORT {
            return Packed::Plain(text);
        }
        Packed::Deflated(deflate(text.as_bytes()))
    }

    /// How many bytes are charged for.
    pub(super) fn len(&self) -> usize {
        match self {
            Packed::Plain(text) => text.len(),
            Packed::Deflated(bytes) => bytes.len(),
        }
    }

    pub(super) fn into_attribute(self) -> Attribute {
        match self {
            Packed::Plain(plain) => Attribute::Text(plain),
            Packed::Deflated(deflated) => Attribute::Bytes(deflated),
        }
    }

    /// Reads what an attribute holds.
    pub(super) fn read(what: &str, value: &Attribute) -> Result<Packed, StoreError> {
        match value {
            Attribute::Text(plain) => Ok(Packed::Plain(plain.clone())),
            Attribute::Bytes(deflated) => Ok(Packed::Deflated(deflated.clone())),
            _ => Err(unreadable(what, "it is neither text nor bytes")),
        }
    }

    /// The text itself.
    pub(super) fn text(self, what: &str) -> Result<String, StoreError> {
        match self {
            Packed::Plain(text) => Ok(text),
            Packed::Deflated(bytes) => inflate(what, &bytes),
        }
    }

    /// Compressed, however short it is.
    pub(super) fn into_deflated(self) -> Vec<u8> {
        match self {
            Packed::Plain(text) => deflate(text.as_bytes()),
            Packed::Deflated(bytes) => bytes,
        }
    }
}

/// The text of an attribute.
pub(super) fn unpack(what: &str, value: &Attribute) -> Result<String, StoreError> {
    Packed::read(what, value)?.text(what)
}

fn deflate(text: &[u8]) -> Vec<u8> {
    // As zlib bounds what does not get smaller, if its memory is small.
    let mut deflated = vec![0; text.len() + text.len() / 7 + 64];
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        loop {
            let (read, written) = (compressor.total_in(), compressor.total_out());
            let rest = &text[read as usize..];
            let room = &mut deflated[written as usize..];
            match compressor.compress(rest, room, DeflateFlush::Finish) {
                Ok(Status::StreamEnd) => break,
                // The room was too small.
                Ok(Status::Ok | Status::BufError) => deflated.resize(2 * deflated.len(), 0),
                Err(error) => unreachable!("a compressor takes any text: {error:?}"),
            }
        }
        deflated.truncate(compressor.total_out() as usize);
    });
    deflated.shrink_to_fit();
    deflated
}

/// The text of compressed bytes.
pub(super) fn inflate(what: &str, bytes: &[u8]) -> Result<String, StoreError> {
    let inflated = decompress_to_vec_with_limit(bytes, LONGEST)
        .map_err(|error| unreadable(what, &format!("it cannot be decompressed: {error}")))?;
    String::from_utf8(inflated).map_err(|_| unreadable(what, "it is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::noise;

    #[test]
    fn texts_of_any_length_come_back_as_they_were() {
        for length in [0, 1, SHORT - 1, SHORT, 10_000, 3 << 20] {
            let text: String = "a finding, ".chars().cycle().take(length).collect();
            let packed = Packed::of(text.clone());
            if length > SHORT {
                assert!(packed.len() < length / 10, "{length}: {}", packed.len());
            }
            assert_eq!(unpack("text", &packed.into_attribute()).unwrap(), text);
        }
    }

    #[test]
    fn texts_that_do_not_get_smaller_come_back_as_well() {
        for length in [SHORT, 5_000, 300_000] {
            let text = noise(length);
            let packed = Packed::of(text.clone());
            assert!(packed.len() > length * 3 / 4);
            assert_eq!(unpack("text", &packed.into_attribute()).unwrap(), text);
        }
    }

    #[test]
    fn what_is_damaged_is_told_and_not_taken_for_a_text() {
        let Packed::Deflated(mut bytes) = Packed::of("a finding, ".repeat(100)) else {
            panic!("it is long enough");
        };
        bytes.truncate(bytes.len() / 2);
        let told = inflate("finding", &bytes).unwrap_err();
        assert!(!told.is_transient());
        assert!(told.to_string().contains("a stored finding cannot be read"));
    }
}
