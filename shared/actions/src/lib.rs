//! What the steps of playbooks do to the outside world.
#![warn(missing_docs)]

use std::time::Duration;

/// What an action that took effect reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Performed {
    /// One line for people, without secrets.
    pub summary: String,
    /// What later steps may read as `steps.<id>`, without secrets.
    pub output: serde_json::Value,
}

/// Why an action did not take effect, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// It did not take effect and may later.
    #[error("{reason}")]
    Transient {
        /// What happened.
        reason: String,
        /// How long the target asked us to wait.
        retry_after: Option<Duration>,
    },
    /// It did not take effect and never will as it stands.
    #[error("{reason}")]
    Permanent {
        /// What happened.
        reason: String,
    },
    /// Nobody can tell whether it took effect.
    #[error("{reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
}
