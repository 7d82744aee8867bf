//! Messages of the queues, and what is done for each: the same on every kind of host.

use crate::app::App;
use crate::clock;
use crate::engine::{self, EngineError, Outcome, execute};
use crate::intake::{self, Intake, IntakeError, intake_sent};
use crate::metrics::{Count, Timed};
use crate::queue::{Queue, Sending};
use crate::run::Run;
use crate::store::StoreError;
use jiff::Timestamp;
use quench_findings::{Refusal, Transition};
use std::time::Duration;
use tracing::{Instrument, Span};

/// The longest that a queue service holds a message back.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// The attribute of a message that says for how many seconds its sender wanted it held back: SQS tells those who
/// receive it when it was sent, but not that.
pub const HELD_BACK: &str = "held_back_seconds";

/// The attribute of a message that says when it was sent the first time, in milliseconds since 1970, if it is one that was
/// a dead letter and was sent anew.
pub const FIRST_SENT: &str = "first_sent_milliseconds";

/// A message to be dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What its queue calls it.
    pub id: String,
    /// A payload, or the id of a run.
    pub body: Vec<u8>,
    /// When it was first sent, or was to be received at the earliest, where the queue tells.
    pub sent: Option<Timestamp>,
    /// How many times it was delivered, this one included.
    pub received: u32,
}

/// A message that was not dealt with and has to be delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// What its queue calls it.
    pub id: String,
    /// Why.
    pub reason: String,
    /// Whether there is hope that it goes better later.
    pub transient: bool,
}

/// Takes payloads in, each on its own; returns those that failed, in their order.
///
/// A payload of which anything is refused counts as failed, though the rest of it was taken in: after some deliveries
/// it is a dead letter for people to look at.
pub async fn batch(app: &App, messages: Vec<Delivery>) -> Vec<Undelivered> {
    let span = |_: &Delivery| intake::span(None);
    each(app, messages, span, |app, message| async move {
        let taken = intake_sent(&app, &message.body, message.sent).await?;
        // What is refused is delivered some more times.
        if message.received <= 1 || taken.refused.is_empty() {
            count(&app, &taken);
        }
        match taken.refused.into_iter().next() {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(()),
        }
    })
    .await
}

fn count(app: &App, taken: &Intake) {
    let (metrics, now) = (&app.metrics, app.clock.now());
    metrics.count(Count::Findings, taken.findings.len());
    metrics.count(
        Count::PayloadsRefused,
        usize::from(!taken.refused.is_empty()),
    );
    for arrival in &taken.findings {
        metrics.count(Count::Matches, arrival.matched.len());
        let runs = arrival.matched.iter().flat_map(|matched| &matched.runs);
        metrics.count(Count::RunsStarted, runs.filter(|run| run.made).count());
        if let Some(updated) = arrival.finding.updated
            && arrival.transition != Transition::Repeated
        {
            metrics.time(Timed::SourceDelay, updated, now);
        }
    }
}

/// Works on runs, each on its own, and queues those again that have to wait; returns those that failed, in their order.
pub async fn run_batch(app: &App, messages: Vec<Delivery>) -> Vec<Undelivered> {
    // What is no id may be anything, and none of the log's business.
    let span = |message: &Delivery| {
        let run = std::str::from_utf8(&message.body).map(str::trim).ok();
        engine::span(run.filter(|run| Run::is_id(run)))
    };
    each(app, messages, span, |app, message| async move {
        let run = String::from_utf8(message.body).map_err(|_| Failure::NoRun)?;
        work(&app, run.trim()).await
    })
    .await
}

/// Deals with a message of any queue; returns why it failed, if it did.
pub(crate) async fn deliver(app: &App, queue: Queue, message: Delivery) -> Option<Undelivered> {
    let failed = match queue {
        Queue::Runs => run_batch(app, vec![message]).await,
        Queue::Alert | Queue::Recommendation | Queue::Compliance => batch(app, vec![message]).await,
    };
    failed.into_iter().next()
}

async fn work(app: &App, run: &str) -> Result<(), Failure> {
    let until = match execute(app, run).await {
        Ok(Outcome::Finished(_)) => return Ok(()),
        // Whoever sent it meant something: it becomes a dead letter for people to look at.
        Ok(Outcome::Missing) if !Run::is_id(run) => return Err(Failure::NoRun),
        Ok(Outcome::Missing) => {
            tracing::warn!("a run that was queued is not in the store");
            return Ok(());
        }
        Ok(Outcome::Waiting { until } | Outcome::Busy { until }) => until,
        // Whoever has taken it over sees to it.
        Err(EngineError::LeaseLost { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let now = app.clock.now();
    Ok(enqueue(app, run, clock::until(now, until), now).await?)
}

/// Puts a run's id onto the queue of runs, held back for `delay`.
///
/// What is held back for longer than queues can is not put there at all: the sweep for due runs finds it in the store
/// when its time comes. A message that comes every quarter of an hour only to be sent again would cost more than it
/// tells.
///
/// # Errors
/// The store fails.
pub(crate) async fn enqueue(
    app: &App,
    run: &str,
    delay: Duration,
    now: Timestamp,
) -> Result<(), StoreError> {
    if delay > LONGEST_DELAY {
        return Ok(());
    }
    let sending = Sending {
        delay,
        dedupe: Some(run.to_owned()),
        ..Sending::default()
    };
    app.queues
        .send(Queue::Runs, run.as_bytes(), sending, now)
        .await
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("payload is refused: {0}")]
    Refused(Refusal),
    #[error("message is no run's id")]
    NoRun,
    #[error("there was no time left to deal with it; the work on it was broken off")]
    NoTime,
}

impl Failure {
    fn is_transient(&self) -> bool {
        match self {
            Failure::Intake(error) => error.is_transient(),
            Failure::Engine(error) => error.is_transient(),
            Failure::Store(error) => error.is_transient(),
            Failure::NoTime => true,
            Failure::Refused(_) | Failure::NoRun => false,
        }
    }
}

async fn each<F>(
    app: &App,
    messages: Vec<Delivery>,
    span: impl Fn(&Delivery) -> Span,
    work: impl Fn(App, Delivery) -> F,
) -> Vec<Undelivered>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    // A task for each: one that panics harms no other.
    let now = app.clock.now();
    let left = app.deadline.map(|deadline| deadline.until_answer());
    let tasks: Vec<_> = messages
        .into_iter()
        .map(|message| {
            // Later deliveries tell how long it took to fail, not how long the queue was.
            if let Some(sent) = message.sent
                && message.received <= 1
            {
                app.metrics.time(Timed::QueueAge, sent, now);
            }
            let span = span(&message);
            let (id, received) = (message.id.clone(), message.received);
            let work = in_time(left, work(app.clone(), message));
            // Boxed: a task is moved as a whole when it begins and when it is done, and this is one of ten kilobytes.
            let work = tokio::spawn(Box::pin(work).instrument(span.clone()));
            (id, received, span, work)
        })
        .collect();
    let mut undelivered = Vec::new();
    for (id, received, span, task) in tasks {
        let (reason, transient) = match task.await {
            Ok(Ok(())) => continue,
            Ok(Err(failure)) => (failure.to_string(), failure.is_transient()),
            Err(error) => (format!("the work on it broke off: {error}"), false),
        };
        span.in_scope(|| {
            tracing::error!(message.id = %id, message.received = received, reason, transient, "a message was not dealt with");
        });
        app.metrics.count(Count::MessagesFailed, 1);
        undelivered.push(Undelivered {
            id,
            reason,
            transient,
        });
    }
    undelivered
}

/// Breaks work off shortly before the invocation ends: an invocation that ends without an answer has all its messages
/// delivered again, those that are done as well, and after some of those they would all be dead letters.
async fn in_time(
    left: Option<Duration>,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    match left {
        Some(left) => tokio::time::timeout(left, work)
            .await
            .unwrap_or(Err(Failure::NoTime)),
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::deadline::Deadline;
    use crate::intake::take_all;
    use crate::logged::{Line, Log};
    use crate::run::Run;
    use crate::specimen::{self, event, finding, moment};
    use crate::store::{Page, RunFilter};
    use std::collections::BTreeSet;
    use tempfile::TempDir;

    fn message(body: &[u8]) -> Delivery {
        Delivery {
            id: "m".to_owned(),
            body: body.to_vec(),
            sent: None,
            received: 1,
        }
    }

    async fn with_rules(folder: &TempDir) -> App {
        let app = specimen::app(folder.path(), &Clock::manual(moment(0))).await;
        specimen::apply(&app, specimen::RULES).await;
        app
    }

    async fn runs(app: &App) -> Vec<Run> {
        let runs = app.store.runs(&RunFilter::default(), Page::default()).await;
        runs.unwrap()
    }

    fn ids(line: &Line) -> (Option<&str>, Option<&str>) {
        (line.get("run.id"), line.get("finding.id"))
    }

    #[tokio::test]
    async fn lines_about_a_finding_and_its_runs_tell_their_ids_once() {
        let folder = TempDir::new().unwrap();
        let app = with_rules(&folder).await;
        let log = Log::listen();
        assert_eq!(
            batch(&app, vec![message(&event("shop", false, 1))]).await,
            []
        );
        let runs = runs(&app).await;
        let finding = runs[0].finding.id.as_str();
        let known: BTreeSet<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(known.len(), 3);
        let taken = log.lines("took a finding in");
        assert_eq!(
            taken.iter().map(ids).collect::<Vec<_>>(),
            [(None, Some(finding))]
        );
        let started = log.lines("started a run");
        let told: BTreeSet<_> = started.iter().map(ids).collect();
        let all: BTreeSet<_> = known
            .iter()
            .map(|run| (Some(*run), Some(finding)))
            .collect();
        assert_eq!(told, all);

        let messages = known.iter().map(|run| message(run.as_bytes())).collect();
        assert_eq!(run_batch(&app, messages).await, []);
        let finished = log.lines("run finished");
        assert_eq!(finished.iter().map(ids).collect::<BTreeSet<_>>(), all);
        let mut ends: Vec<_> = finished
            .iter()
            .map(|line| {
                (
                    line.get("run.playbook").unwrap(),
                    line.get("run.state").unwrap(),
                )
            })
            .collect();
        ends.sort_unstable();
        let expected = [
            ("note", "stopped"),
            ("other", "succeeded"),
            ("outer", "stopped"),
        ];
        assert_eq!(ends, expected);
    }

    #[tokio::test]
    async fn lines_about_findings_of_one_payload_tell_each_its_own_id() {
        let folder = TempDir::new().unwrap();
        let app = with_rules(&folder).await;
        let catalog = app.catalog().await.unwrap();
        let log = Log::listen();
        let findings = vec![finding("one"), finding("two")];
        take_all(&app, &catalog, findings, None).await.unwrap();
        let taken = log.lines("took a finding in");
        let told: BTreeSet<_> = taken.iter().map(ids).collect();
        assert_eq!(
            told,
            BTreeSet::from([(None, Some("one")), (None, Some("two"))])
        );
    }

    #[tokio::test]
    async fn the_line_about_a_message_that_fails_tells_what_it_was_about() {
        const FAILED: &str = "a message was not dealt with";
        let folder = TempDir::new().unwrap();
        let app = with_rules(&folder).await;
        batch(&app, vec![message(&event("shop", false, 1))]).await;
        let run = runs(&app).await.remove(0);

        // It is claimed by one write; the next is of its journal.
        app.store.sqlite().crash().arm_before(2);
        let log = Log::listen();
        assert_eq!(
            run_batch(&app, vec![message(run.id.as_bytes())])
                .await
                .len(),
            1
        );
        let told = log.lines(FAILED);
        let both = (Some(run.id.as_str()), Some(run.finding.id.as_str()));
        assert_eq!(told.iter().map(ids).collect::<Vec<_>>(), [both]);

        let app = with_rules(&folder).await;
        app.store.sqlite().crash().arm_before(1);
        let log = Log::listen();
        let payload = message(&event("shop", true, 2));
        assert_eq!(batch(&app, vec![payload]).await.len(), 1);
        let told = log.lines(FAILED);
        assert_eq!(told.iter().map(ids).collect::<Vec<_>>(), [(None, both.1)]);
    }

    #[tokio::test]
    async fn of_what_is_no_runs_id_nothing_is_logged() {
        let folder = TempDir::new().unwrap();
        let app = with_rules(&folder).await;
        let log = Log::listen();
        let body = br#"{"token": "hidden"}"#;
        let failed = run_batch(&app, vec![message(body)]).await;
        assert_eq!(failed[0].reason, "message is no run's id");
        assert!(!failed[0].transient);
        let mut late = app.clone();
        late.deadline = Some(Deadline::after(Duration::ZERO));
        let failed = run_batch(&late, vec![message(body)]).await;
        assert!(failed[0].transient);
        let told = log.lines("a message was not dealt with");
        assert_eq!(told.iter().map(ids).collect::<Vec<_>>(), [(None, None); 2]);
        assert!(!format!("{told:?} {failed:?}").contains("hidden"));
    }

    #[tokio::test]
    async fn a_message_that_takes_too_long_leaves_time_to_tell_of_the_others() {
        let folder = TempDir::new().unwrap();
        let mut app = specimen::app(folder.path(), &Clock::manual(moment(0))).await;
        app.deadline = Some(Deadline::after(Duration::from_millis(1300)));
        let messages = ["quick", "endless", "quick too"].map(|id| Delivery {
            id: id.to_owned(),
            ..message(id.as_bytes())
        });
        let messages = messages.to_vec();
        let begun = std::time::Instant::now();
        let failed = each(
            &app,
            messages,
            |_| Span::none(),
            |_, message| async move {
                if message.body == b"endless" {
                    std::future::pending::<()>().await;
                }
                Ok(())
            },
        )
        .await;
        assert!(begun.elapsed() < Duration::from_millis(1300), "in time");
        let failed: Vec<_> = failed.iter().map(|one| (&*one.id, one.transient)).collect();
        assert_eq!(failed, [("endless", true)]);
    }
}
