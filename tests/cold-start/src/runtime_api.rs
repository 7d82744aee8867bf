//! A Lambda Runtime API for one process: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quench_tests::http::{Request, Response, Server};
use serde_json::json;

/// How long a function may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a function did.
#[derive(Debug)]
enum Act {
    /// It asks for the next invocation.
    Asked(Instant),
    /// It answers the invocation.
    Answered(Instant, Vec<u8>),
    /// It could not start, or the invocation failed.
    Failed(String),
}

/// The address at which one function asks for its invocations, and what came of them.
pub(crate) struct RuntimeApi {
    server: Server,
    acts: Receiver<Act>,
    invocations: Sender<Vec<u8>>,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub(crate) fn listen() -> RuntimeApi {
        let (act, acts) = channel();
        let (invocations, next) = channel();
        let next = Mutex::new(next);
        let server = Server::start(move |request| answer(request, &act, &next));
        RuntimeApi {
            server,
            acts,
            invocations,
        }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// Waits until the function asks for an invocation.
    pub(crate) fn asked(&self) -> Result<Instant, String> {
        match self.act()? {
            Act::Asked(at) => Ok(at),
            Act::Answered(..) => Err("it answered without being asked".to_owned()),
            Act::Failed(reason) => Err(reason),
        }
    }

    /// Hands out an invocation and gives how long the answer took, and the answer.
    pub(crate) fn invoke(&self, payload: &[u8]) -> Result<(Duration, Vec<u8>), String> {
        let started = Instant::now();
        self.invocations
            .send(payload.to_vec())
            .map_err(|_| "nothing asks for invocations".to_owned())?;
        match self.act()? {
            Act::Answered(at, body) => Ok((at.duration_since(started), body)),
            Act::Asked(_) => Err("it asked again without having answered".to_owned()),
            Act::Failed(reason) => Err(reason),
        }
    }

    fn act(&self) -> Result<Act, String> {
        self.acts
            .recv_timeout(PATIENCE)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => "it does nothing".to_owned(),
                RecvTimeoutError::Disconnected => "nothing listens".to_owned(),
            })
    }
}

fn answer(
    request: Request,
    acts: &Sender<Act>,
    next: &Mutex<Receiver<Vec<u8>>>,
) -> Option<Response> {
    let at = Instant::now();
    if request.target.ends_with("/invocation/next") {
        acts.send(Act::Asked(at)).ok()?;
        let next = next.lock().unwrap_or_else(PoisonError::into_inner);
        return Some(invocation(next.recv().ok()?));
    }
    let act = if request.target.ends_with("/response") {
        Act::Answered(at, request.body)
    } else {
        Act::Failed(String::from_utf8_lossy(&request.body).into_owned())
    };
    acts.send(act).ok()?;
    Some(Response::json(202, &json!({"status": "OK"})))
}

fn invocation(payload: Vec<u8>) -> Response {
    // One that comes again under the same id is taken for a repetition.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let deadline = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| (since + PATIENCE).as_millis());
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:measured";
    let trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";
    Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: payload,
    }
    .with(
        "lambda-runtime-aws-request-id",
        &format!("8476a536-e9f4-11e8-9739-{number:012x}"),
    )
    .with("lambda-runtime-deadline-ms", &deadline.to_string())
    .with("lambda-runtime-invoked-function-arn", function)
    .with("lambda-runtime-trace-id", trace)
}
