use super::StoreError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Attributes by name.
pub(super) type Item = BTreeMap<Cow<'static, str>, Attribute>;

/// An attribute, as DynamoDB writes it ("DynamoDB low-level API", data type descriptors).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Attribute {
    #[serde(rename = "S")]
    Text(String),
    #[serde(rename = "N")]
    Number(String),
    #[serde(rename = "BOOL")]
    Flag(bool),
    #[serde(rename = "B", serialize_with = "encoded", deserialize_with = "decoded")]
    Bytes(Vec<u8>),
    #[serde(rename = "L")]
    List(Vec<Attribute>),
    #[serde(rename = "M")]
    Map(Item),
    // Of no use here, but an item may have them all the same.
    #[serde(rename = "NULL")]
    Null(bool),
    #[serde(rename = "SS")]
    Texts(Vec<String>),
    #[serde(rename = "NS")]
    Numbers(Vec<String>),
    #[serde(rename = "BS")]
    Blobs(Vec<String>),
}

fn encoded<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&STANDARD.encode(bytes))
}

fn decoded<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let encoded = String::deserialize(from)?;
    STANDARD.decode(encoded).map_err(de::Error::custom)
}

impl Attribute {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Attribute::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number<T: FromStr>(&self) -> Option<T> {
        match self {
            Attribute::Number(number) => number.parse().ok(),
            _ => None,
        }
    }
}

pub(super) fn text(text: impl Into<String>) -> Attribute {
    Attribute::Text(text.into())
}

pub(super) fn number(number: impl ToString + Copy) -> Attribute {
    Attribute::Number(number.to_string())
}

pub(super) fn flag(flag: bool) -> Attribute {
    Attribute::Flag(flag)
}

/// A time in microseconds since 1970.
pub(super) fn micros(time: Timestamp) -> Attribute {
    number(time.as_microsecond())
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

    /// An attribute, whatever it holds.
    pub(super) fn attribute(self, name: &str) -> Result<&'a Attribute, StoreError> {
        self.item.get(name).ok_or_else(|| self.lacks(name))
    }

    pub(super) fn maybe_text(self, name: &str) -> Option<&'a str> {
        self.item.get(name)?.as_text()
    }

    pub(super) fn number(self, name: &str) -> Result<i64, StoreError> {
        self.maybe_number(name).ok_or_else(|| self.lacks(name))
    }

    pub(super) fn maybe_number(self, name: &str) -> Option<i64> {
        self.item.get(name)?.as_number()
    }

    pub(super) fn count(self, name: &str) -> Result<u64, StoreError> {
        let number = self.number(name)?;
        u64::try_from(number).map_err(|_| self.lacks(name))
    }

    pub(super) fn flag(self, name: &str) -> bool {
        self.item.get(name) == Some(&Attribute::Flag(true))
    }

    pub(super) fn list(self, name: &str) -> &'a [Attribute] {
        match self.item.get(name) {
            Some(Attribute::List(list)) => list,
            _ => &[],
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_attribute_of_dynamodb_is_read_and_written_as_it_was() {
        for written in [
            json!({"S": "a text"}),
            json!({"N": "-12.5e3"}),
            json!({"BOOL": false}),
            json!({"B": "/wA="}),
            json!({"L": [{"S": ""}, {"L": []}]}),
            json!({"M": {"token": {"S": "t"}, "parts": {"N": "2"}}}),
            json!({"NULL": true}),
            json!({"SS": ["a", "b"]}),
            json!({"NS": ["1"]}),
            json!({"BS": ["/wA="]}),
        ] {
            let text = written.to_string();
            let read: Attribute = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), written, "{read:?}");
        }
        let bytes: Attribute = serde_json::from_str(r#"{"B": "/wA="}"#).unwrap();
        assert_eq!(bytes, Attribute::Bytes(vec![255, 0]));
        for damaged in [r#"{"B": "not base64"}"#, r#"{"S": 5}"#, "[]"] {
            assert!(serde_json::from_str::<Attribute>(damaged).is_err());
        }
    }
}
