use super::retry_after;
use crate::{ActionError, neutral};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use std::time::Duration;

const EXCERPT: usize = 200;

/// What came back.
pub(crate) struct Answer {
    pub(crate) host: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// At most [`super::ANSWER_LIMIT`] bytes.
    pub(crate) body: Vec<u8>,
    /// Whether that is all of it: the body was neither too long, nor too slow, nor broken off.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, without the secrets that a service may echo.
    pub(crate) fn text(&self, secrets: &[&str]) -> String {
        without(&String::from_utf8_lossy(&self.body), secrets)
    }

    pub(crate) fn is_json(&self) -> bool {
        self.headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|kind| kind.trim().to_ascii_lowercase())
            .is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
    }

    /// The error that a status means which is not the wished one.
    ///
    /// `secrets` are struck out of what is told of the answer.
    pub(crate) fn refusal(&self, secrets: &[&str]) -> ActionError {
        let (host, status) = (&self.host, self.status);
        let told = self.excerpt(secrets);
        match status {
            408 | 425 | 429 | 500..=599 => ActionError::Transient {
                reason: format!("`{host}` answered {status}{told}"),
                retry_after: self.retry_after(),
            },
            300..=399 => ActionError::permanent(format!(
                "`{host}` answered {status}; redirects are not followed"
            )),
            _ => ActionError::permanent(format!("`{host}` answered {status}{told}")),
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after::read(value, Timestamp::now())
    }

    /// The beginning of a textual body, to help people see why.
    fn excerpt(&self, secrets: &[&str]) -> String {
        let Ok(text) = std::str::from_utf8(&self.body) else {
            return String::new();
        };
        let page = text.trim_start().starts_with('<');
        let text = neutral::line(&without(&neutral::line(text, usize::MAX), secrets), EXCERPT);
        if page || text.is_empty() {
            return String::new();
        }
        format!(": {text}")
    }
}

/// Strikes secrets out of a text; those of a letter or three would strike out anything.
pub(crate) fn without(text: &str, secrets: &[&str]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() > 3)
        .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}
