use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use crate::refusal::Refusal;

/// One of the JSON values of a text, with its place among them where there are several.
pub(super) struct Parsed {
    pub(super) place: Option<usize>,
    pub(super) value: Result<Value, Refusal>,
}

/// Reads bytes as text: UTF-8, or UTF-16 with a byte order mark as some shells save it.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, Refusal> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Refusal::new(
            "",
            "is compressed with gzip; send it unpacked",
        ));
    }
    let wide = |units: fn([u8; 2]) -> u16| -> Result<String, Refusal> {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Refusal::new("", "is cut off within a UTF-16 character"));
        }
        char::decode_utf16(pairs.iter().copied().map(units))
            .collect::<Result<_, _>>()
            .map_err(|_| Refusal::new("", "is no valid UTF-16"))
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Refusal> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|error| {
            let place = error.valid_up_to();
            Refusal::new("", format!("is no UTF-8 text: byte {place} is not valid"))
        })
}

/// Decodes base64 of either alphabet, padded or not, with or without line breaks.
pub(super) fn unbase64(text: &str) -> Result<Vec<u8>, String> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: String = text
        .chars()
        .filter(|char| !char.is_ascii_whitespace())
        .collect();
    let alphabet = if compact.contains(['-', '_']) {
        &base64::alphabet::URL_SAFE
    } else {
        &base64::alphabet::STANDARD
    };
    GeneralPurpose::new(alphabet, LENIENT)
        .decode(&compact)
        .map_err(|error| format!("is no base64: {}", lower_first(&error.to_string())))
}

/// Reads a JSON value, several one after another, or one a line; a bad line does not spoil the others.
pub(super) fn parse(text: &str) -> Vec<Parsed> {
    if text.trim().is_empty() {
        return vec![Parsed {
            place: None,
            value: Err(Refusal::new("", "is empty")),
        }];
    }
    match serde_json::from_str(text) {
        Ok(value) => vec![Parsed {
            place: None,
            value: Ok(value),
        }],
        Err(error) => match several(text) {
            Some(values) => values
                .into_iter()
                .enumerate()
                .map(|(index, value)| Parsed {
                    place: Some(index),
                    value,
                })
                .collect(),
            None => vec![Parsed {
                place: None,
                value: Err(refusal(&error)),
            }],
        },
    }
}

/// Values one after another, if the first is whole: so that a lone broken value is reported as one.
fn several(text: &str) -> Option<Vec<Result<Value, Refusal>>> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let is_container = |value: &Value| value.is_object() || value.is_array();
    // The cheap test first: a large value over many lines, cut off, is no list of lines.
    let all_open = lines
        .iter()
        .all(|line| line.trim_start().starts_with(['{', '[']));
    if lines.len() > 1
        && all_open
        && lines
            .iter()
            .any(|line| serde_json::from_str::<Value>(line).is_ok_and(|value| is_container(&value)))
    {
        return Some(
            lines
                .iter()
                .map(|line| serde_json::from_str(line).map_err(|error| refusal(&error)))
                .collect(),
        );
    }
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let failed = value.is_err();
        values.push(value.map_err(|error| refusal(&error)));
        if failed {
            break;
        }
    }
    (values.len() > 1 && values.iter().flatten().all(is_container)).then_some(values)
}

fn refusal(error: &serde_json::Error) -> Refusal {
    // serde_json stops at 128 levels, well before the stack would end.
    if error.to_string().starts_with("recursion limit exceeded") {
        return Refusal::new("", "is nested too deeply: more than 127 levels");
    }
    Refusal::new("", format!("is no JSON: {error}"))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + chars.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Vec<String> {
        parse(text)
            .into_iter()
            .map(|parsed| match parsed.value {
                Ok(value) => value.to_string(),
                Err(refusal) => refusal.reason,
            })
            .collect()
    }

    #[test]
    fn one_value_lines_and_values_without_a_break_are_read() {
        assert_eq!(shapes(" {\"a\":1}\n"), ["{\"a\":1}"]);
        assert_eq!(
            shapes("{\"a\":1}\n{\"b\":2}\r\n\n"),
            ["{\"a\":1}", "{\"b\":2}"]
        );
        assert_eq!(shapes("{\"a\":1}{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(
            shapes("{\n\"a\":1}\n{\"b\":\n2}"),
            ["{\"a\":1}", "{\"b\":2}"]
        );
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_others() {
        let read = shapes("{\"a\":1}\n{\"b\":\n{\"c\":3}");
        assert_eq!(read.len(), 3);
        assert_eq!(read[2], "{\"c\":3}");
        assert!(read[1].starts_with("is no JSON"), "{}", read[1]);
    }

    #[test]
    fn a_cut_value_is_refused_once() {
        let read = shapes("{\"a\": {\n\"b\": 1\n");
        assert_eq!(read.len(), 1);
        assert!(read[0].contains("EOF"), "{}", read[0]);
    }

    #[test]
    fn depth_is_limited() {
        let deep = "[".repeat(100_000);
        assert_eq!(
            shapes(&deep),
            ["is nested too deeply: more than 127 levels"]
        );
    }

    #[test]
    fn byte_order_marks_and_utf16_are_understood() {
        assert_eq!(text_of(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(text_of(b"\xff\xfe{\0}\0").unwrap(), "{}");
        assert_eq!(text_of(b"\xfe\xff\0{\0}").unwrap(), "{}");
        assert!(text_of(b"\xff\xfe{").is_err());
        assert_eq!(
            text_of(b"{\xff}").unwrap_err().reason,
            "is no UTF-8 text: byte 1 is not valid"
        );
        assert!(
            text_of(b"\x1f\x8b\x08")
                .unwrap_err()
                .reason
                .contains("gzip")
        );
    }

    #[test]
    fn base64_is_read_in_both_alphabets_and_without_padding() {
        for text in [
            "eyJhIjoiPz8_In0=",
            "eyJhIjoiPz8/In0",
            "eyJh\nIjoiPz8/In0=\n",
        ] {
            assert_eq!(unbase64(text).unwrap(), b"{\"a\":\"???\"}");
        }
        assert!(unbase64("{\"a\"").unwrap_err().starts_with("is no base64"));
    }
}
