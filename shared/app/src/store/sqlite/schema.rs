use super::{Fault, connect};
use crate::store::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::fs::OpenOptions;
use std::path::Path;

/// Marks the file as ours: `QNCH`.
const APPLICATION: i32 = 0x514e_4348;

/// What brings a file from one version to the next; the first makes an empty file a store.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// Opens the file for writing; makes it or brings it up to date as needed.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = create(path)?;
    prepare(&connection, path).map_err(|fault| fault.of(path))?;
    Ok(connection)
}

/// Makes an empty file where there is none, for its owner only: findings are nobody else's business.
fn create(path: &Path) -> Result<Connection, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    // Whatever stands in the way, the database says it better.
    let _ = options.open(path);
    connect(path)
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let (application, objects) = owner(connection)?;
    if application != APPLICATION && (application != 0 || objects > 0) {
        return Err(Fault::Store(StoreError::Permanent {
            reason: format!(
                "the file `{}` belongs to another program: name another folder",
                path.display()
            ),
        }));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit that was reported is on disk, come a loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(connection, path)
}

/// The mark of the program the file belongs to and how many objects it holds, both at one moment.
fn owner(connection: &Connection) -> Result<(i32, i64), Fault> {
    let moment = connection.unchecked_transaction()?;
    let objects = moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application = pragma(&moment, "application_id")?;
    moment.finish()?;
    Ok((application, objects))
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let newest = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if version(connection)? == newest {
        return Ok(());
    }
    // The lock is taken first: of several processes that open an old file, one migrates and the others find it done.
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > newest {
        return Err(Fault::Store(StoreError::Permanent {
            reason: format!(
                "the database `{}` is of version {found}, and this program knows versions up to {newest}: use a newer `quench`, or another folder",
                path.display()
            ),
        }));
    }
    for migration in MIGRATIONS
        .iter()
        .skip(usize::try_from(found).unwrap_or_default())
    {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", newest)?;
    transaction.commit()?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i32, Fault> {
    pragma(connection, "user_version")
}

fn pragma(connection: &Connection, name: &str) -> Result<i32, Fault> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
