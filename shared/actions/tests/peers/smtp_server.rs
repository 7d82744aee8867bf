//! A mail server that follows a script, and keeps what it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What the server says where, instead of yes. Keys: `greeting EHLO STARTTLS AUTH MAIL RCPT DATA .`, and
/// `RCPT:<address>` for one recipient.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) replies: BTreeMap<String, Reply>,
    pub(crate) extensions: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Says(&'static str),
    Drops,
    IsSilent,
}

impl Script {
    pub(crate) fn of(replies: &[(&str, Reply)]) -> Self {
        Self {
            replies: replies
                .iter()
                .map(|(at, reply)| ((*at).to_owned(), reply.clone()))
                .collect(),
            extensions: vec!["AUTH PLAIN LOGIN", "8BITMIME"],
        }
    }

    pub(crate) fn saying(at: &str, line: &'static str) -> Self {
        Self::of(&[(at, Reply::Says(line))])
    }
}

/// A mail that the server took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

#[derive(Clone)]
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    pub(crate) taken: Arc<Mutex<Vec<Taken>>>,
    /// Every line outside of mail.
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Script>>,
    tls: Option<TlsAcceptor>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl SmtpServer {
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_with(script, None, false).await
    }

    /// With `wrapped`, TLS comes first; otherwise after STARTTLS.
    pub(crate) async fn start_with(
        script: Script,
        tls: Option<TlsAcceptor>,
        wrapped: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            taken: Arc::default(),
            lines: Arc::default(),
            script: Arc::new(Mutex::new(script)),
            tls,
        };
        let kept = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = kept.clone();
                tokio::spawn(async move {
                    match &server.tls {
                        Some(tls) if wrapped => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.talk(Box::new(stream), true).await;
                            }
                        }
                        _ => {
                            if let Some(stream) = server.talk(Box::new(stream), true).await
                                && let Some(tls) = &server.tls
                                && let Ok(stream) = tls.accept(stream).await
                            {
                                server.talk(Box::new(stream), false).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn mails(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Goes by another script from the next command on.
    pub(crate) fn follow(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    fn script(&self) -> Script {
        self.script.lock().unwrap().clone()
    }

    /// Says what the script has for a place, or else the usual; false if the talk is over.
    async fn say(&self, stream: &mut BufReader<Box<dyn Stream>>, at: &str, usual: &str) -> bool {
        let verb = at.split(':').next().unwrap_or(at);
        let script = self.script();
        let reply = script.replies.get(at).or(script.replies.get(verb));
        let line = match reply {
            None => usual,
            Some(Reply::Says(line)) => line,
            Some(Reply::Drops) => return false,
            Some(Reply::IsSilent) => {
                sleep(Duration::from_secs(30)).await;
                return false;
            }
        };
        stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .is_ok()
    }

    /// Talks until the end, or until TLS shall begin, and then yields the stream.
    async fn talk(&self, stream: Box<dyn Stream>, greets: bool) -> Option<Box<dyn Stream>> {
        let mut stream = BufReader::new(stream);
        if greets
            && !self
                .say(&mut stream, "greeting", "220 mail.example.com ESMTP")
                .await
        {
            return None;
        }
        let mut mail = Taken::default();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            self.lines.lock().unwrap().push(line.clone());
            let upper = line.to_ascii_uppercase();
            let goes_on = if upper.starts_with("EHLO") {
                let mut extensions = self.script().extensions;
                if self.tls.is_some() && greets {
                    extensions.push("STARTTLS");
                }
                let mut lines = vec!["250-mail.example.com".to_owned()];
                lines.extend(extensions.iter().map(|name| format!("250-{name}")));
                lines.push("250 SIZE 1000000".to_owned());
                self.say(&mut stream, "EHLO", &lines.join("\r\n")).await
            } else if upper == "STARTTLS" {
                let agreed = self.say(&mut stream, "STARTTLS", "220 go ahead").await;
                if agreed && !self.script().replies.contains_key("STARTTLS") {
                    return Some(stream.into_inner());
                }
                agreed
            } else if upper.starts_with("AUTH") {
                self.say(&mut stream, "AUTH", "235 welcome").await
            } else if upper.starts_with("MAIL FROM") {
                mail.from = line.clone();
                self.say(&mut stream, "MAIL", "250 ok").await
            } else if upper.starts_with("RCPT TO") {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let at = format!("RCPT:{address}");
                let refused = self.script().replies.contains_key(&at)
                    || self.script().replies.contains_key("RCPT");
                if !refused {
                    mail.to.push(address);
                }
                self.say(&mut stream, &at, "250 ok").await
            } else if upper == "DATA" {
                if !self.say(&mut stream, "DATA", "354 go ahead").await {
                    return None;
                }
                if self.script().replies.contains_key("DATA") {
                    continue;
                }
                let mut data = String::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.ok()? == 0 {
                        return None;
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    data.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                mail.data = data;
                let took = !self.script().replies.get(".").is_some_and(
                    |reply| matches!(reply, Reply::Says(line) if !line.starts_with('2')),
                );
                if took {
                    self.taken.lock().unwrap().push(std::mem::take(&mut mail));
                }
                self.say(&mut stream, ".", "250 queued").await
            } else if upper == "QUIT" {
                self.say(&mut stream, "QUIT", "221 bye").await;
                return None;
            } else {
                self.say(&mut stream, "other", "500 what").await
            };
            if !goes_on {
                return None;
            }
        }
    }
}
