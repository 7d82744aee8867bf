use super::{Config, DAY, Host, Mail};
use crate::manual::buttons;
use crate::queue::Queue;
use crate::webhook::senders;
use quench_actions::address_guard::Allowed;
use quench_actions::cloud::{ExternalId, RoleName};
use quench_actions::mailer::Sender;
use quench_actions::{certificates, secrets};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const DATA: &str = "QUENCH_DATA";
const TABLE: &str = "QUENCH_TABLE";
const SMTP_URL: &str = "QUENCH_SMTP_URL";
const SMTP_PASSWORD: &str = "QUENCH_SMTP_PASSWORD";
const SES_SET: &str = "QUENCH_SES_CONFIGURATION_SET";
const SES_RATE: &str = "QUENCH_SES_RATE";
const MAIL_FROM: &str = "QUENCH_MAIL_FROM";
const MAIL_DOMAINS: &str = "QUENCH_MAIL_DOMAINS";
const CA_FILE: &str = "QUENCH_CA_FILE";
const ALLOW_HOSTS: &str = "QUENCH_ALLOW_HOSTS";
const PUBLIC_URL: &str = "QUENCH_URL";
const LEASE: &str = "QUENCH_LEASE_SECONDS";
const VISIBILITY: &str = "QUENCH_VISIBILITY_SECONDS";
const MAX_RECEIVES: &str = "QUENCH_MAX_RECEIVES";
const CONCURRENCY: &str = "QUENCH_CONCURRENCY";
const RETENTION: &str = "QUENCH_RETENTION_DAYS";
const SENDERS: &str = "QUENCH_SENDERS";
const ACTIONS: &str = "QUENCH_ACTIONS";
const REMEDIATION_ROLE: &str = "QUENCH_REMEDIATION_ROLE";
const EXTERNAL_ID: &str = "QUENCH_EXTERNAL_ID";
const UNDELIVERED: &str = "QUENCH_QUEUE_UNDELIVERED";

/// Those that mean something everywhere.
const EVERYWHERE: [&str; 13] = [
    TABLE,
    MAIL_FROM,
    MAIL_DOMAINS,
    ALLOW_HOSTS,
    CA_FILE,
    PUBLIC_URL,
    LEASE,
    CONCURRENCY,
    RETENTION,
    SENDERS,
    ACTIONS,
    REMEDIATION_ROLE,
    EXTERNAL_ID,
];
/// Those of one machine, with what takes their place on AWS.
const MACHINE: [(&str, &str); 5] = [
    (DATA, "everything is in the table"),
    (SMTP_URL, "mail goes through SES"),
    (SMTP_PASSWORD, "mail goes through SES"),
    (VISIBILITY, "it is an attribute of the queue"),
    (MAX_RECEIVES, "it is an attribute of the queue"),
];
/// Those of AWS.
const AWS: [&str; 7] = [
    queue_variable(Queue::Alert),
    queue_variable(Queue::Recommendation),
    queue_variable(Queue::Compliance),
    queue_variable(Queue::Runs),
    UNDELIVERED,
    SES_SET,
    SES_RATE,
];

const fn queue_variable(queue: Queue) -> &'static str {
    match queue {
        Queue::Alert => "QUENCH_QUEUE_ALERT",
        Queue::Recommendation => "QUENCH_QUEUE_RECOMMENDATION",
        Queue::Compliance => "QUENCH_QUEUE_COMPLIANCE",
        Queue::Runs => "QUENCH_QUEUE_RUNS",
    }
}

/// Reads what JSON in a variable names, or tells all that is wrong with it.
type Read<T> = fn(&str) -> Result<BTreeMap<String, T>, Vec<String>>;

/// Reads variables and notes every fault.
pub(super) struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Reader<'a> {
        Reader {
            variables,
            faults: Vec::new(),
        }
    }

    pub(super) fn faults(self) -> Vec<String> {
        self.faults
    }

    /// What the variables say; where one is wrong, what holds without it.
    pub(super) fn config(&mut self) -> Config {
        let default = Config::local("./quench-data");
        let host = self.host();
        let config = Config {
            mail: match host {
                Host::Machine { .. } => self.mail(),
                Host::Aws { .. } => self.ses(),
            },
            host,
            mail_from: self.mail_from().unwrap_or(default.mail_from),
            mail_domains: self.mail_domains(),
            allow_hosts: self.allow_hosts(),
            authorities: self.authorities(),
            url: self.url(PUBLIC_URL, &["https", "http"]),
            lease: self.seconds(LEASE, 10..=900).unwrap_or(default.lease),
            visibility: self
                .seconds(VISIBILITY, 10..=43_200)
                .unwrap_or(default.visibility),
            max_receives: self
                .number(MAX_RECEIVES, 1..=1000)
                .unwrap_or(default.max_receives),
            concurrency: self
                .number(CONCURRENCY, 1..=256)
                .unwrap_or(default.concurrency),
            retention: self
                .number(RETENTION, 1..=36_500)
                .map_or(default.retention, |days| DAY * days),
            senders: self.json(SENDERS, senders),
            actions: self.json(ACTIONS, buttons),
            remediation_role: self.checked(REMEDIATION_ROLE, RoleName::parse),
            external_id: self.checked(EXTERNAL_ID, ExternalId::parse),
        };
        self.misplaced(&config.host);
        self.misspelt();
        config
    }

    fn host(&mut self) -> Host {
        let Some(table) = self.text(TABLE) else {
            if cfg!(not(feature = "local")) {
                self.fault(TABLE, "is not set; it names the DynamoDB table");
            }
            let data = self.text(DATA).unwrap_or("./quench-data").into();
            return Host::Machine { data };
        };
        // "Naming rules and data types" of DynamoDB.
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        if !(3..=255).contains(&table.len()) || !table.chars().all(plain) {
            self.fault(
                TABLE,
                format_args!("`{table}` is no name of a table, such as `quench`"),
            );
        }
        let mut queues = BTreeMap::new();
        for queue in Queue::ALL {
            if let Some(url) = self.url(queue_variable(queue), &["https", "http"]) {
                queues.insert(queue, url);
            }
        }
        Host::Aws {
            table: table.to_owned(),
            queues,
            undelivered: self.url(UNDELIVERED, &["https", "http"]),
        }
    }

    fn ses(&mut self) -> Mail {
        let configuration_set = self.text(SES_SET).map(str::to_owned);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if let Some(name) = &configuration_set
            && (name.len() > 64 || !name.chars().all(plain))
        {
            self.fault(
                SES_SET,
                format_args!("`{name}` is no name of a configuration set, such as `quench`"),
            );
        }
        Mail::Ses {
            configuration_set,
            rate: self.number(SES_RATE, 1..=10_000),
        }
    }

    /// Finds variables that are set where they mean nothing: whoever set them expects something of them.
    fn misplaced(&mut self, host: &Host) {
        match host {
            Host::Aws { .. } => {
                for (name, instead) in MACHINE {
                    if self.text(name).is_some() {
                        self.fault(
                            name,
                            format_args!(
                                "means nothing on AWS, where `{TABLE}` is set: {instead}; remove it"
                            ),
                        );
                    }
                }
            }
            Host::Machine { .. } => {
                for name in AWS {
                    if self.text(name).is_some() {
                        self.fault(
                            name,
                            format_args!("means nothing without `{TABLE}`; set that, or remove it"),
                        );
                    }
                }
            }
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.variables.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    fn fault(&mut self, name: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{name}: {what}"));
    }

    fn list(&self, name: &str) -> Vec<String> {
        let items = self.text(name).unwrap_or_default().split(',');
        items
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (least, most) = (range.start(), range.end());
                self.fault(
                    name,
                    format_args!("`{text}` is no whole number from {least} to {most}"),
                );
                None
            }
        }
    }

    fn seconds(&mut self, name: &str, range: std::ops::RangeInclusive<u32>) -> Option<Duration> {
        self.number(name, range)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn json<T>(&mut self, name: &str, read: Read<T>) -> BTreeMap<String, T> {
        match self.text(name).map(read) {
            None => BTreeMap::new(),
            Some(Ok(value)) => value,
            Some(Err(faults)) => {
                for fault in faults {
                    self.fault(name, fault);
                }
                BTreeMap::new()
            }
        }
    }

    fn checked<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.text(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, error);
                None
            }
        }
    }

    fn url(&mut self, name: &str, schemes: &[&str]) -> Option<Url> {
        let text = self.text(name)?;
        // The text may hold a password, so it is never repeated.
        match Url::parse(text) {
            Ok(url) if schemes.contains(&url.scheme()) && url.host_str().is_some() => Some(url),
            _ => {
                let expected: Vec<String> = schemes
                    .iter()
                    .map(|scheme| format!("`{scheme}://…`"))
                    .collect();
                self.fault(
                    name,
                    format_args!("is no address that begins with {}", expected.join(" or ")),
                );
                None
            }
        }
    }

    fn mail(&mut self) -> Mail {
        let password = self.text(SMTP_PASSWORD).map(str::to_owned);
        if let Some(password) = &password
            && secrets::Reference::parse(password).is_err()
        {
            self.fault(
                SMTP_PASSWORD,
                "is no secret reference, such as `secret://env/NAME` or `secret://file/PATH`",
            );
        }
        let Some(mut url) = self.url(SMTP_URL, &["smtp", "smtps"]) else {
            if password.is_some() && self.text(SMTP_URL).is_none() {
                self.fault(SMTP_PASSWORD, "is set, but `QUENCH_SMTP_URL` is not");
            }
            return Mail::Outbox;
        };
        if url::Host::parse(url.host_str().unwrap_or_default()).is_err() {
            self.fault(SMTP_URL, "names no host");
        }
        if url.password().is_some() {
            self.fault(
                SMTP_URL,
                "holds a password: name a secret reference in `QUENCH_SMTP_PASSWORD` instead",
            );
        }
        let user = (!url.username().is_empty()).then(|| percent_decoded(url.username()));
        if password.is_some() && user.is_none() {
            self.fault(
                SMTP_URL,
                "has no user, but `QUENCH_SMTP_PASSWORD` is set: write `smtp://USER@HOST`",
            );
        }
        if user.is_some() && password.is_none() && url.password().is_none() {
            self.fault(
                SMTP_URL,
                "has a user, but `QUENCH_SMTP_PASSWORD` is not set",
            );
        }
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .expect("an address with a host can do without a user");
        Mail::Smtp {
            url,
            user,
            password,
        }
    }

    fn mail_from(&mut self) -> Option<String> {
        let text = self.text(MAIL_FROM)?;
        if Sender::new(text).is_ok() {
            return Some(text.to_owned());
        }
        self.fault(
            MAIL_FROM,
            format_args!("`{text}` is no mail address, such as `Quench <quench@example.com>`"),
        );
        None
    }

    fn mail_domains(&mut self) -> Vec<String> {
        let domains = self.list(MAIL_DOMAINS);
        for domain in &domains {
            let bare = domain.strip_prefix('@').unwrap_or(domain);
            if !matches!(url::Host::parse(bare), Ok(url::Host::Domain(_)))
                || bare.contains(['*', '@'])
            {
                self.fault(
                    MAIL_DOMAINS,
                    format_args!("`{domain}` is no domain, such as `example.com`"),
                );
            }
        }
        domains
    }

    fn allow_hosts(&mut self) -> Vec<String> {
        let hosts = self.list(ALLOW_HOSTS);
        for host in &hosts {
            if let Err(invalid) = host.parse::<Allowed>() {
                self.fault(ALLOW_HOSTS, invalid);
            }
        }
        hosts
    }

    fn authorities(&mut self) -> Option<PathBuf> {
        let path = self.text(CA_FILE)?;
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let read = read.and_then(|pem| certificates(&pem).map_err(|error| error.to_string()));
        if let Err(error) = read {
            self.fault(CA_FILE, format_args!("`{path}` cannot be used: {error}"));
        }
        Some(PathBuf::from(path))
    }

    /// Finds variables that are nearly ours. Others may be anybody's, such as secrets that references name.
    fn misspelt(&mut self) {
        let known = || {
            let machine = MACHINE.map(|(name, _)| name);
            EVERYWHERE.into_iter().chain(machine).chain(AWS)
        };
        for name in self.variables.keys() {
            if known().any(|known| known == name) {
                continue;
            }
            let nearest = known()
                .map(|known| (strsim::damerau_levenshtein(name, known), known))
                .min();
            if let Some((distance, known)) = nearest
                && distance <= 2
            {
                self.faults
                    .push(format!("{name}: is not known; did you mean `{known}`?"));
            }
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
