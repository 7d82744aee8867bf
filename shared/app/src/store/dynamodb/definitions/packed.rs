use super::super::body::inflate;
use super::DEFINITIONS;
use crate::store::StoreError;
use crate::store::outline::Versioned;
use quench_automations::Automation;
use quench_findings::Kind;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A snapshot as the table has it, to read automations of.
#[derive(Debug)]
pub(crate) struct PackedAutomations(Vec<u8>);

impl PackedAutomations {
    pub(super) fn new(deflated: Vec<u8>) -> PackedAutomations {
        PackedAutomations(deflated)
    }

    /// The automations of a kind, by name.
    ///
    /// # Errors
    /// The snapshot is damaged.
    pub(crate) fn of_kind(&self, kind: Kind) -> Result<Vec<Versioned<Automation>>, StoreError> {
        let text = inflate(DEFINITIONS, &self.0)?;
        let mut reader = serde_json::Deserializer::from_str(&text);
        let read = Snapshot(kind).deserialize(&mut reader);
        read.map_err(|error| StoreError::unreadable(DEFINITIONS, &error))
    }
}

/// Reads a snapshot for its automations of a kind; nothing else of it is kept for a moment.
struct Snapshot(Kind);

/// Reads a list of automations for those of a kind.
struct Automations(Kind);

impl<'de> DeserializeSeed<'de> for Snapshot {
    type Value = Vec<Versioned<Automation>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Snapshot {
    type Value = Vec<Versioned<Automation>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a snapshot")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut snapshot: A) -> Result<Self::Value, A::Error> {
        let mut automations = Vec::new();
        while let Some(name) = snapshot.next_key::<&str>()? {
            match name {
                "automations" => automations = snapshot.next_value_seed(Automations(self.0))?,
                _ => {
                    snapshot.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(automations)
    }
}

impl<'de> DeserializeSeed<'de> for Automations {
    type Value = Vec<Versioned<Automation>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Automations {
    type Value = Vec<Versioned<Automation>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("automations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut automations = Vec::new();
        while let Some(one) = all.next_element::<Versioned<Automation>>()? {
            if one.definition.trigger == self.0 {
                automations.push(one);
            }
        }
        Ok(automations)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::body::Packed;
    use super::*;
    use serde_json::{Value, json};

    fn packed(snapshot: &Value) -> PackedAutomations {
        PackedAutomations::new(Packed::of(snapshot.to_string()).into_deflated())
    }

    #[test]
    fn automations_are_read_a_kind_at_a_time_and_as_often_as_one_likes() {
        let stored = |name: &str, kind: &str| {
            json!({
                "definition": {"name": name, "trigger": kind, "run": [{"playbook": "tell"}]},
                "version": format!("of {name}"),
                "text": "not \"read\"",
                "created": "2026-11-22T12:00:00Z",
                "updated": "2026-11-22T12:00:00Z",
            })
        };
        let all = packed(&json!({
            "automations": [stored("a", "alert"), stored("b", "compliance"), stored("c", "alert")],
            "playbooks": [{"definition": {}}],
            "connections": [],
            "organization": null,
        }));
        let read = |kind| -> Vec<(String, String)> {
            let of_kind = all.of_kind(kind).unwrap().into_iter();
            of_kind
                .map(|one| (one.definition.name, one.version))
                .collect()
        };
        let pair = |name: &str| (name.to_owned(), format!("of {name}"));
        for _ in 0..2 {
            assert_eq!(read(Kind::Alert), [pair("a"), pair("c")]);
            assert_eq!(read(Kind::Compliance), [pair("b")]);
            assert_eq!(read(Kind::Recommendation), []);
        }
    }

    #[test]
    fn what_is_damaged_is_told() {
        for damaged in [json!({"automations": [{"version": "1"}]}), json!(["x"])] {
            let told = packed(&damaged).of_kind(Kind::Alert).unwrap_err();
            assert!(!told.is_transient());
            assert!(told.to_string().contains("definitions"), "{told}");
        }
    }
}
