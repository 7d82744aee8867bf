use std::path::Path;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may do so later: it is busy, the disk is full, a write failed.
    #[error("{reason}")]
    Transient {
        /// What happened and what helps.
        reason: String,
    },
    /// It never will as things stand: the file is damaged, read-only or of a newer version.
    #[error("{reason}")]
    Permanent {
        /// What happened and what helps.
        reason: String,
    },
    /// Another worker took the run over, so this one must not write any more.
    #[error("run `{run}` was taken over by another worker")]
    LeaseLost {
        /// Id of the run.
        run: String,
    },
    /// Nothing of that name is there.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// What was looked for: `automation`, `playbook`, …
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// It cannot be removed because others need it.
    #[error("{what} `{name}` is used by {}; change or delete those first", list(.by))]
    InUse {
        /// What was to be removed.
        what: &'static str,
        /// Its name.
        name: String,
        /// Who needs it, such as ``automation `a` ``.
        by: Vec<String>,
    },
}

fn list(by: &[String]) -> String {
    by.join(", ")
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Transient { .. })
    }

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

    pub(crate) fn unreadable(what: &str, error: &serde_json::Error) -> StoreError {
        StoreError::Permanent {
            reason: format!("a stored {what} cannot be read: {error}"),
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
