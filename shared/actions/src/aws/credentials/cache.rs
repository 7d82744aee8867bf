use super::AwsError;
use crate::aws::keys::Keys;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long before they expire keys are replaced.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// How long keys that are still good are used after they could not be replaced.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keys that are got when they are first needed, and again before they expire, by one at a time.
#[derive(Default)]
pub(in crate::aws) struct Cache {
    held: Mutex<Held>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    not_before: Option<Instant>,
}

enum State {
    Good(Arc<Keys>),
    /// Good for some minutes.
    Old(Arc<Keys>),
    None,
}

impl Cache {
    pub(super) async fn get<F: Future<Output = Result<Keys, AwsError>>>(
        &self,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Keys>, AwsError> {
        let _alone = match self.state() {
            State::Good(keys) => return Ok(keys),
            State::Old(keys) => match self.fetching.try_lock() {
                Ok(alone) => alone,
                Err(_) => return Ok(keys),
            },
            State::None => self.fetching.lock().await,
        };
        // Another may have got them meanwhile.
        let old = match self.state() {
            State::Good(keys) => return Ok(keys),
            State::Old(keys) => Some(keys),
            State::None => None,
        };
        match (fetch().await, old) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                let mut held = self.held();
                held.keys = Some(Arc::clone(&keys));
                held.not_before = None;
                Ok(keys)
            }
            (Err(error), Some(old)) => {
                tracing::warn!(error = %error, "keys for AWS cannot be replaced; they are still good");
                self.held().not_before = Some(Instant::now() + PATIENCE);
                Ok(old)
            }
            (Err(error), None) => Err(error),
        }
    }

    pub(super) fn forget(&self) {
        *self.held() = Held::default();
    }

    fn state(&self) -> State {
        let held = self.held();
        let Some(keys) = held.keys.clone() else {
            return State::None;
        };
        let Some(expires) = keys.expires() else {
            return State::Good(keys);
        };
        let left = expires.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        let waiting = held.not_before.is_some_and(|at| Instant::now() < at);
        if left.is_zero() {
            State::None
        } else if left > EARLY || waiting {
            State::Good(keys)
        } else {
            State::Old(keys)
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
