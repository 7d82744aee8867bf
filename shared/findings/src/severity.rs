//! The severity maps of all sources, in one place.
//!
//! | source | read from | default where it is not said |
//! |---|---|---|
//! | GuardDuty | number: below 1 informational, below 4 low, below 7 medium, below 9 high, to 10 critical | none: refused |
//! | GuardDuty malware scan | that a threat was found: high, as of `Object:S3/MaliciousFile` | |
//! | GuardDuty coverage | healthy: informational; unhealthy: medium | |
//! | Security Hub (ASFF) | `Severity.Label`, else `Normalized`: 0 informational, to 39 low, to 69 medium, to 89 high, to 100 critical | medium |
//! | Security Hub insight results | nothing | informational |
//! | Config | nothing | medium |
//! | Inspector | word; `UNTRIAGED` is informational | none: refused |
//! | Macie | word, else score: 1 low, 2 medium, 3 high | none: refused |
//! | Access Analyzer | public: high; any other access, as Security Hub labels it: low | low |
//! | Trusted Advisor | status: ERROR high, WARN medium, OK informational | none: refused |
//! | Health | category: issue high, investigation medium, scheduled change low, notification informational; abuse high | informational |
//! | CloudTrail | nothing | informational |
//! | ECR, Inspector scan | the worst count above zero | informational |
//! | Defender alert, assessment, sub-assessment | word | alert: none, refused; others medium |
//! | Defender regulatory compliance | nothing | medium |
//! | Defender secure-score control | nothing | low |
//! | Google SCC | word, else the older `SeverityLevel` or `detectionPriority` | medium |
//! | OCSF | `severity_id`: 1 informational, 2 low, 3 medium, 4 high, 5 and 6 critical; else the word | medium |

use crate::Severity;

/// The words that several sources share, in any case.
pub(crate) const WORDS: &[(&str, Severity)] = &[
    ("Informational", Severity::Informational),
    ("Low", Severity::Low),
    ("Medium", Severity::Medium),
    ("High", Severity::High),
    ("Critical", Severity::Critical),
];

/// Looks up one of [`WORDS`].
pub(crate) fn of_word(word: &str) -> Option<Severity> {
    WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word.trim()))
        .map(|(_, severity)| *severity)
}

/// GuardDuty's number (its user guide, "Severity levels for GuardDuty findings"); none outside 0 to 10.
pub(crate) fn of_guardduty(number: f64) -> Option<Severity> {
    match number {
        _ if !(0.0..=10.0).contains(&number) => None,
        _ if number < 1.0 => Some(Severity::Informational),
        _ if number < 4.0 => Some(Severity::Low),
        _ if number < 7.0 => Some(Severity::Medium),
        _ if number < 9.0 => Some(Severity::High),
        _ => Some(Severity::Critical),
    }
}

/// Security Hub's `Severity.Normalized` (ASFF syntax, "Severity"); none outside 0 to 100.
pub(crate) fn of_normalized(number: f64) -> Option<Severity> {
    match number {
        _ if !(0.0..=100.0).contains(&number) => None,
        _ if number < 1.0 => Some(Severity::Informational),
        _ if number < 40.0 => Some(Severity::Low),
        _ if number < 70.0 => Some(Severity::Medium),
        _ if number < 90.0 => Some(Severity::High),
        _ => Some(Severity::Critical),
    }
}

/// OCSF's `severity_id`; `Ok(None)` for Unknown and Other, an error for ids outside the schema.
pub(crate) fn of_ocsf(id: i64) -> Result<Option<Severity>, ()> {
    match id {
        0 | 99 => Ok(None),
        1 => Ok(Some(Severity::Informational)),
        2 => Ok(Some(Severity::Low)),
        3 => Ok(Some(Severity::Medium)),
        4 => Ok(Some(Severity::High)),
        5 | 6 => Ok(Some(Severity::Critical)),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_each_scale_are_where_its_source_puts_them() {
        use Severity::{Critical, High, Informational, Low, Medium};
        for (number, expected) in [
            (0.0, Some(Informational)),
            (1.0, Some(Low)),
            (3.9, Some(Low)),
            (4.0, Some(Medium)),
            (6.9, Some(Medium)),
            (7.0, Some(High)),
            (8.9, Some(High)),
            (9.0, Some(Critical)),
            (10.0, Some(Critical)),
            (10.1, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(of_guardduty(number), expected, "{number}");
        }
        for (number, expected) in [
            (0.0, Some(Informational)),
            (1.0, Some(Low)),
            (39.0, Some(Low)),
            (40.0, Some(Medium)),
            (69.0, Some(Medium)),
            (70.0, Some(High)),
            (89.0, Some(High)),
            (90.0, Some(Critical)),
            (100.0, Some(Critical)),
            (101.0, None),
        ] {
            assert_eq!(of_normalized(number), expected, "{number}");
        }
        assert_eq!(of_ocsf(6), Ok(Some(Critical)));
        assert_eq!(of_ocsf(0), Ok(None));
        assert_eq!(of_ocsf(7), Err(()));
        assert_eq!(of_word(" HIGH"), Some(High));
        assert_eq!(of_word("hgih"), None);
    }
}
