use quench_actions::address_guard::Allowed;
use quench_actions::mailer::Sender;
use quench_actions::{certificates, secrets};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::{Host, Url};

/// Everything a process is told when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of the store and the outbox; made where it is missing.
    pub data: PathBuf,
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
    /// How long a message is in hand before it is taken for lost.
    pub visibility: Duration,
    /// After so many deliveries in vain a message becomes a dead letter.
    pub max_receives: u32,
    /// How many messages of a queue are worked on at once.
    pub concurrency: u32,
    /// How long findings, finished runs and dead letters are kept.
    pub retention: Duration,
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
}

/// What is wrong with the environment, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.join("\n"))]
pub struct InvalidConfig {
    /// One line each, beginning with the variable's name.
    pub faults: Vec<String>,
}

const DATA: &str = "QUENCH_DATA";
const SMTP_URL: &str = "QUENCH_SMTP_URL";
const SMTP_PASSWORD: &str = "QUENCH_SMTP_PASSWORD";
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

const VARIABLES: [&str; 13] = [
    DATA,
    SMTP_URL,
    SMTP_PASSWORD,
    MAIL_FROM,
    MAIL_DOMAINS,
    ALLOW_HOSTS,
    CA_FILE,
    PUBLIC_URL,
    LEASE,
    VISIBILITY,
    MAX_RECEIVES,
    CONCURRENCY,
    RETENTION,
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// What holds where nothing is said: everything in this folder, mail into its outbox.
    pub fn local(data: impl Into<PathBuf>) -> Config {
        Config {
            data: data.into(),
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
    /// used.
    ///
    /// # Errors
    /// Variables are wrong; all of them are told.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Config, InvalidConfig> {
        let mut reader = Reader {
            variables,
            faults: Vec::new(),
        };
        let default = Config::local("./quench-data");
        let config = Config {
            data: reader.text(DATA).map_or(default.data, PathBuf::from),
            mail: reader.mail(),
            mail_from: reader.mail_from().unwrap_or(default.mail_from),
            mail_domains: reader.mail_domains(),
            allow_hosts: reader.allow_hosts(),
            authorities: reader.authorities(),
            url: reader.url(PUBLIC_URL, &["https", "http"]),
            lease: reader.seconds(LEASE, 10..=900).unwrap_or(default.lease),
            visibility: reader
                .seconds(VISIBILITY, 10..=43_200)
                .unwrap_or(default.visibility),
            max_receives: reader
                .number(MAX_RECEIVES, 1..=1000)
                .unwrap_or(default.max_receives),
            concurrency: reader
                .number(CONCURRENCY, 1..=256)
                .unwrap_or(default.concurrency),
            retention: reader
                .number(RETENTION, 1..=36_500)
                .map_or(default.retention, |days| DAY * days),
        };
        reader.misspelt();
        if reader.faults.is_empty() {
            Ok(config)
        } else {
            Err(InvalidConfig {
                faults: reader.faults,
            })
        }
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.data.join("quench.db")
    }

    /// The folder that mail goes to where no mail server is named.
    pub fn outbox(&self) -> PathBuf {
        self.data.join("outbox")
    }

    /// The same, but in another folder.
    #[must_use]
    pub fn in_folder(mut self, data: &Path) -> Config {
        data.clone_into(&mut self.data);
        self
    }
}

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
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
        if Host::parse(url.host_str().unwrap_or_default()).is_err() {
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
            if !matches!(Host::parse(bare), Ok(Host::Domain(_))) || bare.contains(['*', '@']) {
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
        for name in self.variables.keys() {
            if VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let nearest = VARIABLES
                .into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
        Config::from_variables(
            &variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn nothing_set_means_the_defaults() {
        assert_eq!(read(&[]).unwrap(), Config::local("./quench-data"));
        assert_eq!(read(&[("QUENCH_LEASE_SECONDS", " ")]), read(&[]));
    }

    #[test]
    fn every_variable_is_read() {
        let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/authority.pem");
        let config = read(&[
            ("QUENCH_DATA", "/var/lib/quench"),
            (
                "QUENCH_SMTP_URL",
                "smtps://bot%40example.com@mail.example.com:465",
            ),
            ("QUENCH_SMTP_PASSWORD", "secret://env/MAIL_PASSWORD"),
            ("QUENCH_MAIL_FROM", "Security <security@example.com>"),
            ("QUENCH_ALLOW_HOSTS", "10.0.0.0/8, tickets.example.com,"),
            ("QUENCH_MAIL_DOMAINS", "example.com"),
            ("QUENCH_CA_FILE", authority),
            ("QUENCH_URL", "https://quench.example.com"),
            ("QUENCH_LEASE_SECONDS", "60"),
            ("QUENCH_VISIBILITY_SECONDS", "90"),
            ("QUENCH_MAX_RECEIVES", "3"),
            ("QUENCH_CONCURRENCY", "2"),
            ("QUENCH_RETENTION_DAYS", "30"),
        ])
        .unwrap();
        assert_eq!(
            config,
            Config {
                data: "/var/lib/quench".into(),
                mail: Mail::Smtp {
                    url: Url::parse("smtps://mail.example.com:465").unwrap(),
                    user: Some("bot@example.com".into()),
                    password: Some("secret://env/MAIL_PASSWORD".into()),
                },
                mail_from: "Security <security@example.com>".into(),
                mail_domains: vec!["example.com".into()],
                authorities: Some(authority.into()),
                allow_hosts: vec!["10.0.0.0/8".into(), "tickets.example.com".into()],
                url: Some(Url::parse("https://quench.example.com").unwrap()),
                lease: Duration::from_secs(60),
                visibility: Duration::from_secs(90),
                max_receives: 3,
                concurrency: 2,
                retention: 30 * DAY,
            }
        );
    }

    #[test]
    fn all_faults_are_told_at_once_by_variable() {
        let invalid = read(&[
            ("QUENCH_SMTP_URL", "http://mail.example.com"),
            ("QUENCH_SMTP_PASSWORD", "hunter2"),
            ("QUENCH_MAIL_FROM", "nobody"),
            ("QUENCH_MAIL_DOMAINS", "@example.com, *.example.org"),
            (
                "QUENCH_ALLOW_HOSTS",
                "not a host, 10.0.0.0/8, *.example.com, 10.0.0.0/99, tickets.example.com:8443",
            ),
            ("QUENCH_CA_FILE", "/nowhere/own.pem"),
            ("QUENCH_LEASE_SECONDS", "1"),
            ("QUENCH_CONCURRENCY", "many"),
            ("QUENCH_RETENTION_DAYS", "0"),
            ("QUENCH_ALOW_HOSTS", "x"),
        ])
        .unwrap_err();
        assert_eq!(
            invalid.faults,
            [
                "QUENCH_SMTP_PASSWORD: is no secret reference, such as `secret://env/NAME` or `secret://file/PATH`",
                "QUENCH_SMTP_URL: is no address that begins with `smtp://…` or `smtps://…`",
                "QUENCH_MAIL_FROM: `nobody` is no mail address, such as `Quench <quench@example.com>`",
                "QUENCH_MAIL_DOMAINS: `*.example.org` is no domain, such as `example.com`",
                "QUENCH_ALLOW_HOSTS: `not a host` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
                "QUENCH_ALLOW_HOSTS: `*.example.com` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
                "QUENCH_ALLOW_HOSTS: `10.0.0.0/99` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
                "QUENCH_CA_FILE: `/nowhere/own.pem` cannot be used: No such file or directory (os error 2)",
                "QUENCH_LEASE_SECONDS: `1` is no whole number from 10 to 900",
                "QUENCH_CONCURRENCY: `many` is no whole number from 1 to 256",
                "QUENCH_RETENTION_DAYS: `0` is no whole number from 1 to 36500",
                "QUENCH_ALOW_HOSTS: is not known; did you mean `QUENCH_ALLOW_HOSTS`?",
            ]
        );
        assert_eq!(invalid.to_string().lines().count(), 12);
    }

    #[test]
    fn secrets_are_never_repeated() {
        for variables in [
            &[("QUENCH_SMTP_URL", "smtp://bot:hunter2@mail.example.com")][..],
            &[("QUENCH_SMTP_URL", "ftp://bot:hunter2@mail.example.com")],
            &[
                ("QUENCH_SMTP_URL", "smtp://bot@mail.example.com"),
                ("QUENCH_SMTP_PASSWORD", "hunter2"),
            ],
        ] {
            let told = read(variables).unwrap_err().to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_mail_server_needs_a_host_and_its_password_a_whole_reference() {
        for (variables, expected) in [
            (
                &[("QUENCH_SMTP_URL", "smtp://mail%20server")][..],
                "QUENCH_SMTP_URL: names no host",
            ),
            (
                &[
                    ("QUENCH_SMTP_URL", "smtp://bot@mail.example.com"),
                    ("QUENCH_SMTP_PASSWORD", "secret://vault/mail"),
                ],
                "QUENCH_SMTP_PASSWORD: is no secret reference, such as `secret://env/NAME` or `secret://file/PATH`",
            ),
        ] {
            assert_eq!(read(variables).unwrap_err().faults, [expected]);
        }
    }

    #[test]
    fn a_file_without_certificates_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let told = read(&[("QUENCH_CA_FILE", path)]).unwrap_err().to_string();
        assert_eq!(
            told,
            format!(
                "QUENCH_CA_FILE: `{path}` cannot be used: certificates cannot be used: there is none in the text"
            )
        );
    }

    #[test]
    fn a_user_needs_a_password_and_a_password_a_user() {
        for variables in [
            &[("QUENCH_SMTP_URL", "smtp://bot@mail.example.com")][..],
            &[
                ("QUENCH_SMTP_URL", "smtp://mail.example.com"),
                ("QUENCH_SMTP_PASSWORD", "secret://env/X"),
            ],
            &[("QUENCH_SMTP_PASSWORD", "secret://env/X")],
        ] {
            assert_eq!(read(variables).unwrap_err().faults.len(), 1);
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert!(read(&[("QUENCH_SLACK_HOOK", "x"), ("QUENCH_CORPUS", "y")]).is_ok());
    }
}
