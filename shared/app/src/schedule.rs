//! What the passing of time brings: runs that are due, intake that broke off, and what is too old.
//!
//! A call does what it can in the time it is given and leaves the rest to the next. Calls that overlap do no harm: a run
//! that is taken up twice is executed once, because workers claim it.

use crate::app::App;
use crate::approval::tell_runs;
use crate::clock::before;
use crate::intake::{IntakeError, dispatch_pending};
use crate::metrics::Count;
use crate::queue::{Queue, Sending};
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a run has been due before it is looked for: by then its own message would have been heard.
const DUE_GRACE: Duration = Duration::from_secs(15);
/// How long a run has been due when it counts as late.
const LATE: Duration = Duration::from_secs(5 * 60);
/// How long ago the intake of a finding must have broken off: by then its message would have been delivered again.
const PENDING_GRACE: Duration = Duration::from_secs(60);
/// Runs that are queued, and rows that are removed, before the time is looked at again.
const BATCH: u32 = 500;
/// Runs that one call queues at most.
const MOST: usize = 10_000;

/// What a call did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Runs that were due and were queued.
    pub due: usize,
    /// Those of them that had been due for five minutes or more.
    pub late: usize,
    /// Findings whose intake had broken off and was finished.
    pub pending: usize,
    /// Approvals that had been decided without their runs hearing of it, and were told to them.
    #[serde(default)]
    pub unheard: usize,
    /// Findings, runs, approvals and dead letters that were too old and were removed; on AWS the table and the queues see to it.
    pub expired: usize,
    /// Whether the time ran out before all was done.
    pub cut: bool,
}

/// Does what is due, for no longer than about `budget`.
///
/// # Errors
/// The first thing that failed; the others were done nevertheless.
pub async fn tick(app: &App, budget: Duration) -> Result<Tick, IntakeError> {
    let begun = Instant::now();
    let (half, deadline) = (begun + budget / 2, begun + budget);
    let mut tick = Tick::default();
    // Due runs come after what is short and people wait for, as in a storm they take all the time there is; half of it is
    // theirs whatever comes.
    let unheard = finish_decisions(app, half, &mut tick).await;
    let pending = finish_intake(app, half, &mut tick).await;
    let due = queue_due(app, deadline, &mut tick).await;
    let expired = expire(app, deadline, &mut tick).await;
    app.metrics.count(Count::RunsDue, tick.due);
    app.metrics.count(Count::RunsLate, tick.late);
    tracing::info!(
        runs.due = tick.due,
        runs.late = tick.late,
        findings.pending = tick.pending,
        approvals.unheard = tick.unheard,
        expired = tick.expired,
        cut = tick.cut,
        "did what was due"
    );
    unheard?;
    pending?;
    due?;
    expired?;
    Ok(tick)
}

/// Queues the runs that are due and that no message speaks of, those that have been due longest first.
async fn queue_due(app: &App, deadline: Instant, tick: &mut Tick) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    for grace in [LATE, DUE_GRACE] {
        queue_due_for(app, grace, deadline, &mut seen, &mut tick.cut).await?;
        if grace == LATE {
            tick.late = seen.len();
        }
        tick.due = seen.len();
    }
    Ok(())
}

async fn queue_due_for(
    app: &App,
    grace: Duration,
    deadline: Instant,
    seen: &mut HashSet<String>,
    cut: &mut bool,
) -> Result<(), StoreError> {
    let mut limit = BATCH;
    loop {
        if seen.len() >= MOST || Instant::now() >= deadline {
            *cut = true;
            return Ok(());
        }
        let now = app.clock.now();
        let told = app
            .store
            .take_due_runs(before(now, grace), now, limit)
            .await?;
        let all = told.len() < limit as usize;
        let new: Vec<String> = told
            .into_iter()
            .filter(|run| seen.insert(run.clone()))
            .collect();
        let any = !new.is_empty();
        // A store that does not put off what it has told tells it again, before what comes after it.
        limit = match any {
            false => BATCH + u32::try_from(seen.len()).unwrap_or(u32::MAX - BATCH),
            true => BATCH,
        };
        if any {
            let outgoing = new.into_iter().map(|run| {
                let sending = Sending {
                    dedupe: Some(run.clone()),
                    sweep: true,
                    ..Sending::default()
                };
                (run.into_bytes(), sending)
            });
            app.queues
                .send_all(Queue::Runs, outgoing.collect(), now)
                .await?;
        }
        // A few may be left out of what is told, being taken up elsewhere: only a round with nothing new is the last.
        if all && !any {
            return Ok(());
        }
    }
}

/// Makes the runs of findings whose intake broke off.
async fn finish_intake(app: &App, deadline: Instant, tick: &mut Tick) -> Result<(), IntakeError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // What is cut off between two of its steps is taken up by the next call, like everything that broke off.
    match tokio::time::timeout(left, dispatch_pending(app, PENDING_GRACE)).await {
        Ok(done) => tick.pending = done?,
        Err(_) => tick.cut = true,
    }
    Ok(())
}

/// Has runs go on whose approvals were decided by somebody who broke off then.
async fn finish_decisions(app: &App, deadline: Instant, tick: &mut Tick) -> Result<(), StoreError> {
    loop {
        if Instant::now() >= deadline {
            tick.cut = true;
            return Ok(());
        }
        let decided = before(app.clock.now(), DUE_GRACE);
        let told = tell_runs(app, decided, BATCH).await?;
        tick.unheard += told;
        if told < BATCH as usize {
            return Ok(());
        }
    }
}

async fn expire(app: &App, deadline: Instant, tick: &mut Tick) -> Result<(), StoreError> {
    let limit = before(app.clock.now(), app.config.retention);
    loop {
        if Instant::now() >= deadline {
            tick.cut = true;
            return Ok(());
        }
        let expired = app.store.expire(limit, BATCH).await?;
        let letters = app.queues.expire(limit, BATCH).await?;
        let removed = expired.findings + expired.runs + expired.approvals + letters;
        tick.expired += removed;
        if removed < BATCH as usize {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
