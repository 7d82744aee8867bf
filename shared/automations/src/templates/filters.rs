//! Filters and tests that the template language of Quench has beyond minijinja's.
#![expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands keyword arguments over by value only"
)]

use super::OUTPUT_LIMIT;
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value, filters};
use quench_findings::Severity;
use serde_json::ser::PrettyFormatter;
use std::borrow::Cow;

const INDENT_LIMIT: usize = 8;

/// The text that a value prints as.
pub(super) fn printed(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(String::new()),
        ValueKind::Bool => Ok(value.is_true().to_string()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            serde_json::to_string(value).map_err(not_json)
        }
        _ => Ok(value.to_string()),
    }
}

/// The text a filter of text works on: the empty one for null, which minijinja's own filters would read as `None`.
pub(super) fn string(state: &State, value: &Value) -> Result<String, Error> {
    defined(state, value)?;
    printed(value)
}

pub(super) fn upper(state: &State, value: &Value) -> Result<String, Error> {
    Ok(string(state, value)?.to_uppercase())
}

pub(super) fn lower(state: &State, value: &Value) -> Result<String, Error> {
    Ok(string(state, value)?.to_lowercase())
}

pub(super) fn title(state: &State, value: &Value) -> Result<String, Error> {
    Ok(filters::title(Cow::Owned(string(state, value)?)))
}

pub(super) fn capitalize(state: &State, value: &Value) -> Result<String, Error> {
    let text = string(state, value)?;
    let mut letters = text.chars();
    Ok(letters.next().map_or_else(String::new, |first| {
        first
            .to_uppercase()
            .chain(letters.as_str().to_lowercase().chars())
            .collect()
    }))
}

pub(super) fn trim(state: &State, value: &Value, letters: Option<String>) -> Result<String, Error> {
    let text = string(state, value)?;
    Ok(match letters {
        Some(letters) => text
            .trim_matches(|letter| letters.contains(letter))
            .to_owned(),
        None => text.trim().to_owned(),
    })
}

pub(super) fn replace(state: &State, value: &Value, from: &str, to: &str) -> Result<String, Error> {
    let text = string(state, value)?;
    let times = if from.is_empty() {
        text.len() + 1
    } else {
        text.len() / from.len()
    };
    if times.saturating_mul(to.len()) > OUTPUT_LIMIT {
        return Err(invalid("`replace` could yield too much text".to_owned()));
    }
    Ok(text.replace(from, to))
}

pub(super) fn split(
    state: &State,
    value: &Value,
    separator: Option<String>,
) -> Result<Vec<String>, Error> {
    let text = string(state, value)?;
    Ok(match separator {
        Some(separator) if separator.is_empty() => {
            return Err(invalid("separator of `split` is empty".to_owned()));
        }
        _ if text.is_empty() => Vec::new(),
        Some(separator) => text.split(&separator).map(str::to_owned).collect(),
        None => text.split_whitespace().map(str::to_owned).collect(),
    })
}

pub(super) fn lines(state: &State, value: &Value) -> Result<Vec<String>, Error> {
    Ok(string(state, value)?.lines().map(str::to_owned).collect())
}

pub(super) fn join(
    state: &State,
    value: &Value,
    separator: Option<String>,
    named: Kwargs,
) -> Result<String, Error> {
    defined(state, value)?;
    let separator = separator.or(named.get("d")?).unwrap_or_default();
    let attribute: Option<String> = named.get("attribute")?;
    named.assert_all_used()?;
    let mut joined = String::new();
    if value.is_none() {
        return Ok(joined);
    }
    for (position, item) in value.try_iter()?.enumerate() {
        if position > 0 {
            joined.push_str(&separator);
        }
        let item = match &attribute {
            Some(attribute) => item.get_attr(attribute)?,
            None => item,
        };
        joined.push_str(&string(state, &item)?);
        if joined.len() > OUTPUT_LIMIT {
            return Err(invalid("`join` yields too much text".to_owned()));
        }
    }
    Ok(joined)
}

pub(super) fn length(state: &State, value: &Value) -> Result<usize, Error> {
    defined(state, value)?;
    if value.is_none() {
        return Ok(0);
    }
    filters::length(value)
}

pub(super) fn truncate(
    state: &State,
    value: &Value,
    length: Option<usize>,
    end: Option<String>,
    named: Kwargs,
) -> Result<String, Error> {
    defined(state, value)?;
    let length = length.or(named.get("length")?).unwrap_or(80);
    let end = end.or(named.get("end")?).unwrap_or_else(|| "…".to_owned());
    named.assert_all_used()?;
    let text = printed(value)?;
    if text.chars().count() <= length {
        return Ok(text);
    }
    let kept = length.saturating_sub(end.chars().count());
    let mut short: String = text.chars().take(kept).collect();
    short.truncate(short.trim_end().len());
    short.push_str(&end);
    Ok(short)
}

pub(super) fn date(
    state: &State,
    value: &Value,
    format: Option<String>,
    named: Kwargs,
) -> Result<Value, Error> {
    defined(state, value)?;
    let format = format
        .or(named.get("format")?)
        .unwrap_or_else(|| "%Y-%m-%d %H:%M UTC".to_owned());
    named.assert_all_used()?;
    if value.is_none() {
        return Ok(Value::from(()));
    }
    let time: Timestamp = value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid(format!("`date` needs an RFC 3339 time, not `{value}`")))?;
    strtime::format(&format, &time.to_zoned(TimeZone::UTC))
        .map(Value::from)
        .map_err(|error| invalid(format!("format `{format}` of `date`: {error}")))
}

pub(super) fn tojson(
    state: &State,
    value: &Value,
    indent: Option<usize>,
    named: Kwargs,
) -> Result<String, Error> {
    defined(state, value)?;
    let indent = indent.or(named.get("indent")?).unwrap_or(0);
    named.assert_all_used()?;
    if indent == 0 {
        return serde_json::to_string(value).map_err(not_json);
    }
    let margin = " ".repeat(indent.min(INDENT_LIMIT));
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(
        &mut bytes,
        PrettyFormatter::with_indent(margin.as_bytes()),
    );
    serde::Serialize::serialize(value, &mut writer).map_err(not_json)?;
    String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))
}

pub(super) fn default(
    value: &Value,
    otherwise: Option<Value>,
    empty: Option<bool>,
    named: Kwargs,
) -> Result<Value, Error> {
    let otherwise = otherwise
        .or(named.get("value")?)
        .unwrap_or_else(|| Value::from(()));
    let empty = empty.or(named.get("empty")?).unwrap_or(false);
    named.assert_all_used()?;
    let missing = value.is_undefined() || value.is_none() || (empty && !value.is_true());
    Ok(if missing { otherwise } else { value.clone() })
}

pub(super) fn get(
    value: &Value,
    path: &str,
    otherwise: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let otherwise = otherwise
        .or(named.get("otherwise")?)
        .unwrap_or_else(|| Value::from(()));
    named.assert_all_used()?;
    let mut found = value.clone();
    for part in path.split('.') {
        let next = match part.parse::<usize>() {
            Ok(index) if found.kind() == ValueKind::Seq => found.get_item_by_index(index),
            _ => found.get_attr(part),
        };
        match next {
            Ok(next) if !next.is_undefined() && !next.is_none() => found = next,
            _ => return Ok(otherwise),
        }
    }
    Ok(found)
}

pub(super) fn at_least(state: &State, value: &Value, least: &str) -> Result<bool, Error> {
    defined(state, value)?;
    let least = severity(least)
        .ok_or_else(|| invalid(format!("severity `{least}` of `at_least` is not known")))?;
    Ok(value.as_str().and_then(severity) >= Some(least))
}

fn severity(name: &str) -> Option<Severity> {
    Severity::ALL
        .iter()
        .copied()
        .find(|severity| severity.as_str() == name)
}

fn defined(state: &State, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        // Only minijinja knows the name of what is undefined, and this filter fails with it.
        filters::bool(state, value)?;
    }
    Ok(())
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::BadSerialization, "value has no JSON form").with_source(error)
}
