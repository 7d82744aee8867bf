//! The fields that a finding's match document has.

use crate::bind::listed;
use crate::nearest::nearest;
use quench_findings::Kind;
use std::ops::Range;

/// What is under a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    /// Text: numbers in conditions are compared as they are written.
    Text,
    /// A number or a boolean.
    Plain,
    /// These and no others.
    Parts(&'static [(&'static str, Under)]),
    /// Whatever the source put there.
    Anything,
}

const RESOURCE: Under = Under::Parts(&[
    ("id", Under::Text),
    ("type", Under::Text),
    ("name", Under::Text),
    ("account", Under::Text),
    ("region", Under::Text),
    ("tags", Under::Anything),
]);

const ROOTS: &[(&str, Under)] = &[
    ("id", Under::Text),
    ("kind", Under::Text),
    ("source", Under::Text),
    ("type", Under::Text),
    ("title", Under::Text),
    ("description", Under::Text),
    ("severity", Under::Text),
    ("status", Under::Text),
    ("account", Under::Text),
    ("region", Under::Text),
    ("scope", Under::Text),
    ("resources", RESOURCE),
    ("resource", RESOURCE),
    (
        "compliance",
        Under::Parts(&[("standard", Under::Text), ("control", Under::Text)]),
    ),
    ("first_seen", Under::Text),
    ("last_seen", Under::Text),
    ("updated", Under::Text),
    (
        "remediation",
        Under::Parts(&[("text", Under::Text), ("url", Under::Text)]),
    ),
    (
        "links",
        Under::Parts(&[("title", Under::Text), ("url", Under::Text)]),
    ),
    ("parent", Under::Text),
    ("sample", Under::Plain),
    ("item", Under::Plain),
    ("raw", Under::Anything),
    ("defender", Under::Anything),
];

pub(super) const KINDS: [&str; 3] = ["alert", "recommendation", "compliance"];

pub(super) const SOURCES: [&str; 13] = [
    "guardduty",
    "security_hub",
    "config",
    "inspector",
    "macie",
    "access_analyzer",
    "trusted_advisor",
    "health",
    "cloudtrail",
    "ecr",
    "defender",
    "scc",
    "ocsf",
];

/// The statuses that findings of a kind can have, or all.
pub(super) fn statuses(kind: Option<Kind>) -> &'static [&'static str] {
    match kind {
        Some(Kind::Alert) => &["new", "in_progress", "resolved", "dismissed", "suppressed"],
        Some(Kind::Recommendation) => &["healthy", "unhealthy", "not_applicable", "suppressed"],
        Some(Kind::Compliance) => &["passed", "failed", "skipped", "unsupported", "suppressed"],
        None => &[
            "new",
            "in_progress",
            "resolved",
            "dismissed",
            "healthy",
            "unhealthy",
            "not_applicable",
            "passed",
            "failed",
            "skipped",
            "unsupported",
            "suppressed",
        ],
    }
}

/// Findings of a kind, in words.
pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Alert => "alerts",
        Kind::Recommendation => "recommendations",
        Kind::Compliance => "compliance findings",
    }
}

/// The names of a finding's own fields.
pub(super) fn roots() -> impl Iterator<Item = &'static str> {
    ROOTS.iter().map(|(name, _)| *name)
}

/// A field that no finding has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownField {
    /// The part of the path that is wrong.
    pub(super) part: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// Checks the names at the beginning of a path, as far as they are ours and not a source's. What is no path at all is
/// left to the matcher to refuse.
pub(super) fn check(path: &str) -> Result<(), UnknownField> {
    let mut known = Under::Parts(ROOTS);
    let mut owner = String::new();
    for (name, part) in segments(path) {
        let parts = match known {
            Under::Anything => return Ok(()),
            Under::Text | Under::Plain => {
                return Err(UnknownField {
                    part,
                    message: format!("`{owner}` is a plain value and has no `{name}`"),
                    help: format!("compare `{owner}` itself, or find `{name}` below `raw`"),
                });
            }
            Under::Parts(parts) => parts,
        };
        if !owner.is_empty() && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let folded = name.to_lowercase();
        match parts.iter().find(|(known, _)| *known == folded) {
            Some((_, under)) => known = *under,
            None => return Err(unknown(&name, part, &owner, parts)),
        }
        if !owner.is_empty() {
            owner.push('.');
        }
        owner.push_str(&folded);
    }
    Ok(())
}

fn unknown(
    name: &str,
    part: Range<usize>,
    owner: &str,
    parts: &[(&'static str, Under)],
) -> UnknownField {
    let names: Vec<&str> = parts
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "resource")
        .collect();
    let message = if owner.is_empty() {
        format!("unknown field `{name}`")
    } else {
        format!("`{owner}` has no field `{name}`")
    };
    let help = match (nearest(name, names.iter().copied()), owner) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, "") if name.eq_ignore_ascii_case("tags") => {
            "did you mean `resources.tags`?".to_owned()
        }
        (None, "") if name.eq_ignore_ascii_case("finding") => {
            "leave `finding.` out, such as `severity`".to_owned()
        }
        (None, "") => format!(
            "what the source sent is below `raw`, such as `raw.{name}`; fields of every finding are {}",
            listed(&names[..names.len() - 4])
        ),
        (None, _) => format!("it has {}", listed(&names)),
    };
    UnknownField {
        part,
        message,
        help,
    }
}

/// Tells whether a field holds text, so that a number compared with it is meant as text, too.
pub(super) fn is_text(path: &str) -> bool {
    let mut known = Under::Parts(ROOTS);
    for (name, _) in segments(path) {
        let Under::Parts(parts) = known else { break };
        let folded = name.to_lowercase();
        match parts.iter().find(|(known, _)| *known == folded) {
            Some((_, under)) => known = *under,
            None if name.bytes().all(|byte| byte.is_ascii_digit()) => {}
            None => return false,
        }
    }
    known == Under::Text
}

/// The names of a path with their places; an approximation of the matcher's own reading that is exact for plain names.
fn segments(path: &str) -> Vec<(String, Range<usize>)> {
    let skipped = if path.starts_with("$.") { 2 } else { 0 };
    let mut found = Vec::new();
    let mut start = skipped;
    for (at, c) in path
        .char_indices()
        .skip_while(|(at, _)| *at < skipped)
        .chain([(path.len(), '.')])
    {
        if matches!(c, '.' | '[' | ']' | '\'' | '"') {
            if at > start {
                found.push((path[start..at].to_owned(), start..at));
            }
            start = at + c.len_utf8();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use quench_findings::{Severity, Source, Status};
    use serde_json::json;

    fn help(path: &str) -> String {
        check(path).unwrap_err().help
    }

    #[test]
    fn our_fields_are_known_and_the_sources_own_are_not_judged() {
        for path in [
            "title",
            "Title",
            "$.severity",
            "resources.tags.tier",
            "resources[0].id",
            "resource.tags['aws:x.y']",
            "raw.detail.service.count",
            "defender.properties.status.code",
            "compliance.control",
            "links.0.url",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_its_place() {
        assert_eq!(help("titel"), "did you mean `title`?");
        assert_eq!(help("resources.tag.tier"), "did you mean `tags`?");
        assert_eq!(check("compliance.contol").unwrap_err().part, 11..17);
        assert_eq!(help("tags.owner"), "did you mean `resources.tags`?");
        assert!(help("detail.type").contains("`raw.detail`"));
        assert!(
            check("title.x")
                .unwrap_err()
                .message
                .contains("plain value")
        );
    }

    #[test]
    fn only_text_fields_hold_text() {
        assert!(is_text("account") && is_text("resources.id") && is_text("resources[0].account"));
        assert!(!is_text("sample") && !is_text("raw.count") && !is_text("resources.tags.cost"));
    }

    #[test]
    fn the_words_are_those_of_the_model() {
        for word in crate::bind::SEVERITIES {
            assert!(
                serde_json::from_value::<Severity>(json!(word)).is_ok(),
                "{word}"
            );
        }
        for word in SOURCES {
            assert!(
                serde_json::from_value::<Source>(json!(word)).is_ok(),
                "{word}"
            );
        }
        for word in KINDS {
            assert!(
                serde_json::from_value::<Kind>(json!(word)).is_ok(),
                "{word}"
            );
        }
        for word in statuses(None) {
            assert!(
                serde_json::from_value::<Status>(json!(word)).is_ok(),
                "{word}"
            );
        }
    }
}
