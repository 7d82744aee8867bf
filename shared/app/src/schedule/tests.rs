use super::*;
use crate::clock::Clock;
use crate::specimen::{RULES, app, apply, event, moment, record, run};
use crate::store::{Change, FindingFilter, Page};
use serde_json::json;
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
async fn findings_that_fail_do_not_stand_in_the_way_of_those_behind_them() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    apply(&app, RULES).await;
    // A fault that lasts: the finding's runs are made, but its mark cannot be taken away.
    app.store
        .sqlite()
        .write(|connection| {
            connection.execute_batch(
                "CREATE TRIGGER broken BEFORE UPDATE ON findings WHEN OLD.id LIKE 'bad-%'
                 BEGIN SELECT RAISE(ABORT, 'this one is broken'); END",
            )?;
            Ok(())
        })
        .await
        .unwrap();
    for number in 0..250 {
        let broken = record(&format!("bad-{number}"), moment(number));
        assert!(app.store.put_finding(&broken).await.unwrap());
        let fine = record(&format!("f-{number}"), moment(300 + number));
        assert!(app.store.put_finding(&fine).await.unwrap());
    }
    clock.advance(Duration::from_secs(600) + PENDING_GRACE);
    let error = tick(&app, BUDGET).await.unwrap_err();
    assert!(error.to_string().contains("this one is broken"), "{error}");
    let left = app.store.pending_findings(clock.now(), 999).await.unwrap();
    assert_eq!(left.len(), 250);
    assert!(left.iter().all(|left| left.finding.id.starts_with("bad-")));
}

#[tokio::test]
async fn automations_of_a_kind_that_cannot_be_used_keep_findings_of_other_kinds_from_nothing() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(0));
    let app = app(folder.path(), &clock).await;
    apply(&app, RULES).await;
    // As another version of the program may have stored it.
    let odd = json!({"name": "odd", "trigger": "alert", "scope": ["nowhere at all"], "run": []});
    let odd = Change::Automation {
        definition: serde_json::from_value(odd).unwrap(),
        version: "v".to_owned(),
        text: String::new(),
    };
    app.store
        .put_definitions(vec![odd], moment(0))
        .await
        .unwrap();
    app.refresh_catalog().await;
    let alert = record("alert", moment(0));
    assert!(app.store.put_finding(&alert).await.unwrap());
    let decoded = quench_findings::decode(&event("shop", false, 1));
    let mut behind = record("x", moment(1));
    behind.finding = decoded.findings[0].clone().into();
    assert!(app.store.put_finding(&behind).await.unwrap());
    clock.advance(2 * PENDING_GRACE);
    let error = tick(&app, BUDGET).await.unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
    assert_eq!(ready(&app).await, 3);
}

#[tokio::test]
async fn what_is_short_is_done_before_due_runs_are_queued() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 1).await;
    apply(&app, RULES).await;
    let decoded = quench_findings::decode(&event("shop", false, 1));
    let mut broken = record("x", moment(0));
    broken.finding = decoded.findings[0].clone().into();
    assert!(app.store.put_finding(&broken).await.unwrap());
    clock.advance(PENDING_GRACE);
    let done = tick(&app, BUDGET).await.unwrap();
    assert_eq!((done.pending, done.due), (1, 1));
    let now = app.clock.now();
    let messages = app.queues.receive(Queue::Runs, 10, MINUTE, now).await;
    let last = messages.unwrap().pop().unwrap();
    assert_eq!(last.body, format!("{:032x}", 0).into_bytes());
}

#[tokio::test]
async fn half_of_the_time_is_left_for_due_runs_however_much_else_there_is() {
    let folder = TempDir::new().unwrap();
    let (app, clock) = with_runs(&folder, 3).await;
    apply(&app, RULES).await;
    let begun = Instant::now();
    for number in 0..2_000 {
        let broken = record(&format!("f-{number}"), moment(0));
        assert!(app.store.put_finding(&broken).await.unwrap());
    }
    // Seeing to one takes about as long as storing it.
    let budget = begun.elapsed() / 2;
    clock.advance(PENDING_GRACE);
    let done = tick(&app, budget).await.unwrap();
    assert_eq!((done.due, done.cut), (3, true));
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
