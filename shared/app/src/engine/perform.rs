use super::verdict::Ending;
use super::walk::Task;
use base16ct::lower::encode_string as hex;
use quench_actions::{Action, Attempt, Context, Outside};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::Instrument;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// An action that keeps its own limit can say how it ended, so it gets this much longer before it is cut off.
const GRACE: Duration = Duration::from_secs(1);

/// An action ready to be performed.
pub(crate) struct Prepared {
    pub(crate) action: Action,
    /// What the journal says will be done.
    pub(crate) content: Value,
}

impl Prepared {
    pub(crate) fn new(task: &Task<'_>, context: &Context) -> Result<Self, String> {
        let prepare = AssertUnwindSafe(|| quench_actions::prepare(&task.step.kind, context));
        let action = catch_unwind(prepare)
            .map_err(|_| "preparing it broke down; the log has the details".to_owned())?
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "it is of a kind that acts on nothing".to_owned())?;
        let content = serde_json::to_value(&action)
            .map_err(|error| format!("what it does cannot be written down: {error}"))?;
        Ok(Self { action, content })
    }
}

/// How long an attempt at a step may take.
pub(crate) fn limit(task: &Task<'_>) -> Duration {
    let timeout = task.step.timeout.unwrap_or(DEFAULT_TIMEOUT);
    timeout.min(LONGEST_TIMEOUT)
}

/// The limit and the name of an attempt.
pub(crate) fn attempt(run: &str, task: &Task<'_>, limit: Duration) -> Attempt {
    Attempt {
        key: key(run, &task.path),
        round: task.round,
        mark: task.mark.clone(),
        number: task.attempt,
        timeout: limit,
    }
}

/// Names a step of a run to targets that deduplicate: 32 hexadecimal digits, the same for every attempt.
fn key(run: &str, path: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(run);
    hash.update([0]);
    hash.update(path);
    hex(&hash.finalize()[..16])
}

/// Performs an action in a task of its own, so that one that breaks down takes nothing with it; dropping this aborts it.
pub(crate) async fn perform(action: Action, outside: Outside, attempt: Attempt) -> Ending {
    let limit = attempt.timeout;
    let called = guarded(limit, async move {
        quench_actions::perform(&action, &outside, &attempt).await
    });
    match called.await {
        Called::Told(told) => Ending::Told(told),
        Called::TimedOut => Ending::TimedOut(limit),
        Called::Panicked => Ending::Panicked,
    }
}

/// What came of work that may break down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Called<T> {
    /// It says.
    Told(T),
    /// It took longer than it may.
    TimedOut,
    /// It broke down.
    Panicked,
}

/// Begins some work in a task of its own; dropping what this returns aborts it.
///
/// The work is large, and what waits for it is not: so the one is no part of the other.
pub(crate) fn guarded<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
    limit: Duration,
    work: W,
) -> impl Future<Output = Called<T>> + use<T, W> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work.in_current_span());
    async move {
        match tokio::time::timeout(limit + GRACE, tasks.join_next()).await {
            Err(_) => Called::TimedOut,
            Ok(Some(Ok(told))) => Called::Told(told),
            Ok(Some(Err(_)) | None) => Called::Panicked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_steps_and_runs_apart_and_stay_the_same() {
        assert_eq!(key("run", "mail"), key("run", "mail"));
        assert_eq!(key("run", "mail").len(), 32);
        assert_ne!(key("run", "mail"), key("run", "each[0]/mail"));
        assert_ne!(key("run1", "mail"), key("run", "1mail"));
    }

    #[tokio::test]
    async fn a_panic_stays_in_its_own_task() {
        let work = async {
            if true {
                panic!("broken")
            }
        };
        let called = guarded(Duration::from_secs(1), work).await;
        assert_eq!(called, Called::Panicked);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_cut_off() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let endless = async move {
            let _held = sender;
            std::future::pending::<()>().await
        };
        let called = guarded(Duration::from_millis(10), endless).await;
        assert_eq!(called, Called::TimedOut);
        assert!(receiver.await.is_err(), "the task was dropped");
    }
}
