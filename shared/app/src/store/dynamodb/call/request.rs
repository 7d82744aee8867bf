use super::Key;
use crate::store::dynamodb::item::{Attribute, Item};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A request in the making; attributes are written `#name` in its expressions.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) operation: &'static str,
    key: Option<Key>,
    item: Option<Item>,
    settings: Vec<(&'static str, Setting)>,
    values: Vec<(Cow<'static, str>, Attribute)>,
    start: Option<Item>,
}

/// What a request says besides keys, items and values.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Text(Cow<'static, str>),
    Number(u64),
    Flag(bool),
}

impl From<&'static str> for Setting {
    fn from(text: &'static str) -> Setting {
        Setting::Text(text.into())
    }
}

impl From<Cow<'static, str>> for Setting {
    fn from(text: Cow<'static, str>) -> Setting {
        Setting::Text(text)
    }
}

impl From<u64> for Setting {
    fn from(number: u64) -> Setting {
        Setting::Number(number)
    }
}

impl From<bool> for Setting {
    fn from(flag: bool) -> Setting {
        Setting::Flag(flag)
    }
}

impl Request {
    pub(crate) fn get(key: &Key) -> Request {
        Request::of("GetItem", key).with("ConsistentRead", true)
    }

    pub(crate) fn put(item: Item) -> Request {
        Request {
            item: Some(item),
            ..Request::new("PutItem")
        }
    }

    pub(crate) fn update(key: &Key) -> Request {
        Request::of("UpdateItem", key)
    }

    pub(crate) fn delete(key: &Key) -> Request {
        Request::of("DeleteItem", key)
    }

    /// Asks for items whose keys are so.
    pub(crate) fn query(condition: &'static str) -> Request {
        Request::new("Query").with("KeyConditionExpression", condition)
    }

    fn of(operation: &'static str, key: &Key) -> Request {
        Request {
            key: Some(key.clone()),
            ..Request::new(operation)
        }
    }

    fn new(operation: &'static str) -> Request {
        Request {
            operation,
            key: None,
            item: None,
            settings: Vec::new(),
            values: Vec::new(),
            start: None,
        }
    }

    /// Says this, in the place of what was said before by this name.
    pub(crate) fn with(mut self, name: &'static str, setting: impl Into<Setting>) -> Request {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, setting.into()));
        self
    }

    /// What an `UpdateItem` changes.
    pub(crate) fn change(self, expression: impl Into<Cow<'static, str>>) -> Request {
        self.with("UpdateExpression", expression.into())
    }

    /// Does nothing unless this holds; the item as it is comes back then.
    pub(crate) fn only_if(self, condition: impl Into<Cow<'static, str>>) -> Request {
        self.with("ConditionExpression", condition.into())
            .with("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
    }

    pub(crate) fn filter(self, condition: impl Into<Cow<'static, str>>) -> Request {
        self.with("FilterExpression", condition.into())
    }

    pub(crate) fn project(self, attributes: &'static str) -> Request {
        self.with("ProjectionExpression", attributes)
    }

    pub(crate) fn value(self, name: &'static str, value: Attribute) -> Request {
        self.values([(name, value)])
    }

    pub(crate) fn values<N: Into<Cow<'static, str>>>(
        mut self,
        values: impl IntoIterator<Item = (N, Attribute)>,
    ) -> Request {
        for (name, value) in values {
            let name = name.into();
            self.values.retain(|(known, _)| *known != name);
            self.values.push((name, value));
        }
        self
    }

    /// Begins after the item of this key.
    pub(crate) fn after(self, last: Item) -> Request {
        Request {
            start: Some(last),
            ..self
        }
    }

    /// The names that its expressions mention.
    fn names(&self) -> Names<'_> {
        let expressions = self.settings.iter().filter_map(|setting| match setting {
            (name, Setting::Text(text)) if name.ends_with("Expression") => Some(&**text),
            _ => None,
        });
        Names::of(expressions)
    }
}

/// A request for a table, as it is sent.
pub(crate) struct Sent<'a> {
    pub(crate) table: &'a str,
    pub(crate) request: &'a Request,
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Request {
            operation: _,
            key,
            item,
            settings,
            values,
            start,
        } = self.request;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("TableName", self.table)?;
        if let Some(key) = key {
            map.serialize_entry("Key", key)?;
        }
        if let Some(item) = item {
            map.serialize_entry("Item", item)?;
        }
        for (name, setting) in settings {
            map.serialize_entry(name, setting)?;
        }
        let names = self.request.names();
        if !names.0.is_empty() {
            map.serialize_entry("ExpressionAttributeNames", &names)?;
        }
        if !values.is_empty() {
            map.serialize_entry("ExpressionAttributeValues", &Values(values))?;
        }
        if let Some(start) = start {
            map.serialize_entry("ExclusiveStartKey", start)?;
        }
        #[cfg(test)]
        map.serialize_entry("ReturnConsumedCapacity", "TOTAL")?;
        map.end()
    }
}

/// The values that are given to expressions, each by a name of its own.
struct Values<'a>(&'a [(Cow<'static, str>, Attribute)]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Names as expressions mention them, `#name`; each stands for the attribute `name`, so none can be one that DynamoDB keeps
/// for itself.
pub(crate) struct Names<'a>(BTreeSet<&'a str>);

impl<'a> Names<'a> {
    /// Those in expressions.
    pub(crate) fn of(expressions: impl IntoIterator<Item = &'a str>) -> Names<'a> {
        Names(expressions.into_iter().flat_map(placeholders).collect())
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|name| (name, &name[1..])))
    }
}

/// The names in an expression, each with its `#`.
fn placeholders(expression: &str) -> impl Iterator<Item = &str> {
    expression.match_indices('#').map(|(start, _)| {
        let rest = &expression[start..];
        let end = rest[1..].find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        end.map_or(rest, |end| &rest[..=end])
    })
}
