use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{refusal::Refusal, time};

/// Reads typed values out of JSON and, where one does not fit, says at which path and what was expected.
///
/// Names are found exactly, else without regard to ASCII case. A null, and a blank text, count as absent.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Fields<'a> {
    /// Reads any value; of one that is no object, everything is absent.
    pub(crate) fn new(value: &'a Value, path: impl Into<String>) -> Self {
        Self {
            value,
            path: path.into(),
        }
    }

    /// Reads an object, and refuses anything else.
    pub(crate) fn object(value: &'a Value, path: impl Into<String>) -> Result<Self, Refusal> {
        let fields = Self::new(value, path);
        if value.is_object() {
            Ok(fields)
        } else {
            Err(fields.misfit_here("an object"))
        }
    }

    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// Full path of a dotted name below this place; of this place itself for the empty name.
    pub(crate) fn path(&self, name: &str) -> String {
        let mut path = self.path.clone();
        let mut value = Some(self.value);
        for part in name.split('.') {
            let (plain, _) = part.split_once('[').unwrap_or((part, ""));
            let found = value.and_then(|value| entry(value, plain));
            let spelled = found.map_or(plain, |(key, _)| key);
            path = join(&path, &format!("{spelled}{}", &part[plain.len()..]));
            value = found.map(|(_, value)| value);
        }
        path
    }

    /// A refusal at a dotted name below this place.
    pub(crate) fn refuse(&self, name: &str, reason: impl Into<String>) -> Refusal {
        Refusal::new(self.path(name), reason)
    }

    /// The value at a dotted name, unless it is null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        name.split('.')
            .try_fold(self.value, |value, part| member(value, part))
            .filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text, trimmed.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.misfit(name, "a text", other)),
        }
    }

    pub(crate) fn require_text(&self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name)?
            .ok_or_else(|| self.refuse(name, "a text is required, and there is none"))
    }

    /// The first of several names that holds a text.
    pub(crate) fn first_text(&self, names: &[&str]) -> Result<Option<&'a str>, Refusal> {
        for name in names {
            if let Some(text) = self.text(name)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Like [`Self::first_text`], refusing at the first name where all are absent.
    pub(crate) fn require_first_text(&self, names: &[&str]) -> Result<&'a str, Refusal> {
        self.first_text(names)?.ok_or_else(|| {
            let first = names.first().copied().unwrap_or_default();
            self.refuse(first, "a text is required, and there is none")
        })
    }

    /// A text, or a number or truth value as text: for ids and labels that some senders leave unquoted.
    pub(crate) fn label(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match scalar(value) {
                Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
                None => Err(self.misfit(name, "a text", value)),
            },
        }
    }

    /// A number, or a text that is one.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| self.misfit(name, "a number", value))
    }

    /// A whole number, or a text that is one.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(number) = self.number(name)? else {
            return Ok(None);
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and far below the limit"
        )]
        if number.fract() == 0.0 && number.abs() < 9.0e15 {
            Ok(Some(number as i64))
        } else {
            Err(self.refuse(name, format!("`{number}` is no whole number")))
        }
    }

    /// A truth value, or the text `true` or `false` in any case.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("false") => {
                Ok(Some(false))
            }
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(other) => Err(self.misfit(name, "true or false", other)),
        }
    }

    /// A moment in any of the formats that [`time::parse`] knows.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if time::is_blank(value) => Ok(None),
            Some(value) => time::parse(value)
                .map(Some)
                .ok_or_else(|| self.misfit(name, "a date and time", value)),
        }
    }

    /// The first of several names that holds a moment.
    pub(crate) fn first_time(&self, names: &[&str]) -> Result<Option<Timestamp>, Refusal> {
        for name in names {
            if let Some(time) = self.time(name)? {
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// One of a closed list of words, without regard to case; any other is refused.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        known: &[(&str, T)],
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        known
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, meaning)| Some(*meaning))
            .ok_or_else(|| {
                let words: Vec<_> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
                let shown = clip(text);
                self.refuse(
                    name,
                    format!(
                        "`{shown}` is not known; expected one of {}",
                        words.join(", ")
                    ),
                )
            })
    }

    /// An object below this one.
    pub(crate) fn section(&self, name: &str) -> Result<Option<Fields<'a>>, Refusal> {
        self.get(name)
            .map(|value| Fields::object(value, self.path(name)))
            .transpose()
    }

    pub(crate) fn require_section(&self, name: &str) -> Result<Fields<'a>, Refusal> {
        self.section(name)?
            .ok_or_else(|| self.refuse(name, "an object is required, and there is none"))
    }

    /// The elements of a list, of whatever type; none where it is absent. Nulls are left out.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<Fields<'a>>, Refusal> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .filter(|(_, element)| !element.is_null())
                .map(|(index, element)| {
                    Fields::new(element, self.path(&format!("{name}[{index}]")))
                })
                .collect()),
            Some(other) => Err(self.misfit(name, "a list", other)),
        }
    }

    /// The elements of a list of objects.
    pub(crate) fn sections(&self, name: &str) -> Result<Vec<Fields<'a>>, Refusal> {
        self.list(name)?
            .into_iter()
            .map(|element| Fields::object(element.value, element.path))
            .collect()
    }

    /// The texts of a list, or a text that stands alone.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Refusal> {
        if let Some(Value::String(_)) = self.get(name) {
            return Ok(self.text(name)?.into_iter().collect());
        }
        self.list(name)?
            .iter()
            .filter_map(|element| element.text_here().transpose())
            .collect()
    }

    /// The value of this place itself as a text.
    pub(crate) fn text_here(&self) -> Result<Option<&'a str>, Refusal> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            _ => Err(self.misfit_here("a text")),
        }
    }

    /// Tags in any of their forms: an object, a list of key (or name) and value pairs, or a list of `key:value` texts.
    pub(crate) fn tags(&self, name: &str) -> Result<Map<String, Value>, Refusal> {
        let mut tags = Map::new();
        match self.get(name) {
            None => {}
            Some(Value::Object(members)) => {
                tags.extend(
                    members
                        .iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            Some(Value::Array(_)) => {
                for element in self.list(name)? {
                    if let Value::String(text) = element.value {
                        let (key, value) = text.split_once(':').unwrap_or((text, ""));
                        tags.insert(key.to_owned(), value.into());
                        continue;
                    }
                    let pair = Fields::object(element.value, element.path)?;
                    let key = match pair.label("key")? {
                        Some(key) => Some(key),
                        None => pair.label("name")?,
                    };
                    if let Some(key) = key {
                        let value = pair.get("value").cloned().unwrap_or_else(|| "".into());
                        tags.insert(key, value);
                    }
                }
            }
            Some(other) => return Err(self.misfit(name, "tags", other)),
        }
        Ok(tags)
    }

    fn misfit(&self, name: &str, expected: &str, found: &Value) -> Refusal {
        self.refuse(
            name,
            format!("expected {expected}, found {}", describe(found)),
        )
    }

    fn misfit_here(&self, expected: &str) -> Refusal {
        self.misfit("", expected, self.value)
    }
}

/// A member of an object: by its exact name, else without regard to case.
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    entry(value, name).map(|(_, value)| value)
}

/// Like [`member`], with the name as it is spelled there.
pub(crate) fn entry<'a>(value: &'a Value, name: &str) -> Option<(&'a str, &'a Value)> {
    let members = value.as_object()?;
    members
        .get_key_value(name)
        .or_else(|| {
            members
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
        })
        .map(|(key, value)| (key.as_str(), value))
}

/// Joins a path and a dotted name below it.
pub(crate) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "") => path.to_owned(),
        (path, name) if name.starts_with('[') => format!("{path}{name}"),
        (path, name) => format!("{path}.{name}"),
    }
}

/// A scalar as text; none for null, lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Words for a value in a message: its type, and the value itself where it is short.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) => format!("the text `{}`", clip(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The beginning of a text, short enough for a message and without control characters.
pub(crate) fn clip(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_exactly_before_they_are_found_in_another_case() {
        let value = json!({"ID": 1, "id": "a", "Name": "b"});
        let fields = Fields::new(&value, "");
        assert_eq!(fields.text("id").unwrap(), Some("a"));
        assert_eq!(fields.text("name").unwrap(), Some("b"));
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_path_and_what_was_expected() {
        let value = json!({"a": {"b": [1]}});
        let fields = Fields::new(&value, "detail");
        let refusal = fields.text("a.b").unwrap_err();
        assert_eq!(refusal.path, "detail.a.b");
        assert_eq!(refusal.reason, "expected a text, found a list");
        let refusal = fields.sections("a.b").unwrap_err();
        assert_eq!(refusal.path, "detail.a.b[0]");
    }

    #[test]
    fn a_path_is_spelled_as_the_payload_spells_it() {
        let value = json!({"Outer": {"Inner": [{"Deep": 1}]}});
        let fields = Fields::new(&value, "detail");
        assert_eq!(
            fields.text("outer.inner").unwrap_err().path,
            "detail.Outer.Inner"
        );
        let inner = &fields.sections("outer.inner").unwrap()[0];
        assert_eq!(
            inner.text("deep").unwrap_err().path,
            "detail.Outer.Inner[0].Deep"
        );
        assert_eq!(fields.refuse("gone.away", "x").path, "detail.gone.away");
    }

    #[test]
    fn null_and_blank_are_absent() {
        let value = json!({"a": null, "b": "  "});
        let fields = Fields::new(&value, "");
        assert_eq!(fields.text("a").unwrap(), None);
        assert_eq!(fields.text("b").unwrap(), None);
        assert_eq!(fields.number("b").unwrap(), None);
        assert_eq!(fields.time("b").unwrap(), None);
        assert_eq!(
            fields.require_text("b").unwrap_err().path,
            "b",
            "a required one is refused"
        );
    }

    #[test]
    fn an_unknown_word_is_refused_and_the_known_ones_are_named() {
        let value = json!({"state": "Half"});
        let refusal = Fields::new(&value, "")
            .word("state", &[("ON", true), ("OFF", false)])
            .unwrap_err();
        assert_eq!(
            refusal.reason,
            "`Half` is not known; expected one of `ON`, `OFF`"
        );
    }

    #[test]
    fn tags_come_in_four_forms() {
        let value = json!({
            "map": {"tier": "gold", "none": null},
            "keyed": [{"Key": "tier", "Value": "gold"}],
            "named": [{"name": "tier", "value": "gold"}],
            "texts": ["tier:gold"],
        });
        let fields = Fields::new(&value, "");
        for form in ["map", "keyed", "named", "texts"] {
            let tags = fields.tags(form).unwrap();
            assert_eq!(Value::Object(tags), json!({"tier": "gold"}), "{form}");
        }
    }

    #[test]
    fn numbers_may_be_texts_but_not_words() {
        let value = json!({"a": "7.5", "b": 8, "c": "NaN", "d": "x"});
        let fields = Fields::new(&value, "");
        assert_eq!(fields.number("a").unwrap(), Some(7.5));
        assert_eq!(fields.integer("b").unwrap(), Some(8));
        assert!(fields.integer("a").is_err());
        assert!(fields.number("c").is_err());
        assert!(fields.number("d").is_err());
    }
}
