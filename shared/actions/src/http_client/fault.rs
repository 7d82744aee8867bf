use super::Request;
use crate::address_guard::Refused;
use crate::trust::InvalidCertificate;
use crate::{ActionError, neutral};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why there is no HTTP client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClient {
    /// An authority to trust is of no use.
    #[error(transparent)]
    Authority(#[from] InvalidCertificate),
    /// The client cannot be built.
    #[error("HTTP client cannot be built: {0}")]
    Build(String),
}

/// What is known of a request under way, to tell what became of it.
pub(super) struct Exchange {
    host: String,
    limit: Duration,
    repeatable: bool,
    /// Whether the request has a body that notes when the request begins to leave.
    watched: bool,
    began: Arc<AtomicBool>,
}

impl Exchange {
    pub(super) fn of(request: &Request, limit: Duration) -> Self {
        Self {
            host: request.host(),
            limit,
            repeatable: request.repeatable,
            // An empty body is never asked for.
            watched: request.body.as_ref().is_some_and(|body| !body.is_empty()),
            began: Arc::new(AtomicBool::new(false)),
        }
    }

    pub(super) fn began(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.began)
    }

    pub(super) fn into_host(self) -> String {
        self.host
    }

    pub(super) fn too_slow(&self) -> ActionError {
        let limit = neutral::seconds(self.limit);
        self.broken_off(format!("`{}` did not answer within {limit}", self.host))
    }

    pub(super) fn failed(&self, error: &reqwest::Error) -> ActionError {
        if let Some(refused) = find::<Refused>(error) {
            return ActionError::permanent(refused.to_string());
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = find::<rustls::Error>(error) {
            return ActionError::permanent(format!(
                "certificate of `{}` is not valid: {why}",
                self.host
            ));
        }
        let why = innermost(error);
        if speaks_no_tls(error) {
            return ActionError::transient(format!(
                "`{}` speaks no TLS: {why}; is its address `http://`?",
                self.host
            ));
        }
        if error.is_connect() {
            let late = if error.is_timeout() { " in time" } else { "" };
            return ActionError::transient(format!(
                "`{}` could not be connected to{late}: {why}",
                self.host
            ));
        }
        if error.is_builder() {
            return ActionError::permanent(format!(
                "request to `{}` is not valid: {why}",
                self.host
            ));
        }
        self.broken_off(format!("exchange with `{}` broke off: {why}", self.host))
    }

    fn broken_off(&self, reason: String) -> ActionError {
        let left = !self.watched || self.began.load(Ordering::Acquire);
        if left && !self.repeatable {
            ActionError::unknown(reason)
        } else {
            ActionError::transient(reason)
        }
    }
}

/// Finds an error of a type among the causes of another, also within I/O errors, which do not name what they wrap.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(wrapped) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(found) = find::<T>(wrapped)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Says whether the other side answered the first word of TLS with something else.
pub(crate) fn speaks_no_tls(error: &(dyn Error + 'static)) -> bool {
    use rustls::InvalidMessage::InvalidContentType;
    matches!(
        find::<rustls::Error>(error),
        Some(rustls::Error::InvalidMessage(InvalidContentType))
    )
}

/// The cause of all causes; those before it may tell the address, which may be a secret.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    neutral::line(&last.to_string(), 200)
}
