/// Finds the name that was probably meant: the nearest one, if it is near enough.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST {
        return None;
    }
    let folded = folded(given);
    known
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::osa_distance(&folded, &self::folded(name)), name))
        .filter(|(distance, name)| {
            // Of one letter no edit leaves anything.
            let letters = folded.chars().count().min(name.chars().count());
            (*distance == 0 || letters > 1)
                && *distance * 3 <= folded.chars().count().max(name.chars().count()).max(3)
        })
        .min_by_key(|(distance, name)| (*distance, name.len().abs_diff(given.len())))
        .map(|(_, name)| name)
}

/// Longer names are not compared: the distance takes time with the square of the length.
const LONGEST: usize = 80;

fn folded(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near_and_other_words_are_not() {
        let known = [
            "automation",
            "trigger",
            "description",
            "high",
            "in",
            "expires",
        ];
        let near = |given| nearest(given, known);
        assert_eq!(near("triger"), Some("trigger"));
        assert_eq!(near("hgih"), Some("high"));
        assert_eq!(near("Expires"), Some("expires"));
        assert_eq!(near("colour"), None);
        assert_eq!(near("i"), None);
        assert_eq!(nearest("x", ["y", "X", "xy"]), Some("X"));
        assert_eq!(nearest("ab", ["b"]), None);
        assert_eq!(near(&"x".repeat(200)), None);
    }
}
