use super::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the models have text keys only, so they serialise")
}

pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::unreadable(what, &error))
}

/// The stored name of a value of an enum without fields.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The value of an enum without fields that has this stored name.
pub(super) fn from_word<T: DeserializeOwned>(what: &str, word: String) -> Result<T, StoreError> {
    serde_json::from_value(word.into()).map_err(|error| StoreError::unreadable(what, &error))
}
