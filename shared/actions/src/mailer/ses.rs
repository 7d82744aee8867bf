use super::message::compose;
use super::pace::Pace;
use super::{InvalidMailer, Sender};
use crate::aws::{Aws, AwsError, Limits, Repeat, Request, Service, ServiceError};
use crate::notify::email::Email;
use crate::{ActionError, Attempt, Performed, neutral};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Time that is left for handing a mail over after waiting for its turn, where the step gives so much.
const HANDOVER: Duration = Duration::from_secs(5);
/// When to ask again after a day's quota is used up; it is a window that moves.
const QUOTA_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How mail leaves through Amazon SES.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SesSettings {
    /// Configuration set, which decides about suppression and where bounces and complaints are told.
    pub configuration_set: Option<String>,
    /// Most mails a second of this process; absent means no limit of our own.
    pub rate: Option<f64>,
}

/// Hands mail to Amazon SES.
///
/// SES gives every mail an id and a date of its own, in place of those it was composed with. It takes mail to addresses
/// on its suppression list as well, and lets it go no further: only the events of the configuration set tell of that,
/// as they do of bounces.
pub struct Ses {
    aws: Aws,
    sender: Sender,
    configuration_set: Option<String>,
    pace: Option<Pace>,
}

impl fmt::Debug for Ses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ses")
            .field("region", &self.aws.region())
            .field("sender", &self.sender)
            .field("configuration_set", &self.configuration_set)
            .finish_non_exhaustive()
    }
}

impl Ses {
    pub(super) fn new(
        aws: Aws,
        settings: SesSettings,
        sender: Sender,
    ) -> Result<Self, InvalidMailer> {
        let SesSettings {
            configuration_set,
            rate,
        } = settings;
        if let Some(name) = &configuration_set
            && !is_tag(name, 64)
        {
            return Err(InvalidMailer::ConfigurationSet(neutral::line(name, 80)));
        }
        let pace = match rate {
            None => None,
            Some(rate) => Some(Pace::per_second(rate).ok_or(InvalidMailer::Rate(rate))?),
        };
        Ok(Self {
            aws,
            sender,
            configuration_set,
            pace,
        })
    }

    pub(super) async fn send(
        &self,
        email: &Email,
        attempt: &Attempt,
    ) -> Result<Performed, ActionError> {
        self.sender.check_recipients(email)?;
        let mail = compose(email, &self.sender, &attempt.key, SystemTime::now())?;
        let began = Instant::now();
        if let Some(pace) = &self.pace {
            let within = attempt.timeout - HANDOVER.min(attempt.timeout / 2);
            pace.turn(within)
                .await
                .map_err(|wait| ActionError::Transient {
                    reason: format!(
                        "too many mails wait for SES; this one's turn comes in about {}",
                        neutral::seconds(wait)
                    ),
                    retry_after: Some(wait),
                })?;
        }
        let left = attempt.timeout.saturating_sub(began.elapsed());
        let aws = self.aws.with_limits(Limits {
            attempt: left,
            total: left,
            attempts: 3,
            answer: 64 * 1024,
        });
        let request = Request::new(Method::POST, &["v2", "email", "outbound-emails"])
            .with_json(&self.body(email, &mail.bytes))
            .with_repeat(Repeat::Never);
        let id = match aws.rest(Service::Ses, "SendEmail", request).await {
            Ok(answer) => answer["MessageId"].as_str().map(|id| self.message_id(id)),
            Err(error) if error.is_done() => None,
            Err(error) => return Err(failed(&error)),
        };
        Ok(Performed {
            summary: format!("mail to {} handed to SES", email.to.join(", ")),
            output: json!({
                "to": email.to,
                "cc": email.cc,
                "refused": [],
                "message_id": id,
                "path": null,
            }),
        })
    }

    fn body(&self, email: &Email, bytes: &[u8]) -> Value {
        let mut body = json!({
            "FromEmailAddress": self.sender.from.email.to_string(),
            "Destination": { "ToAddresses": email.to, "CcAddresses": email.cc },
            "Content": { "Raw": { "Data": STANDARD.encode(bytes) } },
        });
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = json!(name);
        }
        if let Some(run) = email.run.as_deref().filter(|run| is_tag(run, 256)) {
            body["EmailTags"] = json!([{ "Name": "run", "Value": run }]);
        }
        body
    }

    /// The `Message-ID` that SES gives a mail (developer guide, "Headers": `id@region.amazonses.com`).
    fn message_id(&self, id: &str) -> String {
        let place = match self.aws.region() {
            "us-east-1" => "email",
            region => region,
        };
        format!("<{}@{place}.amazonses.com>", neutral::line(id, 200))
    }
}

/// Says whether a text has only letters that SES takes in names and tags.
fn is_tag(text: &str, limit: usize) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    (1..=limit).contains(&text.len()) && text.chars().all(fits)
}

/// Classes what kept a mail from being handed over.
fn failed(error: &AwsError) -> ActionError {
    if let Some(refused) = error.service_error() {
        return refusal(refused, error);
    }
    let reason = error.to_string();
    if error.is_in_doubt() {
        ActionError::unknown(reason)
    } else if error.is_transient() {
        ActionError::transient(reason)
    } else {
        ActionError::permanent(reason)
    }
}

/// Source of the codes: API reference of SES, version 2, `SendEmail`.
fn refusal(refused: &ServiceError, error: &AwsError) -> ActionError {
    let with = |hint: &str| format!("{refused}; {hint}");
    let later = |reason: String, retry_after: Option<Duration>| ActionError::Transient {
        reason,
        retry_after: refused.retry_after.or(retry_after),
    };
    match refused.code.as_str() {
        "SendingPausedException" => later(
            with("sending is paused for the account or the configuration set; resume it in SES"),
            Some(QUOTA_PAUSE),
        ),
        "AccountSuspendedException" => ActionError::permanent(with(
            "AWS has suspended the account's sending; answer its support case",
        )),
        "MailFromDomainNotVerifiedException" => ActionError::permanent(with(
            "the DNS records of the MAIL FROM domain are not as SES wants them; see its identity in SES",
        )),
        "NotFoundException" => ActionError::permanent(with(
            "the configuration set does not exist in this region; check `QUENCH_SES_CONFIGURATION_SET`",
        )),
        "MessageRejected" if refused.message.contains("not verified") => {
            ActionError::permanent(with(
                "verify the identity in this region's SES; while the account is in the sandbox, recipients need it too",
            ))
        }
        "AccessDeniedException" | "AccessDenied" => ActionError::permanent(with(
            "the role needs `ses:SendEmail` and `ses:SendRawEmail` for the sender's identity and the configuration set",
        )),
        _ if refused.message.contains("Daily message quota") => later(
            with("the day's quota of mail is used up; ask AWS for a higher one"),
            Some(QUOTA_PAUSE),
        ),
        _ if error.is_throttled() => later(
            with("mail is sent faster than SES allows; lower `QUENCH_SES_RATE`"),
            None,
        ),
        _ if error.is_in_doubt() => ActionError::unknown(refused.to_string()),
        _ if error.is_transient() => later(refused.to_string(), None),
        _ => ActionError::permanent(refused.to_string()),
    }
}
