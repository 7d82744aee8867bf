use super::{Answer, Service, xml};
use crate::neutral;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

const MESSAGE: usize = 400;

/// Why AWS cannot be called as this process is set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAws {
    /// Nothing names a region.
    #[error("no region is set; set `AWS_REGION`, for example to `eu-central-1`")]
    NoRegion,
    /// The region is none.
    #[error("`{0}` is no region; set `AWS_REGION`, for example to `eu-central-1`")]
    Region(String),
    /// An endpoint is no address; it is not repeated.
    #[error("`{0}` holds no address such as `http://127.0.0.1:4566`")]
    Endpoint(String),
    /// An access key without a secret, or the other way round.
    #[error("`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` go together; `{0}` is missing")]
    HalfCredentials(&'static str),
    /// The place that hands out credentials may not be spoken to.
    #[error(
        "`{0}` names no place that credentials may be fetched from; use `https`, or a loopback address"
    )]
    CredentialsPlace(&'static str),
    /// The HTTP client cannot be built.
    #[error("HTTP client for AWS cannot be built: {0}")]
    Client(String),
}

/// Why a call to AWS yields nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AwsError {
    /// The service answered that it did not do it.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// The request never left.
    #[error("{} cannot be reached: {reason}", service.name())]
    Unreachable {
        /// The service.
        service: Service,
        /// Why.
        reason: String,
    },
    /// The exchange ended before the answer did; it may have been done.
    #[error("exchange with {} broke off: {reason}", service.name())]
    BrokenOff {
        /// The service.
        service: Service,
        /// Why.
        reason: String,
    },
    /// There was no answer in time.
    #[error("{} did not answer within {}", service.name(), neutral::seconds(*limit))]
    Timeout {
        /// The service.
        service: Service,
        /// The time that it was given.
        limit: Duration,
        /// Whether the request, or the beginning of it, had left.
        left: bool,
    },
    /// The answer has begun and did not end in order; its status tells whether it was done.
    #[error("answer {status} of {} broke off: {reason}", service.name())]
    Cut {
        /// The service.
        service: Service,
        /// Status of HTTP.
        status: u16,
        /// Why.
        reason: String,
    },
    /// It was done, but the answer is of no use.
    #[error("answer of {} cannot be used: {reason}", service.name())]
    Answer {
        /// The service.
        service: Service,
        /// Why.
        reason: String,
    },
    /// There is no such request.
    #[error("request to {} is not valid: {reason}", service.name())]
    Request {
        /// The service.
        service: Service,
        /// Why.
        reason: String,
    },
    /// There are no credentials to sign with.
    #[error("no credentials for AWS: {reason}")]
    Credentials {
        /// Why.
        reason: String,
        /// Whether there may be some later without anybody's doing.
        transient: bool,
    },
    /// This process is not set up to call AWS.
    #[error(transparent)]
    Invalid(#[from] InvalidAws),
}

/// What a service answered that did not do what it was asked to; its `Debug` does not show the whole answer.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{} refused `{operation}` with {}{}", service.name(), self.told(), self.named())]
pub struct ServiceError {
    /// The service.
    pub service: Service,
    /// What it was asked to do, such as `PutItem`.
    pub operation: String,
    /// Status of HTTP.
    pub status: u16,
    /// What went wrong, such as `ConditionalCheckFailedException`; the status where the answer does not say.
    pub code: String,
    /// The same in words, made fit for a log.
    pub message: String,
    /// The id under which AWS knows the request.
    pub request_id: Option<String>,
    /// How long the service asked us to wait.
    pub retry_after: Option<Duration>,
    /// The answer where it is JSON, else null.
    pub body: Value,
}

/// Why one action of a transaction of DynamoDB was not done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CancellationReason<'a> {
    /// Such as `ConditionalCheckFailed`, or `None`, in words, where this action was not the reason.
    pub code: &'a str,
    /// In words.
    pub message: Option<&'a str>,
    /// The item as it was, where the request asked for it.
    pub item: Option<&'a Value>,
}

// Sources: `botocore/data/_retry.json` and "Retry behavior" of the AWS SDKs and Tools reference guide.
const THROTTLED: [&str; 18] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "KMSThrottlingException",
    "KmsThrottled",
    "ReplicatedWriteConflictException",
    "OverLimit",
    "TransactionInProgressException",
];
const TRANSIENT: [&str; 13] = [
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerErrorException",
    "InternalServiceError",
    "InternalServiceErrorException",
    "InternalServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
    "TransactionConflictException",
    "Unavailable",
];
const SKEWED: [&str; 4] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    "InvalidSignatureException",
];
const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
];

impl fmt::Debug for ServiceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServiceError")
            .field("service", &self.service)
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("request_id", &self.request_id)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl AwsError {
    /// What the service said went wrong, such as `ConditionalCheckFailedException`; none where it said nothing.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.service_error().map(|error| error.code.as_str())
    }

    /// What the service answered, if it did.
    #[must_use]
    pub fn service_error(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) => Some(error),
            _ => None,
        }
    }

    /// Says whether the same may succeed later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service(error) => error.is_transient(),
            Self::Unreachable { .. }
            | Self::BrokenOff { .. }
            | Self::Timeout { .. }
            | Self::Cut { .. } => true,
            Self::Credentials { transient, .. } => *transient,
            Self::Answer { .. } | Self::Request { .. } | Self::Invalid(_) => false,
        }
    }

    /// Says whether the service had too much to do, and so did nothing.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.service_error().is_some_and(ServiceError::is_throttled)
    }

    /// Says whether nobody can tell if it was done.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        match self {
            // A gateway tells of another server that it had no answer from.
            Self::Service(error) => matches!(error.status, 502 | 504),
            Self::BrokenOff { .. } => true,
            Self::Timeout { left, .. } => *left,
            Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::Answer { .. }
            | Self::Request { .. }
            | Self::Credentials { .. }
            | Self::Invalid(_) => false,
        }
    }

    /// Says whether it was done, whatever became of the answer.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Cut { status, .. } => (200..300).contains(status),
            Self::Answer { .. } => true,
            _ => false,
        }
    }

    /// How long the service asked us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.service_error().and_then(|error| error.retry_after)
    }
}

impl ServiceError {
    pub(super) fn read(service: Service, operation: &str, answer: &Answer) -> Self {
        let header = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| body.get(name)?.as_str())
                .map(str::to_owned)
        };
        let mut code = header("x-amzn-errortype").or_else(|| text(&["__type", "code", "Code"]));
        let mut message = text(&["message", "Message", "errorMessage"]);
        let mut request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
        if body.is_null()
            && let Ok(root) = std::str::from_utf8(&answer.body)
                .map_err(|_| ())
                .and_then(|text| xml::Element::read(text).map_err(|_| ()))
        {
            code = code.or_else(|| root.find("Code").map(str::to_owned));
            message = message.or_else(|| root.find("Message").map(str::to_owned));
            request_id = request_id
                .or_else(|| root.find("RequestId").map(str::to_owned))
                .or_else(|| root.find("RequestID").map(str::to_owned));
        }
        let code = code.as_deref().map(bare).filter(|code| !code.is_empty());
        Self {
            service,
            operation: operation.to_owned(),
            status: answer.status,
            code: code.map_or_else(
                || answer.status.to_string(),
                |code| neutral::line(code, 100),
            ),
            message: neutral::line(public(message.as_deref().unwrap_or_default()), MESSAGE),
            request_id: request_id.map(|id| neutral::line(&id, 100)),
            retry_after: answer.retry_after(),
            body,
        }
    }

    /// Says whether the service had too much to do, and so did nothing.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.status == 429 || THROTTLED.contains(&self.code.as_str())
    }

    /// Says whether the same may succeed later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        if self.code == "TransactionCanceledException" {
            let mut reasons = self.cancellation_reasons().peekable();
            return reasons.peek().is_some()
                && reasons.all(|reason| {
                    matches!(
                        reason.code,
                        "None"
                            | "TransactionConflict"
                            | "ThrottlingError"
                            | "ProvisionedThroughputExceeded"
                    )
                });
        }
        self.is_throttled()
            || self.status >= 500
            || self.status == 408
            || TRANSIENT.contains(&self.code.as_str())
            || self.is_expired()
    }

    /// Says whether the credentials were good, but not any more.
    pub(super) fn is_expired(&self) -> bool {
        EXPIRED.contains(&self.code.as_str())
    }

    /// Says whether the clocks may differ too much.
    pub(super) fn is_skewed(&self) -> bool {
        SKEWED.contains(&self.code.as_str())
    }

    /// Why the actions of a transaction were not done, in their order; nothing for other errors.
    pub fn cancellation_reasons(&self) -> impl Iterator<Item = CancellationReason<'_>> {
        let reasons = self.body.get("CancellationReasons");
        let reasons = reasons.and_then(Value::as_array);
        reasons.into_iter().flatten().map(|reason| {
            let text = |name: &str| reason.get(name).and_then(Value::as_str);
            CancellationReason {
                code: text("Code").unwrap_or("None"),
                message: text("Message"),
                item: reason.get("Item"),
            }
        })
    }

    fn told(&self) -> String {
        match self.message.as_str() {
            "" => format!("{} (status {})", self.code, self.status),
            message => format!("{}: {message}", self.code),
        }
    }

    fn named(&self) -> String {
        let id = self.request_id.as_ref();
        id.map_or_else(String::new, |id| format!(" (request `{id}`)"))
    }
}

/// `com.amazonaws.dynamodb.v20120810#Code:http://…` without what surrounds the code.
fn bare(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or_default();
    code.split([':', ',']).next().unwrap_or_default().trim()
}

/// A message up to where it repeats the signed request, which holds the session's token.
fn public(message: &str) -> &str {
    let ends = ["The Canonical String", "The String-to-Sign"];
    let end = ends.iter().filter_map(|end| message.find(end)).min();
    &message[..end.unwrap_or(message.len())]
}
