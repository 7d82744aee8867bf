//! The one client of AWS: signed requests in the protocols that its services speak, over kept connections where one may be
//! repeated and over fresh ones where not.

mod credentials;
mod endpoint;
mod error;
mod keys;
mod request;
mod retry;
mod service;
mod sign;
mod wire;
mod xml;

pub use credentials::Role;
pub use error::{AwsError, CancellationReason, InvalidAws, ServiceError};
pub use request::{Repeat, Request};
pub use service::Service;
pub use wire::Answer;
pub use xml::Element;

use crate::Trust;
use bytes::Bytes;
use credentials::Source;
use endpoint::Endpoints;
pub(crate) use endpoint::is_region;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wire::{Bounds, Wire};

/// Seconds by which clocks must differ for signatures to be refused because of it, with room for a slow exchange: AWS
/// takes five minutes.
const SKEW: u64 = 4 * 60;

/// How long calls may take, how often they are tried and how much they may yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For one try.
    pub attempt: Duration,
    /// For all tries and the pauses between them.
    pub total: Duration,
    /// Most tries.
    pub attempts: u32,
    /// Most bytes of an answer.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
            attempts: 5,
            answer: 16 * 1024 * 1024,
        }
    }
}

/// Calls AWS in one region with one set of credentials; cheap to clone, and clones share their connections.
#[derive(Clone)]
pub struct Aws {
    shared: Arc<Shared>,
    credentials: Arc<Source>,
    region: Arc<str>,
    limits: Limits,
    /// ARN of who took on the role that this acts as.
    behind: Option<Arc<str>>,
}

struct Shared {
    wire: Wire,
    endpoints: Endpoints,
    /// Seconds by which the clock of AWS is ahead of ours.
    skew: AtomicI64,
}

impl fmt::Debug for Aws {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Aws")
            .field("region", &self.region)
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// Reads region, endpoints and credentials from variables: `AWS_REGION` or `AWS_DEFAULT_REGION`,
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN`. Where these name no credentials, the place that a container platform names is asked, and
    /// else the AWS CLI. Nothing is asked before the first call.
    ///
    /// # Errors
    /// A missing region, and values that cannot be used.
    pub fn new(
        mut lookup: impl FnMut(&str) -> Option<String>,
        trust: &Trust,
    ) -> Result<Self, InvalidAws> {
        let mut set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let region = set("AWS_REGION")
            .or_else(|| set("AWS_DEFAULT_REGION"))
            .ok_or(InvalidAws::NoRegion)?;
        if !endpoint::is_region(&region) {
            return Err(InvalidAws::Region(crate::neutral::line(&region, 40)));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                wire: Wire::new(trust)?,
                endpoints: Endpoints::read(&mut set)?,
                skew: AtomicI64::new(0),
            }),
            credentials: Arc::new(Source::read(&mut set)?),
            region: region.into(),
            limits: Limits::default(),
            behind: None,
        })
    }

    /// The region that calls go to.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The same for another region.
    ///
    /// # Errors
    /// A text that is no region.
    pub fn in_region(&self, region: &str) -> Result<Self, InvalidAws> {
        if !endpoint::is_region(region) {
            return Err(InvalidAws::Region(crate::neutral::line(region, 40)));
        }
        Ok(Self {
            region: region.into(),
            ..self.clone()
        })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// The same acting as a role, whose keys are got when they are first needed.
    #[must_use]
    pub fn assume_role(&self, role: Role) -> Self {
        Self {
            credentials: Arc::new(Source::role(role, self.clone())),
            ..self.clone()
        }
    }

    /// The same, knowing by its ARN who took on the role that it acts as.
    #[must_use]
    pub fn on_behalf_of(&self, arn: &str) -> Self {
        Self {
            behind: Some(arn.into()),
            ..self.clone()
        }
    }

    /// Who took on the role that this acts as, where that is known.
    #[must_use]
    pub fn behind(&self) -> Option<&str> {
        self.behind.as_deref()
    }

    /// Gets the keys that calls are signed with, where they are not at hand.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub async fn sign_in(&self) -> Result<(), AwsError> {
        let keys = self.credentials.keys(&self.shared.wire);
        let limit = self.limits.total;
        let keys = tokio::time::timeout(limit, keys).await;
        keys.map_err(|_| too_late())?.map(drop)
    }

    /// The limits of calls.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Calls an operation of a service that takes and gives JSON, such as `GetItem` of DynamoDB; it may be repeated.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn json(
        &self,
        service: Service,
        operation: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<Value, AwsError> {
        self.json_as(service, operation, body, Repeat::Safe).await
    }

    /// Like [`Self::json`], saying whether it may be repeated, and reading of the answer what a type has of it; an empty one is
    /// read as null.
    ///
    /// # Errors
    /// See [`AwsError`]; [`AwsError::Answer`] also where the answer has another shape.
    pub async fn json_as<T: DeserializeOwned>(
        &self,
        service: Service,
        operation: &str,
        body: &(impl Serialize + ?Sized),
        repeat: Repeat,
    ) -> Result<T, AwsError> {
        let invalid = |reason: String| AwsError::Request { service, reason };
        let Some(json) = service.as_json() else {
            return Err(invalid("it has no operations in JSON".to_owned()));
        };
        let body = serde_json::to_vec(body).map_err(|error| invalid(error.to_string()))?;
        let target = HeaderValue::from_str(&format!("{}.{operation}", json.target))
            .map_err(|_| invalid(format!("`{operation}` is no operation")))?;
        let kind = match json.version {
            "1.0" => HeaderValue::from_static("application/x-amz-json-1.0"),
            _ => HeaderValue::from_static("application/x-amz-json-1.1"),
        };
        let mut request = Request::new(Method::POST, &[]).with_repeat(repeat);
        request.body = Bytes::from(body);
        request.headers.insert(CONTENT_TYPE, kind);
        request
            .headers
            .insert(HeaderName::from_static("x-amz-target"), target);
        let answer = self.send(service, operation, request).await?;
        read_json(service, &answer)
    }

    /// Makes a request to a service that speaks REST with JSON; null stands for an empty answer.
    ///
    /// `operation` names it in errors.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn rest(
        &self,
        service: Service,
        operation: &str,
        mut request: Request,
    ) -> Result<Value, AwsError> {
        if !request.body.is_empty() {
            let kind = HeaderValue::from_static("application/json");
            request.headers.entry(CONTENT_TYPE).or_insert(kind);
        }
        let answer = self.send(service, operation, request).await?;
        read_json(service, &answer)
    }

    /// Calls an operation of a service that takes a form and gives XML, such as `AssumeRole` of STS; the answer is its
    /// root element. It may be repeated.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn query(
        &self,
        service: Service,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, AwsError> {
        self.query_once(service, operation, parameters, Repeat::Safe)
            .await
    }

    /// Like [`Self::query`], saying whether it may be repeated.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn query_once(
        &self,
        service: Service,
        operation: &str,
        parameters: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Element, AwsError> {
        let Some(version) = service.query_version() else {
            return Err(AwsError::Request {
                service,
                reason: "it takes no forms".to_owned(),
            });
        };
        let mut pairs = vec![("Action", operation), ("Version", version)];
        pairs.extend_from_slice(parameters);
        let mut request = Request::new(Method::POST, &[]).with_repeat(repeat);
        request.body = Bytes::from(request::form(&pairs));
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers.insert(CONTENT_TYPE, kind);
        let answer = self.send(service, operation, request).await?;
        std::str::from_utf8(&answer.body)
            .map_err(|error| error.to_string())
            .and_then(Element::read)
            .map_err(|reason| AwsError::Answer { service, reason })
    }

    /// Makes a request as it is, and yields the answer to it that says yes.
    ///
    /// `operation` names it in errors.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn send(
        &self,
        service: Service,
        operation: &str,
        request: Request,
    ) -> Result<Answer, AwsError> {
        let deadline = Instant::now() + self.limits.total;
        let mut tried = 0;
        let mut adjusted = false;
        loop {
            tried += 1;
            let failed = self.attempt(service, operation, &request, deadline).await;
            let (error, date) = match failed {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = if !adjusted && self.adjust(&error, date) {
                adjusted = true;
                Duration::ZERO
            } else if is_expired(&error) && !self.credentials.forget() {
                return Err(error);
            } else if let Some(pause) = retry::pause(&error, request.repeat, tried, self.limits) {
                pause
            } else {
                return Err(error);
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(
                aws.service = service.name(),
                aws.operation = operation,
                error = %error,
                attempt = tried,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "call to AWS is repeated"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        service: Service,
        operation: &str,
        request: &Request,
        deadline: Instant,
    ) -> Result<Answer, (AwsError, Option<Timestamp>)> {
        let answer = self
            .exchange(service, request, deadline)
            .await
            .map_err(|error| (error, None))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let date = answer.date();
        let error = ServiceError::read(service, operation, &answer);
        Err((AwsError::Service(Box::new(error)), date))
    }

    async fn exchange(
        &self,
        service: Service,
        request: &Request,
        deadline: Instant,
    ) -> Result<Answer, AwsError> {
        let label = request.label.as_deref();
        let (mut url, region) = self.shared.endpoints.below(service, &self.region, label)?;
        let (path, query) = request.place(service)?;
        let below = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{below}{path}"));
        url.set_query(query.as_deref());
        let keys = self.credentials.keys(&self.shared.wire);
        let keys = timeout_at(deadline, keys).await.map_err(|_| too_late())??;
        let mut headers = request.headers.clone();
        sign::sign(
            service,
            &region,
            &keys,
            self.now(),
            (&request.method, &url, &mut headers, &request.body),
        )?;
        let mut made = reqwest::Request::new(request.method.clone(), url);
        *made.headers_mut() = headers;
        let now = Instant::now();
        let deadline = deadline.min(now + self.limits.attempt);
        let bounds = Bounds {
            deadline,
            limit: deadline - now,
            answer: self.limits.answer,
        };
        let fresh = request.repeat == Repeat::Never;
        let body = request.body.clone();
        let wire = &self.shared.wire;
        wire.exchange(service, made, body, fresh, &bounds).await
    }

    /// Sets the clock by the time of an answer that was given because the clocks differ.
    fn adjust(&self, error: &AwsError, date: Option<Timestamp>) -> bool {
        let (Some(error), Some(date)) = (error.service_error(), date) else {
            return false;
        };
        if !error.is_skewed() {
            return false;
        }
        let skew = date.as_second() - Timestamp::now().as_second();
        let before = self.shared.skew.swap(skew, Ordering::Relaxed);
        skew.abs_diff(before) >= SKEW
    }

    /// The time by the clock of AWS, as far as it is known.
    fn now(&self) -> Timestamp {
        let skew = self.shared.skew.load(Ordering::Relaxed);
        let now = Timestamp::now();
        now.saturating_add(SignedDuration::from_secs(skew))
            .unwrap_or(now)
    }
}

fn too_late() -> AwsError {
    AwsError::Credentials {
        reason: "the place that hands them out does not answer in time".to_owned(),
        transient: true,
    }
}

fn is_expired(error: &AwsError) -> bool {
    error.service_error().is_some_and(ServiceError::is_expired)
}

fn read_json<T: DeserializeOwned>(service: Service, answer: &Answer) -> Result<T, AwsError> {
    let body: &[u8] = match answer.body.is_empty() {
        true => b"null",
        false => &answer.body,
    };
    serde_json::from_slice(body).map_err(|error| AwsError::Answer {
        service,
        reason: match error.classify() {
            // What serde says of it would quote the answer.
            Category::Data => format!(
                "it has another shape than it should, at line {} column {}",
                error.line(),
                error.column()
            ),
            _ => error.to_string(),
        },
    })
}
