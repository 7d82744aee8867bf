/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may do so later: it is busy, the disk is full, a write failed.
    #[error("{reason}")]
    Transient {
        /// What happened and what helps.
        reason: String,
    },
    /// It never will as things stand: the file is damaged or read-only, the table is not there.
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

    pub(crate) fn unreadable(what: &str, error: &serde_json::Error) -> StoreError {
        StoreError::Permanent {
            reason: format!("a stored {what} cannot be read: {error}"),
        }
    }
}
