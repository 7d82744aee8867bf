use super::message::{Composed, compose};
use super::{InvalidMailer, Sender};
use crate::http_client::{find, innermost, speaks_no_tls};
use crate::notify::email::Email;
use crate::trust::mail_parameters;
use crate::{ActionError, Attempt, Performed, Secrets, neutral};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret;
use serde_json::json;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// How long a server may take to answer the good-bye.
const PARTING: Duration = Duration::from_millis(500);
/// Attempts for which one recipient that is put off puts off the whole mail; later the others get it without.
const PATIENCE: u32 = 4;

/// How a connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// In plain text first, then TLS, without which nothing is sent; usually port 587.
    StartTls,
    /// TLS from the first byte; usually port 465.
    Tls,
    /// Plain text; only to this machine.
    None,
}

/// Where the mail server is and how it knows us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    /// Name or address.
    pub host: String,
    /// Port; absent means the usual one of the security.
    pub port: Option<u16>,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// User name, where the server wants one.
    pub username: Option<String>,
    /// Secret reference of the password.
    pub password: Option<String>,
}

/// Hands mail to a mail server, over a connection of its own each.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Option<TlsParameters>,
    security: SmtpSecurity,
    credentials: Option<(String, String)>,
    sender: Sender,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Smtp")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// What became of the recipients.
struct Delivered {
    accepted: Vec<String>,
    refused: Vec<String>,
}

impl Smtp {
    pub(super) fn new(
        settings: SmtpSettings,
        sender: Sender,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, InvalidMailer> {
        let SmtpSettings {
            host,
            port,
            security,
            username,
            password,
        } = settings;
        url::Host::parse(&host)
            .or_else(|_| url::Host::parse(&format!("[{host}]")))
            .map_err(|_| InvalidMailer::Host(neutral::line(&host, 80)))?;
        if security == SmtpSecurity::None && !is_this_machine(&host) {
            return Err(InvalidMailer::PlainNotLoopback(host));
        }
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            _ => return Err(InvalidMailer::HalfCredentials),
        };
        let tls = match security {
            SmtpSecurity::None => None,
            SmtpSecurity::StartTls | SmtpSecurity::Tls => {
                Some(mail_parameters(&host, authorities)?)
            }
        };
        let usual = match security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::None => 25,
        };
        Ok(Self {
            port: port.unwrap_or(usual),
            host,
            tls,
            security,
            credentials,
            sender,
        })
    }

    pub(super) fn reference(&self) -> Option<&str> {
        let (_, password) = self.credentials.as_ref()?;
        Some(password)
    }

    pub(super) async fn send(
        &self,
        email: &Email,
        secrets: &Secrets,
        attempt: &Attempt,
    ) -> Result<Performed, ActionError> {
        self.sender.check_recipients(email)?;
        let mail = compose(email, &self.sender, &attempt.key, SystemTime::now())?;
        let left = AtomicBool::new(false);
        let talk = async {
            let mut connection = self.connect(secrets, attempt.timeout).await?;
            let outcome = self
                .hand_over(&mut connection, email, &mail, attempt, &left)
                .await;
            Ok::<_, ActionError>((connection, outcome))
        };
        let (mut connection, outcome) = match timeout(attempt.timeout, talk).await {
            Ok(talked) => talked?,
            Err(_) => {
                let reason = format!(
                    "`{}` did not answer within {}",
                    self.host,
                    neutral::seconds(attempt.timeout)
                );
                return Err(if left.load(Ordering::Acquire) {
                    ActionError::unknown(reason)
                } else {
                    ActionError::transient(reason)
                });
            }
        };
        // The outcome is settled; how the server takes the good-bye does not change it.
        let _ = timeout(PARTING, connection.abort()).await;
        let delivered = outcome?;
        let Delivered { accepted, refused } = delivered;
        let without = if refused.is_empty() {
            String::new()
        } else {
            format!(", which refused {}", refused.join(", "))
        };
        Ok(Performed {
            summary: format!(
                "mail to {} handed to {}{without}",
                accepted.join(", "),
                self.host
            ),
            output: json!({
                "to": email.to,
                "cc": email.cc,
                "refused": refused,
                "message_id": mail.id,
                "path": null,
            }),
        })
    }

    async fn connect(
        &self,
        secrets: &Secrets,
        limit: Duration,
    ) -> Result<AsyncSmtpConnection, ActionError> {
        let addresses = self.resolve().await?;
        let hello = ClientId::Domain(self.sender.domain().to_owned());
        let wrapped = match self.security {
            SmtpSecurity::Tls => self.tls.clone(),
            SmtpSecurity::StartTls | SmtpSecurity::None => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            addresses.as_slice(),
            Some(limit),
            &hello,
            wrapped,
            None,
        )
        .await
        .map_err(|error| self.failed(&error))?;
        if self.security == SmtpSecurity::StartTls
            && let Some(tls) = &self.tls
        {
            if !connection.can_starttls() {
                return Err(ActionError::permanent(format!(
                    "`{}` does not offer STARTTLS; nothing was sent",
                    self.host
                )));
            }
            connection
                .starttls(tls.clone(), &hello)
                .await
                .map_err(|error| self.failed(&error))?;
        }
        if let Some((username, password)) = &self.credentials {
            let password = secrets.resolve(password).await?;
            let credentials =
                Credentials::new(username.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection
                .auth(&mechanisms, &credentials)
                .await
                .map_err(|error| self.failed(&error))?;
        }
        Ok(connection)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ActionError> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, self.port))
            .await
            .map_err(|error| {
                ActionError::transient(format!(
                    "mail server `{}` has no address: {error}",
                    self.host
                ))
            })?
            .collect();
        if self.security == SmtpSecurity::None {
            // `localhost` may be made to mean another machine.
            addresses.retain(|address| address.ip().is_loopback());
        }
        if addresses.is_empty() {
            return Err(ActionError::permanent(format!(
                "mail server `{}` has no address that may be used",
                self.host
            )));
        }
        Ok(addresses)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        email: &Email,
        mail: &Composed,
        attempt: &Attempt,
        left: &AtomicBool,
    ) -> Result<Delivered, ActionError> {
        let from = self.sender.from.email.clone();
        connection
            .command(Mail::new(Some(from), Vec::new()))
            .await
            .map_err(|error| self.failed(&error))?;
        let mut accepted = Vec::new();
        let mut refused = Vec::new();
        let mut last = None;
        for address in email.to.iter().chain(&email.cc) {
            let recipient: Address = address
                .parse()
                .map_err(|_| ActionError::permanent(format!("`{address}` is no e-mail address")))?;
            match connection.command(Rcpt::new(recipient, Vec::new())).await {
                Ok(_) => accepted.push(address.clone()),
                Err(error) => {
                    let put_off = error.is_transient();
                    let told = error.status().is_some();
                    let error = self.failed(&error);
                    if !told || put_off && attempt.number < PATIENCE {
                        return Err(error);
                    }
                    refused.push(address.clone());
                    // Where all are refused, one that is only put off decides.
                    if put_off || last.is_none() {
                        last = Some(error);
                    }
                }
            }
        }
        if accepted.is_empty() {
            return Err(last.unwrap_or_else(|| ActionError::permanent("`to` names nobody")));
        }
        let go_on = connection
            .command(Data)
            .await
            .map_err(|error| self.failed(&error))?;
        if !go_on.has_code(354) {
            return Err(ActionError::permanent(format!(
                "`{}` answered {} where it should ask for the mail; nothing was sent",
                self.host,
                go_on.code()
            )));
        }
        left.store(true, Ordering::Release);
        match connection.message(&mail.bytes).await {
            Ok(_) => Ok(Delivered { accepted, refused }),
            Err(error) if error.status().is_some() => Err(self.failed(&error)),
            Err(error) => Err(ActionError::unknown(format!(
                "`{}` did not say whether it took the mail: {}",
                self.host,
                innermost(&error)
            ))),
        }
    }

    /// Classes a failure that came before the mail left, or a plain no after it did.
    fn failed(&self, error: &Error) -> ActionError {
        let host = &self.host;
        if let Some(code) = error.status() {
            let reason = format!("`{host}` answered {code}: {}", innermost(error));
            return if error.is_transient() {
                ActionError::transient(reason)
            } else {
                ActionError::permanent(reason)
            };
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = find::<rustls::Error>(error) {
            return ActionError::permanent(format!("certificate of `{host}` is not valid: {why}"));
        }
        if self.security == SmtpSecurity::Tls && speaks_no_tls(error) {
            return ActionError::transient(format!(
                "`{host}` speaks no TLS on port {}: {}; is its address `smtp://`?",
                self.port,
                innermost(error)
            ));
        }
        if error.is_client() {
            return ActionError::permanent(format!("`{host}`: {}", innermost(error)));
        }
        ActionError::transient(format!("`{host}` broke off: {}", innermost(error)))
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
