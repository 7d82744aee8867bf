//! Ways for mail to leave: a mail server, Amazon SES, or a folder of `.eml` files.

mod message;
mod outbox;
mod pace;
mod ses;
#[cfg(feature = "local")]
mod smtp;

pub use outbox::Outbox;
pub use ses::{Ses, SesSettings};
#[cfg(feature = "local")]
pub use smtp::{Smtp, SmtpSecurity, SmtpSettings};

use crate::notify::email::Email;
use crate::{ActionError, Attempt, Aws, InvalidCertificate, Performed, Secrets, neutral};
use lettre::message::Mailbox;
#[cfg(feature = "local")]
use rustls::pki_types::CertificateDer;
use std::path::PathBuf;
use std::sync::Arc;

/// Sends mail; cheap to clone.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// Hands it to a mail server.
    #[cfg(feature = "local")]
    Smtp(Arc<Smtp>),
    /// Hands it to Amazon SES.
    Ses(Arc<Ses>),
    /// Writes it into a folder.
    Outbox(Arc<Outbox>),
}

/// Who mail is from, and whom findings themselves may name as recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    from: Mailbox,
    finding_domains: Vec<String>,
}

/// Why a mailer cannot be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidMailer {
    /// The sender is no address.
    #[error("sender `{0}` is no address; write for example `Quench <quench@example.com>`")]
    From(String),
    /// Plain text over a network.
    #[error(
        "mail server `{0}` is not this machine; without TLS only `localhost` or a loopback address will do"
    )]
    PlainNotLoopback(String),
    /// The name of the server is not one.
    #[error("mail server `{0}` is no host name")]
    Host(String),
    /// A password without a user, or the other way round.
    #[error("user and password of the mail server go together; one of them is missing")]
    HalfCredentials,
    /// The name of the configuration set is not one.
    #[error("`{0}` is no configuration set of SES; a name has letters, digits, `-` and `_`")]
    ConfigurationSet(String),
    /// So many mails a second cannot be.
    #[error("`{0}` mails a second is no rate; write for example `14`")]
    Rate(f64),
    /// An authority to trust is of no use.
    #[error(transparent)]
    Authority(#[from] InvalidCertificate),
}

impl Sender {
    /// Reads the sender, such as `Quench <quench@example.com>`.
    ///
    /// # Errors
    /// What is no address.
    pub fn new(from: &str) -> Result<Self, InvalidMailer> {
        let invalid = || InvalidMailer::From(neutral::line(from, 80));
        if !neutral::is_plain(from) {
            return Err(invalid());
        }
        let from: Mailbox = from.parse().map_err(|_| invalid())?;
        if crate::notify::email::address(from.email.as_ref()).is_err() {
            return Err(invalid());
        }
        Ok(Self {
            from,
            finding_domains: Vec::new(),
        })
    }

    /// Lets findings name recipients (a tag `owner`, say) in these domains; in no other they can.
    #[must_use]
    pub fn with_finding_domains(mut self, domains: impl IntoIterator<Item = String>) -> Self {
        self.finding_domains = domains
            .into_iter()
            .map(|domain| domain.trim_start_matches('@').to_ascii_lowercase())
            .collect();
        self
    }

    fn domain(&self) -> &str {
        self.from.email.domain()
    }

    fn check_recipients(&self, email: &Email) -> Result<(), ActionError> {
        if !email.recipients_from_finding {
            return Ok(());
        }
        for address in email.to.iter().chain(&email.cc) {
            let domain = address.rsplit('@').next().unwrap_or_default();
            let domain = domain.to_ascii_lowercase();
            if !self.finding_domains.contains(&domain) {
                return Err(ActionError::permanent(format!(
                    "recipient `{address}` comes from the finding, and `{domain}` is not among the domains that findings may name recipients in"
                )));
            }
        }
        Ok(())
    }
}

impl Mailer {
    /// Sets up a mail server; `authorities` are trusted besides the system's.
    ///
    /// # Errors
    /// Settings that cannot be used or are not safe.
    #[cfg(feature = "local")]
    pub fn smtp(
        settings: SmtpSettings,
        sender: Sender,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, InvalidMailer> {
        Smtp::new(settings, sender, authorities).map(|smtp| Self::Smtp(Arc::new(smtp)))
    }

    /// Sets up Amazon SES.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn ses(aws: Aws, settings: SesSettings, sender: Sender) -> Result<Self, InvalidMailer> {
        Ses::new(aws, settings, sender).map(|ses| Self::Ses(Arc::new(ses)))
    }

    /// Sets up a folder, which is made when the first mail is written.
    #[must_use]
    pub fn outbox(folder: PathBuf, sender: Sender) -> Self {
        Self::Outbox(Arc::new(Outbox::new(folder, sender)))
    }

    /// The reference of the secret that it shows its server.
    pub(crate) fn reference(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "local")]
            Self::Smtp(smtp) => smtp.reference(),
            Self::Ses(_) | Self::Outbox(_) => None,
        }
    }

    #[cfg_attr(
        not(feature = "local"),
        expect(unused_variables, reason = "only mail servers want a password")
    )]
    pub(crate) async fn send(
        &self,
        email: &Email,
        secrets: &Secrets,
        attempt: &Attempt,
    ) -> Result<Performed, ActionError> {
        match self {
            #[cfg(feature = "local")]
            Self::Smtp(smtp) => smtp.send(email, secrets, attempt).await,
            Self::Ses(ses) => ses.send(email, attempt).await,
            Self::Outbox(outbox) => outbox.send(email, attempt).await,
        }
    }
}
