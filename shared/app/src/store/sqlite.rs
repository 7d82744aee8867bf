//! The store in one SQLite file.

mod approvals;
#[cfg(test)]
pub(crate) mod crash;
mod definitions;
mod fault;
mod findings;
mod presence;
mod runs;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use super::StoreError;
use presence::Presence;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::Writer;

/// How long a call waits for another process to let go of the file.
const BUSY: Duration = Duration::from_secs(15);
/// Idle connections that are kept for reading.
const READERS: usize = 4;

/// One file, which several processes may use at once; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: Arc<PathBuf>,
    writer: Writer,
    readers: Arc<Mutex<Vec<Connection>>>,
    _presence: Arc<Presence>,
}

/// The condition that columns hold these values, as far as they are given, and the values in its order.
fn equal(columns: &[(&str, &Option<String>)]) -> (String, Vec<Value>) {
    let mut conditions = vec!["1 = 1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    for (column, value) in columns {
        if let Some(value) = value {
            values.push(value.clone().into());
            conditions.push(format!("{column} = ?{}", values.len()));
        }
    }
    (conditions.join(" AND "), values)
}

impl Sqlite {
    pub(crate) async fn open(path: &Path) -> Result<Sqlite, StoreError> {
        let path = Arc::new(path.to_owned());
        let (presence, connection) = {
            let path = Arc::clone(&path);
            blocking(move || Presence::enter(&path, || schema::open(&path))).await?
        };
        Ok(Sqlite {
            writer: Writer::start(Arc::clone(&path), connection)?,
            path,
            readers: Arc::default(),
            _presence: Arc::new(presence),
        })
    }

    /// Does `work` on a snapshot of the file, away from the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = Arc::clone(&self.path);
        let readers = Arc::clone(&self.readers);
        blocking(move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&path)?,
            };
            let done = snapshot(&connection, work).map_err(|fault| fault.of(&path));
            if done.is_ok() {
                let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
                if readers.len() < READERS {
                    readers.push(connection);
                }
            }
            done
        })
        .await
    }

    /// Does `work` in a transaction that is on disk when this returns; all or nothing.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(work).await
    }

    #[cfg(test)]
    pub(crate) fn crash(&self) -> &crash::Crash {
        self.writer.crash()
    }
}

/// Why some work on a connection failed.
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl Fault {
    fn of(self, path: &Path) -> StoreError {
        match self {
            Fault::Sqlite(error) => StoreError::of(path, &error),
            Fault::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Transient {
            reason: format!("the store was interrupted: {error}"),
        })?
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fault = |error| StoreError::of(path, &error);
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let done = work(&transaction)?;
    transaction.finish()?;
    Ok(done)
}

/// The column form of a time: microseconds since 1970.
pub(crate) fn micros(time: jiff::Timestamp) -> i64 {
    time.as_microsecond()
}

/// The time of a column.
pub(crate) fn time(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}

/// The column form of a count, which never gets near the limit.
pub(crate) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The count of a column.
pub(crate) fn count(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

/// Text with what `LIKE` takes for wildcards escaped by `\`.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
