use super::trial::{self, act, each, playbook, run_of, wait};
use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Change, Store};
use crate::trigger;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quench_automations::{
    Auth, Connection, ConnectionKind, EmailStep, HttpStep, OnUnknown, Step, StepKind,
};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

const LEASE: Duration = Duration::from_secs(120);

/// A store in a folder of its own, on a clock that stands still.
struct Bench {
    folder: TempDir,
    config: Config,
    clock: Clock,
    app: App,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::local(folder.path());
        config.allow_hosts = vec!["127.0.0.1".to_owned()];
        config.lease = LEASE;
        let clock = Clock::manual("2027-01-01T00:00:00Z".parse().unwrap());
        let app = App::open_at(config.clone(), clock.clone()).await.unwrap();
        Self {
            folder,
            config,
            clock,
            app,
        }
    }

    async fn apply(&self, playbooks: Vec<Playbook>) {
        let changes = playbooks.into_iter().map(|definition| Change::Playbook {
            definition,
            version: "v1".to_owned(),
            text: String::new(),
        });
        self.app
            .store
            .put_definitions(changes.collect(), self.clock.now())
            .await
            .unwrap();
    }

    /// Makes a run of these steps, ready to be worked on.
    async fn start(&self, steps: Vec<Step>) -> String {
        self.apply(vec![playbook("main", steps)]).await;
        self.queue(&run_of("main", &[])).await
    }

    async fn queue(&self, run: &Run) -> String {
        assert!(self.app.store.create_run(run).await.unwrap());
        run.id.clone()
    }

    /// The process ends and another begins on the same folder.
    async fn restart(&mut self) {
        self.app = App::open_at(self.config.clone(), self.clock.clone())
            .await
            .unwrap();
    }

    fn move_to(&self, time: Timestamp) {
        self.clock
            .advance(crate::clock::until(self.clock.now(), time));
    }

    /// Works on a run until it ends, however long it has to wait.
    async fn finish(&self, run: &str) -> RunState {
        for _ in 0..1000 {
            match execute(&self.app, run).await.unwrap() {
                Outcome::Finished(state) => return state,
                Outcome::Waiting { until } | Outcome::Busy { until } => self.move_to(until),
                Outcome::Missing => panic!("run `{run}` is missing"),
            }
        }
        panic!("run `{run}` does not end")
    }

    async fn told(&self, run: &str) -> Vec<String> {
        let mut world = trial::World::new(true, &[]);
        world.journal = self.app.store.journal(run).await.unwrap();
        world.told()
    }

    fn mails(&self) -> Vec<String> {
        mails(self.folder.path())
    }
}

fn mails(folder: &Path) -> Vec<String> {
    let Ok(outbox) = std::fs::read_dir(folder.join("outbox")) else {
        return Vec::new();
    };
    let paths = outbox.map(|file| file.unwrap().path());
    let mails = paths.filter(|path| path.extension().is_some_and(|end| end == "eml"));
    mails
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn mail(id: &str) -> Step {
    let email = EmailStep {
        to: json!("team@example.com"),
        cc: None,
        subject: "About {{ finding.title }}".to_owned(),
        template: Some("finding".to_owned()),
        text: None,
        html: None,
    };
    trial::step(id, StepKind::Email(email))
}

/// What a server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    path: String,
    key: Option<String>,
    body: String,
}

/// A server on this machine that notes what it is asked.
#[derive(Clone)]
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Lets requests to `/held` be answered, one for each permit.
    gate: Arc<Semaphore>,
    /// Requests to `/busy` that are still to be turned away.
    busy: Arc<Mutex<usize>>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            busy: Arc::default(),
        };
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    fn is_busy(&self) -> bool {
        let mut busy = self.busy.lock().unwrap();
        let turned_away = *busy > 0;
        *busy = busy.saturating_sub(1);
        turned_away
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A request to one of its paths.
    fn step(&self, id: &str, method: &str, path: &str, key: bool) -> Step {
        let mut step = act(id);
        let StepKind::Http(http) = &mut step.kind else {
            panic!("`act` makes a request")
        };
        *http = HttpStep {
            method: method.to_owned(),
            url: format!("{}{path}", self.url),
            idempotency_header: key.then(|| "idempotency-key".to_owned()),
            json: (method == "POST").then(|| json!({"title": "{{ finding.title }}"})),
            ..http.clone()
        };
        step
    }

    async fn wait_until_asked(&self, count: usize) {
        while self.asked().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (key, authorization) = (header("idempotency-key"), header("authorization"));
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    server.asked.lock().unwrap().push(Asked {
        path: path.clone(),
        key,
        body,
    });
    match path.as_str() {
        "/held" => server.gate.acquire().await.unwrap().forget(),
        "/busy" if server.is_busy() => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response();
        }
        "/refused" => return StatusCode::NOT_FOUND.into_response(),
        "/echo" => return authorization.unwrap_or_default().into_response(),
        _ => {}
    }
    StatusCode::OK.into_response()
}

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
            let Store::Sqlite(file) = &bench.app.store;
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
    std::fs::write(&file, "s3cret-token-value").unwrap();
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
    bench
        .app
        .store
        .put_definitions(vec![change], bench.clock.now())
        .await
        .unwrap();
    let mut echo = server.step("echo", "GET", "/echo", false);
    let StepKind::Http(http) = &mut echo.kind else {
        panic!("it makes a request")
    };
    http.connection = Some("echo".to_owned());
    http.url = "/echo".to_owned();
    let run = bench.start(vec![echo]).await;
    assert_eq!(bench.finish(&run).await, RunState::Succeeded);
    let journal = bench.app.store.journal(&run).await.unwrap();
    let journal = serde_json::to_string(&journal).unwrap();
    assert!(journal.contains("Bearer [redacted]"), "{journal}");
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
