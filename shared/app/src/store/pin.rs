use super::{Store, StoreError};
use jiff::Timestamp;
use quench_automations::{Playbook, version};

impl Store {
    /// Keeps a playbook that was made for a single run, which is pinned to the version that this yields, without putting
    /// it in force: it is not among the playbooks, and no automation finds it. One that is there already stays as it is.
    ///
    /// # Errors
    /// The store fails.
    pub async fn pin_playbook(
        &self,
        playbook: &Playbook,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let version = version(playbook);
        match self {
            #[cfg(feature = "local")]
            Store::Sqlite(sqlite) => sqlite.pin(playbook, &version, now).await?,
            Store::DynamoDb(table) => table.put_version(playbook, &version, now).await?,
        }
        Ok(version)
    }
}

#[cfg(feature = "local")]
impl super::Sqlite {
    async fn pin(
        &self,
        playbook: &Playbook,
        version: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let body = super::encoding::to_json(playbook);
        let (name, version) = (playbook.name.clone(), version.to_owned());
        self.write(move |database| {
            database
                .prepare_cached(
                    "INSERT INTO playbook_versions (name, version, body, created) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name, version) DO NOTHING",
                )?
                .execute(rusqlite::params![
                    name,
                    version,
                    body,
                    super::sqlite::micros(now)
                ])?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulated;
    use crate::specimen::moment;
    use serde_json::json;
    use std::time::Duration;

    async fn a_playbook_is_pinned_without_being_in_force(store: &Store) {
        let playbook: Playbook = serde_json::from_value(json!({
            "name": "by-hand:x", "triggers": ["alert"],
            "steps": [{"id": "halt", "kind": {"stop": {"reason": "done"}}}],
        }))
        .unwrap();
        let version = store.pin_playbook(&playbook, moment(1)).await.unwrap();
        let again = store.pin_playbook(&playbook, moment(2)).await.unwrap();
        assert_eq!(version, again);
        let kept = store.playbook_version("by-hand:x", &version).await.unwrap();
        assert_eq!(kept, Some(playbook.clone()));
        let other = Playbook {
            description: Some("another".to_owned()),
            ..playbook
        };
        let pinned = store.pin_playbook(&other, moment(3)).await.unwrap();
        assert_ne!(pinned, version);
        assert_eq!(store.playbook("by-hand:x").await.unwrap(), None);
        assert_eq!(store.playbooks().await.unwrap(), []);
        assert_eq!(store.revision().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_file_pins_playbooks() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("quench.db")).await.unwrap();
        a_playbook_is_pinned_without_being_in_force(&store).await;
    }

    #[tokio::test]
    async fn a_table_pins_playbooks() {
        let emulator = emulated::emulator();
        let aws = emulated::aws(&emulator);
        let table = emulated::table(&aws).await;
        let store = Store::on_aws(aws, &table, Duration::from_secs(86_400));
        a_playbook_is_pinned_without_being_in_force(&store).await;
    }
}
