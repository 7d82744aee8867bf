use super::plan::paths;
use super::target::Target;
use crate::{ActionError, AwsError};
use serde_json::Value;
use std::time::Duration;

/// Why a remediation did not do what it was asked to, split by what follows from it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// What it was to be applied to is not there.
    #[error("there is no {resource}: {reason}")]
    Missing {
        /// The resource, for people.
        resource: String,
        /// What the service answered.
        reason: String,
    },
    /// These credentials may not do it.
    #[error("`{action}` is not allowed: {reason}; allow it to the role that remediates")]
    Denied {
        /// The IAM action.
        action: String,
        /// What the service answered.
        reason: String,
    },
    /// It was not done and may be later.
    #[error("{reason}")]
    Transient {
        /// What happened.
        reason: String,
        /// Whether the service had too much to do.
        throttled: bool,
        /// How long the service asked us to wait.
        retry_after: Option<Duration>,
    },
    /// Nobody can tell whether it was done; doing it again is safe, as what was done is read first.
    #[error("{reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The remediation cannot be applied to this.
    #[error("{0}")]
    Unsupported(String),
    /// It would do harm, or nobody can tell that it would not.
    #[error("{0}")]
    Guard(String),
    /// What was said to it is not right.
    #[error("{}", .0.join("; "))]
    Parameters(Vec<String>),
    /// The resource is not as it was when this was planned.
    #[error("the resource changed since: {}", paths(planned, found))]
    Changed {
        /// As it was planned upon, or as the remediation left it.
        planned: Box<Value>,
        /// As it is.
        found: Box<Value>,
    },
    /// The plan is not the one that its hash was made of.
    #[error("the plan was changed after it was made; plan again")]
    Altered,
    /// The service refused it.
    #[error("{0}")]
    Refused(String),
}

/// Codes that say that something is not there and do not end in `NotFound`, `NotFoundException` or `NotFoundFault`.
const MISSING: [&str; 10] = [
    "NoSuchBucket",
    "NoSuchEntity",
    "InvalidAMIID.Unavailable",
    "DBInstanceNotFound",
    "DBSnapshotNotFound",
    "DBClusterSnapshotNotFoundFault",
    "NotFoundException",
    "TrailNotFoundException",
    "InvalidSecurityGroupRuleId.NotFound",
    "NoSuchKey",
];

impl Fault {
    /// Sorts what a call came to.
    pub(super) fn of(error: &AwsError, action: &str, target: &Target) -> Self {
        let reason = error.to_string();
        if let Some(refused) = error.service_error() {
            let code = refused.code.as_str();
            if refused.is_throttled() {
                return Self::Transient {
                    reason,
                    throttled: true,
                    retry_after: refused.retry_after,
                };
            }
            if is_missing(code) {
                return Self::Missing {
                    resource: target.to_string(),
                    reason,
                };
            }
            if is_denied(code, refused.status) {
                return Self::Denied {
                    action: action.to_owned(),
                    reason,
                };
            }
            // Buckets are asked for in their own region alone.
            if matches!(
                code,
                "PermanentRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException"
            ) {
                return Self::Unsupported(format!(
                    "{target} is not in region `{}`; name its own: {reason}",
                    target.region
                ));
            }
        }
        if error.is_in_doubt() || error.is_done() {
            return Self::Unknown { reason };
        }
        if error.is_transient() {
            return Self::Transient {
                reason,
                throttled: false,
                retry_after: error.retry_after(),
            };
        }
        Self::Refused(reason)
    }

    pub(super) fn missing(target: &Target, reason: &str) -> Self {
        Self::Missing {
            resource: target.to_string(),
            reason: reason.to_owned(),
        }
    }

    /// An answer of a service that lacks what its documentation promises.
    pub(super) fn lacks(what: &str) -> Self {
        Self::Refused(format!("answer of AWS lacks `{what}`"))
    }

    /// Says whether the same may succeed later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

impl From<Fault> for ActionError {
    fn from(fault: Fault) -> Self {
        let reason = fault.to_string();
        match fault {
            Fault::Transient { retry_after, .. } => Self::Transient {
                reason,
                retry_after,
            },
            Fault::Unknown { .. } => Self::Unknown { reason },
            Fault::Missing { .. }
            | Fault::Denied { .. }
            | Fault::Unsupported(_)
            | Fault::Guard(_)
            | Fault::Parameters(_)
            | Fault::Changed { .. }
            | Fault::Altered
            | Fault::Refused(_) => Self::Permanent { reason },
        }
    }
}

pub(super) fn is_missing(code: &str) -> bool {
    MISSING.contains(&code)
        || code.ends_with("NotFound")
        || code.ends_with("NotFoundException")
        || code.ends_with("NotFoundFault")
        // The id has not the form of one.
        || code.ends_with(".Malformed")
}

fn is_denied(code: &str, status: u16) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "Client.UnauthorizedOperation"
            | "NotAuthorized"
            | "AuthFailure"
            | "AllAccessDisabled"
            | "403"
    ) || (status == 403 && code.contains("Denied"))
}
