use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use crate::fold::fold;

/// The longest text that is, but for case, a part of whatever an expression matches, folded.
///
/// Alternatives and classes require no text; an expression that has nothing else is tried on every value.
pub(crate) fn required(pattern: &str) -> Option<String> {
    // Parsed as case-sensitive, so that letters stay letters; what is required then is required regardless of case too.
    let hir = ParserBuilder::new()
        .nest_limit(64)
        .build()
        .parse(pattern)
        .ok()?;
    let mut longest = String::new();
    gather(&hir, &mut longest);
    (!longest.is_empty()).then_some(longest)
}

fn gather(hir: &Hir, longest: &mut String) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            // An expression over text may still hold a literal of raw bytes.
            if let Ok(text) = std::str::from_utf8(&literal.0) {
                let folded = fold(text);
                if folded.len() > longest.len() {
                    *longest = folded;
                }
            }
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| gather(part, longest)),
        HirKind::Capture(capture) => gather(&capture.sub, longest),
        HirKind::Repetition(repetition) if repetition.min > 0 => gather(&repetition.sub, longest),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_required_text_is_found() {
        assert_eq!(required("^Ransom.*Note$").as_deref(), Some("ransom"));
        assert_eq!(required("a(bcd)+e?").as_deref(), Some("bcd"));
        assert_eq!(required(r"\d+\.AWS").as_deref(), Some(".aws"));
        for free in ["(?i)abc", "x|y", "x*", "", "[ab]"] {
            assert_eq!(required(free), None, "{free}");
        }
    }
}
