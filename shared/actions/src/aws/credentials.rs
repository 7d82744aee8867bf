//! Where the keys come from that requests are signed with.

mod cache;
#[cfg(feature = "local")]
mod command;
mod container;

use super::keys::Keys;
use super::wire::Wire;
use super::{Aws, AwsError, InvalidAws, Service};
use crate::neutral;
use cache::Cache;
use container::Container;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A role to act as, see [`Aws::assume_role`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// What the role's owner asks for so that nobody else can make us act as it.
    pub external_id: Option<String>,
    /// Names the session in the logs of the account; letters that it cannot have become `-`.
    pub session: String,
    /// IAM policy, as JSON, that leaves less than the role may do.
    pub policy: Option<String>,
    /// How long its keys are good, from 15 minutes; sessions that come of a role cannot have more than an hour.
    pub lasting: Duration,
}

/// A source of keys; its `Debug` shows none.
pub(super) enum Source {
    /// They do not change.
    Fixed(Arc<Keys>),
    /// They are got, and got again before they expire.
    Fetched(Cache, From),
}

/// Where keys are got.
pub(super) enum From {
    /// From the place that a container platform names.
    Container(Container),
    /// From the AWS CLI, which knows every way in which people sign in.
    Command,
    /// From STS, with the keys of another client.
    Role(Box<Role>, Box<Aws>),
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => out.write_str("Fixed"),
            Self::Fetched(_, From::Container(_)) => out.write_str("Container"),
            Self::Fetched(_, From::Command) => out.write_str("Command"),
            Self::Fetched(_, From::Role(role, _)) => write!(out, "Role({})", role.arn),
        }
    }
}

/// Keys as places hand them out; they are moved to where they are wiped after use.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "Token")]
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

impl Given {
    /// Reads JSON; what is wrong with it is not told, as that may show a part of it.
    fn read(json: &[u8]) -> Option<Keys> {
        let given: Self = serde_json::from_slice(json).ok()?;
        let token = given.session_token.filter(|token| !token.is_empty());
        Some(Keys::new(
            given.access_key_id,
            given.secret_access_key.into(),
            token.map(SecretString::from),
            given.expiration,
        ))
    }
}

impl Source {
    /// Reads where keys come from out of variables.
    pub(super) fn read(lookup: &mut dyn FnMut(&str) -> Option<String>) -> Result<Self, InvalidAws> {
        match (lookup("AWS_ACCESS_KEY_ID"), lookup("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = lookup("AWS_SESSION_TOKEN").map(SecretString::from);
                let keys = Keys::new(id, secret.into(), token, None);
                return Ok(Self::Fixed(Arc::new(keys)));
            }
            (Some(_), None) => return Err(InvalidAws::HalfCredentials("AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => return Err(InvalidAws::HalfCredentials("AWS_ACCESS_KEY_ID")),
            (None, None) => {}
        }
        let from = match Container::read(lookup)? {
            Some(container) => From::Container(container),
            None => From::Command,
        };
        Ok(Self::Fetched(Cache::default(), from))
    }

    pub(super) fn role(role: Role, aws: Aws) -> Self {
        Self::Fetched(Cache::default(), From::Role(Box::new(role), Box::new(aws)))
    }

    /// The keys to sign with now.
    pub(super) async fn keys(&self, wire: &Wire) -> Result<Arc<Keys>, AwsError> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            Self::Fetched(cache, from) => cache.get(|| from.fetch(wire)).await,
        }
    }

    /// Gives up keys that turned out not to be good any more; false where there cannot be others.
    pub(super) fn forget(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Fetched(cache, _) => {
                cache.forget();
                true
            }
        }
    }
}

impl From {
    async fn fetch(&self, wire: &Wire) -> Result<Keys, AwsError> {
        match self {
            Self::Container(container) => container.fetch(wire).await,
            #[cfg(feature = "local")]
            Self::Command => command::fetch().await,
            // Nobody signs in where functions run: they are handed their keys.
            #[cfg(not(feature = "local"))]
            Self::Command => Err(none(
                "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`",
                false,
            )),
            // A client has its keys from another one, which may have its own in the same way.
            Self::Role(role, aws) => Box::pin(assume(role, aws)).await,
        }
    }
}

async fn assume(role: &Role, aws: &Aws) -> Result<Keys, AwsError> {
    let lasting = role.lasting.as_secs().to_string();
    let session = session(&role.session);
    let mut parameters = vec![
        ("RoleArn", role.arn.as_str()),
        ("RoleSessionName", &session),
        ("DurationSeconds", &lasting),
    ];
    parameters.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
    parameters.extend(role.policy.as_deref().map(|policy| ("Policy", policy)));
    let answer = aws.query(Service::Sts, "AssumeRole", &parameters).await?;
    let text = |name: &str| answer.text_at(&format!("AssumeRoleResult/Credentials/{name}"));
    let keys = || {
        let expires: Timestamp = text("Expiration")?.parse().ok()?;
        Some(Keys::new(
            text("AccessKeyId")?.to_owned(),
            text("SecretAccessKey")?.into(),
            Some(text("SessionToken")?.into()),
            Some(expires),
        ))
    };
    keys().ok_or_else(|| AwsError::Answer {
        service: Service::Sts,
        reason: "it holds no keys".to_owned(),
    })
}

/// A name that a session can have: 2 to 64 letters of a few kinds (API reference of STS, `RoleSessionName`).
fn session(name: &str) -> String {
    let mut name: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter) {
                letter
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    while name.len() < 2 {
        name.push('-');
    }
    name
}

/// There are no keys.
fn none(reason: impl AsRef<str>, transient: bool) -> AwsError {
    AwsError::Credentials {
        reason: neutral::line(reason.as_ref(), 400),
        transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Source, InvalidAws> {
        Source::read(&mut |name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn variables_tell_where_keys_come_from() {
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ];
        let place = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/keys");
        let shown = |variables: &[(&str, &str)]| format!("{:?}", read(variables).unwrap());
        assert_eq!(shown(&[keys[0], keys[1], place]), "Fixed");
        assert_eq!(shown(&[place]), "Container");
        assert_eq!(shown(&[]), "Command");
    }

    #[test]
    fn half_of_the_keys_is_refused() {
        for (name, missing) in [
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        ] {
            let error = read(&[(name, "hunter2")]).unwrap_err();
            assert_eq!(error, InvalidAws::HalfCredentials(missing));
        }
    }

    #[test]
    fn a_session_has_a_name_that_it_can_have() {
        assert_eq!(session("run:0f3c/tell@1"), "run-0f3c-tell@1");
        assert_eq!(session(""), "--");
        assert_eq!(session(&"x".repeat(100)).len(), 64);
    }
}
