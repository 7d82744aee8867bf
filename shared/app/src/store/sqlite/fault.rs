use crate::store::StoreError;
use std::path::Path;

impl StoreError {
    pub(crate) fn of(path: &Path, error: &rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode as Code;
        let path = path.display();
        let transient = |what: String| StoreError::Transient { reason: what };
        let permanent = |what: String| StoreError::Permanent { reason: what };
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed) => {
                transient(format!(
                    "the database `{path}` is busy: another process has held it for too long"
                ))
            }
            Some(Code::DiskFull) => transient(format!(
                "the disk that holds the database `{path}` is full: make room on it"
            )),
            Some(Code::SystemIoFailure) => transient(format!(
                "the database `{path}` cannot be read or written: {error}; check its disk"
            )),
            Some(Code::OutOfMemory) => {
                transient(format!("memory ran out while using the database `{path}`"))
            }
            Some(
                Code::ReadOnly | Code::PermissionDenied | Code::AuthorizationForStatementDenied,
            ) => permanent(format!(
                "the database `{path}` is read-only: let this user write to it and to its folder"
            )),
            Some(Code::CannotOpen) => permanent(format!(
                "the database `{path}` cannot be opened: check that its folder exists and that this user may write to it"
            )),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => permanent(format!(
                "the file `{path}` is damaged or is no database: put back a copy of it, or move it away to begin anew"
            )),
            _ => permanent(format!("the database `{path}` failed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn told(code: i32) -> (bool, String) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let error = StoreError::of(Path::new("/data/quench.db"), &error);
        (error.is_transient(), error.to_string())
    }

    #[test]
    fn what_passes_is_transient_and_what_stays_is_not_and_both_say_what_to_do() {
        for (code, transient, what) in [
            (ffi::SQLITE_BUSY, true, "another process"),
            (ffi::SQLITE_LOCKED, true, "another process"),
            (ffi::SQLITE_FULL, true, "make room"),
            (ffi::SQLITE_IOERR_FSYNC, true, "check its disk"),
            (ffi::SQLITE_NOMEM, true, "memory"),
            (ffi::SQLITE_READONLY, false, "let this user write"),
            (ffi::SQLITE_READONLY_DIRECTORY, false, "let this user write"),
            (ffi::SQLITE_CANTOPEN, false, "check that its folder exists"),
            (ffi::SQLITE_CORRUPT, false, "put back a copy"),
            (ffi::SQLITE_NOTADB, false, "put back a copy"),
            (ffi::SQLITE_ERROR, false, "failed"),
        ] {
            let (is_transient, message) = told(code);
            assert_eq!(is_transient, transient, "{message}");
            assert!(message.contains(what), "{message}");
            assert!(message.contains("`/data/quench.db`"), "{message}");
        }
    }
}
