//! Who has the store open, so that what a killed process held in hand need not wait for its time to run out.

use super::Fault;
use crate::store::StoreError;
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Lasts as long as this process has the store open, and ends with the process however it ends.
#[derive(Debug)]
pub(super) struct Presence {
    /// Locked in common with every other process; absent where the folder knows no locks.
    _file: Option<File>,
}

impl Presence {
    /// Opens the store and joins those that have it open.
    ///
    /// Whoever is alone opens it with nobody beside, so that one process makes or migrates it and the others find it
    /// done; and whatever is in hand then was let down, and is let go.
    pub(super) fn enter(
        database: &Path,
        open_store: impl FnOnce() -> Result<Connection, StoreError>,
    ) -> Result<(Presence, Connection), StoreError> {
        let Ok(file) = open(&database.with_extension("lock")) else {
            return Ok((Presence { _file: None }, open_store()?));
        };
        let alone = file.try_lock().is_ok();
        // Where it is not alone, this waits until whoever is has made the store.
        let joined = alone || file.lock_shared().is_ok();
        let connection = open_store()?;
        if alone {
            release(&connection).map_err(|fault| fault.of(database))?;
        }
        // Whoever is alone in between lets go of nothing of ours: nothing is in our hands yet.
        let joined = match alone {
            true => file.unlock().is_ok() && file.lock_shared().is_ok(),
            false => joined,
        };
        let file = joined.then_some(file);
        Ok((Presence { _file: file }, connection))
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes messages in hand visible and ends the leases of runs; a fence keeps late writers out as ever.
fn release(connection: &Connection) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    let messages = transaction.execute(
        "UPDATE messages SET receipt = NULL, visible = 0 WHERE receipt IS NOT NULL AND died IS NULL",
        (),
    )?;
    let runs = transaction.execute(
        "UPDATE runs SET leased_until = 0, due = 0 WHERE owner IS NOT NULL AND due IS NOT NULL",
        (),
    )?;
    transaction.commit()?;
    if messages + runs > 0 {
        tracing::info!(
            messages,
            runs,
            "let go of what a process that is gone held in hand"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::queue::{Queue, Queues, Sending};
    use crate::store::Store;
    use jiff::Timestamp;
    use std::path::Path;
    use std::time::Duration;

    async fn received(file: &Path) -> (usize, Queues) {
        let store = Store::open(file).await.unwrap();
        let queues = Queues::beside(store.sqlite(), 5);
        let hour = Duration::from_secs(3600);
        let messages = queues
            .receive(Queue::Alert, 10, hour, Timestamp::now())
            .await
            .unwrap();
        (messages.len(), queues)
    }

    #[tokio::test]
    async fn what_is_in_hand_is_let_go_once_nobody_is_left_to_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quench.db");
        let store = Store::open(&file).await.unwrap();
        Queues::beside(store.sqlite(), 5)
            .send(Queue::Alert, b"body", Sending::default(), Timestamp::now())
            .await
            .unwrap();
        drop(store);
        let (count, holder) = received(&file).await;
        assert_eq!(count, 1);
        let (count, beside) = received(&file).await;
        assert_eq!(count, 0, "its holder is alive");
        drop((holder, beside));
        let (count, _queues) = received(&file).await;
        assert_eq!(count, 1, "its holder is gone");
    }
}
