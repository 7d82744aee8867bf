//! A store on disk, an outbox and a server on this machine, for trying the engine.

use super::trial::{self, act, playbook, run_of};
use super::{Outcome, execute};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::run::{Run, RunState};
use crate::store::Change;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use quench_automations::{EmailStep, HttpStep, Playbook, Step, StepKind};
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(crate) const LEASE: Duration = Duration::from_secs(120);
pub(crate) const SECRET: &str = "s3cret-token-value";

/// A store in a folder of its own, on a clock that stands still.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) app: App,
}

impl Bench {
    pub(crate) async fn new() -> Self {
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
    pub(crate) async fn start(&self, steps: Vec<Step>) -> String {
        self.apply(vec![playbook("main", steps)]).await;
        self.queue(&run_of("main", &[])).await
    }

    pub(crate) async fn queue(&self, run: &Run) -> String {
        assert!(self.app.store.create_run(run).await.unwrap());
        run.id.clone()
    }

    /// The process ends and another begins on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.app = App::open_at(self.config.clone(), self.clock.clone())
            .await
            .unwrap();
    }

    pub(crate) fn move_to(&self, time: Timestamp) {
        self.clock
            .advance(crate::clock::until(self.clock.now(), time));
    }

    /// Works on a run until it ends, however long it has to wait.
    pub(crate) async fn finish(&self, run: &str) -> RunState {
        for _ in 0..1000 {
            match execute(&self.app, run).await.unwrap() {
                Outcome::Finished(state) => return state,
                Outcome::Waiting { until } | Outcome::Busy { until } => self.move_to(until),
                Outcome::Missing => panic!("run `{run}` is missing"),
            }
        }
        panic!("run `{run}` does not end")
    }

    pub(crate) async fn told(&self, run: &str) -> Vec<String> {
        let mut world = trial::World::new(true, &[]);
        world.journal = self.app.store.journal(run).await.unwrap();
        world.told()
    }

    pub(crate) fn mails(&self) -> Vec<String> {
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

pub(crate) fn mail(id: &str) -> Step {
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
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) key: Option<String>,
}

/// A server on this machine that notes what it is asked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Lets requests to `/held` be answered, one for each permit.
    pub(crate) gate: Arc<Semaphore>,
    /// Requests to `/busy` that are still to be turned away.
    pub(crate) busy: Arc<Mutex<usize>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
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

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A request to one of its paths.
    pub(crate) fn step(&self, id: &str, method: &str, path: &str, key: bool) -> Step {
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

    pub(crate) async fn wait_until_asked(&self, count: usize) {
        while self.asked().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (key, authorization) = (header("idempotency-key"), header("authorization"));
    let path = parts.uri.path().to_owned();
    server.asked.lock().unwrap().push(Asked {
        path: path.clone(),
        key,
    });
    match path.as_str() {
        "/held" => server.gate.acquire().await.unwrap().forget(),
        "/busy" if server.is_busy() => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response();
        }
        "/leak" => return format!("it was {SECRET}!").into_response(),
        "/echo" => return authorization.unwrap_or_default().into_response(),
        _ => {}
    }
    StatusCode::OK.into_response()
}
