use super::*;
use crate::clock::Clock;
use crate::run::{Event, RunState};
use crate::specimen::{RULES, app, apply, event, moment};
use crate::store::{Page, RunFilter, RunStage};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

const ALL: Page = Page {
    limit: 10_000,
    skip: 0,
};
const PATIENCE: Duration = Duration::from_secs(20);

async fn with_rules(folder: &Path, clock: &Clock) -> App {
    let app = app(folder, clock).await;
    apply(&app, RULES).await;
    app
}

async fn post(app: &App, queue: Queue, payload: &[u8]) {
    app.queues
        .send(queue, payload, Sending::default(), app.clock.now())
        .await
        .unwrap();
}

async fn stages(app: &App) -> BTreeMap<RunStage, usize> {
    let mut stages = BTreeMap::new();
    for run in app.store.runs(&RunFilter::default(), ALL).await.unwrap() {
        *stages.entry(RunStage::of(&run.state)).or_default() += 1;
    }
    stages
}

/// One failed bucket: `outer` and `note` end by a `stop`, `other` ends by itself.
fn ended(times: usize) -> BTreeMap<RunStage, usize> {
    BTreeMap::from([(RunStage::Succeeded, times), (RunStage::Stopped, 2 * times)])
}

/// Fails if any step took effect twice.
async fn each_step_happened_once(app: &App) {
    for run in app.store.runs(&RunFilter::default(), ALL).await.unwrap() {
        let mut paths = Vec::new();
        for entry in app.store.journal(&run.id).await.unwrap() {
            if matches!(entry.event, Event::Succeeded { .. }) {
                paths.push(entry.path);
            }
        }
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count, "{run:?}");
    }
}

#[tokio::test]
async fn everything_due_is_done_and_reported() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path(), &Clock::manual(moment(0))).await;
    post(&app, Queue::Compliance, &event("shop", false, 1)).await;
    post(&app, Queue::Alert, &event("barn", false, 1)).await;
    let mut heard = 0;
    let drained = drain(&app, PATIENCE, |_| heard += 1).await.unwrap();
    assert_eq!(
        (drained.done, drained.failed, drained.unfinished),
        (8, 0, 0)
    );
    assert_eq!(heard, 8);
    assert_eq!(stages(&app).await, ended(2));
    each_step_happened_once(&app).await;
    assert_eq!(app.queues.next_visible().await.unwrap(), None);
}

#[tokio::test]
async fn a_poison_message_ends_as_a_dead_letter_and_harms_no_other() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path(), &Clock::manual(moment(0))).await;
    post(&app, Queue::Compliance, b"{\"nonsense\": ").await;
    post(&app, Queue::Compliance, &event("shop", false, 1)).await;
    post(&app, Queue::Runs, b"no-such-run").await;
    post(&app, Queue::Runs, b"\xff\xfe").await;
    let drained = drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!((drained.done, drained.failed), (4, 15));
    assert_eq!(stages(&app).await, ended(1));
    let letters = app.queues.dead_letters(9).await.unwrap();
    assert_eq!(letters.len(), 3);
    assert!(
        letters
            .iter()
            .all(|letter| letter.received == 5 && letter.reason.is_some())
    );
}

#[tokio::test]
async fn a_wait_that_outlasts_the_patience_is_left_for_later() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    let rules = "\
playbook: slow
triggers: [compliance]
steps:
  - id: pause
    wait: { for: 1h }
  - id: end
    stop: { reason: over }
---
automation: slow
trigger: compliance
run:
  - playbook: slow
";
    apply(&app, rules).await;
    post(&app, Queue::Compliance, &event("shop", false, 1)).await;
    let drained = drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!((drained.done, drained.unfinished), (2, 1));
    assert_eq!(stages(&app).await, BTreeMap::from([(RunStage::Waiting, 1)]));
    // A queue holds no message back for an hour, so there is none; the sweep finds the run when its time comes.
    assert_eq!(app.queues.next_visible().await.unwrap(), None);
    for _ in 0..4 {
        clock.advance(Duration::from_secs(14 * 60));
        drain(&app, Duration::ZERO, |_| {}).await.unwrap();
        assert_eq!(stages(&app).await, BTreeMap::from([(RunStage::Waiting, 1)]));
    }
    clock.advance(Duration::from_secs(5 * 60));
    let drained = drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!(drained.unfinished, 0);
    assert_eq!(stages(&app).await, BTreeMap::from([(RunStage::Stopped, 1)]));
    each_step_happened_once(&app).await;
}

#[tokio::test]
async fn a_run_that_no_message_speaks_of_is_found() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = with_rules(folder.path(), &clock).await;
    crate::intake::intake(&app, &event("shop", false, 1))
        .await
        .unwrap();
    for message in app
        .queues
        .receive(Queue::Runs, 9, PATIENCE, clock.now())
        .await
        .unwrap()
    {
        app.queues.ack(&message).await.unwrap();
    }
    assert_eq!(
        queue_due(&app, DUE_GRACE).await.unwrap(),
        0,
        "it may be under way"
    );
    clock.advance(DUE_GRACE);
    assert_eq!(queue_due(&app, DUE_GRACE).await.unwrap(), 3);
    assert_eq!(queue_due(&app, DUE_GRACE).await.unwrap(), 3);
    assert_eq!(
        app.queues
            .depth(Queue::Runs, clock.now())
            .await
            .unwrap()
            .ready,
        3
    );
    drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!(stages(&app).await, ended(1));
}

#[tokio::test]
async fn a_sweep_leaves_a_message_its_pause() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = with_rules(folder.path(), &clock).await;
    crate::intake::intake(&app, &event("shop", false, 1))
        .await
        .unwrap();
    let pause = Duration::from_secs(300);
    let now = clock.now();
    for message in app
        .queues
        .receive(Queue::Runs, 9, PATIENCE, now)
        .await
        .unwrap()
    {
        let reason = "the store is busy";
        app.queues.nack(&message, pause, reason, now).await.unwrap();
    }
    clock.advance(DUE_GRACE);
    assert_eq!(queue_due(&app, DUE_GRACE).await.unwrap(), 3);
    let depth = app.queues.depth(Queue::Runs, clock.now()).await.unwrap();
    assert_eq!((depth.ready, depth.delayed), (0, 3));
    clock.advance(pause);
    drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!(stages(&app).await, ended(1));
}

#[tokio::test]
async fn a_crash_at_any_write_from_the_message_to_the_last_step_loses_and_doubles_nothing() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let total = {
        let app = with_rules(folder.path(), &clock).await;
        post(&app, Queue::Compliance, &event("shop", false, 1)).await;
        let before = writes(&app);
        drain(&app, PATIENCE, |_| {}).await.unwrap();
        writes(&app) - before
    };
    assert!(total > 20, "{total}");
    for n in 1..=total {
        for done in [false, true] {
            let folder = TempDir::new().unwrap();
            let clock = Clock::manual(moment(0));
            let first = with_rules(folder.path(), &clock).await;
            post(&first, Queue::Compliance, &event("shop", false, 1)).await;
            arm(&first, n, done);
            // Whether it ends well is of no matter: it may die in a task of which nobody waits for.
            let _ = drain(&first, Duration::from_millis(30), |_| {}).await;
            drop(first);
            clock.advance(Duration::from_secs(3600));
            let second = app(folder.path(), &clock).await;
            let at = (n, done);
            let drained = drain(&second, PATIENCE, |_| {}).await.unwrap();
            assert_eq!((drained.failed, drained.unfinished), (0, 0), "{at:?}");
            assert_eq!(stages(&second).await, ended(1), "{at:?}");
            // A payload that comes again speaks of its runs again. Such a message may find its run in somebody's hand,
            // and then it looks again when that lease would end; it does nothing then, and it goes.
            clock.advance(second.config.lease);
            let late = drain(&second, PATIENCE, |_| {}).await.unwrap();
            assert_eq!((late.failed, late.unfinished), (0, 0), "{at:?}");
            assert_eq!(stages(&second).await, ended(1), "{at:?}");
            each_step_happened_once(&second).await;
            let left = second.queues.next_visible().await.unwrap();
            assert_eq!(left, None, "{at:?}");
        }
    }
}

fn writes(app: &App) -> u64 {
    let file = app.store.sqlite();
    file.crash().writes()
}

fn arm(app: &App, n: u64, done: bool) {
    let file = app.store.sqlite();
    match done {
        true => file.crash().arm_after(n),
        false => file.crash().arm_before(n),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_one_folder_share_the_work() {
    let folder = TempDir::new().unwrap();
    let one = with_rules(folder.path(), &Clock::System).await;
    let other = app(folder.path(), &Clock::System).await;
    for number in 0..15 {
        post(
            &one,
            Queue::Compliance,
            &event(&format!("bucket-{number}"), false, 1),
        )
        .await;
    }
    let tasks = [one.clone(), other]
        .map(|app| tokio::spawn(async move { drain(&app, PATIENCE, |_| {}).await }));
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().failed, 0);
    }
    assert_eq!(stages(&one).await, ended(15));
    each_step_happened_once(&one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serving_takes_up_messages_as_they_come_and_stops_when_told() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path(), &Clock::System).await;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn({
        let app = app.clone();
        async move { serve_queues(&app, stopped).await }
    });
    for number in 0..5 {
        post(
            &app,
            Queue::Compliance,
            &event(&format!("bucket-{number}"), false, 1),
        )
        .await;
    }
    let begun = Instant::now();
    while stages(&app).await != ended(5) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", stages(&app).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send_replace(true);
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    // What comes now is kept for the next start.
    post(&app, Queue::Compliance, &event("late", false, 1)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stages(&app).await, ended(5));
}

#[tokio::test]
async fn what_is_older_than_configured_is_removed() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = with_rules(folder.path(), &clock).await;
    post(&app, Queue::Compliance, &event("shop", false, 1)).await;
    drain(&app, PATIENCE, |_| {}).await.unwrap();
    expire(&app).await.unwrap();
    assert_eq!(stages(&app).await, ended(1));
    clock.advance(app.config.retention + Duration::from_secs(1));
    expire(&app).await.unwrap();
    assert_eq!(stages(&app).await, BTreeMap::new());
    let findings = app.store.findings(&Default::default(), ALL).await.unwrap();
    assert_eq!(findings, []);
}

#[test]
fn pauses_double_up_to_a_limit() {
    let pauses = [1, 2, 3, 8, 9, u32::MAX].map(|received| pause(received).as_secs());
    assert_eq!(pauses, [5, 10, 20, 640, 900, 900]);
}

#[tokio::test]
async fn a_failed_run_that_is_queued_again_ends() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path(), &Clock::manual(moment(0))).await;
    let rules = "\
playbook: fails
triggers: [compliance]
steps:
  - id: end
    stop: { reason: on purpose, failed: true }
---
automation: fails
trigger: compliance
run:
  - playbook: fails
";
    apply(&app, rules).await;
    post(&app, Queue::Compliance, &event("shop", false, 1)).await;
    drain(&app, PATIENCE, |_| {}).await.unwrap();
    let run = app
        .store
        .runs(&RunFilter::default(), ALL)
        .await
        .unwrap()
        .remove(0);
    assert!(matches!(run.state, RunState::Failed { .. }));
    app.store
        .requeue_run(&run.id, app.clock.now())
        .await
        .unwrap()
        .unwrap();
    let drained = drain(&app, PATIENCE, |_| {}).await.unwrap();
    assert_eq!((drained.done, drained.unfinished), (1, 0));
}

/// A playbook that waits an hour and one that ends at once.
const SLOW_AND_QUICK: &str = "\
playbook: slow
triggers: [compliance]
steps:
  - id: pause
    wait: { for: 1h }
  - id: end
    stop: { reason: over }
---
playbook: quick
triggers: [compliance]
steps:
  - id: end
    stop: { reason: over }
";

async fn started_by_hand(app: &App, playbook: &str, bucket: &str) -> String {
    let taken = crate::intake::intake(app, &event(bucket, false, 1))
        .await
        .unwrap();
    let finding = &taken.findings[0].finding.id;
    let triggered = crate::trigger::trigger(app, playbook, finding, &Default::default(), "anna")
        .await
        .unwrap();
    triggered.run.id
}

#[tokio::test]
async fn finishing_runs_waits_for_no_others() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path(), &Clock::System).await;
    apply(&app, SLOW_AND_QUICK).await;
    let slow = started_by_hand(&app, "slow", "shop").await;
    let quick = started_by_hand(&app, "quick", "barn").await;
    let begun = Instant::now();
    let two_hours = Duration::from_secs(7200);
    let finished = finish(&app, std::slice::from_ref(&quick), two_hours, |_| {})
        .await
        .unwrap();
    assert_eq!((finished.unfinished, finished.next), (0, None));
    // What was due was worked on as well, as far as it went.
    assert_eq!(
        stages(&app).await,
        BTreeMap::from([(RunStage::Waiting, 1), (RunStage::Stopped, 1)])
    );
    // A message that is tried again later, over and over, holds nobody up either.
    post(&app, Queue::Runs, b"later").await;
    let failing = app
        .queues
        .receive(Queue::Runs, 1, PATIENCE, app.clock.now())
        .await
        .unwrap()
        .remove(0);
    app.queues
        .nack(
            &failing,
            Duration::from_secs(5),
            "the store is busy",
            app.clock.now(),
        )
        .await
        .unwrap();
    let none = finish(&app, &[], two_hours, |_| {}).await.unwrap();
    assert_eq!((none.done, none.unfinished), (0, 0));
    // One that waits for longer than the patience is told with its time.
    let both = finish(&app, &[quick, slow], PATIENCE, |_| {})
        .await
        .unwrap();
    assert_eq!(both.unfinished, 1);
    assert!(both.next.unwrap() > app.clock.now() + Duration::from_secs(3000));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn finishing_runs_waits_for_those_that_another_process_works_on() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path(), &Clock::System).await;
    apply(&app, SLOW_AND_QUICK).await;
    let quick = started_by_hand(&app, "quick", "barn").await;
    let (now, lease) = (app.clock.now(), Duration::from_secs(600));
    let crate::store::Claim::Held { lease, .. } = app
        .store
        .claim_run(&quick, "another", now, lease)
        .await
        .unwrap()
    else {
        panic!("nobody else can hold it");
    };
    let other = tokio::spawn({
        let app = app.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let over = RunState::Succeeded;
            app.store.settle(&lease, &over, app.clock.now()).await
        }
    });
    let begun = Instant::now();
    let finished = finish(&app, std::slice::from_ref(&quick), PATIENCE, |_| {})
        .await
        .unwrap();
    other.await.unwrap().unwrap();
    assert_eq!((finished.unfinished, finished.next), (0, None));
    assert!(begun.elapsed() >= Duration::from_millis(250));
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn runs_that_are_not_there_are_finished() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path(), &Clock::System).await;
    let finished = finish(&app, &["none".to_owned()], PATIENCE, |_| {})
        .await
        .unwrap();
    assert_eq!(finished, Drained::default());
}

#[tokio::test]
async fn a_message_stays_in_hand_for_as_long_as_it_is_worked_on() {
    let folder = TempDir::new().unwrap();
    let mut app = app(folder.path(), &Clock::System).await;
    let visibility = Duration::from_millis(400);
    let config = crate::config::Config {
        visibility,
        ..(*app.config).clone()
    };
    app.config = config.into();
    post(&app, Queue::Alert, b"slow").await;
    let receive = async || {
        let now = app.clock.now();
        let received = app.queues.receive(Queue::Alert, 9, visibility, now).await;
        received.unwrap()
    };
    let message = receive().await.remove(0);
    let work = async {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(receive().await, []);
        }
    };
    keep(&app, &message, work).await;
    assert!(app.queues.ack(&message).await.unwrap());
}

#[tokio::test]
async fn work_goes_on_when_its_message_went_to_another() {
    let folder = TempDir::new().unwrap();
    let mut app = app(folder.path(), &Clock::System).await;
    let config = crate::config::Config {
        visibility: Duration::from_millis(20),
        ..(*app.config).clone()
    };
    app.config = config.into();
    post(&app, Queue::Alert, b"slow").await;
    let now = app.clock.now();
    let received = app
        .queues
        .receive(Queue::Alert, 9, Duration::ZERO, now)
        .await;
    let mine = received.unwrap().remove(0);
    let now = app.clock.now();
    let hour = Duration::from_secs(3600);
    let received = app.queues.receive(Queue::Alert, 9, hour, now).await;
    assert_eq!(received.unwrap().len(), 1);
    let work = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "done"
    };
    assert_eq!(keep(&app, &mine, work).await, "done");
}
