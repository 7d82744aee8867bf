//! As much of HTTP/1.1 as tests need to stand on either side of it, over plain TCP on this machine.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Headers about one connection, and how a body is sent over it.
const WRITTEN_ANEW: [&str; 4] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
];
/// How long a peer may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `POST`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without the marks of chunks.
    pub body: Vec<u8>,
}

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without the marks of chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// Makes one without headers.
    pub fn new(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Request {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Sends it to a port of this machine, over a connection of its own.
    ///
    /// # Errors
    /// Nothing answers there, or not in HTTP.
    pub fn send(&self, port: u16) -> io::Result<Response> {
        let mut stream = connect(port)?;
        self.write(&mut stream)?;
        Response::read(&mut BufReader::new(stream), &self.method)
    }

    fn read(stream: &mut impl BufRead, answers: &mut impl Write) -> io::Result<Request> {
        let first = line(stream)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(nonsense("a request begins with a method and a path"));
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let headers = headers(stream)?;
        if header(&headers, "expect").is_some() {
            answers.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = body(stream, &headers, false)?;
        Ok(Request {
            method,
            target,
            headers,
            body,
        })
    }

    fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let first = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        write(stream, first, &self.headers, &self.body)
    }
}

impl Response {
    /// Makes one with a body in JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Response {
        Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn read(stream: &mut impl BufRead, method: &str) -> io::Result<Response> {
        let first = line(stream)?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| nonsense("an answer begins with a status"))?;
        let headers = headers(stream)?;
        // What answers a question for headers alone tells the length of a body that does not come.
        let body = match method {
            "HEAD" => Vec::new(),
            _ => body(stream, &headers, status != 204 && status != 304)?,
        };
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let first = format!("HTTP/1.1 {} Answer\r\n", self.status);
        write(stream, first, &self.headers, &self.body)
    }
}

/// A server on a free port of this machine; it stops to listen when this is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Answers every request, each connection in a thread of its own; where there is no answer the connection is closed.
    pub fn start(answer: impl Fn(Request) -> Option<Response> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a free port");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, stop) = (Arc::new(answer), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || converse(stream, answer.as_ref()));
            }
        });
        Server { port, stopped }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection to come.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A connection to a port of this machine.
///
/// # Errors
/// Nothing listens there.
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request over a connection that may have been used before.
///
/// # Errors
/// The connection is gone.
pub fn exchange(stream: &mut BufReader<TcpStream>, request: &Request) -> io::Result<Response> {
    request.write(stream.get_mut())?;
    Response::read(stream, &request.method)
}

fn converse(stream: TcpStream, answer: &(dyn Fn(Request) -> Option<Response> + Send + Sync)) {
    let _ = stream.set_nodelay(true);
    let Ok(mut answers) = stream.try_clone() else {
        return;
    };
    let mut requests = BufReader::new(stream);
    while let Ok(request) = Request::read(&mut requests, &mut answers) {
        let Some(response) = answer(request) else {
            break;
        };
        if response.write(&mut answers).is_err() {
            break;
        }
    }
    let _ = answers.shutdown(std::net::Shutdown::Both);
}

fn write(
    stream: &mut impl Write,
    first: String,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut bytes = first;
    for (name, value) in headers {
        if !WRITTEN_ANEW.contains(&name.as_str()) {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if header(headers, "host").is_none() {
        bytes.push_str("host: 127.0.0.1\r\n");
    }
    bytes.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}

fn headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| nonsense("a header has a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn body(
    stream: &mut impl BufRead,
    headers: &[(String, String)],
    to_the_end: bool,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| nonsense("a chunk begins with its size"))?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..])?;
            line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header(headers, "content-length") {
        Some(length) => {
            let length = length
                .parse()
                .map_err(|_| nonsense("a length is a number"))?;
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        None if to_the_end => {
            stream.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok(body)
}

fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.as_str())
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
