use crate::manual::Button;
use crate::queue::Queue;
use crate::webhook::Sender;
use quench_actions::cloud::{ExternalId, RoleName};
use reader::Reader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

mod reader;

/// Everything a process is told when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where findings, runs and messages are kept.
    pub host: Host,
    /// Where mail goes.
    pub mail: Mail,
    /// Sender of all mail.
    pub mail_from: String,
    /// Domains in which findings themselves may name recipients of mail; in no other they can.
    pub mail_domains: Vec<String>,
    /// Hosts and networks that steps may reach although they are not public, and by plain `http` too.
    pub allow_hosts: Vec<String>,
    /// File of certificates (PEM) of authorities that are trusted besides the system's.
    pub authorities: Option<PathBuf>,
    /// Address under which people reach this installation, for links; absent if they do not.
    pub url: Option<Url>,
    /// How long a worker holds a run without a sign of life.
    pub lease: Duration,
    /// How long a message is in hand before it is taken for lost; on AWS its queue decides.
    pub visibility: Duration,
    /// After so many deliveries in vain a message becomes a dead letter; on AWS its queue decides.
    pub max_receives: u32,
    /// How many messages of a queue, or findings of a payload, are worked on at once.
    pub concurrency: u32,
    /// How long findings, finished runs and dead letters are kept.
    pub retention: Duration,
    /// Who may send findings from outside, by name.
    pub senders: BTreeMap<String, Sender>,
    /// What custom actions of Security Hub start, by the action's id, where its name does not tell.
    pub actions: BTreeMap<String, Button>,
    /// The role that is taken on in an account in order to change things there, the own one as well.
    pub remediation_role: Option<RoleName>,
    /// What that role asks for.
    pub external_id: Option<ExternalId>,
}

/// Where findings, runs and messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// In files of this machine.
    Machine {
        /// Folder of the store and the outbox; made where it is missing.
        data: PathBuf,
    },
    /// In AWS, in the region and with the credentials that the variables of its own tools name.
    Aws {
        /// Name of the `DynamoDB` table.
        table: String,
        /// URLs of the SQS queues. A process has those that its work needs; it cannot use the others.
        queues: BTreeMap<Queue, Url>,
        /// URL of the SQS queue of what never reached a queue or function; for whoever deals with dead letters.
        undelivered: Option<Url>,
    },
}

/// Where mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// Into files below the data folder.
    Outbox,
    /// To a mail server.
    Smtp {
        /// `smtp://` or `smtps://`, with host and perhaps port, without user and password.
        url: Url,
        /// Who we are there.
        user: Option<String>,
        /// Reference of the password, such as `secret://env/NAME`.
        password: Option<String>,
    },
    /// To Amazon SES.
    Ses {
        /// Name of the configuration set that mail is sent with.
        configuration_set: Option<String>,
        /// Mails that this process sends in a second at most; absent, SES alone sets the limit.
        rate: Option<u32>,
    },
}

/// What is wrong with the environment, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.join("\n"))]
pub struct InvalidConfig {
    /// One line each, beginning with the variable's name.
    pub faults: Vec<String>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// What holds where nothing is said: everything in this folder, mail into its outbox.
    pub fn local(data: impl Into<PathBuf>) -> Config {
        Config {
            host: Host::Machine { data: data.into() },
            mail: Mail::Outbox,
            mail_from: "Quench <quench@localhost.localdomain>".into(),
            mail_domains: Vec::new(),
            allow_hosts: Vec::new(),
            authorities: None,
            url: None,
            lease: Duration::from_secs(30),
            visibility: Duration::from_secs(60),
            max_receives: 5,
            concurrency: 8,
            retention: 400 * DAY,
            senders: BTreeMap::new(),
            actions: BTreeMap::new(),
            remediation_role: None,
            external_id: None,
        }
    }

    /// What holds on AWS where nothing more is said: this table, these queues, mail through SES.
    pub fn aws(table: impl Into<String>, queues: impl IntoIterator<Item = (Queue, Url)>) -> Config {
        Config {
            host: Host::Aws {
                table: table.into(),
                queues: queues.into_iter().collect(),
                undelivered: None,
            },
            mail: Mail::Ses {
                configuration_set: None,
                rate: None,
            },
            ..Config::local(PathBuf::new())
        }
    }

    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Variables are wrong, or are not text; all of them are told.
    pub fn from_env() -> Result<Config, InvalidConfig> {
        let mut variables = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if !name.starts_with("QUENCH_") {
                continue;
            }
            match value.into_string() {
                Ok(value) => {
                    variables.insert(name, value);
                }
                Err(_) => faults.push(format!("{name}: is not UTF-8 text")),
            }
        }
        match Config::from_variables(&variables) {
            Ok(config) if faults.is_empty() => Ok(config),
            Ok(_) => Err(InvalidConfig { faults }),
            Err(invalid) => {
                faults.extend(invalid.faults);
                Err(InvalidConfig { faults })
            }
        }
    }

    /// Reads these variables; those that are empty count as not set. Of files they name it is checked that they can be
    /// used. `QUENCH_TABLE` decides: where it is set the host is AWS, else this machine.
    ///
    /// # Errors
    /// Variables are wrong; all of them are told.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Config, InvalidConfig> {
        let mut reader = Reader::new(variables);
        let config = reader.config();
        let faults = reader.faults();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(InvalidConfig { faults })
        }
    }

    /// The database file, on a machine.
    pub fn database(&self) -> Option<PathBuf> {
        self.data().map(|data| data.join("quench.db"))
    }

    /// The folder that mail goes to where no mail server is named, on a machine.
    pub fn outbox(&self) -> Option<PathBuf> {
        self.data().map(|data| data.join("outbox"))
    }

    fn data(&self) -> Option<&Path> {
        match &self.host {
            Host::Machine { data } => Some(data),
            Host::Aws { .. } => None,
        }
    }

    /// The same, but in a folder of this machine.
    #[must_use]
    pub fn in_folder(mut self, data: &Path) -> Config {
        self.host = Host::Machine {
            data: data.to_owned(),
        };
        if let Mail::Ses { .. } = self.mail {
            self.mail = Mail::Outbox;
        }
        self
    }
}

#[cfg(test)]
mod tests;
