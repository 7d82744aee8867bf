use super::StoreError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Attributes by name, as DynamoDB writes them.
pub(super) type Item = Map<String, Value>;

pub(super) fn text(text: impl Into<String>) -> Value {
    json!({"S": text.into()})
}

pub(super) fn number(number: impl ToString + Copy) -> Value {
    json!({"N": number.to_string()})
}

pub(super) fn flag(flag: bool) -> Value {
    json!({"BOOL": flag})
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    json!({"B": STANDARD.encode(bytes)})
}

/// A time in microseconds since 1970.
pub(super) fn micros(time: Timestamp) -> Value {
    number(time.as_microsecond())
}

/// What [`bytes`] holds.
pub(super) fn to_bytes(what: &str, value: &Value) -> Result<Vec<u8>, StoreError> {
    value
        .get("B")
        .and_then(Value::as_str)
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .ok_or_else(|| unreadable(what, "it holds no bytes"))
}

pub(super) fn unreadable(what: &str, why: &str) -> StoreError {
    StoreError::Permanent {
        reason: format!("a stored {what} cannot be read: {why}"),
    }
}

/// Reads the attributes of an item.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// What the item is, for errors.
    pub(super) what: &'a str,
    pub(super) item: &'a Item,
}

impl<'a> Fields<'a> {
    pub(super) fn of(what: &'a str, item: &'a Item) -> Fields<'a> {
        Fields { what, item }
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.item.contains_key(name)
    }

    pub(super) fn text(self, name: &str) -> Result<&'a str, StoreError> {
        self.maybe_text(name).ok_or_else(|| self.lacks(name))
    }

    pub(super) fn maybe_text(self, name: &str) -> Option<&'a str> {
        self.item.get(name)?.get("S")?.as_str()
    }

    pub(super) fn number(self, name: &str) -> Result<i64, StoreError> {
        self.maybe_number(name).ok_or_else(|| self.lacks(name))
    }

    pub(super) fn maybe_number(self, name: &str) -> Option<i64> {
        self.item.get(name)?.get("N")?.as_str()?.parse().ok()
    }

    pub(super) fn count(self, name: &str) -> Result<u64, StoreError> {
        let number = self.number(name)?;
        u64::try_from(number).map_err(|_| self.lacks(name))
    }

    pub(super) fn flag(self, name: &str) -> bool {
        let flag = self.item.get(name).and_then(|value| value.get("BOOL"));
        flag.and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn list(self, name: &str) -> &'a [Value] {
        let list = self.item.get(name).and_then(|value| value.get("L"));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn time(self, name: &str) -> Result<Timestamp, StoreError> {
        self.maybe_time(name).ok_or_else(|| self.lacks(name))
    }

    pub(super) fn maybe_time(self, name: &str) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.maybe_number(name)?).ok()
    }

    fn lacks(self, name: &str) -> StoreError {
        unreadable(self.what, &format!("it has no `{name}` of use"))
    }
}
