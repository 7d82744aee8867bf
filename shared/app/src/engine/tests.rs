use super::bench::{Bench, LEASE, SECRET, Server, mail};
use super::trial::{self, each, run_of, wait};
use super::*;
use crate::clock::Clock;
use crate::store::Change;
use crate::trigger;
use quench_automations::{Auth, Connection, ConnectionKind, OnUnknown, Step, StepKind};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
async fn a_run_sends_its_mail_and_tells_so() {
    let bench = Bench::new().await;
    let run = bench.start(vec![mail("mail")]).await;
    let outcome = execute(&bench.app, &run).await.unwrap();
    assert_eq!(outcome, Outcome::Finished(RunState::Succeeded));
    let mails = bench.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("team@example.com"));
    assert_eq!(
        bench.told(&run).await,
        [" 0 succeeded", "mail 1 started", "mail 1 succeeded"]
    );
    let stored = bench.app.store.run(&run).await.unwrap().unwrap();
    assert_eq!(stored.state, RunState::Succeeded);
    // Asked again, nothing more happens.
    let again = execute(&bench.app, &run).await.unwrap();
    assert_eq!(again, Outcome::Finished(RunState::Succeeded));
    assert_eq!(bench.mails().len(), 1);
    assert_eq!(execute(&bench.app, "none").await.unwrap(), Outcome::Missing);
}

/// Lets the process die before and after each write in turn, restarts it, and looks at what came of the run.
async fn die_at_every_write(
    steps: impl Fn(&Server) -> Vec<Step>,
    look: impl AsyncFn(&Bench, &Server, &str),
) {
    let mut deaths = 0;
    for after in [false, true] {
        for write in 1.. {
            let server = Server::start().await;
            let mut bench = Bench::new().await;
            let run = bench.start(steps(&server)).await;
            let file = bench.app.store.sqlite();
            if after {
                file.crash().arm_after(write);
            } else {
                file.crash().arm_before(write);
            }
            if execute(&bench.app, &run).await.is_ok() {
                break;
            }
            deaths += 1;
            bench.restart().await;
            bench.finish(&run).await;
            look(&bench, &server, &run).await;
        }
    }
    assert!(deaths > 8, "only {deaths} deaths");
}

#[tokio::test]
async fn a_process_that_dies_at_any_write_has_each_effect_once_where_targets_deduplicate() {
    let steps = |server: &Server| {
        vec![
            mail("mail"),
            trial::choice(
                "way",
                "finding.severity == 'high'",
                vec![server.step("post", "POST", "/order", true)],
                vec![],
            ),
            each(
                "hosts",
                "raw.detail.hosts",
                5,
                vec![server.step("put", "PUT", "/host", false)],
            ),
            trial::set("note", "sent", "{{ steps.mail.ok }}"),
            mail("last"),
        ]
    };
    die_at_every_write(steps, async |bench, server, run| {
        let stored = bench.app.store.run(run).await.unwrap().unwrap();
        assert_eq!(stored.state, RunState::Succeeded);
        assert_eq!(bench.mails().len(), 2);
        let asked = server.asked();
        let orders = asked.iter().filter(|asked| asked.path == "/order");
        let keys: BTreeSet<_> = orders.map(|order| order.key.clone().unwrap()).collect();
        assert_eq!(keys.len(), 1, "every repeat had the same key");
        assert!(
            (4..=5).contains(&asked.len()),
            "at most one request was repeated: {asked:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_process_that_dies_at_any_write_never_repeats_what_must_not_be() {
    let steps = |server: &Server| {
        let mut second = server.step("second", "POST", "/two", false);
        second.on_unknown = Some(OnUnknown::Continue);
        vec![
            server.step("first", "POST", "/one", false),
            second,
            server.step("third", "POST", "/three", false),
        ]
    };
    die_at_every_write(steps, async |bench, server, run| {
        let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
        let distinct: BTreeSet<_> = asked.iter().cloned().collect();
        assert_eq!(asked.len(), distinct.len(), "{asked:?}");
        let told = bench.told(run).await;
        let stored = bench.app.store.run(run).await.unwrap().unwrap();
        // Whatever did not certainly happen is told as a doubt.
        for (step, path) in [("first", "/one"), ("second", "/two"), ("third", "/three")] {
            let sure = told
                .iter()
                .any(|line| line.starts_with(step) && line.ends_with("succeeded"));
            let doubt = told
                .iter()
                .any(|line| line.starts_with(step) && line.ends_with("unknown"));
            assert!(!sure || distinct.contains(path));
            assert!(sure || doubt || !distinct.contains(path), "{told:?}");
        }
        let failed = matches!(stored.state, RunState::Failed { .. });
        let doubts: Vec<_> = told
            .iter()
            .filter(|line| line.ends_with("unknown"))
            .collect();
        assert_eq!(
            failed,
            doubts.iter().any(|line| !line.starts_with("second")),
            "{told:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_doubtful_mail_to_a_server_is_repeated_and_the_doubt_is_told() {
    let steps = |server: &Server| {
        let mut post = server.step("post", "POST", "/order", false);
        post.on_unknown = Some(OnUnknown::Repeat);
        vec![post, server.step("next", "GET", "/next", false)]
    };
    die_at_every_write(steps, async |bench, server, run| {
        let stored = bench.app.store.run(run).await.unwrap().unwrap();
        assert_eq!(stored.state, RunState::Succeeded);
        let orders = server
            .asked()
            .iter()
            .filter(|asked| asked.path == "/order")
            .count();
        let told = bench.told(run).await;
        let doubts = told
            .iter()
            .filter(|line| **line == "post 1 unknown")
            .count();
        assert!(
            (1..=1 + doubts).contains(&orders),
            "{orders} orders: {told:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_late_worker_writes_nothing_once_another_has_taken_over() {
    let server = Server::start().await;
    let mut bench = Bench::new().await;
    let run = bench
        .start(vec![
            server.step("put", "PUT", "/held", false),
            mail("mail"),
        ])
        .await;
    let late = tokio::spawn({
        let (app, run) = (bench.app.clone(), run.clone());
        async move { execute(&app, &run).await }
    });
    server.wait_until_asked(1).await;
    let busy = execute(&bench.app, &run).await.unwrap();
    assert!(matches!(busy, Outcome::Busy { .. }), "{busy:?}");
    bench.clock.advance(LEASE);
    bench.restart().await;
    let release = async {
        server.wait_until_asked(2).await;
        server.gate.add_permits(2);
    };
    let (end, ()) = tokio::join!(bench.finish(&run), release);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        late.await.unwrap(),
        Err(EngineError::LeaseLost { run: run.clone() })
    );
    let told = bench.told(&run).await;
    let once = [
        "put 1 retrying",
        "put 2 succeeded",
        "mail 1 started",
        "mail 1 succeeded",
    ];
    for line in once {
        assert_eq!(
            told.iter().filter(|told| *told == line).count(),
            1,
            "{told:?}"
        );
    }
    assert!(!told.contains(&"put 1 succeeded".to_owned()), "{told:?}");
    assert_eq!(bench.mails().len(), 1);
}

#[tokio::test]
async fn a_worker_keeps_its_hold_while_it_works_and_stops_at_once_when_it_loses_it() {
    let server = Server::start().await;
    let mut bench = Bench::new().await;
    bench.config.lease = Duration::from_millis(300);
    bench.clock = Clock::System;
    bench.restart().await;
    let run = bench
        .start(vec![server.step("put", "PUT", "/held", false)])
        .await;
    let worker = tokio::spawn({
        let (app, run) = (bench.app.clone(), run.clone());
        async move { execute(&app, &run).await }
    });
    server.wait_until_asked(1).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let busy = execute(&bench.app, &run).await.unwrap();
    assert!(matches!(busy, Outcome::Busy { .. }), "{busy:?}");
    let future = crate::clock::after(bench.clock.now(), Duration::from_secs(3600));
    let thief = bench
        .app
        .store
        .claim_run(&run, "thief", future, LEASE)
        .await
        .unwrap();
    assert!(matches!(thief, Claim::Held { .. }));
    // The server never answers, so that the worker ends only because it lost its hold.
    let lost = tokio::time::timeout(Duration::from_secs(5), worker)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lost, Err(EngineError::LeaseLost { run: run.clone() }));
    assert_eq!(bench.told(&run).await, [" 0 succeeded", "put 1 started"]);
}

#[tokio::test]
async fn a_busy_target_is_asked_again_when_it_said_and_not_before() {
    let server = Server::start().await;
    *server.busy.lock().unwrap() = 2;
    let mut bench = Bench::new().await;
    let run = bench
        .start(vec![server.step("put", "PUT", "/busy", false)])
        .await;
    for tried in 1..=2 {
        let now = bench.clock.now();
        let outcome = execute(&bench.app, &run).await.unwrap();
        let Outcome::Waiting { until } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(until.duration_since(now).as_secs(), 120);
        let early = execute(&bench.app, &run).await.unwrap();
        assert_eq!(early, Outcome::Waiting { until });
        assert_eq!(server.asked().len(), tried);
        bench.restart().await;
        bench.move_to(until);
    }
    let end = execute(&bench.app, &run).await.unwrap();
    assert_eq!(end, Outcome::Finished(RunState::Succeeded));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_pause_outlives_the_process() {
    let mut bench = Bench::new().await;
    let begun = bench.clock.now();
    let run = bench.start(vec![wait("nap", "15m"), mail("mail")]).await;
    let outcome = execute(&bench.app, &run).await.unwrap();
    let Outcome::Waiting { until } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(until.duration_since(begun).as_secs(), 900);
    bench.restart().await;
    bench.clock.advance(Duration::from_secs(899));
    assert_eq!(execute(&bench.app, &run).await.unwrap(), outcome);
    assert!(bench.mails().is_empty());
    bench.clock.advance(Duration::from_secs(1));
    let end = execute(&bench.app, &run).await.unwrap();
    assert_eq!(end, Outcome::Finished(RunState::Succeeded));
    assert_eq!(bench.mails().len(), 1);
}

#[tokio::test]
async fn a_failed_run_set_going_again_does_not_repeat_what_was_done() {
    let server = Server::start().await;
    *server.busy.lock().unwrap() = 1;
    let bench = Bench::new().await;
    let mut fragile = server.step("put", "PUT", "/busy", false);
    fragile.retry = Some(quench_automations::Retry {
        attempts: Some(1),
        ..retry::DEFAULT_RETRY
    });
    let run = bench.start(vec![mail("mail"), fragile]).await;
    let end = bench.finish(&run).await;
    let RunState::Failed { reason } = end else {
        panic!("{end:?}")
    };
    assert!(reason.starts_with("step `put`: "), "{reason}");
    trigger::retry(&bench.app, &run).await.unwrap();
    assert_eq!(bench.finish(&run).await, RunState::Succeeded);
    assert_eq!(bench.mails().len(), 1);
    let told = bench.told(&run).await;
    assert_eq!(
        told[3..],
        [
            "put 1 started",
            "put 1 failed",
            " 0 reopened",
            "put 2 started",
            "put 2 succeeded"
        ]
    );
    let error = trigger::retry(&bench.app, &run).await.unwrap_err();
    let told = format!("run `{run}` is succeeded, not failed; only a failed run can be retried");
    assert_eq!(error.to_string(), told);
}

#[tokio::test]
async fn a_step_that_takes_too_long_ends_in_doubt() {
    let server = Server::start().await;
    let bench = Bench::new().await;
    let mut post = server.step("post", "POST", "/held", false);
    post.timeout = Some(Duration::from_millis(200));
    let run = bench.start(vec![post]).await;
    let end = bench.finish(&run).await;
    assert!(matches!(end, RunState::Failed { .. }), "{end:?}");
    assert_eq!(
        bench.told(&run).await[1..],
        ["post 1 started", "post 1 unknown", "post 1 failed"]
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_a_target_sends_back_is_written_without_our_secrets() {
    let server = Server::start().await;
    let bench = Bench::new().await;
    let file = bench.folder.path().join("token");
    std::fs::write(&file, SECRET).unwrap();
    let connection = Connection {
        name: "echo".to_owned(),
        description: None,
        kind: ConnectionKind::Http {
            url: server.url.clone(),
            auth: Auth::Bearer {
                token: format!("secret://file{}", file.display()),
            },
        },
    };
    let change = Change::Connection {
        definition: connection,
        version: "v1".to_owned(),
        text: String::new(),
    };
    let now = bench.clock.now();
    bench
        .app
        .store
        .put_definitions(vec![change], now)
        .await
        .unwrap();
    let mut echo = server.step("echo", "GET", "/echo", false);
    let StepKind::Http(http) = &mut echo.kind else {
        panic!("it makes a request")
    };
    http.connection = Some("echo".to_owned());
    http.url = "/echo".to_owned();
    let leak = server.step("leak", "GET", "/leak", false);
    let run = bench.start(vec![echo, leak]).await;
    assert_eq!(bench.finish(&run).await, RunState::Succeeded);
    let journal = bench.app.store.journal(&run).await.unwrap();
    let journal = serde_json::to_string(&journal).unwrap();
    // What the action itself does not know to be secret is taken out, too.
    assert!(journal.contains("it was [redacted]!"), "{journal}");
    assert!(!journal.contains("s3cret"), "{journal}");
}

#[tokio::test]
async fn a_run_whose_playbook_is_gone_fails_and_says_so() {
    let bench = Bench::new().await;
    let run = bench.queue(&run_of("main", &[])).await;
    let reason = "playbook `main` is not in the store in version `v1`".to_owned();
    assert_eq!(bench.finish(&run).await, RunState::Failed { reason });
}

#[tokio::test]
async fn two_workers_at_once_do_the_work_once() {
    let server = Server::start().await;
    let bench = Bench::new().await;
    let steps =
        (0..5).map(|step| server.step(&format!("s{step}"), "POST", &format!("/{step}"), false));
    let run = bench.start(steps.collect()).await;
    let workers = (0..8).map(|_| {
        let (app, run) = (bench.app.clone(), run.clone());
        tokio::spawn(async move { execute(&app, &run).await.unwrap() })
    });
    let workers: Vec<_> = workers.collect();
    let mut finished = 0;
    for worker in workers {
        match worker.await.unwrap() {
            Outcome::Finished(RunState::Succeeded) => finished += 1,
            Outcome::Busy { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(finished >= 1);
    assert_eq!(server.asked().len(), 5);
}

/// An application in an invocation that was granted so much time and has used some of it.
fn invoked(app: &App, granted: u64, used: u64) -> App {
    let begun = std::time::Instant::now().checked_sub(Duration::from_secs(used));
    let mut app = app.for_invocation(None);
    app.deadline = Some(crate::deadline::Deadline {
        begun: begun.unwrap(),
        granted: Duration::from_secs(granted),
    });
    app
}

#[tokio::test]
async fn a_run_is_not_begun_when_the_invocation_is_about_to_end() {
    let bench = Bench::new().await;
    let run = bench.start(vec![mail("mail")]).await;
    let app = invoked(&bench.app, 60, 58);
    let error = execute(&app, &run).await.unwrap_err();
    assert_eq!(error, EngineError::NoTime);
    assert!(error.is_transient());
    let stored = bench.app.store.run(&run).await.unwrap().unwrap();
    assert_eq!(stored.state, RunState::Queued);
}

#[tokio::test]
async fn a_step_that_has_no_room_is_left_to_the_next_invocation() {
    let bench = Bench::new().await;
    let run = bench.start(vec![mail("mail")]).await;
    let app = invoked(&bench.app, 60, 40);
    let outcome = execute(&app, &run).await.unwrap();
    let until = bench.clock.now();
    assert_eq!(outcome, Outcome::Waiting { until });
    assert_eq!(bench.told(&run).await, [" 0 succeeded"]);
    assert!(bench.mails().is_empty());
    let outcome = execute(&invoked(&bench.app, 60, 0), &run).await.unwrap();
    assert_eq!(outcome, Outcome::Finished(RunState::Succeeded));
    assert_eq!(bench.mails().len(), 1);
}

#[tokio::test]
async fn a_step_is_cut_off_in_time_for_its_journal() {
    let server = Server::start().await;
    let bench = Bench::new().await;
    let run = bench
        .start(vec![server.step("put", "PUT", "/held", false)])
        .await;
    let begun = std::time::Instant::now();
    let app = invoked(&bench.app, 6, 0);
    let outcome = execute(&app, &run).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "it is in time");
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    let told = bench.told(&run).await;
    assert_eq!(told, [" 0 succeeded", "put 1 started", "put 1 retrying"]);
}

#[tokio::test]
async fn what_came_of_runs_is_counted() {
    let bench = Bench::new().await;
    let run = bench
        .start(vec![mail("mail"), wait("rest", "1h"), mail("again")])
        .await;
    let app = bench.app.for_invocation(None);
    execute(&app, &run).await.unwrap();
    let line = app.metrics.line("runner", bench.clock.now());
    assert!(line.contains("TimeToNotify"), "{line}");
    assert!(!line.contains("RunsSucceeded"), "{line}");
    bench.clock.advance(Duration::from_secs(3600));
    let app = bench.app.for_invocation(None);
    execute(&app, &run).await.unwrap();
    let line = app.metrics.line("runner", bench.clock.now());
    assert!(line.contains(r#""RunsSucceeded":1"#), "{line}");
    assert!(line.contains("RunTime"), "{line}");
    assert!(!line.contains("TimeToNotify"), "somebody knew: {line}");
}
