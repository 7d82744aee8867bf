use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use crate::fold::fold;

/// The texts that are, but for case, parts of whatever an expression matches, folded.
///
/// Alternatives and classes require no text; an expression that has nothing else is tried on every value.
pub(crate) fn required(pattern: &str) -> Vec<Box<str>> {
    // Parsed as case-sensitive, so that letters stay letters; what is required then is required regardless of case too.
    let mut found = Vec::new();
    if let Ok(hir) = ParserBuilder::new().nest_limit(64).build().parse(pattern) {
        gather(&hir, &mut found);
    }
    found
}

fn gather(hir: &Hir, found: &mut Vec<Box<str>>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            // An expression over text may still hold a literal of raw bytes.
            if let Ok(text) = std::str::from_utf8(&literal.0) {
                found.push(fold(text).into_boxed_str());
            }
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| gather(part, found)),
        HirKind::Capture(capture) => gather(&capture.sub, found),
        HirKind::Repetition(repetition) if repetition.min > 0 => gather(&repetition.sub, found),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Vec<String> {
        required(pattern).into_iter().map(String::from).collect()
    }

    #[test]
    fn required_texts_are_found() {
        assert_eq!(texts("^Ransom.*Note$"), ["ransom", "note"]);
        assert_eq!(texts("a(bcd)+e?"), ["a", "bcd"]);
        assert_eq!(texts(r"\d+\.AWS"), [".aws"]);
        for free in ["(?i)abc", "x|y", "x*", "", "[ab]"] {
            assert!(texts(free).is_empty(), "{free}");
        }
    }
}
