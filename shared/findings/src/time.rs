//! The formats in which sources write a moment.

use jiff::{SignedDuration, Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};
use serde_json::Value;

/// Moments before this are how some sources write "none" (year 1, or zero seconds since the epoch).
const EARLIEST_YEAR: i16 = 1971;

/// Reads a moment, in UTC where the payload names no zone. Known are:
///
/// - ISO 8601 and RFC 3339, also with a space for the `T` (Python's `str`), without a zone, or the date alone;
/// - seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by size, as number or text;
/// - RFC 1123 and 2822 (AWS Health);
/// - `Mar 20, 2023, 6:08:05 PM` and `Wed Sep 04 16:59:44.356 UTC 2024` (Inspector).
pub(crate) fn parse(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .and_then(from_epoch)
            .or_else(|| number.as_f64().and_then(from_epoch_fraction)),
        Value::String(text) => parse_text(text.trim()),
        _ => None,
    }
}

/// Says whether a value is one of the ways to say that there is no moment.
pub(crate) fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let text = text.trim();
            ["", "N/A", "None", "null", "-"]
                .iter()
                .any(|blank| blank.eq_ignore_ascii_case(text))
                || parse_text(text).is_some_and(is_before_all)
        }
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn is_before_all(time: Timestamp) -> bool {
    time.to_zoned(TimeZone::UTC).year() < EARLIEST_YEAR
}

fn parse_text(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text.len() > 64 || !text.is_ascii() && !text.contains('\u{202f}') {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() >= 9 {
        return text.parse().ok().and_then(from_epoch);
    }
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.len() >= 11
    {
        return text.parse().ok().and_then(from_epoch_fraction);
    }
    // Only English begins with a name; that of a day has a comma behind it in RFC 2822.
    match text.as_bytes() {
        [first, _, _, b',', ..] if first.is_ascii_alphabetic() => rfc_2822(text),
        [first, ..] if first.is_ascii_alphabetic() => english(text),
        _ => iso(text).or_else(|| rfc_2822(text)),
    }
}

fn rfc_2822(text: &str) -> Option<Timestamp> {
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(text).ok()
}

fn iso(text: &str) -> Option<Timestamp> {
    let text = &text.replacen(" UTC", "Z", 1);
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse().ok()?))
        .or_else(|| {
            // Python's `%z` writes the offset with a space or without a colon before it.
            let (head, offset) = text.rsplit_once(' ')?;
            format!("{head}{offset}").parse().ok()
        })
}

fn english(text: &str) -> Option<Timestamp> {
    let text = text.replace('\u{202f}', " ");
    [
        "%b %d, %Y, %I:%M:%S %p",
        "%a %b %d %H:%M:%S%.f UTC %Y",
        "%a %b %d %H:%M:%S%.f GMT %Y",
        "%a %b %d %H:%M:%S%.f %Y",
    ]
    .iter()
    .find_map(|format| utc(DateTime::strptime(format, &text).ok()?))
}

fn utc(local: DateTime) -> Option<Timestamp> {
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn from_epoch(count: i64) -> Option<Timestamp> {
    match count.unsigned_abs() {
        0..100_000_000_000 => Timestamp::from_second(count).ok(),
        100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(count).ok(),
        100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_microsecond(count).ok(),
        _ => Timestamp::from_nanosecond(i128::from(count)).ok(),
    }
}

fn from_epoch_fraction(count: f64) -> Option<Timestamp> {
    // Seconds or milliseconds with a fraction, as AWS APIs and Python write them; microseconds are the limit of what they mean.
    let seconds = if count.abs() < 1e11 {
        count
    } else {
        count / 1e3
    };
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    let rounded = since.as_micros().try_into().ok()?;
    Timestamp::from_microsecond(rounded).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> String {
        parse(value).map_or_else(|| "none".to_owned(), |time| time.to_string())
    }

    #[test]
    fn every_documented_format_is_read() {
        for (value, expected) in [
            (json!("2024-01-01T00:00:00Z"), "2024-01-01T00:00:00Z"),
            (
                json!("2024-01-01T00:00:00.1234567Z"),
                "2024-01-01T00:00:00.1234567Z",
            ),
            (
                json!("2019-08-21t06:28:58.140-07:00"),
                "2019-08-21T13:28:58.14Z",
            ),
            (json!("2018-09-26T23:57:19+00:00"), "2018-09-26T23:57:19Z"),
            (
                json!("2025-02-14T14:27:03.913874"),
                "2025-02-14T14:27:03.913874Z",
            ),
            (
                json!("2023-03-20 18:08:05.123456+00:00"),
                "2023-03-20T18:08:05.123456Z",
            ),
            (json!("2023-03-20 18:08:05"), "2023-03-20T18:08:05Z"),
            (json!("2023-03-20 18:08:05 UTC"), "2023-03-20T18:08:05Z"),
            (json!("2023-03-20 18:08:05 +0000"), "2023-03-20T18:08:05Z"),
            (json!("2024-06-01T01:02:03+0200"), "2024-05-31T23:02:03Z"),
            (json!("2024-02-29"), "2024-02-29T00:00:00Z"),
            (json!("20240229T101112Z"), "2024-02-29T10:11:12Z"),
            (
                json!("Tue, 13 Aug 2024 07:05:00 GMT"),
                "2024-08-13T07:05:00Z",
            ),
            (
                json!("Mon, 4 Jun 2018 05:01:10 GMT"),
                "2018-06-04T05:01:10Z",
            ),
            (json!("Mar 20, 2023, 6:08:05 PM"), "2023-03-20T18:08:05Z"),
            (
                json!("Mar 20, 2023, 6:08:05\u{202f}PM"),
                "2023-03-20T18:08:05Z",
            ),
            (
                json!("Wed Sep 04 16:59:44.356 UTC 2024"),
                "2024-09-04T16:59:44.356Z",
            ),
            (json!(1_739_539_658), "2025-02-14T13:27:38Z"),
            (json!(1_739_539_658_533_i64), "2025-02-14T13:27:38.533Z"),
            (
                json!(1_739_539_658_533_897_i64),
                "2025-02-14T13:27:38.533897Z",
            ),
            (json!(1_739_539_658.5), "2025-02-14T13:27:38.5Z"),
            (json!("1739539658533"), "2025-02-14T13:27:38.533Z"),
            (json!("1739539658.25"), "2025-02-14T13:27:38.25Z"),
        ] {
            assert_eq!(read(&value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for value in [
            json!("yesterday"),
            json!("2024-13-01T00:00:00Z"),
            json!("2024"),
            json!("<date>"),
            json!(true),
            json!([1]),
            json!(1e300),
            json!(i64::MAX),
            json!("é".repeat(40)),
        ] {
            let read = parse(&value);
            assert!(
                read.is_none() || value == json!(i64::MAX),
                "{value}: {read:?}"
            );
        }
    }

    #[test]
    fn the_year_one_and_the_epoch_say_that_there_is_none() {
        assert!(is_blank(&json!("0001-01-01T00:00:00Z")));
        assert!(is_blank(&json!("1970-01-01T00:00:00Z")));
        assert!(is_blank(&json!(0)));
        assert!(is_blank(&json!("N/A")));
        assert!(!is_blank(&json!("2024-01-01T00:00:00Z")));
        assert!(!is_blank(&json!("soon")));
    }
}
