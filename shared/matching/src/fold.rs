use std::cmp::Ordering;

/// Maps a character to the one that stands for all its case variants.
///
/// This is Unicode's *simple* case folding (one character to one character, `CaseFolding.txt` statuses C and S), the
/// same relation that a case-insensitive regular expression uses. So `K`, `k` and the Kelvin sign are one; `Σ`, `σ` and
/// `ς` are one; `ß` and `ẞ` are one but are not `ss`; the Turkish `İ` and `ı` are neither `I` nor `i`. Because a
/// character never becomes two, the folding of a text is the folding of its parts, and "contains", "starts with" and
/// "ends with" mean what they say. Texts are not normalised: `é` and `e` with a combining accent differ.
///
/// ```
/// use quench_matching::fold_char;
///
/// assert_eq!(fold_char('K'), fold_char('\u{212A}'));
/// assert_eq!(fold_char('Σ'), fold_char('ς'));
/// assert_ne!(fold_char('ı'), fold_char('i'));
/// ```
#[must_use]
#[inline]
pub fn fold_char(c: char) -> char {
    match c {
        '\0'..='\x7F' => c.to_ascii_lowercase(),
        // What texts beyond ASCII mostly have: letters of Western Europe, and East Asian writing, which knows no case.
        'À'..='Ö' | 'Ø'..='Þ' => char::from(c as u8 + 0x20),
        'ß'..='ÿ' | '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{D7FF}' => c,
        _ => fold_wide(c),
    }
}

fn fold_wide(c: char) -> char {
    match c {
        // Upper-casing would send the dotless i to `I`; simple folding leaves it alone.
        'ı' => return c,
        // Spelled twice in Unicode; their upper case is several characters, so it cannot bring them together.
        '\u{1FD3}' => return '\u{390}',
        '\u{1FE3}' => return '\u{3B0}',
        '\u{FB05}' => return '\u{FB06}',
        _ => {}
    }
    // Through upper case, because some letters have several lower-case forms (`σ` and `ς`, `s` and `ſ`).
    let lower = only(c.to_lowercase()).unwrap_or(c);
    let upper = only(lower.to_uppercase()).unwrap_or(lower);
    only(upper.to_lowercase()).unwrap_or(upper)
}

/// The one character of a mapping, or nothing if it maps to several.
fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next()?;
    mapped.next().is_none().then_some(first)
}

/// Folds a text character by character, as [`fold_char`] does.
///
/// ```
/// assert_eq!(quench_matching::fold("Straße ΟΔΟΣ"), quench_matching::fold("STRAẞE οδος"));
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.chars().map(fold_char).collect()
    }
}

/// Appends the folding of `text`, as UTF-8, to `folded`.
pub(crate) fn fold_into(text: &str, folded: &mut Vec<u8>) {
    if text.is_ascii() {
        let start = folded.len();
        folded.extend_from_slice(text.as_bytes());
        folded[start..].make_ascii_lowercase();
    } else {
        for c in text.chars().map(fold_char) {
            folded.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Whether two texts are the same but for case.
pub(crate) fn same(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        left.eq_ignore_ascii_case(right)
    } else {
        left.chars()
            .map(fold_char)
            .cmp(right.chars().map(fold_char))
            == Ordering::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

    #[test]
    fn the_short_ways_lead_where_the_long_one_does() {
        for c in '\u{80}'..=char::MAX {
            assert_eq!(fold_char(c), fold_wide(c), "{c:?}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for c in '\0'..=char::MAX {
            assert_eq!(fold_char(fold_char(c)), fold_char(c), "{c:?}");
        }
    }

    /// The relation of the regex engine is Unicode's simple folding; ours must be the same one.
    #[test]
    fn folding_agrees_with_regular_expressions() {
        // Letters that the standard library knows and the tables of the regex engine do not have yet.
        let too_new = regex::Regex::new(r"^\p{Cn}$").unwrap();
        let mut differing = Vec::new();
        for c in '\0'..=char::MAX {
            let folded = fold_char(c);
            let mut orbit = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
            orbit.case_fold_simple();
            let members: Vec<char> = orbit
                .iter()
                .flat_map(|range| range.start()..=range.end())
                .collect();
            let differs =
                !members.contains(&folded) || members.iter().any(|m| fold_char(*m) != folded);
            if differs && !too_new.is_match(c.encode_utf8(&mut [0; 4])) {
                differing.push(format!("{c} U+{:04X} {members:?}", c as u32));
            }
        }
        assert_eq!(differing, Vec::<String>::new());
    }

    #[test]
    fn well_known_letters_fold_as_documented() {
        for (left, right) in [
            ("K", "\u{212A}"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ß", "ẞ"),
            ("ſ", "S"),
            ("Å", "\u{212B}"),
        ] {
            assert!(same(left, right), "{left} {right}");
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        for (left, right) in [("ß", "ss"), ("İ", "i"), ("ı", "i"), ("é", "e\u{301}")] {
            assert!(!same(left, right), "{left} {right}");
        }
    }
}
