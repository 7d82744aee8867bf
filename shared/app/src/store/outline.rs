use super::StoreError;
use super::dynamodb::PackedAutomations;
use quench_automations::{Automation, Connection, Organization, Playbook};
use quench_findings::Kind;
use serde::Deserialize;
use std::sync::{Mutex, PoisonError};

/// Everything that is in force, without texts, and with the automations yet to be read.
#[derive(Debug)]
pub(crate) struct Outline {
    /// Grows with every change.
    pub(crate) revision: u64,
    pub(crate) automations: Unread,
    /// Each in its current version.
    pub(crate) playbooks: Vec<Versioned<Playbook>>,
    pub(crate) connections: Vec<Versioned<Connection>>,
    pub(crate) organization: Option<Versioned<Organization>>,
}

/// A definition, and the version of the text it was applied with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Versioned<T> {
    pub(crate) definition: T,
    pub(crate) version: String,
}

/// Automations of which each kind is read when somebody asks for it: a function asks for one at most, and all of them
/// would be the larger part of its memory.
#[derive(Debug)]
pub(crate) enum Unread {
    /// They are here.
    Here(Mutex<Vec<Versioned<Automation>>>),
    /// They are in what a table keeps.
    Packed(PackedAutomations),
}

impl Unread {
    pub(crate) fn here(automations: Vec<Versioned<Automation>>) -> Unread {
        Unread::Here(Mutex::new(automations))
    }

    /// Takes those of a kind out, by name; nobody is to ask twice.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn take(&self, kind: Kind) -> Result<Vec<Versioned<Automation>>, StoreError> {
        match self {
            Unread::Here(all) => {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                let of_kind = all.extract_if(.., |one| one.definition.trigger == kind);
                Ok(of_kind.collect())
            }
            Unread::Packed(all) => all.of_kind(kind),
        }
    }
}
