//! Stands between programs and AWS: sees every call, and may answer in its place. Calls that pass count as made over TLS,
//! as policies demand of every caller of AWS; the emulator itself listens without.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::http::{Request, Response, Server, connect, exchange};

/// A proxy on a free port; programs find it by `AWS_ENDPOINT_URL`.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

/// A call as it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Such as `DynamoDB_20120810.GetItem`, or method and path where a service names no operation.
    pub operation: String,
    /// The call itself.
    pub request: Request,
    /// What AWS answered, if the call was led there.
    pub response: Option<Response>,
}

type Fault = Box<dyn Fn(&Call) -> Option<Response> + Send>;

#[derive(Default)]
struct Shared {
    upstream: OnceLock<u16>,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
    seen: Mutex<Vec<Call>>,
    refused: Mutex<BTreeMap<String, usize>>,
    fault: Mutex<Option<Fault>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::start()
    }
}

impl Proxy {
    /// Starts one that leads nowhere yet.
    pub fn start() -> Proxy {
        let shared = Arc::new(Shared::default());
        let of_server = Arc::clone(&shared);
        let server = Server::start(move |request| of_server.pass(request));
        Proxy { server, shared }
    }

    /// Leads to this port of this machine from now on; where it leads is told once.
    pub fn lead_to(&self, port: u16) {
        let _ = self.shared.upstream.set(port);
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Answers itself what this gives an answer for.
    pub fn refuse(&self, fault: impl Fn(&Call) -> Option<Response> + Send + 'static) {
        *lock(&self.shared.fault) = Some(Box::new(fault));
    }

    /// Lets everything pass again.
    pub fn recover(&self) {
        *lock(&self.shared.fault) = None;
    }

    /// The calls since this was asked the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// How many calls of each operation were answered here.
    pub fn refused(&self) -> BTreeMap<String, usize> {
        lock(&self.shared.refused).clone()
    }
}

impl Shared {
    fn pass(&self, request: Request) -> Option<Response> {
        let mut call = Call {
            operation: request.header("x-amz-target").map_or_else(
                || format!("{} {}", request.method, request.target),
                str::to_owned,
            ),
            request: request.with("x-forwarded-proto", "https"),
            response: None,
        };
        if of_tests(&call.request) {
            return self.forward(&call.request);
        }
        let answer = lock(&self.fault).as_ref().and_then(|fault| fault(&call));
        if let Some(answer) = answer {
            *lock(&self.refused).entry(call.operation).or_default() += 1;
            return Some(answer);
        }
        call.response = self.forward(&call.request);
        let response = call.response.clone();
        lock(&self.seen).push(call);
        response
    }

    fn forward(&self, request: &Request) -> Option<Response> {
        // A connection that was kept may have been closed; a fresh one is tried only then, and only before an answer.
        let kept = lock(&self.idle).pop();
        let kept = kept.filter(|stream| is_open(stream.get_ref()));
        let mut stream = match kept {
            Some(stream) => stream,
            None => BufReader::new(connect(*self.upstream.get()?).ok()?),
        };
        let response = exchange(&mut stream, request).ok()?;
        lock(&self.idle).push(stream);
        Some(response)
    }
}

/// Whether the tests themselves call, whose calls are neither told nor refused.
fn of_tests(request: &Request) -> bool {
    request
        .header("user-agent")
        .is_some_and(|agent| agent.starts_with("Boto3"))
}

/// Whether the peer has neither closed a connection nor sent anything unasked.
fn is_open(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// An answer as AWS throttles with it.
pub fn throttled(code: &str) -> Response {
    let body: Value = serde_json::json!({"__type": code, "message": "Rate exceeded"});
    let status = if code.starts_with("TooMany") {
        429
    } else {
        400
    };
    Response::json(status, &body).with("x-amzn-errortype", code)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
