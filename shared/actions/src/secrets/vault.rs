use super::{SecretError, Stored};
use crate::aws::{Aws, AwsError, Limits, Service};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;

/// How long secrets are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// After this a secret is read anew.
    pub kept: Duration,
    /// So long a secret is taken for unchanged, whoever refuses it, and one that cannot be had is not asked for again.
    pub settled: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            kept: Duration::from_secs(5 * 60),
            settled: Duration::from_secs(5),
        }
    }
}

const LIMITS: Limits = Limits {
    attempt: Duration::from_secs(3),
    total: Duration::from_secs(10),
    attempts: 4,
    answer: 256 * 1024,
};

/// Secrets that AWS keeps, held for some minutes; whoever needs one that is on its way waits for it.
pub struct Vault {
    aws: Aws,
    keeping: Keeping,
    slots: std::sync::Mutex<HashMap<Stored, Arc<Mutex<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    held: Option<Held>,
    failed: Option<(Instant, Failure)>,
}

struct Held {
    value: SecretString,
    since: Instant,
    /// A function that is frozen has no clock but this one go on.
    since_by_the_wall: SystemTime,
}

impl Held {
    fn is_good(&self, kept: Duration) -> bool {
        let by_the_wall = self.since_by_the_wall.elapsed();
        self.since.elapsed() < kept && by_the_wall.is_ok_and(|elapsed| elapsed < kept)
    }
}

#[derive(Clone)]
enum Failure {
    Missing,
    Denied(String),
    Unreadable(String),
    Unavailable(String),
}

impl Failure {
    fn of(self, reference: &str) -> SecretError {
        let reference = reference.to_owned();
        match self {
            Self::Missing => SecretError::Missing(reference),
            Self::Denied(reason) => SecretError::Denied { reference, reason },
            Self::Unreadable(reason) => SecretError::Unreadable { reference, reason },
            Self::Unavailable(reason) => SecretError::Unavailable { reference, reason },
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Vault")
            .field("aws", &self.aws)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Holds what is read through a client.
    #[must_use]
    pub fn new(aws: &Aws, keeping: Keeping) -> Self {
        Self {
            aws: aws.with_limits(LIMITS),
            keeping,
            slots: std::sync::Mutex::default(),
        }
    }

    pub(super) async fn read(
        &self,
        reference: &str,
        place: &Stored,
    ) -> Result<SecretString, SecretError> {
        let asked = Instant::now();
        let slot = self.slot(place);
        let mut slot = slot.lock().await;
        let kept = self.keeping.kept;
        if let Some(held) = slot.held.as_ref().filter(|held| held.is_good(kept)) {
            return Ok(held.value.clone());
        }
        if let Some((at, failure)) = &slot.failed
            && (*at >= asked || at.elapsed() < self.keeping.settled)
        {
            return Err(failure.clone().of(reference));
        }
        self.refill(&mut slot, place)
            .await
            .map_err(|failure| failure.of(reference))
    }

    pub(super) async fn has_changed(&self, place: &Stored) -> bool {
        let slot = self.slot(place);
        let mut slot = slot.lock().await;
        let before = match &slot.held {
            Some(held) if held.since.elapsed() >= self.keeping.settled => held.value.clone(),
            _ => return false,
        };
        match self.refill(&mut slot, place).await {
            Ok(now) => now.expose_secret() != before.expose_secret(),
            Err(_) => false,
        }
    }

    async fn refill(&self, slot: &mut Slot, place: &Stored) -> Result<SecretString, Failure> {
        match fetch(&self.aws, place).await {
            Ok(value) => {
                slot.failed = None;
                slot.held = Some(Held {
                    value: value.clone(),
                    since: Instant::now(),
                    since_by_the_wall: SystemTime::now(),
                });
                Ok(value)
            }
            Err(failure) => {
                slot.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn slot(&self, place: &Stored) -> Arc<Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(place) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(place.clone()).or_default())
    }
}

async fn fetch(aws: &Aws, place: &Stored) -> Result<SecretString, Failure> {
    let (id, service, operation, body) = match place {
        Stored::Secret(id) => {
            let body = json!({ "SecretId": id });
            (id, Service::SecretsManager, "GetSecretValue", body)
        }
        Stored::Parameter(name) => {
            let body = json!({ "Name": name, "WithDecryption": true });
            (name, Service::Ssm, "GetParameter", body)
        }
    };
    let elsewhere = match region(id) {
        Some(region) if region != aws.region() => {
            let elsewhere = aws.in_region(region);
            Some(elsewhere.map_err(|error| Failure::Unreadable(error.to_string()))?)
        }
        _ => None,
    };
    let aws = elsewhere.as_ref().unwrap_or(aws);
    let mut answer = aws
        .json(service, operation, &body)
        .await
        .map_err(|error| failure(&error))?;
    let value = match place {
        Stored::Secret(_) => answer["SecretString"].take(),
        Stored::Parameter(_) => answer["Parameter"]["Value"].take(),
    };
    match value {
        Value::String(text) => Ok(SecretString::from(text)),
        _ => Err(Failure::Unreadable("it is no text".to_owned())),
    }
}

/// The region that an ARN names.
fn region(id: &str) -> Option<&str> {
    id.strip_prefix("arn:")?.split(':').nth(2)
}

fn failure(error: &AwsError) -> Failure {
    let reason = error.to_string();
    match error.code() {
        Some("ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound") => {
            Failure::Missing
        }
        Some("AccessDeniedException" | "AccessDenied") => Failure::Denied(reason),
        _ if error.is_transient() => Failure::Unavailable(reason),
        _ => Failure::Unreadable(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_its_region() {
        let arn = "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a-AbCdEf";
        assert_eq!(region(arn), Some("cn-north-1"));
        assert_eq!(region("quench/slack"), None);
    }
}
