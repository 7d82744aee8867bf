//! HTTP to wherever a playbook says: guarded addresses, no redirects, no proxy, bounded answers, a deadline for the whole
//! exchange.

mod answer;
mod body;
mod fault;
mod resolver;
pub(crate) mod retry_after;

pub(crate) use answer::{Answer, without};
pub(crate) use body::Watched;
pub use fault::InvalidClient;
#[cfg(feature = "local")]
pub(crate) use fault::speaks_no_tls;
pub(crate) use fault::{find, innermost};

use crate::address_guard::AddressGuard;
use crate::call::oauth::Tokens;
use crate::{ActionError, Trust};
use bytes::Bytes;
use fault::Exchange;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, redirect};
#[cfg(feature = "local")]
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Most bytes of an answer's body that are kept; the rest is not read.
pub const ANSWER_LIMIT: usize = 64 * 1024;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What the client may reach and whom it trusts.
#[cfg(feature = "local")]
#[derive(Debug, Clone, Default)]
pub struct HttpRules {
    /// Which addresses it may connect to.
    pub guard: AddressGuard,
    /// Authorities to trust besides the system's, see [`crate::certificates`].
    pub authorities: Vec<CertificateDer<'static>>,
}

/// Makes HTTP requests to what its rules allow; cheap to clone, and clones share their OAuth tokens.
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

struct Shared {
    trust: Trust,
    /// Made when it is first needed: many a process never makes such a request.
    client: OnceLock<Client>,
    guard: Arc<AddressGuard>,
    tokens: Tokens,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HttpClient")
            .field("guard", &self.0.guard)
            .finish_non_exhaustive()
    }
}

/// One request, with the secrets it holds.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Whether doing it twice is as good as doing it once, so that no doubt is worth telling.
    pub(crate) repeatable: bool,
}

impl Request {
    /// The host, which may be told to people; the rest of an address may be a secret.
    pub(crate) fn host(&self) -> String {
        host_of(&self.url)
    }
}

/// Host and, where it is not the usual one, port.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl HttpClient {
    /// Builds a client that trusts the system's authorities.
    ///
    /// # Errors
    /// Authorities that cannot be used.
    #[cfg(feature = "local")]
    pub fn new(rules: HttpRules) -> Result<Self, InvalidClient> {
        Ok(Self::trusting(
            rules.guard,
            &Trust::system(&rules.authorities)?,
        ))
    }

    /// Builds a client over a trust that others share.
    pub fn trusting(guard: AddressGuard, trust: &Trust) -> Self {
        Self(Arc::new(Shared {
            trust: trust.clone(),
            client: OnceLock::new(),
            guard: Arc::new(guard),
            tokens: Tokens::default(),
        }))
    }

    fn client(&self) -> Result<&Client, InvalidClient> {
        let Shared {
            trust,
            client,
            guard,
            ..
        } = &*self.0;
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let made = Client::builder()
            .tls_backend_preconfigured(trust.config())
            .dns_resolver(resolver::Guarded::new(Arc::clone(guard)))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .retry(reqwest::retry::never())
            // A kept connection that the other side has closed meanwhile leaves in doubt what was done.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("quench/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| InvalidClient::Build(fault::innermost(&error)))?;
        Ok(client.get_or_init(|| made))
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Makes a request and reads its answer, whatever the status.
    ///
    /// An answer whose body could not be read to its end, or not in time, is still an answer: see [`Answer::whole`].
    pub(crate) async fn send(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<Answer, ActionError> {
        let deadline = Instant::now() + limit;
        let exchange = Exchange::of(&request, limit);
        self.0
            .guard
            .check_url(&request.url)
            .map_err(|refused| ActionError::permanent(refused.to_string()))?;
        let client = self
            .client()
            .map_err(|error| ActionError::permanent(error.to_string()))?;
        let mut made = reqwest::Request::new(request.method, request.url);
        *made.headers_mut() = request.headers;
        if let Some(body) = request.body {
            *made.body_mut() = Some(reqwest::Body::wrap(Watched::new(body, exchange.began())));
        }
        let mut response = match timeout_at(deadline, client.execute(made)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(exchange.failed(&error)),
            Err(_) => return Err(exchange.too_slow()),
        };
        let mut body = Vec::new();
        let mut whole = false;
        while body.len() < ANSWER_LIMIT {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = ANSWER_LIMIT - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(Ok(None)) => {
                    whole = true;
                    break;
                }
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(Answer {
            host: exchange.into_host(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
            whole,
        })
    }
}
