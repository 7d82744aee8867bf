use super::Content;
use granit_parser::ScalarStyle;
use serde_json::Number;
use std::ops::Range;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes, with escapes.
    Double,
    /// As a block after `|` or `>`.
    Block,
}

impl From<ScalarStyle> for Style {
    fn from(style: ScalarStyle) -> Self {
        match style {
            ScalarStyle::Plain => Self::Plain,
            ScalarStyle::SingleQuoted => Self::Single,
            ScalarStyle::DoubleQuoted => Self::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Self::Block,
        }
    }
}

/// Largest whole number that every JSON reader keeps exactly.
const LARGEST: u64 = 1 << 53;

/// Reads a scalar by the core schema of YAML 1.2, but keeps digits with leading zeros as text, for they are account
/// numbers and the like.
///
/// The error is a message and a help.
pub(super) fn resolve(
    text: &str,
    style: ScalarStyle,
    tagged: bool,
) -> Result<Content, (String, String)> {
    if style != ScalarStyle::Plain || tagged {
        return Ok(Content::Text(text.to_owned(), style.into()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => match number(text)? {
            Some(number) => Content::Number(number),
            None => Content::Text(text.to_owned(), Style::Plain),
        },
    })
}

fn number(text: &str) -> Result<Option<Number>, (String, String)> {
    let too_large = || {
        Err((
            format!("the number `{text}` is too large to be kept exactly"),
            format!("put it in quotes to keep it as text: `\"{text}\"`"),
        ))
    };
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = if let Some(hex) = text.strip_prefix("0x") {
        Some((hex, 16))
    } else if let Some(octal) = text.strip_prefix("0o") {
        Some((octal, 8))
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e', 'E']) {
        None
    } else {
        Some((digits, 10))
    };
    let Some((digits, radix)) = magnitude else {
        return Ok(None);
    };
    if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
        return match u64::from_str_radix(digits, radix) {
            Ok(value) if value <= LARGEST => {
                let value = i64::try_from(value).expect("at most 2^53");
                Ok(Some(Number::from(if negative { -value } else { value })))
            }
            _ => too_large(),
        };
    }
    if !is_decimal(digits) {
        return Ok(None);
    }
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => Ok(Some(number)),
        None => too_large(),
    }
}

/// `[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?` or the like that begins with a point.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    (!whole.is_empty() || !fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && exponent_fits
}

/// Finds where a part of a scalar's text is written, by walking the text and its spelling side by side.
pub(super) fn locate(
    file: &str,
    span: &Range<usize>,
    style: Style,
    text: &str,
    part: Range<usize>,
) -> Range<usize> {
    let raw = &file[span.clone()];
    // A block's span begins with its first line, behind the `|` or `>`.
    let skip = match style {
        Style::Plain | Style::Block => 0,
        Style::Single | Style::Double => 1,
    };
    let mut walk = Walk {
        raw,
        at: skip.min(raw.len()),
        style,
    };
    let mut start = None;
    let mut offset = 0;
    for expected in text.chars() {
        if offset > part.start && offset >= part.end {
            break;
        }
        let spelled = walk.next(expected);
        if offset >= part.start && start.is_none() {
            start = Some(spelled.start);
        }
        offset += expected.len_utf8();
    }
    let end = span.start + walk.at;
    let start = span.start + start.unwrap_or(walk.at);
    start..end.max(start)
}

struct Walk<'a> {
    raw: &'a str,
    at: usize,
    style: Style,
}

impl Walk<'_> {
    /// Steps over the spelling of one character, and says where that is.
    fn next(&mut self, expected: char) -> Range<usize> {
        loop {
            let rest = &self.raw[self.at..];
            let Some(found) = rest.chars().next() else {
                return self.at..self.at;
            };
            let length = match (self.style, found) {
                (Style::Double, '\\') => {
                    let escape = escape_length(rest);
                    if rest[1..].starts_with(['\n', '\r']) {
                        self.at += escape;
                        continue;
                    }
                    escape
                }
                (Style::Single, '\'') if rest.starts_with("''") => 2,
                _ if found == expected => found.len_utf8(),
                // Indentation, and line breaks that were folded away.
                _ if found.is_whitespace() => {
                    self.at += found.len_utf8();
                    continue;
                }
                // A line break that became a blank.
                _ if expected.is_whitespace() => return self.at..self.at,
                _ => found.len_utf8(),
            };
            let start = self.at;
            self.at = (self.at + length).min(self.raw.len());
            return start..self.at;
        }
    }
}

fn escape_length(rest: &str) -> usize {
    let wanted = match rest[1..].chars().next() {
        Some('x') => 4,
        Some('u') => 6,
        Some('U') => 10,
        Some(other) => 1 + other.len_utf8(),
        None => 1,
    };
    let mut length = wanted.min(rest.len());
    while !rest.is_char_boundary(length) {
        length -= 1;
    }
    length
}
