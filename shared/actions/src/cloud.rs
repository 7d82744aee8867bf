//! AWS in the accounts that steps act in: by this process's own credentials, or as a role of such an account.

mod place;
mod refusal;
mod role;

pub use place::Place;
pub(crate) use place::{account_of, chosen, is_account, run_of};
pub(crate) use refusal::{is_denied, refusal};
pub use role::{ExternalId, InvalidExternalId, InvalidRoleName, RoleName};

use crate::aws::{Aws, AwsError, InvalidAws, Role, Service};
use crate::neutral;
use crate::remediate::{Fault, Remediation, Target, session_policy};
use crate::secrets::{SecretError, Secrets};
use crate::{ActionError, Outside};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long the keys of a session are good: the least that STS gives, as no step needs more at once.
const LASTING: Duration = Duration::from_secs(15 * 60);
/// Sessions that are kept for what comes next; the oldest goes first.
const SESSIONS: usize = 64;
const REASON: usize = 400;

/// How other accounts are entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entrance {
    /// The role that is taken on in the account that is acted in, the own one as well; absent means that own credentials
    /// are used, and no other account can be acted in.
    pub role: Option<RoleName>,
    /// What that role asks for, so that nobody else can make us act as it.
    pub external_id: Option<ExternalId>,
}

/// AWS, and how its accounts are entered; cheap to clone, and clones share their sessions.
#[derive(Clone)]
pub struct Cloud(Arc<Shared>);

struct Shared {
    aws: Aws,
    entrance: Entrance,
    secrets: Secrets,
    caller: OnceCell<Caller>,
    sessions: Mutex<VecDeque<(Session, Aws)>>,
}

/// Who calls by the own credentials of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Account, by its twelve digits.
    pub account: String,
    /// ARN.
    pub arn: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    account: String,
    name: String,
    policy: String,
}

/// Why an account cannot be acted in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// This process does not know how to call AWS.
    #[error("this process is not set up to call AWS: {0}")]
    NotSetUp(InvalidAws),
    /// No role is named, and the own credentials are of another account.
    #[error(
        "account {account} cannot be acted in by `{caller}`, which is of account {own}; set `QUENCH_REMEDIATION_ROLE` to the name of a role that account {account} has and that trusts it"
    )]
    NoRole {
        /// The account that was to be acted in.
        account: String,
        /// The account of the own credentials.
        own: String,
        /// Whose credentials they are.
        caller: String,
    },
    /// STS does not let us act as the role.
    #[error("`{role}` cannot be taken on by `{caller}`: {reason}; {}", advice(*.with_id))]
    Refused {
        /// ARN of the role.
        role: String,
        /// Whose credentials were shown.
        caller: String,
        /// Whether an external id was told.
        with_id: bool,
        /// What STS answered.
        reason: String,
    },
    /// The external id cannot be read.
    #[error("`QUENCH_EXTERNAL_ID` cannot be used: {0}")]
    ExternalId(SecretError),
    /// A text that is no region.
    #[error(transparent)]
    Region(InvalidAws),
    /// Nobody knows who we are: there are no credentials, or they are not good.
    #[error("{0}")]
    Credentials(String),
    /// It may be entered later.
    #[error("{reason}")]
    Later {
        /// What happened.
        reason: String,
        /// Whether STS had too much to do.
        throttled: bool,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
}

fn advice(with_id: bool) -> &'static str {
    match with_id {
        true => {
            "the role that `QUENCH_REMEDIATION_ROLE` names must be there, trust the caller and ask for the external id that `QUENCH_EXTERNAL_ID` holds"
        }
        false => {
            "the role that `QUENCH_REMEDIATION_ROLE` names must be there and trust the caller; if it asks for an external id, set `QUENCH_EXTERNAL_ID`"
        }
    }
}

impl NoWay {
    fn of(error: &AwsError, refused: impl FnOnce(String) -> Self) -> Self {
        let reason = neutral::line(&error.to_string(), REASON);
        if error.is_transient() {
            return Self::Later {
                reason,
                throttled: error.is_throttled(),
                retry_after: error.retry_after(),
            };
        }
        match error {
            AwsError::Service(_) => refused(reason),
            _ => Self::Credentials(reason),
        }
    }
}

impl From<NoWay> for Fault {
    fn from(no_way: NoWay) -> Self {
        match no_way {
            NoWay::Later {
                reason,
                throttled,
                retry_after,
            } => Self::Transient {
                reason,
                throttled,
                retry_after,
            },
            NoWay::ExternalId(ref error) if error.is_transient() => Self::Transient {
                reason: no_way.to_string(),
                throttled: false,
                retry_after: None,
            },
            other => Self::Guard(other.to_string()),
        }
    }
}

impl From<NoWay> for ActionError {
    fn from(no_way: NoWay) -> Self {
        Fault::from(no_way).into()
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cloud")
            .field("aws", &self.0.aws)
            .field("entrance", &self.0.entrance)
            .finish_non_exhaustive()
    }
}

impl Cloud {
    /// Acts through a client. Nothing is asked before the first step that needs it.
    #[must_use]
    pub fn new(aws: Aws, entrance: Entrance, secrets: Secrets) -> Self {
        Self(Arc::new(Shared {
            aws,
            entrance,
            secrets,
            caller: OnceCell::new(),
            sessions: Mutex::default(),
        }))
    }

    /// A client that may do what a remediation needs, to its target; `run` names the session in the logs of the account.
    ///
    /// Without a role, in the own account, it may do whatever the own credentials may.
    ///
    /// # Errors
    /// There is no way into the target's account; the message says what to set.
    pub async fn open(
        &self,
        target: &Target,
        remediation: Remediation,
        run: &str,
    ) -> Result<Aws, Fault> {
        let policy = session_policy(remediation, target);
        let entered = self.enter(&target.account, &target.region, &policy, run);
        Ok(entered.await?)
    }

    /// A client for a call that the own account may make by its own credentials: to another account it may do what an IAM
    /// policy says.
    pub(crate) async fn call(
        &self,
        place: &Place,
        policy: impl FnOnce(&str) -> Value,
        run: &str,
    ) -> Result<Aws, NoWay> {
        let caller = self.caller().await?;
        if caller.account == place.account {
            let own = self.0.aws.in_region(&place.region);
            return own.map_err(NoWay::Region);
        }
        let policy = policy(caller.partition());
        self.enter(&place.account, &place.region, &policy, run)
            .await
    }

    /// A client with the own credentials.
    pub(crate) fn own(&self, region: &str) -> Result<Aws, NoWay> {
        self.0.aws.in_region(region).map_err(NoWay::Region)
    }

    /// Whether a role is taken on in other accounts.
    pub(crate) fn has_role(&self) -> bool {
        self.0.entrance.role.is_some()
    }

    /// A client in an account and region that may do what an IAM policy says.
    async fn enter(
        &self,
        account: &str,
        region: &str,
        policy: &Value,
        run: &str,
    ) -> Result<Aws, NoWay> {
        let shared = &self.0;
        let caller = self.caller().await?;
        let Some(role) = &shared.entrance.role else {
            if caller.account != account {
                return Err(NoWay::NoRole {
                    account: account.to_owned(),
                    own: caller.account.clone(),
                    caller: caller.arn.clone(),
                });
            }
            return shared.aws.in_region(region).map_err(NoWay::Region);
        };
        let session = Session {
            account: account.to_owned(),
            name: format!("quench-{run}"),
            policy: policy.to_string(),
        };
        let arn = role.arn(caller.partition(), account);
        let aws = match self.kept(&session) {
            Some(aws) => aws,
            None => self.keep(session, &arn, &caller.arn).await?,
        };
        aws.sign_in().await.map_err(|error| {
            NoWay::of(&error, |reason| NoWay::Refused {
                role: arn,
                caller: caller.arn.clone(),
                with_id: shared.entrance.external_id.is_some(),
                reason,
            })
        })?;
        aws.in_region(region).map_err(NoWay::Region)
    }

    /// Who calls by the own credentials; asked once.
    ///
    /// # Errors
    /// There are no credentials, or STS does not answer.
    pub async fn caller(&self) -> Result<&Caller, NoWay> {
        let aws = &self.0.aws;
        let ask = || async {
            let answer = aws.query(Service::Sts, "GetCallerIdentity", &[]).await;
            let answer = answer.map_err(|error| NoWay::of(&error, NoWay::Credentials))?;
            let text = |name: &str| {
                let text = answer.text_at(&format!("GetCallerIdentityResult/{name}"));
                let lacks = || NoWay::Credentials(format!("answer of STS lacks `{name}`"));
                text.map(str::to_owned).ok_or_else(lacks)
            };
            Ok(Caller {
                account: text("Account")?,
                arn: text("Arn")?,
            })
        };
        self.0.caller.get_or_try_init(ask).await
    }

    /// The region that is acted in where nothing says another.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.aws.region()
    }

    fn kept(&self, session: &Session) -> Option<Aws> {
        let sessions = self.sessions();
        let found = sessions.iter().find(|(known, _)| known == session);
        found.map(|(_, aws)| aws.clone())
    }

    async fn keep(&self, session: Session, arn: &str, caller: &str) -> Result<Aws, NoWay> {
        let shared = &self.0;
        let external_id = match &shared.entrance.external_id {
            None => None,
            Some(ExternalId::Text(text)) => Some(text.clone()),
            Some(ExternalId::Secret(reference)) => {
                let read: Result<SecretString, _> = shared.secrets.resolve(reference).await;
                let read = read.map_err(NoWay::ExternalId)?;
                Some(read.expose_secret().to_owned())
            }
        };
        let role = Role {
            arn: arn.to_owned(),
            external_id,
            session: session.name.clone(),
            policy: Some(session.policy.clone()),
            lasting: LASTING,
        };
        let aws = shared.aws.assume_role(role).on_behalf_of(caller);
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back((session, aws.clone()));
        Ok(aws)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, VecDeque<(Session, Aws)>> {
        let sessions = self.0.sessions.lock();
        sessions.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

impl Outside {
    /// AWS, where this process is set up to call it.
    ///
    /// # Errors
    /// [`NoWay::NotSetUp`], with what is missing.
    pub fn cloud(&self) -> Result<&Cloud, NoWay> {
        let cloud = self.cloud.as_ref();
        cloud.map_err(|missing| NoWay::NotSetUp(missing.clone()))
    }
}
