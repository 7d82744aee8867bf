//! What is in force: one snapshot, replaced as a whole by one conditional write.
//!
//! A change reads the snapshot in force, writes the one that is to follow beside it, and then points at that if the
//! revision still is the one that was read. So a change of any size happens at once or not at all, and whoever reads
//! meanwhile reads one or the other.

mod packed;
mod snapshot;

pub(crate) use packed::PackedAutomations;

use super::body::{Packed, inflate};
use super::call::{Key, Refused, Request};
use super::item::{Fields, micros, number, text};
use super::parts::Place;
use super::{DynamoDb, index, later, token};
use crate::store::encoding::{from_json, to_json};
use crate::store::uses::{complete, unused};
use crate::store::{Applied, Change, Inventory, Outline, StoreError, Stored, Unread, Versioned};
use jiff::Timestamp;
use quench_automations::{Automation, Connection, Organization, Playbook};
use serde::Deserialize;
use snapshot::{Snapshot, delete, missing, position};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How often a change is tried when others change definitions at the same time.
const ATTEMPTS: u32 = 12;
/// The pause before the second attempt; it doubles up to the longest, and half of it is chance.
const PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a snapshot is read that is replaced meanwhile.
const READS: usize = 5;
/// How long a snapshot is kept after it was replaced, for whoever began to read it before.
const LINGERS: Duration = Duration::from_secs(60 * 60);
/// Versions of playbooks that are written at once.
const WRITERS: usize = 8;
/// Most bytes of a playbook that are kept in one item.
const INLINE: usize = 256 << 10;
/// For parts that are never to go: the last second that the table goes by, some 8,000 years away.
const NEVER: i64 = 253_402_300_799;

const DEFINITIONS: &str = "definitions";
const AUTOMATION: &str = "automation";
const PLAYBOOK: &str = "playbook";
const CONNECTION: &str = "connection";

/// What of a snapshot is read at once.
#[derive(Deserialize)]
struct Sketch {
    playbooks: Vec<Versioned<Playbook>>,
    connections: Vec<Versioned<Connection>>,
    organization: Option<Versioned<Organization>>,
}

/// What is in force, and what says so.
struct InForce {
    revision: u64,
    snapshot: Snapshot,
}

impl DynamoDb {
    pub(crate) async fn revision(&self) -> Result<u64, StoreError> {
        let get = Request::get(&head()).project("#revision");
        let answer = self.plain(get).await?;
        match answer.item {
            Some(item) => Fields::of(DEFINITIONS, &item).count("revision"),
            None => Ok(0),
        }
    }

    pub(crate) async fn inventory(&self) -> Result<Inventory, StoreError> {
        let InForce { revision, snapshot } = self.in_force().await?;
        Ok(Inventory {
            revision,
            automations: snapshot.automations,
            playbooks: snapshot.playbooks,
            connections: snapshot.connections,
            organization: snapshot.organization,
        })
    }

    pub(crate) async fn outline(&self) -> Result<Outline, StoreError> {
        let Some((revision, body)) = self.packed_in_force().await? else {
            return Ok(Outline {
                revision: 0,
                automations: Unread::here(Vec::new()),
                playbooks: Vec::new(),
                connections: Vec::new(),
                organization: None,
            });
        };
        let deflated = body.into_deflated();
        let sketch: Sketch = from_json(DEFINITIONS, &inflate(DEFINITIONS, &deflated)?)?;
        Ok(Outline {
            revision,
            automations: Unread::Packed(PackedAutomations::new(deflated)),
            playbooks: sketch.playbooks,
            connections: sketch.connections,
            organization: sketch.organization,
        })
    }

    pub(crate) async fn put_definitions(
        &self,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        self.edit(now, |snapshot| {
            let mut applied = Applied::default();
            for change in &changes {
                snapshot.put(change, now, &mut applied);
            }
            if applied.created.is_empty() && applied.updated.is_empty() {
                return Ok((false, applied));
            }
            complete(&snapshot.automations, &snapshot.playbooks)?;
            Ok((true, applied))
        })
        .await
    }

    pub(crate) async fn automations(&self) -> Result<Vec<Stored<Automation>>, StoreError> {
        Ok(self.in_force().await?.snapshot.automations)
    }

    pub(crate) async fn automation(
        &self,
        name: &str,
    ) -> Result<Option<Stored<Automation>>, StoreError> {
        let mut all = self.in_force().await?.snapshot.automations;
        Ok(position(&all, name)
            .ok()
            .map(|found| all.swap_remove(found)))
    }

    pub(crate) async fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.edit(now, |snapshot| {
            let Ok(found) = position(&snapshot.automations, name) else {
                return Err(missing(AUTOMATION, name));
            };
            let stored = &mut snapshot.automations[found];
            if stored.definition.enabled == enabled {
                return Ok((false, ()));
            }
            // The version stays that of the text, so applying the same text again changes nothing.
            stored.definition.enabled = enabled;
            stored.updated = now;
            Ok((true, ()))
        })
        .await
    }

    pub(crate) async fn delete_automation(&self, name: &str) -> Result<(), StoreError> {
        self.edit(Timestamp::now(), |snapshot| {
            delete(&mut snapshot.automations, AUTOMATION, name)
        })
        .await
    }

    pub(crate) async fn playbooks(&self) -> Result<Vec<Stored<Playbook>>, StoreError> {
        Ok(self.in_force().await?.snapshot.playbooks)
    }

    pub(crate) async fn playbook(
        &self,
        name: &str,
    ) -> Result<Option<Stored<Playbook>>, StoreError> {
        let mut all = self.in_force().await?.snapshot.playbooks;
        Ok(position(&all, name)
            .ok()
            .map(|found| all.swap_remove(found)))
    }

    pub(crate) async fn playbook_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<Playbook>, StoreError> {
        if let Some(known) = self.versions.get(name, version) {
            return Ok(Some(known));
        }
        let key = version_key(name, version);
        let Some(item) = self.item(&key).await? else {
            return Ok(None);
        };
        let body = Fields::of(PLAYBOOK, &item).attribute("body")?;
        let Some(body) = self.body(PLAYBOOK, body, &Place::of_playbook(&key)).await? else {
            return Err(StoreError::Permanent {
                reason: format!("a part of playbook `{name}` is not there"),
            });
        };
        let playbook: Playbook = from_json(PLAYBOOK, &body)?;
        self.versions.add(name, version, &playbook);
        Ok(Some(playbook))
    }

    pub(crate) async fn delete_playbook(&self, name: &str) -> Result<(), StoreError> {
        self.edit(Timestamp::now(), |snapshot| {
            unused(name, &snapshot.automations, &snapshot.playbooks)?;
            delete(&mut snapshot.playbooks, PLAYBOOK, name)
        })
        .await
    }

    pub(crate) async fn connections(&self) -> Result<Vec<Stored<Connection>>, StoreError> {
        Ok(self.in_force().await?.snapshot.connections)
    }

    pub(crate) async fn delete_connection(&self, name: &str) -> Result<(), StoreError> {
        self.edit(Timestamp::now(), |snapshot| {
            delete(&mut snapshot.connections, CONNECTION, name)
        })
        .await
    }

    pub(crate) async fn organization(&self) -> Result<Option<Stored<Organization>>, StoreError> {
        Ok(self.in_force().await?.snapshot.organization)
    }

    async fn in_force(&self) -> Result<InForce, StoreError> {
        let Some((revision, body)) = self.packed_in_force().await? else {
            return Ok(InForce {
                revision: 0,
                snapshot: Snapshot::default(),
            });
        };
        Ok(InForce {
            revision,
            snapshot: from_json(DEFINITIONS, &body.text(DEFINITIONS)?)?,
        })
    }

    /// The revision and the snapshot that are in force; none before the first.
    async fn packed_in_force(&self) -> Result<Option<(u64, Packed)>, StoreError> {
        for _ in 0..READS {
            let Some(head) = self.item(&head()).await? else {
                return Ok(None);
            };
            let fields = Fields::of(DEFINITIONS, &head);
            let body = fields.attribute("body")?;
            let revision = fields.count("revision")?;
            // It is gone if it was replaced long ago, by the time of the table.
            let packed = self.packed(DEFINITIONS, body, &snapshot(revision)).await?;
            if let Some(packed) = packed {
                return Ok(Some((revision, packed)));
            }
        }
        Err(StoreError::Permanent {
            reason: "a part of the definitions is not there: put the table back as it was before, or apply all definitions to a new one".into(),
        })
    }

    /// Changes what is in force, again from the start whenever others were faster.
    async fn edit<T>(
        &self,
        now: Timestamp,
        mut change: impl FnMut(&mut Snapshot) -> Result<(bool, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut written = BTreeSet::new();
        let mut refused = None;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let InForce { revision, snapshot } = self.in_force().await?;
            let mut next = snapshot.clone();
            let (changed, done) = change(&mut next)?;
            if !changed {
                // Nothing is left to do because it was done: the answer to it was lost, and others went on from there.
                return Ok(refused.unwrap_or(done));
            }
            // Runs may be made with a version as soon as it is in force, so each is there before.
            let known = snapshot.playbooks.iter().map(version_of);
            written.extend(known);
            let mut new = next.playbooks.clone();
            new.retain(|stored| !written.contains(&version_of(stored)));
            written.extend(new.iter().map(version_of));
            self.put_versions(new, now).await?;
            if self.replace(revision, &next, now).await? {
                return Ok(done);
            }
            refused = Some(done);
        }
        Err(StoreError::Transient {
            reason: "the definitions are being changed by others all the time".into(),
        })
    }

    /// Puts a snapshot in force if that of this revision still is; false if it is not.
    async fn replace(
        &self,
        revision: u64,
        definitions: &Snapshot,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let packed = Packed::of(to_json(definitions));
        let place = snapshot(revision + 1);
        // Always beside the pointer, which is read far more often than what it points at.
        let body = self.keep(packed, None, &place, NEVER).await?;
        let token = token()?;
        let replace = Request::update(&head())
            .change("SET #revision = :next, #body = :body, #token = :token, #updated = :now")
            .value(":next", number(revision + 1))
            .value(":body", body.clone())
            .value(":token", text(&token))
            .value(":now", micros(now));
        let replace = match revision {
            0 => replace.only_if("attribute_not_exists(#pk)"),
            _ => replace
                .only_if("#revision = :revision")
                .value(":revision", number(revision)),
        };
        match self.call(replace).await {
            Ok(_) => {}
            Err(Refused::Condition(found)) => {
                let found = found.as_ref();
                let told = found.and_then(|item| Fields::of(DEFINITIONS, item).maybe_text("token"));
                // Ours, if the answer to it was lost and it was sent again.
                if told != Some(token.as_str()) {
                    self.discard(&body, &place).await;
                    return Ok(false);
                }
            }
            Err(Refused::Store(error)) => return Err(error),
        }
        if let Err(error) = self.let_go_of_snapshots(revision).await {
            tracing::warn!(error = %error, "definitions that were replaced could not be marked for removal");
        }
        Ok(true)
    }

    /// Has the snapshots go that were replaced, up to that of this revision.
    ///
    /// Those of a few revisions before are looked at again: whoever replaced them may have died before this.
    async fn let_go_of_snapshots(&self, revision: u64) -> Result<(), StoreError> {
        let first = snapshot(revision.saturating_sub(2)).role;
        let last = snapshot(revision + 1).role;
        let request = Request::query("#pk = :pk AND #sk BETWEEN :first AND :last")
            .filter("#expires = :never")
            .project("#pk, #sk")
            .value(":pk", text(DEFINITIONS))
            .value(":first", text(first))
            .value(":last", text(last))
            .value(":never", number(NEVER));
        let expires = later(Timestamp::now().as_second(), LINGERS);
        let mut next = Some(request);
        while let Some(request) = next {
            let answer = self.plain(request.clone()).await?;
            for item in &answer.items {
                let Some(key) = Key::of(item) else {
                    continue;
                };
                let let_go = Request::update(&key)
                    .change("SET #expires = :expires")
                    .value(":expires", number(expires));
                self.plain(let_go).await?;
            }
            next = index::following(request, answer);
        }
        Ok(())
    }

    /// Stores versions of playbooks that are not there yet.
    async fn put_versions(
        &self,
        playbooks: Vec<Stored<Playbook>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let slots = Arc::new(Semaphore::new(WRITERS));
        let mut tasks = JoinSet::new();
        for Stored {
            definition,
            version,
            ..
        } in playbooks
        {
            let (table, slots) = (self.clone(), Arc::clone(&slots));
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                table.put_version(&definition, &version, now).await
            });
        }
        tasks.join_all().await.into_iter().collect()
    }

    pub(crate) async fn put_version(
        &self,
        playbook: &Playbook,
        version: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = version_key(&playbook.name, version);
        let place = Place::of_playbook(&key);
        let body = Packed::of(to_json(playbook));
        let body = self.keep(body, Some(INLINE), &place, NEVER).await?;
        let mut item = key.attributes();
        item.insert("body".into(), body.clone());
        item.insert("created".into(), micros(now));
        let put = Request::put(item).only_if("attribute_not_exists(#pk)");
        match self.call(put).await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(found)) => {
                // A version is what it was first applied as; but one that was put twice is not to lose its parts.
                if found.is_some_and(|found| found.get("body") != Some(&body)) {
                    self.discard(&body, &place).await;
                }
                Ok(())
            }
            Err(Refused::Store(error)) => Err(error),
        }
    }
}

fn head() -> Key {
    Key::new(DEFINITIONS, "head")
}

fn version_key(name: &str, version: &str) -> Key {
    Key::new(format!("playbook#{name}"), format!("version#{version}"))
}

fn version_of(stored: &Stored<Playbook>) -> (String, String) {
    (stored.definition.name.clone(), stored.version.clone())
}

/// Where the snapshot of a revision is.
fn snapshot(revision: u64) -> Place {
    Place {
        pk: DEFINITIONS.to_owned(),
        role: format!("snapshot#{revision:012}"),
    }
}

impl Place {
    fn of_playbook(key: &Key) -> Place {
        Place {
            pk: format!("parts#{}", key.pk),
            role: key.sk.clone(),
        }
    }
}

async fn pause(attempt: u32) {
    if attempt == 0 {
        return;
    }
    let longest = (PAUSE * 2_u32.pow(attempt - 1)).min(LONGEST_PAUSE);
    let mut random = [0];
    // Without randomness the pause is just longer.
    let _ = getrandom::fill(&mut random);
    let part = f64::from(random[0]) / 255.0 / 2.0;
    tokio::time::sleep(longest.mul_f64(1.0 - part)).await;
}
