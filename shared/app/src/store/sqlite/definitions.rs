use super::{Fault, Sqlite, count, micros, time};
use crate::store::encoding::{from_json, to_json};
use crate::store::uses::{complete, unused};
use crate::store::{Applied, Change, Inventory, Outline, StoreError, Stored, Unread, Versioned};
use jiff::Timestamp;
use quench_automations::{Automation, Connection, Organization, Playbook};
use rusqlite::{Connection as Database, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

const COLUMNS: &str = "version, body, text, created, updated";

const AUTOMATION: &str = "automation";
const PLAYBOOK: &str = "playbook";
const CONNECTION: &str = "connection";
const ORGANIZATION: &str = "organization";

impl Sqlite {
    pub(crate) async fn revision(&self) -> Result<u64, StoreError> {
        self.read(revision).await
    }

    pub(crate) async fn inventory(&self) -> Result<Inventory, StoreError> {
        self.read(|database| {
            Ok(Inventory {
                revision: revision(database)?,
                automations: all(database, AUTOMATION)?,
                playbooks: all(database, PLAYBOOK)?,
                connections: all(database, CONNECTION)?,
                organization: one(database, ORGANIZATION, THE_ONE)?,
            })
        })
        .await
    }

    pub(crate) async fn outline(&self) -> Result<Outline, StoreError> {
        let all = self.inventory().await?;
        Ok(Outline {
            revision: all.revision,
            automations: Unread::here(versioned(all.automations)),
            playbooks: versioned(all.playbooks),
            connections: versioned(all.connections),
            organization: versioned(all.organization).pop(),
        })
    }

    pub(crate) async fn put_definitions(
        &self,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        self.write(move |database| {
            let mut applied = Applied::default();
            for change in &changes {
                put(database, &Put::of(change), now, &mut applied)?;
            }
            if !(applied.created.is_empty() && applied.updated.is_empty()) {
                complete(&all(database, AUTOMATION)?, &all(database, PLAYBOOK)?)?;
                revise(database)?;
            }
            Ok(applied)
        })
        .await
    }

    pub(crate) async fn automations(&self) -> Result<Vec<Stored<Automation>>, StoreError> {
        self.read(|database| all(database, AUTOMATION)).await
    }

    pub(crate) async fn automation(
        &self,
        name: &str,
    ) -> Result<Option<Stored<Automation>>, StoreError> {
        let name = name.to_owned();
        self.read(move |database| one(database, AUTOMATION, &name))
            .await
    }

    pub(crate) async fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |database| {
            let Some(stored) = one::<Automation>(database, AUTOMATION, &name)? else {
                return Err(missing(AUTOMATION, name));
            };
            if stored.definition.enabled == enabled {
                return Ok(());
            }
            let automation = Automation {
                enabled,
                ..stored.definition
            };
            // The version stays that of the text, so applying the same text again changes nothing.
            database.execute(
                "UPDATE definitions SET body = ?3, updated = ?4 WHERE kind = ?1 AND name = ?2",
                params![AUTOMATION, name, to_json(&automation), micros(now)],
            )?;
            revise(database)
        })
        .await
    }

    pub(crate) async fn delete_automation(&self, name: &str) -> Result<(), StoreError> {
        self.delete(AUTOMATION, name).await
    }

    pub(crate) async fn playbooks(&self) -> Result<Vec<Stored<Playbook>>, StoreError> {
        self.read(|database| all(database, PLAYBOOK)).await
    }

    pub(crate) async fn playbook(
        &self,
        name: &str,
    ) -> Result<Option<Stored<Playbook>>, StoreError> {
        let name = name.to_owned();
        self.read(move |database| one(database, PLAYBOOK, &name))
            .await
    }

    pub(crate) async fn playbook_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<Playbook>, StoreError> {
        let (name, version) = (name.to_owned(), version.to_owned());
        self.read(move |database| {
            let body: Option<String> = database
                .prepare_cached(
                    "SELECT body FROM playbook_versions WHERE name = ?1 AND version = ?2",
                )?
                .query_row([name, version], |row| row.get(0))
                .optional()?;
            Ok(body.map(|body| from_json("playbook", &body)).transpose()?)
        })
        .await
    }

    pub(crate) async fn delete_playbook(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |database| {
            let playbooks = all(database, PLAYBOOK)?;
            unused(&name, &all(database, AUTOMATION)?, &playbooks)?;
            delete(database, PLAYBOOK, name)
        })
        .await
    }

    pub(crate) async fn connections(&self) -> Result<Vec<Stored<Connection>>, StoreError> {
        self.read(|database| all(database, CONNECTION)).await
    }

    pub(crate) async fn delete_connection(&self, name: &str) -> Result<(), StoreError> {
        self.delete(CONNECTION, name).await
    }

    pub(crate) async fn organization(&self) -> Result<Option<Stored<Organization>>, StoreError> {
        self.read(|database| one(database, ORGANIZATION, THE_ONE))
            .await
    }

    async fn delete(&self, kind: &'static str, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |database| delete(database, kind, name))
            .await
    }
}

/// The key of the one organisation, whatever it calls itself.
const THE_ONE: &str = "organization";

/// The columns of a change.
struct Put<'a> {
    kind: &'static str,
    key: &'a str,
    name: &'a str,
    version: &'a str,
    body: String,
    text: &'a str,
}

impl<'a> Put<'a> {
    fn of(change: &'a Change) -> Put<'a> {
        let (kind, key, name, version, body, text) = match change {
            Change::Automation {
                definition,
                version,
                text,
            } => {
                let name = &definition.name;
                (
                    AUTOMATION,
                    name.as_str(),
                    name,
                    version,
                    to_json(definition),
                    text,
                )
            }
            Change::Playbook {
                definition,
                version,
                text,
            } => {
                let name = &definition.name;
                (
                    PLAYBOOK,
                    name.as_str(),
                    name,
                    version,
                    to_json(definition),
                    text,
                )
            }
            Change::Connection {
                definition,
                version,
                text,
            } => {
                let name = &definition.name;
                (
                    CONNECTION,
                    name.as_str(),
                    name,
                    version,
                    to_json(definition),
                    text,
                )
            }
            Change::Organization {
                definition,
                version,
                text,
            } => {
                let name = &definition.name;
                (
                    ORGANIZATION,
                    THE_ONE,
                    name,
                    version,
                    to_json(definition),
                    text,
                )
            }
        };
        Put {
            kind,
            key,
            name,
            version,
            body,
            text,
        }
    }
}

fn versioned<T>(stored: impl IntoIterator<Item = Stored<T>>) -> Vec<Versioned<T>> {
    let stored = stored.into_iter();
    let versioned = stored.map(|stored| Versioned {
        definition: stored.definition,
        version: stored.version,
    });
    versioned.collect()
}

fn put(
    database: &Database,
    change: &Put<'_>,
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), Fault> {
    let told = format!("{} `{}`", change.kind, change.name);
    let before: Option<String> = database
        .prepare_cached("SELECT version FROM definitions WHERE kind = ?1 AND name = ?2")?
        .query_row([change.kind, change.key], |row| row.get(0))
        .optional()?;
    match before {
        Some(version) if version == change.version => {
            applied.unchanged.push(told);
            return Ok(());
        }
        Some(_) => applied.updated.push(told),
        None => applied.created.push(told),
    }
    database
        .prepare_cached(
            "INSERT INTO definitions (kind, name, version, body, text, created, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (kind, name) DO UPDATE
             SET version = excluded.version, body = excluded.body, text = excluded.text, updated = excluded.updated",
        )?
        .execute(params![
            change.kind,
            change.key,
            change.version,
            change.body,
            change.text,
            micros(now)
        ])?;
    if change.kind == PLAYBOOK {
        database
            .prepare_cached(
                "INSERT INTO playbook_versions (name, version, body, created) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name, version) DO NOTHING",
            )?
            .execute(params![change.key, change.version, change.body, micros(now)])?;
    }
    Ok(())
}

fn delete(database: &Database, kind: &'static str, name: String) -> Result<(), Fault> {
    let deleted = database.execute(
        "DELETE FROM definitions WHERE kind = ?1 AND name = ?2",
        [kind, &name],
    )?;
    if deleted == 0 {
        return Err(missing(kind, name));
    }
    revise(database)
}

fn missing(what: &'static str, name: String) -> Fault {
    Fault::Store(StoreError::Missing { what, name })
}

fn revision(database: &Database) -> Result<u64, Fault> {
    let revision = database
        .prepare_cached("SELECT value FROM facts WHERE name = 'revision'")?
        .query_row([], |row| row.get(0))?;
    Ok(count(revision))
}

fn revise(database: &Database) -> Result<(), Fault> {
    database.execute(
        "UPDATE facts SET value = value + 1 WHERE name = 'revision'",
        [],
    )?;
    Ok(())
}

fn all<T: DeserializeOwned>(
    database: &Database,
    kind: &'static str,
) -> Result<Vec<Stored<T>>, Fault> {
    let mut statement = database.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM definitions WHERE kind = ?1 ORDER BY name"
    ))?;
    let mut found = Vec::new();
    for columns in statement.query_map([kind], Columns::read)? {
        found.push(columns?.stored(kind)?);
    }
    Ok(found)
}

fn one<T: DeserializeOwned>(
    database: &Database,
    kind: &'static str,
    name: &str,
) -> Result<Option<Stored<T>>, Fault> {
    let columns = database
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM definitions WHERE kind = ?1 AND name = ?2"
        ))?
        .query_row([kind, name], Columns::read)
        .optional()?;
    Ok(columns.map(|columns| columns.stored(kind)).transpose()?)
}

struct Columns {
    version: String,
    body: String,
    text: String,
    created: i64,
    updated: i64,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Columns> {
        Ok(Columns {
            version: row.get(0)?,
            body: row.get(1)?,
            text: row.get(2)?,
            created: row.get(3)?,
            updated: row.get(4)?,
        })
    }

    fn stored<T: DeserializeOwned>(self, what: &str) -> Result<Stored<T>, StoreError> {
        Ok(Stored {
            definition: from_json(what, &self.body)?,
            version: self.version,
            text: self.text,
            created: time(self.created),
            updated: time(self.updated),
        })
    }
}
