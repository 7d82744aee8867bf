//! The work of all functions in one process.

use crate::app::App;
use crate::clock::{before, until};
use crate::config::Host;
use crate::delivery::{Delivery, deliver};
use crate::intake::{IntakeError, dispatch_pending};
use crate::queue::{Message, Queue, Sending};
use crate::store::{Standing, StoreError};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Messages that are received at once.
const BATCH: u32 = 10;
/// Runs that one sweep queues, and rows that one round of expiry removes.
const SWEEP: u32 = 1000;
/// How often queues are asked for messages that other processes sent.
const POLL: Duration = Duration::from_millis(500);
/// How often one looks after a run that another process works on.
const GLANCE: Duration = Duration::from_millis(100);
/// The shortest wait for what is due any moment.
const NAP: Duration = Duration::from_millis(20);
/// How often runs are looked for that are due and that no message speaks of.
const DUE_EVERY: Duration = Duration::from_secs(5);
/// How long such a run has been due: by then its own message would have been heard.
const DUE_GRACE: Duration = Duration::from_secs(10);
/// How often findings are looked for whose intake broke off, and how long ago that must have been.
const PENDING_EVERY: Duration = Duration::from_secs(30);
/// How often old findings and runs are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Pauses before a failed message is delivered again: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Deals with the messages of all queues, and with everything that is due, until `stop` turns true and what is in
/// hand is done.
///
/// # Errors
/// The queues are on AWS, where functions deal with them. Other failures are logged, and what failed is tried again.
pub async fn serve_queues(app: &App, stop: watch::Receiver<bool>) -> Result<(), StoreError> {
    if !works_here(app) {
        return Err(StoreError::Permanent {
            reason: "on AWS functions deal with the queues; nothing is left to serve here; unset `QUENCH_TABLE` to serve this machine".to_owned(),
        });
    }
    let mut tasks = JoinSet::new();
    for queue in Queue::ALL {
        let (app, stop) = (app.clone(), stop.clone());
        tasks.spawn(async move { serve_queue(&app, queue, stop).await });
    }
    let app = app.clone();
    tasks.spawn(async move { keep_time(&app, stop).await });
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(error = %error, "a worker broke off");
        }
    }
    Ok(())
}

async fn serve_queue(app: &App, queue: Queue, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(app.config.concurrency.max(1) as usize));
    let mut news = app.queues.news();
    let mut in_hand = JoinSet::new();
    while !*stop.borrow() {
        news.borrow_and_update();
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        let received = match free {
            0 => Ok(Vec::new()),
            _ => {
                app.queues
                    .receive(
                        queue,
                        free.min(BATCH),
                        app.config.visibility,
                        app.clock.now(),
                    )
                    .await
            }
        };
        let idle = match received {
            Ok(messages) => {
                let none = messages.is_empty();
                for message in messages {
                    let (app, slots) = (app.clone(), Arc::clone(&slots));
                    let slot = slots.try_acquire_owned().ok();
                    in_hand.spawn(async move {
                        handle(&app, message).await;
                        drop(slot);
                    });
                }
                none
            }
            Err(error) => {
                tracing::error!(queue = queue.name(), error = %error, "a queue cannot be read");
                true
            }
        };
        if idle {
            tokio::select! {
                _ = news.changed(), if free > 0 => {}
                _ = in_hand.join_next(), if !in_hand.is_empty() => {}
                _ = stop.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        while in_hand.try_join_next().is_some() {}
    }
    while in_hand.join_next().await.is_some() {}
}

/// Whether this process is one that deals with messages; on AWS functions do, and whoever else looks on, waits.
fn works_here(app: &App) -> bool {
    matches!(app.config.host, Host::Machine { .. })
}

/// Deals with a message and tells its queue; true if it is done with.
async fn handle(app: &App, message: Message) -> bool {
    let delivery = Delivery {
        id: message.id.clone(),
        body: message.body.clone(),
        sent: Some(message.sent),
        received: message.received,
    };
    let failed = keep(app, &message, deliver(app, message.queue, delivery)).await;
    let told = match &failed {
        None => app.queues.ack(&message).await.map(drop),
        Some(failed) => {
            // What cannot go better later becomes a dead letter without delay.
            let pause = match failed.transient {
                true => pause(message.received),
                false => Duration::ZERO,
            };
            let now = app.clock.now();
            app.queues.nack(&message, pause, &failed.reason, now).await
        }
    };
    if let Err(error) = told {
        // It comes back by itself, and doing it again does no harm.
        tracing::error!(message.id = %message.id, error = %error, "a queue cannot be told of a message");
    }
    failed.is_none()
}

/// Does the work for a message and keeps it in hand meanwhile.
///
/// Work is never broken off: if somebody else has the message now, both do what each can do without harm.
async fn keep<T>(app: &App, message: &Message, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let visibility = app.config.visibility;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(visibility / 2) => {
                let now = app.clock.now();
                match app.queues.extend(message, visibility, now).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::warn!(message.id = %message.id, "a message went to another worker while it was worked on");
                        return work.await;
                    }
                    Err(error) => {
                        tracing::warn!(message.id = %message.id, error = %error, "a message could not be kept in hand for longer");
                    }
                }
            }
        }
    }
}

fn pause(received: u32) -> Duration {
    let doublings = received.saturating_sub(1).min(16);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

async fn keep_time(app: &App, mut stop: watch::Receiver<bool>) {
    let mut due = tokio::time::interval(DUE_EVERY);
    let mut pending = tokio::time::interval(PENDING_EVERY);
    let mut expiry = tokio::time::interval(EXPIRE_EVERY);
    // What broke off when the last process ended is not to wait.
    let mut grace = Duration::ZERO;
    while !*stop.borrow() {
        let (what, done) = tokio::select! {
            _ = stop.changed() => continue,
            _ = pending.tick() => {
                let done = dispatch_pending(app, grace).await;
                grace = PENDING_EVERY;
                ("findings whose intake broke off", done.map(drop))
            }
            _ = due.tick() => ("due runs", queue_due(app, DUE_GRACE).await.map_err(IntakeError::from).map(drop)),
            _ = expiry.tick() => ("old findings and runs", expire(app).await.map_err(IntakeError::from)),
        };
        if let Err(error) = done {
            tracing::error!(error = %error, what, "a sweep failed and is tried again");
        }
    }
}

/// Queues the runs that have been due for `grace`, unless they are dead letters; tells how many there are.
async fn queue_due(app: &App, grace: Duration) -> Result<usize, StoreError> {
    let now = app.clock.now();
    let due = app.store.due_runs(before(now, grace), SWEEP).await?;
    let outgoing: Vec<_> = due
        .into_iter()
        .map(|run| {
            let sending = Sending {
                dedupe: Some(run.clone()),
                sweep: true,
                ..Sending::default()
            };
            (run.into_bytes(), sending)
        })
        .collect();
    let count = outgoing.len();
    if count > 0 {
        app.queues.send_all(Queue::Runs, outgoing, now).await?;
    }
    Ok(count)
}

/// Removes what is older than the configuration says.
///
/// # Errors
/// The store fails.
pub async fn expire(app: &App) -> Result<(), StoreError> {
    let limit = before(app.clock.now(), app.config.retention);
    loop {
        let expired = app.store.expire(limit, SWEEP).await?;
        let letters = app.queues.expire(limit, SWEEP).await?;
        let removed = expired.findings + expired.runs + letters;
        if removed > 0 {
            tracing::info!(
                findings = expired.findings,
                runs = expired.runs,
                dead_letters = letters,
                "removed what is too old"
            );
        }
        if removed < SWEEP as usize {
            return Ok(());
        }
    }
}

/// How far [`drain`] or [`finish`] got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Messages that were dealt with.
    pub done: usize,
    /// Deliveries that failed.
    pub failed: usize,
    /// Runs that are not finished, of those that were waited for: they wait, or another process works on them.
    pub unfinished: u64,
    /// When the first of those becomes due.
    pub next: Option<Timestamp>,
}

/// Deals with everything that is due, however long that takes, and with what becomes due while waiting for no longer
/// than `patience` in all. `progress` hears of every message that was dealt with.
///
/// # Errors
/// The store or the definitions in it fail.
pub async fn drain(
    app: &App,
    patience: Duration,
    progress: impl FnMut(&Drained),
) -> Result<Drained, IntakeError> {
    work_off(app, Aim::Everything, patience, progress).await
}

/// Deals with whatever is due until these runs are finished, waiting for them for no longer than `patience` in all:
/// what else waits, or fails and is to be tried again, keeps nobody here. `progress` hears of every message that was
/// dealt with.
///
/// Without any runs it returns as soon as nothing is due; runs that are not in the store count as finished.
///
/// # Errors
/// The store or the definitions in it fail.
pub async fn finish(
    app: &App,
    runs: &[String],
    patience: Duration,
    progress: impl FnMut(&Drained),
) -> Result<Drained, IntakeError> {
    work_off(app, Aim::Runs(runs.to_vec()), patience, progress).await
}

/// What is waited for.
enum Aim {
    Everything,
    /// These runs; those at the end that are known to be finished are taken away.
    Runs(Vec<String>),
}

impl Aim {
    /// Whether there is nothing more to wait for, whatever else is due.
    async fn is_reached(&mut self, app: &App) -> Result<bool, StoreError> {
        let Aim::Runs(runs) = self else {
            return Ok(false);
        };
        if runs.is_empty() {
            return Ok(false);
        }
        while let Some(last) = runs.last() {
            let standing = app
                .store
                .standing(std::slice::from_ref(last), app.clock.now())
                .await?;
            if standing.unfinished > 0 {
                return Ok(false);
            }
            // The last one stays, to tell this list from one that was empty from the start.
            if runs.len() == 1 {
                return Ok(true);
            }
            runs.pop();
        }
        Ok(true)
    }

    async fn standing(&self, app: &App) -> Result<Standing, StoreError> {
        match self {
            Aim::Everything => Ok(Standing {
                unfinished: app.store.unfinished().await?,
                held: 0,
                next: earlier(
                    app.store.next_due().await?,
                    app.queues.next_visible().await?,
                ),
            }),
            Aim::Runs(runs) => app.store.standing(runs, app.clock.now()).await,
        }
    }
}

async fn work_off(
    app: &App,
    mut aim: Aim,
    patience: Duration,
    mut progress: impl FnMut(&Drained),
) -> Result<Drained, IntakeError> {
    if !works_here(app) {
        return wait_for(app, &mut aim, patience).await;
    }
    let mut left = patience;
    let mut drained = Drained::default();
    let mut in_hand: JoinSet<bool> = JoinSet::new();
    dispatch_pending(app, Duration::ZERO).await?;
    queue_due(app, Duration::ZERO).await?;
    loop {
        // What is in hand is brought to its end even so: a step that breaks off leaves doubt whether it happened.
        let received = !aim.is_reached(app).await? && fill(app, &mut in_hand).await?;
        if let Some(done) = in_hand.join_next().await {
            match done {
                Ok(true) => drained.done += 1,
                Ok(false) | Err(_) => drained.failed += 1,
            }
            progress(&drained);
            continue;
        }
        if received {
            continue;
        }
        let standing = aim.standing(app).await?;
        (drained.unfinished, drained.next) = (standing.unfinished, standing.next);
        let Some(next) = drained.next else {
            return Ok(drained);
        };
        let wait = until(app.clock.now(), next);
        // Whoever holds a run may be done with it long before the lease ends.
        let held = standing.held > 0;
        if left.is_zero() || (wait > left && !held) {
            return Ok(drained);
        }
        let longest = if held { GLANCE } else { POLL };
        let pause = wait.clamp(NAP, longest).min(left);
        tokio::time::sleep(pause).await;
        left -= pause;
        queue_due(app, Duration::ZERO).await?;
    }
}

/// Waits while functions work, until there is nothing more to wait for or the patience ends.
async fn wait_for(app: &App, aim: &mut Aim, patience: Duration) -> Result<Drained, IntakeError> {
    let begun = Instant::now();
    let mut drained = Drained::default();
    loop {
        if !aim.is_reached(app).await? {
            let standing = aim.standing(app).await?;
            (drained.unfinished, drained.next) = (standing.unfinished, standing.next);
        } else {
            (drained.unfinished, drained.next) = (0, None);
        }
        let left = patience.saturating_sub(begun.elapsed());
        let now = app.clock.now();
        let late = drained.next.is_some_and(|next| until(now, next) > left);
        if drained.unfinished == 0 || left.is_zero() || late {
            return Ok(drained);
        }
        tokio::time::sleep(POLL.min(left)).await;
    }
}

/// Takes messages of all queues in hand, as many as may be worked on at once.
async fn fill(app: &App, in_hand: &mut JoinSet<bool>) -> Result<bool, StoreError> {
    let most = app.config.concurrency.max(1);
    let mut any = false;
    for queue in Queue::ALL {
        let busy = u32::try_from(in_hand.len()).unwrap_or(u32::MAX);
        let free = most.saturating_sub(busy);
        if free == 0 {
            break;
        }
        let (visibility, now) = (app.config.visibility, app.clock.now());
        for message in app.queues.receive(queue, free, visibility, now).await? {
            any = true;
            let app = app.clone();
            in_hand.spawn(async move { handle(&app, message).await });
        }
    }
    Ok(any)
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
