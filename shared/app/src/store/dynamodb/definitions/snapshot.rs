use super::{AUTOMATION, CONNECTION, PLAYBOOK};
use crate::store::{Applied, Change, StoreError, Stored};
use jiff::Timestamp;
use quench_automations::{Automation, Connection, Organization, Playbook};
use serde::{Deserialize, Serialize};

/// All definitions, each sort by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) automations: Vec<Stored<Automation>>,
    pub(super) playbooks: Vec<Stored<Playbook>>,
    pub(super) connections: Vec<Stored<Connection>>,
    pub(super) organization: Option<Stored<Organization>>,
}

impl Snapshot {
    pub(super) fn put(&mut self, change: &Change, now: Timestamp, applied: &mut Applied) {
        match change {
            Change::Automation {
                definition,
                version,
                text,
            } => {
                let new = stored(definition, version, text, now);
                let told = format!("{AUTOMATION} `{}`", definition.name);
                put(&mut self.automations, new, told, applied);
            }
            Change::Playbook {
                definition,
                version,
                text,
            } => {
                let new = stored(definition, version, text, now);
                let told = format!("{PLAYBOOK} `{}`", definition.name);
                put(&mut self.playbooks, new, told, applied);
            }
            Change::Connection {
                definition,
                version,
                text,
            } => {
                let new = stored(definition, version, text, now);
                let told = format!("{CONNECTION} `{}`", definition.name);
                put(&mut self.connections, new, told, applied);
            }
            Change::Organization {
                definition,
                version,
                text,
            } => {
                let new = stored(definition, version, text, now);
                let told = format!("organization `{}`", definition.name);
                // There is one, whatever it calls itself.
                match note(self.organization.as_ref(), &new, told, applied) {
                    None => {}
                    Some(created) => self.organization = Some(Stored { created, ..new }),
                }
            }
        }
    }
}

fn stored<T: Clone>(definition: &T, version: &str, text: &str, now: Timestamp) -> Stored<T> {
    Stored {
        definition: definition.clone(),
        version: version.to_owned(),
        text: text.to_owned(),
        created: now,
        updated: now,
    }
}

fn put<T: Named>(all: &mut Vec<Stored<T>>, new: Stored<T>, told: String, applied: &mut Applied) {
    let place = position(all, new.definition.name());
    let known = place.ok().and_then(|found| all.get(found));
    let Some(created) = note(known, &new, told, applied) else {
        return;
    };
    let new = Stored { created, ..new };
    match place {
        Ok(found) => all[found] = new,
        Err(free) => all.insert(free, new),
    }
}

/// Notes what becomes of a definition; tells when it was first applied unless it is there just so.
fn note<T>(
    known: Option<&Stored<T>>,
    new: &Stored<T>,
    told: String,
    applied: &mut Applied,
) -> Option<Timestamp> {
    match known {
        Some(known) if known.version == new.version => {
            applied.unchanged.push(told);
            None
        }
        Some(known) => {
            applied.updated.push(told);
            Some(known.created)
        }
        None => {
            applied.created.push(told);
            Some(new.created)
        }
    }
}

/// What lists are sorted by.
pub(super) trait Named {
    fn name(&self) -> &str;
}

impl Named for Automation {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Playbook {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Connection {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Where a definition is, or else where it would be.
pub(super) fn position<T: Named>(all: &[Stored<T>], name: &str) -> Result<usize, usize> {
    all.binary_search_by(|stored| stored.definition.name().cmp(name))
}

pub(super) fn delete<T: Named>(
    all: &mut Vec<Stored<T>>,
    what: &'static str,
    name: &str,
) -> Result<(bool, ()), StoreError> {
    match position(all, name) {
        Ok(found) => {
            all.remove(found);
            Ok((true, ()))
        }
        Err(_) => Err(missing(what, name)),
    }
}

pub(super) fn missing(what: &'static str, name: &str) -> StoreError {
    StoreError::Missing {
        what,
        name: name.to_owned(),
    }
}
