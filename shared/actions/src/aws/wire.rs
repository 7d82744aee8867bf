use super::{AwsError, InvalidAws, Service};
use crate::http_client::{Watched, find, innermost, retry_after};
use crate::{Trust, neutral};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, redirect};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// The HTTP clients for AWS; both trust the same authorities and resume each other's TLS sessions.
pub(super) struct Wire {
    trust: Trust,
    kept: Client,
    /// Makes a connection for each request: a kept one that the other side has closed meanwhile leaves in doubt what
    /// was done.
    fresh: OnceLock<Client>,
}

/// What a service answered; its `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, whole.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Answer")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The time by the clock of who answered.
    pub(super) fn date(&self) -> Option<Timestamp> {
        let value = self.headers.get(DATE)?.to_str().ok()?;
        Some(rfc2822::parse(value).ok()?.timestamp())
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after::read(value, Timestamp::now())
    }
}

/// How long an exchange may take and how large its answer may be.
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// The time up to the deadline, for people.
    pub(super) limit: Duration,
    pub(super) answer: usize,
}

impl Wire {
    pub(super) fn new(trust: &Trust) -> Result<Self, InvalidAws> {
        Ok(Self {
            trust: trust.clone(),
            kept: client(trust, usize::MAX)?,
            fresh: OnceLock::new(),
        })
    }

    fn fresh(&self) -> Result<&Client, InvalidAws> {
        if let Some(client) = self.fresh.get() {
            return Ok(client);
        }
        let client = client(&self.trust, 0)?;
        Ok(self.fresh.get_or_init(|| client))
    }

    /// Makes one exchange, whatever the status of its answer.
    pub(super) async fn exchange(
        &self,
        service: Service,
        mut request: reqwest::Request,
        body: Bytes,
        fresh: bool,
        bounds: &Bounds,
    ) -> Result<Answer, AwsError> {
        let client = if fresh { self.fresh()? } else { &self.kept };
        let began = Arc::new(AtomicBool::new(body.is_empty()));
        if !body.is_empty() {
            let watched = Watched::new(body, Arc::clone(&began));
            *request.body_mut() = Some(reqwest::Body::wrap(watched));
        }
        let late = || AwsError::Timeout {
            service,
            limit: bounds.limit,
            left: began.load(Ordering::Acquire),
        };
        let mut response = timeout_at(bounds.deadline, client.execute(request))
            .await
            .map_err(|_| late())?
            .map_err(|error| failed(service, &error, began.load(Ordering::Acquire)))?;
        let status = response.status().as_u16();
        let cut = |reason: String| AwsError::Cut {
            service,
            status,
            reason,
        };
        let mut body = Vec::new();
        while let Some(chunk) = timeout_at(bounds.deadline, response.chunk())
            .await
            .map_err(|_| {
                cut(format!(
                    "not whole within {}",
                    neutral::seconds(bounds.limit)
                ))
            })?
            .map_err(|error| cut(innermost(&error)))?
        {
            if body.len() + chunk.len() > bounds.answer {
                let reason = format!("it is larger than {} bytes", bounds.answer);
                return Err(match status {
                    200..300 => AwsError::Answer { service, reason },
                    _ => cut(reason),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers: response.headers().clone(),
            body: Bytes::from(body),
        })
    }

    /// Fetches what stands at an address; the error says why it cannot be had.
    pub(super) async fn get(
        &self,
        url: &Url,
        authorization: Option<&str>,
        limit: Duration,
    ) -> Result<Answer, String> {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        if let Some(token) = authorization {
            let mut value =
                HeaderValue::from_str(token).map_err(|_| "its token is not valid".to_owned())?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let bounds = Bounds {
            deadline: Instant::now() + limit,
            limit,
            answer: 64 * 1024,
        };
        // It is no service; what the error says besides the reason is not passed on.
        self.exchange(Service::Sts, request, Bytes::new(), false, &bounds)
            .await
            .map_err(|error| match error {
                AwsError::Unreachable { reason, .. }
                | AwsError::BrokenOff { reason, .. }
                | AwsError::Cut { reason, .. }
                | AwsError::Answer { reason, .. } => reason,
                AwsError::Timeout { limit, .. } => {
                    format!("no answer within {}", neutral::seconds(limit))
                }
                other => other.to_string(),
            })
    }
}

fn client(trust: &Trust, idle: usize) -> Result<Client, InvalidAws> {
    Client::builder()
        .tls_backend_preconfigured(trust.config())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_LIMIT)
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(concat!("quench/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| InvalidAws::Client(innermost(&error)))
}

fn failed(service: Service, error: &reqwest::Error, left: bool) -> AwsError {
    let reason = match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("its certificate is not valid: {why}")
        }
        _ => innermost(error),
    };
    if error.is_builder() {
        return AwsError::Request { service, reason };
    }
    if error.is_connect() || !left {
        AwsError::Unreachable { service, reason }
    } else {
        AwsError::BrokenOff { service, reason }
    }
}
