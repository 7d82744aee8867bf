//! Moments as AWS events, the AWS APIs and recordings of them write them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use crate::{fields::Fields, refusal::Refusal};

/// A moment in any known format, or as the tests of boto clients record it: an object with `__class__` `datetime`.
///
/// A text that is no moment counts as absent, for no finding should be lost for want of a date: documentation writes
/// `string` or `timestamp` there, and hand-made findings misspell it. Any other type is refused.
pub(crate) fn time(fields: &Fields<'_>, name: &str) -> Result<Option<Timestamp>, Refusal> {
    match fields.get(name) {
        Some(Value::String(_)) => Ok(fields.time(name).unwrap_or_default()),
        Some(Value::Object(parts)) if is_recorded(parts) => assemble(parts)
            .map(Some)
            .ok_or_else(|| fields.refuse(name, "is no date and time that exists")),
        _ => fields.time(name),
    }
}

/// The first of several names that holds a moment.
pub(super) fn first_time(
    fields: &Fields<'_>,
    names: &[&str],
) -> Result<Option<Timestamp>, Refusal> {
    for name in names {
        if let Some(time) = time(fields, name)? {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

fn is_recorded(parts: &Map<String, Value>) -> bool {
    parts.get("__class__").and_then(Value::as_str) == Some("datetime")
}

fn assemble(parts: &Map<String, Value>) -> Option<Timestamp> {
    let part = |name: &str| match parts.get(name) {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_i64(),
    };
    let date = DateTime::new(
        part("year")?.try_into().ok()?,
        part("month")?.try_into().ok()?,
        part("day")?.try_into().ok()?,
        part("hour")?.try_into().ok()?,
        part("minute")?.try_into().ok()?,
        part("second")?.try_into().ok()?,
        i32::try_from(part("microsecond")?)
            .ok()?
            .checked_mul(1_000)?,
    )
    .ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_recorded_datetime_is_read_and_an_impossible_one_refused() {
        let value = json!({
            "good": {"__class__": "datetime", "year": 2023, "month": 9, "day": 8, "hour": 20, "minute": 7, "second": 30, "microsecond": 243_000},
            "bad": {"__class__": "datetime", "year": 2023, "month": 13, "day": 8},
            "huge": {"__class__": "datetime", "year": 2023, "month": 1, "day": 8, "microsecond": 9_000_000_000_i64},
            "other": {"year": 2023},
        });
        let fields = Fields::new(&value, "detail");
        assert_eq!(
            time(&fields, "good").unwrap().unwrap().to_string(),
            "2023-09-08T20:07:30.243Z"
        );
        for name in ["bad", "huge", "other"] {
            assert_eq!(
                time(&fields, name).unwrap_err().path,
                format!("detail.{name}")
            );
        }
    }

    #[test]
    fn a_text_that_is_no_moment_is_absent_and_another_type_is_refused() {
        let value = json!({"a": "string", "b": "2024-99-01", "c": true});
        let fields = Fields::new(&value, "");
        assert_eq!(time(&fields, "a").unwrap(), None);
        assert_eq!(time(&fields, "b").unwrap(), None);
        assert_eq!(time(&fields, "c").unwrap_err().path, "c");
        assert!(first_time(&fields, &["a", "b"]).unwrap().is_none());
    }
}
