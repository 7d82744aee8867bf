use super::{Approval, ApprovalState, Proposal};
use crate::app::App;
use crate::run::Run;
use crate::store::{StoreError, Token};
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use quench_actions::notify::approval::{Request, compose};
use quench_actions::notify::email;
use quench_actions::{ActionError, Attempt, Outside};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use url::{Host, Url};

/// Bytes of a token, by chance.
const TOKEN: usize = 32;

/// Why people could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Mail did not leave for so long that an answer would come too late.
    #[error("nobody could be asked before the question expired at {until}")]
    Late {
        /// When it expired.
        until: Timestamp,
    },
    /// Mail does not leave.
    #[error("{to} cannot be asked: {error}")]
    Mail {
        /// Whom it was for.
        to: String,
        /// What the mailer says.
        error: ActionError,
    },
}

impl AskError {
    /// Whether it may go better later; whoever was told by then is not told again.
    pub fn is_transient(&self) -> bool {
        match self {
            AskError::Store(error) => error.is_transient(),
            AskError::Mail { error, .. } => !matches!(error, ActionError::Permanent { .. }),
            AskError::Late { .. } => false,
        }
    }

    /// How long the mailer asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            AskError::Mail {
                error: ActionError::Transient { retry_after, .. },
                ..
            } => *retry_after,
            _ => None,
        }
    }
}

/// Somebody who will not hear of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Mail address.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// Asks: keeps the question, and mails each person who was not told yet a link of his own.
///
/// It may be called again with the same question at any time: after a crash, or because a mail did not leave. Of a mail
/// that may have left before a crash another one follows, under the same id, with another link; both of them lead here.
/// A question that was decided meanwhile is told to nobody else. Yields those whom no mail will ever reach, unless that
/// is everybody.
///
/// `from_finding` says whether the addresses were read from the finding, and `timeout` how long one mail may take.
///
/// # Errors
/// The store fails; a mail may leave later; nobody can be told, or nobody was until it expired.
pub async fn ask(
    app: &App,
    outside: &Outside,
    approval: &Approval,
    from_finding: bool,
    timeout: Duration,
) -> Result<Vec<Untold>, AskError> {
    let approval = match app.store.put_approval(approval).await? {
        true => approval.clone(),
        // Who was told already is written there, and whether somebody has decided.
        false => match app.store.approval(&approval.id).await? {
            Some(known) => known,
            None => approval.clone(),
        },
    };
    if approval.state != ApprovalState::Pending {
        return Ok(Vec::new());
    }
    let now = app.clock.now();
    let nobody_was_told = approval.asked.iter().all(|asked| asked.told.is_none());
    if !approval.is_open(now) {
        app.store.expire_approval(&approval.id, now).await?;
        let until = approval.expires;
        return match nobody_was_told && !approval.asked.is_empty() {
            true => Err(AskError::Late { until }),
            false => Ok(Vec::new()),
        };
    }
    let mut people: Vec<&str> = Vec::new();
    for asked in approval.asked.iter().filter(|asked| asked.told.is_none()) {
        people.push(&asked.to);
    }
    let mut tokens: Vec<Option<SecretString>> = Vec::new();
    if let Some(url) = app.config.url.as_ref().filter(|url| is_private(url)) {
        let (mut links, mut made) = (Vec::new(), Vec::new());
        for to in &people {
            let token = token()?;
            made.push(Token {
                to: (*to).to_owned(),
                hash: hash(token.expose_secret()),
            });
            links.push(link(url, &token));
        }
        // Before anybody is told: a link that is in a mail is known.
        if !made.is_empty() && !app.store.add_tokens(&approval.id, &made).await? {
            return Ok(Vec::new());
        }
        tokens = links;
    }
    let links = tokens.into_iter().chain(std::iter::repeat(None));
    let (mut untold, mut told, mut later) = (Vec::new(), 0, None);
    for (to, link) in people.iter().zip(links) {
        let sent = mail(app, outside, &approval, (to, from_finding), link, timeout).await;
        match sent {
            Ok(()) => {
                told += 1;
                let now = app.clock.now();
                app.store.note_told(&approval.id, to, now).await?;
            }
            Err(ActionError::Permanent { reason }) => untold.push(Untold {
                to: (*to).to_owned(),
                reason,
            }),
            Err(error) => later = later.or(Some(((*to).to_owned(), error))),
        }
    }
    tracing::info!(
        approval.id = approval.id,
        run.id = approval.run,
        told,
        untold = untold.len(),
        "people were asked"
    );
    if let Some((to, error)) = later {
        return Err(AskError::Mail { to, error });
    }
    let before = approval.asked.len() - people.len();
    match untold.first() {
        Some(Untold { to, reason }) if told + before == 0 => Err(AskError::Mail {
            to: to.clone(),
            error: ActionError::Permanent {
                reason: reason.clone(),
            },
        }),
        _ => Ok(untold),
    }
}

async fn mail(
    app: &App,
    outside: &Outside,
    approval: &Approval,
    (to, from_finding): (&str, bool),
    link: Option<SecretString>,
    timeout: Duration,
) -> Result<(), ActionError> {
    let link = link.as_ref().map(ExposeSecret::expose_secret);
    let mail = with_request(approval, |request| compose(request, to, from_finding, link))?;
    let attempt = Attempt {
        key: Run::id_of(&[b"approval mail", approval.id.as_bytes(), to.as_bytes()]),
        round: 0,
        mark: None,
        number: 1,
        timeout,
    };
    let timeout = match app.deadline {
        Some(deadline) => timeout.min(deadline.until_answer()),
        None => timeout,
    };
    let sending = email::perform(&mail, outside, &attempt);
    match tokio::time::timeout(timeout, sending).await {
        Ok(sent) => sent.map(|_| ()),
        Err(_) => Err(ActionError::Unknown {
            reason: "the mailer did not answer in time".to_owned(),
        }),
    }
}

/// Does something with what people are told of a question.
pub(super) fn with_request<T>(approval: &Approval, work: impl FnOnce(&Request<'_>) -> T) -> T {
    let mut request = Request {
        id: &approval.id,
        title: &approval.title,
        risk: approval.risk,
        message: approval.message.as_deref(),
        remediation: None,
        resource: None,
        account: None,
        region: None,
        parameters: None,
        changes: &[],
        content: None,
        warnings: &[],
        finding: &approval.finding.id,
        finding_title: &approval.finding.title,
        severity: approval.finding.severity,
        playbook: &approval.playbook,
        step: &approval.path,
        automation: approval.automation.as_deref(),
        requester: approval.requester.as_deref(),
        run: &approval.run,
        expires: approval.expires,
    };
    let said;
    match &approval.what {
        Proposal::Plan {
            remediation,
            resource,
            account,
            region,
            parameters,
            changes,
            warnings,
        } => {
            said = Value::Object(parameters.clone());
            request.remediation = Some(remediation);
            request.resource = Some(resource);
            request.account = Some(account);
            request.region = Some(region);
            request.parameters = Some(&said);
            request.changes = changes;
            request.warnings = warnings;
        }
        Proposal::Content(content) => request.content = Some(content),
        Proposal::Gate => {}
    }
    work(&request)
}

/// Whether what is sent to this address is read by nobody on the way.
fn is_private(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || here
}

/// The page of a token; addresses of installations may have a path, with or without a slash at its end.
fn link(url: &Url, token: &SecretString) -> Option<SecretString> {
    let mut page = url.clone();
    page.set_query(None);
    page.set_fragment(None);
    page.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["approvals", token.expose_secret()]);
    Some(String::from(page).into())
}

fn token() -> Result<SecretString, StoreError> {
    let mut random = [0; TOKEN];
    getrandom::fill(&mut random).map_err(|error| StoreError::Transient {
        reason: format!("this machine has no random numbers: {error}"),
    })?;
    Ok(URL_SAFE_NO_PAD.encode(random).into())
}

/// What is kept of a token: looking for the digest tells nobody how much of a guess was right.
pub(super) fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// Whether a text has the form of a token: only those are looked for.
pub(super) fn is_token(text: &str) -> bool {
    text.len() <= 64
        && URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same_and_known_by_their_form() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        for token in [&one, &other] {
            assert_eq!(token.expose_secret().len(), 43);
            assert!(is_token(token.expose_secret()));
            assert_eq!(hash(token.expose_secret()).len(), 64);
        }
        for wrong in [
            "",
            "favicon.ico",
            "AAAA",
            &"A".repeat(44),
            &"A".repeat(4000),
            "é",
        ] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn links_lead_below_the_address_and_only_where_nobody_reads_along() {
        let token = SecretString::from("T");
        for (url, expected) in [
            (
                "https://quench.example.com",
                "https://quench.example.com/approvals/T",
            ),
            (
                "https://quench.example.com/a/",
                "https://quench.example.com/a/approvals/T",
            ),
            (
                "https://quench.example.com/a?b#c",
                "https://quench.example.com/a/approvals/T",
            ),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(link(&url, &token).unwrap().expose_secret(), expected);
        }
        for (url, private) in [
            ("https://quench.example.com", true),
            ("http://localhost:8640", true),
            ("http://127.0.0.1:8640", true),
            ("http://[::1]:8640", true),
            ("http://quench.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).unwrap()), private, "{url}");
        }
    }
}
