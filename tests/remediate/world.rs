//! Emulators, a proxy in front of them, the binary behind it, and AWS as the owner of the resources sees it.

use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use quench_emulator::{Emulator, MOTO_ACCOUNT, Moto, REGION};
use quench_tests::aws::Aws;
use quench_tests::http::{Request, Response, Server};
use quench_tests::{Quench, objects};
use serde_json::Value;

pub(crate) const ACCOUNT: &str = MOTO_ACCOUNT;

static EMULATOR: LazyLock<Emulator> = LazyLock::new(Emulator::start);
static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);

/// Which emulator has what a remediation calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Emulator,
    Moto,
}

/// A store, the binary over it, and AWS through a proxy and without.
pub(crate) struct World {
    pub(crate) quench: Quench,
    pub(crate) between: Between,
    pub(crate) aws: Aws,
}

impl World {
    pub(crate) fn new(peer: Peer) -> World {
        let port = match peer {
            Peer::Emulator => EMULATOR.port(),
            Peer::Moto => MOTO.port(),
        };
        World {
            quench: Quench::new(),
            between: Between::start(port),
            aws: Aws::start(&variables(&format!("http://127.0.0.1:{port}"))),
        }
    }

    /// A command that calls AWS through the proxy, unaware of the settings of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.quench.command(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(variables(&self.between.url()));
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must do well and gives what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: exit {:?}\n{printed}\n{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// The same with `--json`; gives its objects.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend_from_slice(arguments);
        objects(&self.ok(&all))
    }

    /// Runs a command that must come to a bad end with this exit code, and gives what it said of that.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// The run that a command tells of at its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let told = self.json(arguments);
        let run = told.into_iter().rfind(|told| told["event"] == "run");
        run.unwrap()["run"].take()
    }

    /// A run with its journal.
    #[track_caller]
    pub(crate) fn shown(&self, run: &str) -> Value {
        self.json(&["runs", "show", run]).remove(0)
    }

    /// Runs a command that is killed as soon as the `nth` of its writes to AWS has taken effect, before it hears of it;
    /// false if it came to its end before.
    pub(crate) fn is_killed(&self, arguments: &[&str], nth: usize) -> bool {
        {
            // Held until the process is known, so that the first write finds whom to kill.
            let mut state = self.between.state();
            let child = self
                .command(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            state.victim = Some((child, nth));
        }
        loop {
            let mut state = self.between.state();
            let Some((child, _)) = &mut state.victim else {
                return true;
            };
            if child.try_wait().unwrap().is_some() {
                state.victim = None;
                return false;
            }
            drop(state);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Has a fresh process go on with whatever an earlier one left.
    pub(crate) fn resume(&self) {
        let sample = self
            .quench
            .write("one.json", quench_tests::guardduty(1).to_string());
        self.ok(&["ingest", "--wait", "60", sample.to_str().unwrap()]);
    }
}

fn variables(endpoint: &str) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        // The emulator takes the id of a key for the account.
        ("AWS_ACCESS_KEY_ID", ACCOUNT),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Stands between the binary and an emulator: notes what changes something, refuses, and kills.
pub(crate) struct Between {
    server: Server,
    state: Arc<Mutex<State>>,
}

type Refusal = Box<dyn Fn(&str) -> Option<Response> + Send>;

#[derive(Default)]
struct State {
    writes: Vec<String>,
    victim: Option<(Child, usize)>,
    refusal: Option<Refusal>,
}

impl Between {
    fn start(port: u16) -> Between {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| pass(port, &shared, &request));
        Between { server, state }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The calls that change something since this was asked the last time, such as `s3:PutBucketPolicy`.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().writes)
    }

    /// Answers itself the calls that this gives an answer for.
    pub(crate) fn refuse(&self, refusal: impl Fn(&str) -> Option<Response> + Send + 'static) {
        self.state().refusal = Some(Box::new(refusal));
    }

    /// Lets everything pass again.
    pub(crate) fn recover(&self) {
        self.state().refusal = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass(port: u16, state: &Mutex<State>, request: &Request) -> Option<Response> {
    let call = call(request);
    if let Some(refused) = lock(state)
        .refusal
        .as_ref()
        .and_then(|refusal| refusal(&call))
    {
        return Some(refused);
    }
    let answer = request.send(port).ok();
    let refused = answer.as_ref().is_none_or(|answer| answer.status >= 400);
    if !is_write(&call) || refused {
        return answer;
    }
    let mut state = lock(state);
    state.writes.push(call);
    match state.victim.take() {
        Some((mut child, 1)) => {
            child.kill().unwrap();
            child.wait().unwrap();
            None
        }
        Some((child, more)) => {
            state.victim = Some((child, more - 1));
            answer
        }
        None => answer,
    }
}

fn is_write(call: &str) -> bool {
    let operation = call.split(':').nth(1).unwrap_or_default();
    let reads = ["Get", "Describe", "List", "Head", "AssumeRole"];
    !reads.iter().any(|read| operation.starts_with(read))
}

/// Service and operation, for S3 method and part of the bucket.
fn call(request: &Request) -> String {
    let scope = request.header("authorization").unwrap_or_default();
    let scope = scope.split("Credential=").nth(1).unwrap_or_default();
    let service = scope.split('/').nth(3).unwrap_or_default();
    if let Some(target) = request.header("x-amz-target") {
        return format!("{service}:{}", target.rsplit('.').next().unwrap());
    }
    let body = String::from_utf8_lossy(&request.body);
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="));
    if let Some(action) = action {
        return format!("{service}:{action}");
    }
    let verb = match request.method.as_str() {
        "GET" => "Get",
        "HEAD" => "Head",
        "PUT" => "Put",
        "DELETE" => "Delete",
        other => other,
    };
    let part = request.target.rsplit('?').next().unwrap_or_default();
    format!("{service}:{verb} {}", part.trim_end_matches('='))
}

/// An error as the query protocol, and S3, tell it.
pub(crate) fn refused(status: u16, code: &str, call: &str) -> Response {
    let error = format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>");
    let body = match call.starts_with("s3:") {
        true => error,
        false => format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"),
    };
    Response {
        status,
        headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
        body: body.into_bytes(),
    }
}
