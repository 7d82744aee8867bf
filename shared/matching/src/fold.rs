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
        // What texts beyond ASCII mostly have: letters of Western Europe, Greek and Cyrillic ones, dashes and quotes, East
        // Asian writing, which knows no case, and pictographs.
        'À'..='Ö' | 'Ø'..='Þ' | 'Α'..='Ρ' | 'Σ'..='Ω' | 'А'..='Я' => shifted(c, 0x20),
        'Ѐ'..='Џ' => shifted(c, 0x50),
        'ß'..='ÿ'
        | 'α'..='ρ'
        | 'σ'..='ω'
        | 'а'..='џ'
        | '\u{2010}'..='\u{205E}'
        | '\u{2E80}'..='\u{A63F}'
        | '\u{AC00}'..='\u{D7FF}'
        | '\u{1F300}'..='\u{1FAFF}' => c,
        _ => fold_wide(c),
    }
}

/// The character so many places further.
#[inline]
fn shifted(c: char, by: u32) -> char {
    char::from_u32(c as u32 + by).unwrap_or(c)
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
    let mut rest = text;
    loop {
        let (ascii, behind) = rest.split_at(ascii_length(rest.as_bytes()));
        let start = folded.len();
        folded.extend_from_slice(ascii.as_bytes());
        folded[start..].make_ascii_lowercase();
        let mut wide = behind.chars();
        loop {
            rest = wide.as_str();
            match wide.next() {
                None => return,
                Some(c) if c.is_ascii() => break,
                Some(c) => {
                    let folding = fold_char(c);
                    folded.extend_from_slice(folding.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }
}

/// How many bytes come before the first that is not ASCII.
fn ascii_length(bytes: &[u8]) -> usize {
    const BEYOND: u64 = 0x8080_8080_8080_8080;
    let (eights, last) = bytes.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let beyond = u64::from_le_bytes(*eight) & BEYOND;
        if beyond != 0 {
            return 8 * at + beyond.trailing_zeros() as usize / 8;
        }
    }
    let beyond = last.iter().position(|byte| !byte.is_ascii());
    8 * eights.len() + beyond.unwrap_or(last.len())
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
    fn texts_fold_character_by_character() {
        let (plain, wide) = ("Unusual TRAFFIC, ", "Größe Ж\u{1F600}漢 ");
        for text in [plain, wide, "", "É", "aÉ", "Éa", &plain.repeat(9)] {
            for other in ["", "É", plain, wide] {
                let text = format!("{text}{other}{text}");
                let mut folded = b"before".to_vec();
                fold_into(&text, &mut folded);
                assert_eq!(folded, format!("before{}", fold(&text)).into_bytes());
            }
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
