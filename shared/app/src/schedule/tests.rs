use super::*;
use crate::clock::Clock;
use crate::specimen::{RULES, app, apply, event, moment, record, run};
use crate::store::{FindingFilter, Page};
use tempfile::TempDir;

const BUDGET: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

async fn ready(app: &App) -> u64 {
    let depth = app.queues.depth(Queue::Runs, app.clock.now()).await;
    depth.unwrap().ready
}

async fn with_runs(folder: &TempDir, count: usize) -> (App, Clock) {
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    let runs: Vec<_> = (0..count)
        .map(|number| run(&format!("{number:032x}"), moment(0)))
        .collect();
    for run in &runs {
        assert!(app.store.create_run(run).await.unwrap());
    }
    (app, clock)
}

#[tokio::test]
async fn a_backlog_is_queued_once_and_not_again_in_the_next_minute() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 5_000).await;
    clock.advance(MINUTE);
    let first = tick(&app, BUDGET).await.unwrap();
    assert_eq!((first.due, first.late, first.cut), (5_000, 0, false));
    assert_eq!(ready(&app).await, 5_000);
    clock.advance(MINUTE);
    tick(&app, BUDGET).await.unwrap();
    assert_eq!(ready(&app).await, 5_000);
    // Two at once do no harm either.
    let (one, two) = tokio::join!(tick(&app, BUDGET), tick(&app, BUDGET));
    one.unwrap();
    two.unwrap();
    assert_eq!(ready(&app).await, 5_000);
}

#[tokio::test]
async fn a_run_that_is_only_just_due_is_left_to_its_own_message() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 1).await;
    clock.advance(DUE_GRACE - Duration::from_secs(1));
    assert_eq!(tick(&app, BUDGET).await.unwrap(), Tick::default());
    clock.advance(Duration::from_secs(1));
    assert_eq!(tick(&app, BUDGET).await.unwrap().due, 1);
}

#[tokio::test]
async fn runs_that_nobody_took_up_for_minutes_count_as_late() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 3).await;
    clock.advance(LATE - Duration::from_secs(30));
    let young = run(&"f".repeat(32), clock.now());
    app.store.create_run(&young).await.unwrap();
    clock.advance(Duration::from_secs(30));
    let tick = tick(&app, BUDGET).await.unwrap();
    assert_eq!((tick.due, tick.late), (4, 3));
}

#[tokio::test]
async fn those_that_have_been_due_longest_come_first() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    for (id, second) in [("c", 30), ("a", 20), ("b", 10)] {
        let run = run(&id.repeat(32), moment(second));
        app.store.create_run(&run).await.unwrap();
    }
    clock.advance(10 * MINUTE);
    tick(&app, BUDGET).await.unwrap();
    let now = app.clock.now();
    let messages = app.queues.receive(Queue::Runs, 10, MINUTE, now).await;
    let order: Vec<u8> = messages
        .unwrap()
        .iter()
        .map(|message| message.body[0])
        .collect();
    assert_eq!(order, *b"bac");
}

#[tokio::test]
async fn intake_that_broke_off_is_finished_and_one_under_way_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    apply(&app, RULES).await;
    let decoded = quench_findings::decode(&event("shop", false, 1));
    let mut broken = record("x", moment(0));
    broken.finding = decoded.findings[0].clone().into();
    assert!(app.store.put_finding(&broken).await.unwrap());
    clock.advance(PENDING_GRACE - Duration::from_secs(1));
    assert_eq!(tick(&app, BUDGET).await.unwrap().pending, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(tick(&app, BUDGET).await.unwrap().pending, 1);
    assert_eq!(ready(&app).await, 3);
    assert_eq!(tick(&app, BUDGET).await.unwrap().pending, 0);
}

#[tokio::test]
async fn all_intake_that_broke_off_is_finished_however_much_it_is() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    apply(&app, RULES).await;
    for number in 0..250 {
        let broken = record(&format!("f-{number}"), moment(0));
        assert!(app.store.put_finding(&broken).await.unwrap());
    }
    clock.advance(PENDING_GRACE);
    assert_eq!(tick(&app, BUDGET).await.unwrap().pending, 250);
    assert_eq!(tick(&app, BUDGET).await.unwrap().pending, 0);
}

#[tokio::test]
async fn what_is_too_old_is_removed() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    let mut old = record("old", moment(0));
    old.pending = false;
    app.store.put_finding(&old).await.unwrap();
    clock.advance(app.config.retention);
    assert_eq!(tick(&app, BUDGET).await.unwrap().expired, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(tick(&app, BUDGET).await.unwrap().expired, 1);
    let left = app
        .store
        .findings(&FindingFilter::default(), Page::default())
        .await;
    assert!(left.unwrap().is_empty());
}

#[tokio::test]
async fn without_time_nothing_is_begun_and_that_is_told() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 2).await;
    clock.advance(MINUTE);
    let nothing = tick(&app, Duration::ZERO).await.unwrap();
    let cut = true;
    assert_eq!(
        nothing,
        Tick {
            cut,
            ..Tick::default()
        }
    );
    assert_eq!(ready(&app).await, 0);
}
