//! Stands between the client and the emulators: notes every call, and fails those that a test wants to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The caller may not do it.
    Denied,
    /// There is too much to do.
    Throttled,
    /// The service is down.
    Down,
    /// It is done, and then the connection ends before the answer.
    CutAfter,
}

/// Where a call is held until whoever made it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Before it does anything.
    Before,
    /// After it did what it does.
    After,
}

/// Which calls go wrong: the first of writes that are not let through.
#[derive(Debug, Clone, Copy)]
struct Script {
    trouble: Trouble,
    /// Writes that go well before.
    after: usize,
    /// Whether reads go wrong as well.
    reads_too: bool,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    script: Option<Script>,
    /// The write that is held, counted from the next one.
    halt: Option<(Halt, usize)>,
}

/// A proxy on a port of its own; it ends with the runtime that it was started in.
#[derive(Clone)]
pub struct Proxy {
    /// Where it is.
    pub endpoint: String,
    state: Arc<Mutex<State>>,
    halted: Arc<Notify>,
}

impl Proxy {
    /// `places` holds the ports of services by their names in signatures; `*` stands for all others.
    pub async fn start(places: BTreeMap<&'static str, u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let halted = Arc::<Notify>::default();
        let notify = Arc::clone(&halted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, places) = (Arc::clone(&shared), places.clone());
                let halted = Arc::clone(&notify);
                tokio::spawn(async move { serve(stream, &state, &places, &halted).await });
            }
        });
        Self {
            endpoint,
            state,
            halted,
        }
    }

    /// The calls since this was last asked, such as `s3:PutBucketPolicy`.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The same without those that change nothing.
    pub fn writes(&self) -> Vec<String> {
        let calls = self.calls();
        calls.into_iter().filter(|call| is_write(call)).collect()
    }

    /// From now on, writes after the first few go wrong.
    pub fn fail(&self, trouble: Trouble, after: usize) {
        self.set(Some(Script {
            trouble,
            after,
            reads_too: false,
        }));
    }

    /// From now on, all calls go wrong but the one that tells who calls.
    pub fn fail_all(&self, trouble: Trouble) {
        self.set(Some(Script {
            trouble,
            after: 0,
            reads_too: true,
        }));
    }

    /// From now on, the write after so many others is held.
    pub fn halt(&self, halt: Halt, after: usize) {
        self.state.lock().unwrap().halt = Some((halt, after));
    }

    /// Waits until a call is held.
    pub async fn halted(&self) {
        self.halted.notified().await;
    }

    /// From now on, all calls go well.
    pub fn mend(&self) {
        self.state.lock().unwrap().halt = None;
        self.set(None);
    }

    fn set(&self, script: Option<Script>) {
        self.state.lock().unwrap().script = script;
    }
}

/// Whether a call changes anything.
pub fn is_write(call: &str) -> bool {
    let operation = call.split(':').nth(1).unwrap_or_default();
    !["Get", "Describe", "List", "Head"]
        .iter()
        .any(|read| operation.starts_with(read))
}

async fn serve(
    mut stream: TcpStream,
    state: &Mutex<State>,
    places: &BTreeMap<&str, u16>,
    halted: &Notify,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let call = request.call();
    let halt = {
        let mut state = state.lock().unwrap();
        match &mut state.halt {
            Some((halt, 0)) if is_write(&call) => {
                let halt = *halt;
                state.halt = None;
                Some(halt)
            }
            Some((_, after)) if is_write(&call) => {
                *after -= 1;
                None
            }
            _ => None,
        }
    };
    if halt == Some(Halt::Before) {
        return hold(&mut stream, halted).await;
    }
    let trouble = {
        let mut state = state.lock().unwrap();
        state.calls.push(call.clone());
        let trouble = match &mut state.script {
            Some(script) if call != "sts:GetCallerIdentity" => {
                let is_meant = script.reads_too || is_write(&call);
                match (is_meant, script.after) {
                    (true, 0) => Some(script.trouble),
                    (true, _) => {
                        script.after -= 1;
                        None
                    }
                    (false, _) => None,
                }
            }
            _ => None,
        };
        // Once is enough: what is done a second time must find the first.
        if trouble == Some(Trouble::CutAfter) {
            state.script = None;
        }
        trouble
    };
    let answer = match trouble {
        None | Some(Trouble::CutAfter) => {
            let port = places.get(request.service()).or_else(|| places.get("*"));
            forward(*port.unwrap(), &request).await
        }
        Some(Trouble::Denied) => error(403, "AccessDenied", &request),
        Some(Trouble::Throttled) => error(400, "Throttling", &request),
        Some(Trouble::Down) => error(503, "ServiceUnavailable", &request),
    };
    if halt == Some(Halt::After) {
        return hold(&mut stream, halted).await;
    }
    if trouble == Some(Trouble::CutAfter) {
        return;
    }
    // The emulators close after each answer, and so does this.
    let _ = stream.write_all(&answer).await;
}

/// Leaves a caller without an answer until he has gone.
async fn hold(stream: &mut TcpStream, halted: &Notify) {
    halted.notify_one();
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = bytes.split_off(end + 4);
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request {
        line,
        headers,
        body,
    })
}

impl Request {
    /// The service that it is signed for.
    fn service(&self) -> &str {
        let scope = self.headers.get("authorization").map_or("", String::as_str);
        let scope = scope.split("Credential=").nth(1).unwrap_or_default();
        scope.split('/').nth(3).unwrap_or_default()
    }

    /// The IAM action that it needs.
    fn call(&self) -> String {
        let service = self.service();
        if let Some(target) = self.headers.get("x-amz-target") {
            return format!("{service}:{}", target.rsplit('.').next().unwrap());
        }
        let body = String::from_utf8_lossy(&self.body);
        if let Some(action) = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action="))
        {
            return format!("{service}:{action}");
        }
        let mut parts = self.line.split(' ');
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
        let verb = match method {
            "GET" => "Get",
            "PUT" => "Put",
            // Taking it away needs the action of setting it.
            "DELETE" if !path.contains("?policy") => "Put",
            "DELETE" => "Delete",
            other => other,
        };
        let part = path.rsplit('?').next().unwrap().trim_end_matches('=');
        let noun = match part {
            "publicAccessBlock" => "BucketPublicAccessBlock",
            "website" => "BucketWebsite",
            "policy" => "BucketPolicy",
            "tagging" => "BucketTagging",
            path if path.ends_with("/configuration/publicAccessBlock") => {
                "AccountPublicAccessBlock"
            }
            other => other,
        };
        format!("{service}:{verb}{noun}")
    }
}

async fn forward(port: u16, request: &Request) -> Vec<u8> {
    let mut upstream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut head = format!("{}\r\n", request.line);
    for (name, value) in &request.headers {
        if name != "connection" {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("connection: close\r\n\r\n");
    upstream.write_all(head.as_bytes()).await.unwrap();
    upstream.write_all(&request.body).await.unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// An error as the service's protocol tells it.
fn error(status: u16, code: &str, request: &Request) -> Vec<u8> {
    let (kind, body) = if request.headers.contains_key("x-amz-target") {
        let body = format!(r#"{{"__type":"{code}","message":"scripted"}}"#);
        ("application/x-amz-json-1.1", body)
    } else {
        let error = format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>");
        let body = match request.service() {
            "s3" => error,
            _ => format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"),
        };
        ("text/xml", body)
    };
    format!(
        "HTTP/1.1 {status} scripted\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
