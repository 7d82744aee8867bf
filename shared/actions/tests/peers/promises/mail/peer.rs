//! The ways for mail to leave, each with a peer that keeps what arrived and can be in trouble.

use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, Handler, HttpServer, Received, answer};
use crate::setting::{outside, sender};
use crate::smtp_server::{Reply, Script, SmtpServer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailparse::ParsedMail;
use quench_actions::mailer::{SesSettings, SmtpSecurity, SmtpSettings};
use quench_actions::{Mailer, Outside};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Nobody listens on this port.
const NOBODY: u16 = 1;

/// A way for mail to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Outbox,
    Smtp,
    Ses,
}

/// What doing it again under the same key is to who gets the mail.
pub(super) enum Repetition {
    LeavesTheFirst,
    HasTheSameId,
    HasAnotherId,
}

/// When it cannot be told whether a mail has left.
pub(super) enum Doubt {
    Never,
    WithoutAnswer,
}

/// What keeps a peer from taking mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is asked for too much.
    Throttled,
    /// It is not there.
    Away,
    /// It takes the mail, and is gone before it says so.
    Mute,
}

impl Way {
    pub(super) fn repetition(self) -> Repetition {
        match self {
            // The file of the key is there.
            Self::Outbox => Repetition::LeavesTheFirst,
            // Servers take both, and who reads them can tell.
            Self::Smtp => Repetition::HasTheSameId,
            // SES puts ids of its own in the place of those that mails were composed with, so nobody can tell.
            Self::Ses => Repetition::HasAnotherId,
        }
    }

    pub(super) fn doubt(self) -> Doubt {
        match self {
            // A file is either there or not.
            Self::Outbox => Doubt::Never,
            Self::Smtp | Self::Ses => Doubt::WithoutAnswer,
        }
    }

    pub(super) fn wants_credentials(self) -> bool {
        match self {
            Self::Outbox => false,
            Self::Smtp | Self::Ses => true,
        }
    }
}

/// A mail as the peer holds it.
pub(super) struct Arrived {
    /// What it was handed over with; a file has no such thing.
    pub(super) envelope: Option<Envelope>,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Envelope {
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

impl Arrived {
    pub(super) fn mail(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.bytes).unwrap()
    }
}

/// A way for mail to leave, and its peer.
pub(super) struct Setting {
    pub(super) way: Way,
    pub(super) outside: Outside,
    peer: Peer,
}

enum Peer {
    Folder(TempDir),
    Server(SmtpServer),
    Service(HttpServer, Arc<Mutex<Desk>>),
}

/// What SES has on its desk.
#[derive(Default)]
struct Desk {
    taken: Vec<Value>,
    trouble: Option<Trouble>,
}

impl Setting {
    pub(super) async fn open(way: Way) -> Self {
        let (peer, mailer) = match way {
            Way::Outbox => {
                let folder = tempfile::tempdir().unwrap();
                let mailer = Mailer::outbox(outbox(&folder), sender());
                (Peer::Folder(folder), mailer)
            }
            Way::Smtp => {
                let server = SmtpServer::start(Script::of(&[])).await;
                let mailer = over_smtp(server.port);
                (Peer::Server(server), mailer)
            }
            Way::Ses => {
                let desk = Arc::new(Mutex::new(Desk::default()));
                let kept = Arc::clone(&desk);
                let handler = Handler::new(move |request| take(request, &kept));
                let server = HttpServer::start(Conduct::Handles(handler)).await;
                let mailer = over_ses(server.port);
                (Peer::Service(server, desk), mailer)
            }
        };
        Self {
            way,
            outside: leading_to(mailer),
            peer,
        }
    }

    /// What has arrived, the first one first; a folder's in the order of their names.
    pub(super) fn arrived(&self) -> Vec<Arrived> {
        match &self.peer {
            Peer::Folder(folder) => mails(&outbox(folder)),
            Peer::Server(server) => {
                let mails = server.mails().into_iter().map(|taken| Arrived {
                    envelope: Some(Envelope {
                        from: taken.from.split(['<', '>']).nth(1).unwrap().to_owned(),
                        to: taken.to,
                    }),
                    bytes: taken.data.into_bytes(),
                });
                mails.collect()
            }
            Peer::Service(_, desk) => desk.lock().unwrap().taken.iter().map(of_ses).collect(),
        }
    }

    /// Brings the peer into trouble, and yields the way to it.
    pub(super) fn troubled(&self, trouble: Trouble) -> Outside {
        match (&self.peer, trouble) {
            // A folder knows no rate and is never gone; what it can be is impossible to write into.
            (Peer::Folder(folder), _) => {
                let outbox = outbox(folder);
                if outbox.exists() {
                    fs::rename(&outbox, beside(folder)).unwrap();
                }
                fs::write(outbox, "").unwrap();
            }
            (Peer::Server(_), Trouble::Away) => return leading_to(over_smtp(NOBODY)),
            (Peer::Service(..), Trouble::Away) => return leading_to(over_ses(NOBODY)),
            (Peer::Server(server), Trouble::Throttled) => server.follow(Script::saying(
                "MAIL",
                "454 4.7.0 Throttling failure: Maximum sending rate exceeded.",
            )),
            (Peer::Server(server), Trouble::Mute) => {
                server.follow(Script::of(&[(".", Reply::Drops)]));
            }
            (Peer::Service(_, desk), trouble) => desk.lock().unwrap().trouble = Some(trouble),
        }
        self.outside.clone()
    }

    /// Ends all trouble.
    pub(super) fn relieve(&self) {
        match &self.peer {
            Peer::Folder(folder) => {
                fs::remove_file(outbox(folder)).unwrap();
                if beside(folder).exists() {
                    fs::rename(beside(folder), outbox(folder)).unwrap();
                }
            }
            Peer::Server(server) => server.follow(Script::of(&[])),
            Peer::Service(_, desk) => desk.lock().unwrap().trouble = None,
        }
    }

    /// Whether anybody has proved to the peer who it is.
    pub(super) fn was_shown_credentials(&self) -> bool {
        match &self.peer {
            Peer::Folder(_) => false,
            Peer::Server(server) => server.said().iter().any(|line| line.starts_with("AUTH ")),
            Peer::Service(server, _) => {
                let requests = server.requests();
                requests
                    .iter()
                    .all(|request| request.header("authorization").is_some())
            }
        }
    }
}

/// The folder of the mailer, which makes it.
fn outbox(folder: &TempDir) -> PathBuf {
    folder.path().join("outbox")
}

/// Where the folder is while it is in trouble.
fn beside(folder: &TempDir) -> PathBuf {
    folder.path().join("beside")
}

fn leading_to(mailer: Mailer) -> Outside {
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = mailer;
    outside
}

fn over_smtp(port: u16) -> Mailer {
    let settings = SmtpSettings {
        host: "localhost".to_owned(),
        port: Some(port),
        security: SmtpSecurity::None,
        username: Some("user".to_owned()),
        password: Some("secret://env/PASSWORD".to_owned()),
    };
    Mailer::smtp(settings, sender(), &[]).unwrap()
}

fn over_ses(port: u16) -> Mailer {
    let aws = aws_of(&variables(&format!("http://127.0.0.1:{port}")));
    Mailer::ses(aws, SesSettings::default(), sender()).unwrap()
}

fn mails(outbox: &Path) -> Vec<Arrived> {
    let Ok(entries) = fs::read_dir(outbox) else {
        // Not made yet, or in trouble: then what had arrived lies beside it.
        let beside = outbox.with_file_name("beside");
        return if beside.exists() {
            mails(&beside)
        } else {
            Vec::new()
        };
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mails = paths.iter().map(|path| Arrived {
        envelope: None,
        bytes: fs::read(path).unwrap(),
    });
    mails.collect()
}

fn take(request: &Received, desk: &Mutex<Desk>) -> Option<Vec<u8>> {
    assert_eq!(request.line(), "POST /v2/email/outbound-emails HTTP/1.1");
    let mut desk = desk.lock().unwrap();
    if desk.trouble == Some(Trouble::Throttled) {
        let code = "x-amzn-errortype: TooManyRequestsException\r\n";
        let reason = json!({ "message": "Maximum sending rate exceeded." });
        return Some(answer(429, code, &reason.to_string()));
    }
    desk.taken
        .push(serde_json::from_slice(&request.body).unwrap());
    if desk.trouble == Some(Trouble::Mute) {
        return None;
    }
    let id = json!({ "MessageId": format!("0102-{}", desk.taken.len()) });
    Some(answer(200, "", &id.to_string()))
}

fn of_ses(body: &Value) -> Arrived {
    let addresses = |name: &str| {
        let addresses = body["Destination"][name].as_array().unwrap().iter();
        addresses.map(|address| address.as_str().unwrap().to_owned())
    };
    let raw = body["Content"]["Raw"]["Data"].as_str().unwrap();
    Arrived {
        envelope: Some(Envelope {
            from: body["FromEmailAddress"].as_str().unwrap().to_owned(),
            to: addresses("ToAddresses")
                .chain(addresses("CcAddresses"))
                .collect(),
        }),
        bytes: STANDARD.decode(raw).unwrap(),
    }
}
