use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::time::Duration;

/// Longest pause that a target can ask for.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.
///
/// What is neither is ignored, and so is a date that has passed; more than [`LONGEST`] counts as [`LONGEST`].
pub(crate) fn read(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number beyond the range of u64 cannot be read.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let until = rfc2822::parse(value).ok()?.timestamp();
    let pause = Duration::try_from(until.duration_since(now)).ok()?;
    (!pause.is_zero()).then(|| pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn seconds_are_read_and_bounded() {
        for (value, seconds) in [
            ("0", 0),
            ("30", 30),
            (" 120 ", 120),
            ("86401", 86_400),
            ("99999999999999999999999999", 86_400),
        ] {
            assert_eq!(
                read(value, now()),
                Some(Duration::from_secs(seconds)),
                "{value}"
            );
        }
    }

    #[test]
    fn a_date_counts_from_now() {
        assert_eq!(
            read("Sun, 22 Nov 2026 12:01:30 GMT", now()),
            Some(Duration::from_secs(90))
        );
        assert_eq!(read("Wed, 22 Nov 2028 12:00:00 GMT", now()), Some(LONGEST));
    }

    #[test]
    fn what_is_neither_is_ignored() {
        for value in [
            "",
            "-5",
            "+5",
            "1.5",
            "1e3",
            "soon",
            "30s",
            "Sun, 22 Nov 2026 11:59:59 GMT",
            "Sun, 31 Feb 2027 12:00:00 GMT",
            "٣",
        ] {
            assert_eq!(read(value, now()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_yields_more_than_the_longest_pause(value in any::<String>()) {
            prop_assert!(read(&value, now()).unwrap_or_default() <= LONGEST);
        }

        #[test]
        fn no_number_yields_more_than_the_longest_pause(value in "[0-9]{1,40}") {
            prop_assert!(read(&value, now()).unwrap() <= LONGEST);
        }
    }
}
