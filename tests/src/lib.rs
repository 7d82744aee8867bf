//! The built product at arm's length: runs the `quench` binary as a user would and reads what it leaves behind.

pub mod aws;
pub mod events;
pub mod http;
pub mod hub;
pub mod proxy;
pub mod stack;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie one below the root")
        .to_owned()
}

/// The `quench` binary of this build, brought up to date once; or the one that `TESTED_QUENCH` names.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("TESTED_QUENCH") {
            return named.into();
        }
        let built = Command::new(env!("CARGO"))
            // With the features that the tests of the workspace are built with: else all it consists of is built once more.
            .args(["build", "--quiet", "--locked", "--workspace"])
            .args(["--bin", "quench"])
            .current_dir(root())
            .stdin(Stdio::null())
            .output()
            .expect("cargo can be started");
        assert!(
            built.status.success(),
            "the binary does not build:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let this = std::env::current_exe().expect("a program knows its own path");
        let folder = this.parent().expect("a program lies in a folder");
        // Tests lie in `deps`, below the folder of their profile; other programs in that of theirs.
        let profile = match folder.ends_with("deps") {
            true => folder.parent().expect("`deps` lies in a folder"),
            false => folder,
        };
        let path = profile.with_file_name("debug").join("quench");
        assert!(path.is_file(), "no binary at `{}`", path.display());
        path
    })
}

/// A store of its own with the command line over it.
#[derive(Debug)]
pub struct Quench {
    folder: tempfile::TempDir,
}

impl Default for Quench {
    fn default() -> Self {
        Self::new()
    }
}

impl Quench {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        }
    }

    /// The folder that holds everything of this test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store's folder.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes a file below the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder can be made");
        }
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// A command over this store, unaware of the settings of whoever runs the tests.
    pub fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.command_without_store();
        command.arg("--data").arg(self.data()).args(arguments);
        command
    }

    /// The same, without a word on where the store is.
    pub fn command_without_store(&self) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUENCH_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn output<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Output {
        self.command(arguments)
            .output()
            .expect("the binary can be started")
    }

    /// Runs a command that must do well and gives what it printed.
    #[track_caller]
    pub fn ok<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> String {
        let output = self.output(arguments);
        let printed = String::from_utf8(output.stdout).expect("output is UTF-8");
        assert!(
            output.status.success(),
            "exit {:?}\n{printed}\n{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// Runs a command with `--json` that must do well and gives its objects.
    #[track_caller]
    pub fn json<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Vec<Value> {
        let mut all: Vec<std::ffi::OsString> = vec!["--json".into()];
        all.extend(arguments.into_iter().map(|part| part.as_ref().to_owned()));
        objects(&self.ok(all))
    }

    /// The mails in the outbox, each with its path, in the order of their names.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = std::fs::read_dir(self.data().join("outbox")) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("the outbox can be read").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        paths.sort();
        paths.iter().map(|path| Mail::read(path)).collect()
    }
}

/// Reads JSON lines.
#[track_caller]
pub fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}"))
        })
        .collect()
}

/// A mail as a mail reader sees it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Where it lies.
    pub path: PathBuf,
    /// Recipients as written.
    pub to: String,
    /// Decoded subject.
    pub subject: String,
    /// Decoded `text/plain` part.
    pub text: String,
    /// Decoded `text/html` part.
    pub html: String,
}

impl Mail {
    /// Parses a file.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        use mailparse::MailHeaderMap;
        let bytes = std::fs::read(path).expect("a mail can be read");
        let mail = mailparse::parse_mail(&bytes).expect("a mail parses");
        let header = |name: &str| {
            mail.headers
                .get_first_value(name)
                .unwrap_or_else(|| panic!("no `{name}` in {}", path.display()))
        };
        let part = |wanted: &str| {
            mail.parts()
                .find(|part| part.ctype.mimetype == wanted)
                .unwrap_or_else(|| panic!("no `{wanted}` part in {}", path.display()))
                .get_body()
                .expect("a part decodes")
        };
        Self {
            path: path.to_owned(),
            to: header("To"),
            subject: header("Subject"),
            text: part("text/plain"),
            html: part("text/html"),
        }
    }
}

/// A playbook `mail` and an automation `all` that mails on every finding of a kind, with conditions if any.
pub fn mail_on(trigger: &str, when: &str) -> String {
    format!(
        "playbook: mail
description: Mails.
triggers: [alert, recommendation, compliance]
steps:
  - id: mail
    email:
      to: team@example.com
      subject: \"{{{{ finding.title }}}}\"
      template: finding
---
automation: all
trigger: {trigger}
{when}
run:
  - playbook: mail
"
    )
}

/// A GuardDuty event with an id of its own.
pub fn guardduty(number: usize) -> Value {
    serde_json::json!({
        "version": "0",
        "id": format!("00000000-0000-0000-0000-{number:012}"),
        "detail-type": "GuardDuty Finding",
        "source": "aws.guardduty",
        "account": "111122223333",
        "time": "2026-03-01T10:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "schemaVersion": "2.0",
            "accountId": "111122223333",
            "region": "eu-west-1",
            "partition": "aws",
            "id": format!("{number:032x}"),
            "arn": format!("arn:aws:guardduty:eu-west-1:111122223333:detector/{:032x}/finding/{number:032x}", 7),
            "type": "UnauthorizedAccess:EC2/SSHBruteForce",
            "resource": {
                "resourceType": "Instance",
                "instanceDetails": { "instanceId": "i-0123456789abcdef0" }
            },
            "service": {
                "serviceName": "guardduty",
                "detectorId": format!("{:032x}", 7),
                "eventFirstSeen": "2026-03-01T09:00:00Z",
                "eventLastSeen": "2026-03-01T09:30:00Z",
                "archived": false,
                "count": 3
            },
            "severity": 8,
            "createdAt": "2026-03-01T09:10:00.000Z",
            "updatedAt": "2026-03-01T09:40:00.000Z",
            "title": format!("SSH brute force number {number}"),
            "description": "An instance is being tried."
        }
    })
}
