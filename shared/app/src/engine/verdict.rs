use super::retry::{Attempts, DEFAULT_RETRY, next_attempt};
use super::walk::Task;
use crate::clock::after;
use crate::run::Event;
use jiff::Timestamp;
use quench_actions::{ActionError, Performed};
use quench_automations::OnUnknown;
use std::time::Duration;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// The action says.
    Told(Result<Performed, ActionError>),
    /// It took longer than it may.
    TimedOut(Duration),
    /// The action broke down.
    Panicked,
}

/// What the journal is to say of an attempt that was made.
///
/// `idempotent` is whether the action may be repeated without a second effect.
pub(crate) fn of_attempt(
    run: &str,
    task: &Task<'_>,
    ending: Ending,
    idempotent: bool,
    took: Duration,
    now: Timestamp,
) -> Event {
    match ending {
        Ending::Told(Ok(Performed { summary, output })) => Event::Succeeded {
            summary,
            output,
            took,
        },
        Ending::Told(Err(ActionError::Transient {
            reason,
            retry_after,
        })) => again(run, task, reason, retry_after, now),
        // It goes on by itself: no failure, and none of the attempts that there may be.
        Ending::Told(Err(ActionError::Pending {
            reason,
            again,
            mark,
        })) => Event::Pending {
            reason,
            due: after(now, again),
            mark,
        },
        Ending::Told(Err(ActionError::Permanent { reason })) => Event::Failed { reason },
        Ending::Told(Err(ActionError::Unknown { reason })) => {
            of_doubt(run, task, reason, idempotent, now)
        }
        Ending::TimedOut(limit) => {
            let reason = format!("no outcome within {} s", limit.as_secs_f64());
            of_doubt(run, task, reason, idempotent, now)
        }
        Ending::Panicked => Event::Failed {
            reason: "the action broke down; the log has the details".to_owned(),
        },
    }
}

/// What the journal is to say of an attempt whose outcome nobody can tell.
pub(crate) fn of_doubt(
    run: &str,
    task: &Task<'_>,
    reason: String,
    idempotent: bool,
    now: Timestamp,
) -> Event {
    if idempotent {
        again(run, task, reason, None, now)
    } else {
        Event::Unknown { reason }
    }
}

/// What the journal is to say after a doubt that it has already; `fallback` is the action's own way.
pub(crate) fn after_doubt(
    run: &str,
    task: &Task<'_>,
    reason: String,
    idempotent: bool,
    fallback: OnUnknown,
    now: Timestamp,
) -> Event {
    let follow = if idempotent {
        OnUnknown::Repeat
    } else {
        task.step.on_unknown.unwrap_or(fallback)
    };
    match follow {
        OnUnknown::Repeat => again(run, task, reason, None, now),
        OnUnknown::Fail | OnUnknown::Continue => Event::Failed {
            reason: format!("{reason}; nobody can tell whether it took effect"),
        },
    }
}

/// What the journal is to say of an attempt that took no effect and may be made again.
pub(crate) fn again(
    run: &str,
    task: &Task<'_>,
    reason: String,
    asked: Option<Duration>,
    now: Timestamp,
) -> Event {
    let retry = task.step.retry.unwrap_or(DEFAULT_RETRY);
    let since = task.since.unwrap_or(now);
    let attempts = Attempts {
        run,
        path: &task.path,
        attempt: task.attempt,
        series: task.series,
        since,
    };
    match next_attempt(&retry, attempts, asked, now) {
        Some(due) => Event::Retrying { reason, due },
        None if task.series == 1 => Event::Failed { reason },
        None => Event::Failed {
            reason: format!("{reason}; given up after {} attempts", task.series),
        },
    }
}
