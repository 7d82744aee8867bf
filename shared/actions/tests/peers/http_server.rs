//! A server that answers every request in one way, right or wrong, and keeps what it was sent.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What answers a request by what it says; nothing closes the connection.
#[derive(Clone)]
pub(crate) struct Handler(Arc<Handle>);

type Handle = dyn Fn(&Received) -> Option<Vec<u8>> + Send + Sync;

impl Handler {
    pub(crate) fn new(
        handle: impl Fn(&Received) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(handle))
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Handler(…)")
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Conduct {
    /// As a service would.
    Handles(Handler),
    /// With these bytes, and then the connection is closed in order.
    Says(Vec<u8>),
    /// Each request with the next of these; the last one stays.
    InTurn(Vec<Vec<u8>>),
    /// With these bytes, and then the connection is reset.
    SaysAndResets(Vec<u8>),
    /// With these bytes, then one of those every 20 ms.
    Drips(Vec<u8>, Vec<u8>),
    /// With these bytes, then the same block for as long as it is taken, up to 1 GiB.
    Pours(Vec<u8>, Vec<u8>),
    /// Not at all, with the connection kept.
    IsSilent,
    /// The connection is closed when the request has been read.
    Leaves,
    /// The connection is taken and nothing is read.
    ReadsNothing,
}

/// An answer with a status and a body, well formed.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

#[derive(Clone)]
pub(crate) struct HttpServer {
    pub(crate) port: u16,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) sent: Arc<Mutex<u64>>,
}

impl HttpServer {
    pub(crate) async fn start(conduct: Conduct) -> Self {
        Self::start_with(conduct, None).await
    }

    pub(crate) async fn start_with(conduct: Conduct, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            received: Arc::default(),
            sent: Arc::default(),
        };
        let kept = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, conduct, tls) = (kept.clone(), conduct.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream, conduct).await;
                            }
                        }
                        None => server.serve_plain(stream, conduct).await,
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    async fn serve_plain(&self, stream: TcpStream, conduct: Conduct) {
        if matches!(conduct, Conduct::SaysAndResets(_)) {
            // Unread or unsent bytes are thrown away on close, and the peer sees a reset.
            stream.set_zero_linger().unwrap();
        }
        self.serve(stream, conduct).await;
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, conduct: Conduct) {
        if matches!(conduct, Conduct::ReadsNothing) {
            sleep(Duration::from_secs(30)).await;
            return;
        }
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        let turn = {
            let mut received = self.received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        match conduct {
            Conduct::Handles(Handler(handle)) => {
                if let Some(bytes) = handle(&request) {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                }
            }
            Conduct::Says(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Conduct::InTurn(answers) => {
                let bytes = answers.get(turn).or(answers.last()).unwrap();
                let _ = stream.write_all(bytes).await;
                let _ = stream.shutdown().await;
            }
            Conduct::SaysAndResets(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                sleep(Duration::from_millis(30)).await;
            }
            Conduct::Drips(head, drop) => {
                let _ = stream.write_all(&head).await;
                for _ in 0..1_500 {
                    sleep(Duration::from_millis(20)).await;
                    if stream.write_all(&drop).await.is_err() {
                        break;
                    }
                }
            }
            Conduct::Pours(head, block) => {
                let _ = stream.write_all(&head).await;
                for _ in 0..(1 << 30) / block.len() {
                    if stream.write_all(&block).await.is_err() {
                        break;
                    }
                    *self.sent.lock().unwrap() += block.len() as u64;
                }
            }
            Conduct::IsSilent => sleep(Duration::from_secs(30)).await,
            Conduct::Leaves | Conduct::ReadsNothing => {}
        }
    }
}

pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut block = [0; 8192];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let read = stream.read(&mut block).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&block[..read]);
    };
    let mut received = Received {
        head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        body: bytes[end + 4..].to_vec(),
    };
    let length: usize = received
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while received.body.len() < length {
        let read = stream.read(&mut block).await.ok()?;
        if read == 0 {
            return None;
        }
        received.body.extend_from_slice(&block[..read]);
    }
    Some(received)
}
