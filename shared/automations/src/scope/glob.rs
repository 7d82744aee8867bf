/// Whether a text fits a pattern in which `*` stands for any letters, none included.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a path lies at or below a pattern: part by part, `*` within a part.
pub(super) fn covers(pattern: &str, path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    pattern
        .trim_matches('/')
        .split('/')
        .all(|wanted| parts.next().is_some_and(|part| fits(wanted, part)))
}

#[cfg(test)]
mod tests {
    use super::{covers, fits};
    use proptest::prelude::*;

    /// The same by trying every length for each `*`.
    fn fits_slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| fits_slowly(rest, &text[taken..])),
            Some((letter, rest)) => text.first() == Some(letter) && fits_slowly(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_nothing_as_well() {
        assert!(fits("prod*", "prod"));
        assert!(fits("*", ""));
        assert!(!fits("a*a", "a"));
    }

    #[test]
    fn a_path_is_covered_by_whole_parts_only() {
        assert!(covers(
            "/subscriptions/1/resourcegroups/web",
            "/subscriptions/1/resourcegroups/web/providers/x"
        ));
        assert!(!covers(
            "/subscriptions/1/resourcegroups/web",
            "/subscriptions/1/resourcegroups/web-2"
        ));
        assert!(!covers(
            "/subscriptions/1/resourcegroups/web",
            "/subscriptions/1"
        ));
    }

    proptest! {
        #[test]
        fn quick_and_slow_agree(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &text), fits_slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
