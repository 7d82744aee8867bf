use super::Source;
use crate::diagnostics::Diagnostic;
use crate::load::{SourceFile, struck_out};

/// Reads the bytes of a file as UTF-8, with or without a byte order mark.
pub(crate) fn decode(path: String, bytes: &[u8]) -> Result<SourceFile, Box<Diagnostic>> {
    if let Some(encoding) = wide_encoding(bytes) {
        let source = Source::new(&path, "");
        return Err(Box::new(
            source
                .error(0..0, format!("the file is {encoding}, not UTF-8"))
                .with_help("save it again as UTF-8"),
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(SourceFile {
            path,
            text: text.to_owned(),
        }),
        Err(error) => {
            let good = error.valid_up_to();
            let text = String::from_utf8_lossy(bytes);
            let source = Source {
                path: path.into(),
                shown: struck_out(&text, &[], true).into(),
                text: text.into(),
            };
            Err(Box::new(
                source
                    .error(
                        good..good,
                        format!("byte {:#04x} is not UTF-8", bytes[good]),
                    )
                    .with_help("save the file again as UTF-8"),
            ))
        }
    }
}

/// Tells UTF-16 and UTF-32 by their marks, or by the zero bytes that ASCII text has in them.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            Some("UTF-32")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, _, 0, ..] | [0, _, 0, _, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// Finds the first character that YAML forbids.
pub(super) fn forbidden_character(source: &Source) -> Option<Diagnostic> {
    let (at, found) = source.text.char_indices().find(|(_, c)| {
        matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}')
            || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    })?;
    Some(
        source
            .error(
                at..at,
                format!(
                    "character U+{:04X} is not allowed in YAML",
                    u32::from(found)
                ),
            )
            .with_help("remove it; inside double quotes it can be written as an escape"),
    )
}
