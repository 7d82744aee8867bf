//! What the steps of playbooks do to the outside world.
//!
//! A step is first prepared: its templates are rendered and everything that can be checked without the outside world
//! is checked. What comes of it, an [`Action`], says exactly what will be done and holds no secrets, so it can be
//! written into the run's journal. Then it is performed, against an [`Outside`] that names the HTTP client, the mailer,
//! the connections and the source of secrets.
#![warn(missing_docs)]

mod action;
pub mod address_guard;
pub mod aws;
pub mod call;
pub mod cloud;
mod context;
pub mod http_client;
pub mod mailer;
mod neutral;
pub mod notify;
mod outside;
pub mod remediate;
#[cfg(test)]
mod sample;
pub mod secrets;
mod trust;

pub use action::{Action, perform, prepare};
pub use address_guard::AddressGuard;
pub use aws::{Aws, AwsError};
pub use cloud::Cloud;
pub use context::Context;
pub use http_client::HttpClient;
#[cfg(feature = "local")]
pub use http_client::HttpRules;
pub use mailer::Mailer;
pub use outside::Outside;
pub use rustls::pki_types::CertificateDer;
pub use secrets::Secrets;
pub use trust::{InvalidCertificate, Trust, certificates};

use std::time::Duration;

/// One try at an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Names the step of the run: the same at every attempt, never that of another step. Targets deduplicate by it.
    pub key: String,
    /// How often the run was set going again after this step had failed for good: what targets keep of the failed round
    /// is over.
    pub round: u32,
    /// What the last attempt left for this one, see [`ActionError::Pending`].
    pub mark: Option<String>,
    /// Which attempt it is, from one.
    pub number: u32,
    /// When the attempt is given up.
    pub timeout: Duration,
}

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
    /// It was begun and goes on by itself; a further attempt, which is none because of a failure, learns how it ends.
    #[error("{reason}")]
    Pending {
        /// What goes on.
        reason: String,
        /// How long to leave it alone.
        again: Duration,
        /// What tells the next attempt of it.
        mark: String,
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

impl ActionError {
    pub(crate) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            retry_after: None,
        }
    }

    pub(crate) fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            reason: reason.into(),
        }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
        }
    }
}
