use super::{AwsError, InvalidAws};
use aws_credential_types::Credentials;
use std::fmt;

/// Where the keys come from that requests are signed with; its `Debug` shows none.
pub(super) enum Source {
    /// They do not change.
    Fixed(Credentials),
    /// There are none, for this reason.
    Missing,
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Fixed(_) => "Fixed",
            Self::Missing => "Missing",
        })
    }
}

impl Source {
    /// Reads where they come from out of variables.
    pub(super) fn read(lookup: &mut dyn FnMut(&str) -> Option<String>) -> Result<Self, InvalidAws> {
        let mut set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = set("AWS_SESSION_TOKEN");
                Ok(Self::Fixed(keys(id, secret, token)))
            }
            (Some(_), None) => Err(InvalidAws::HalfCredentials("AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(InvalidAws::HalfCredentials("AWS_ACCESS_KEY_ID")),
            (None, None) => Ok(Self::Missing),
        }
    }

    pub(super) async fn keys(&self) -> Result<Credentials, AwsError> {
        match self {
            Self::Fixed(keys) => Ok(keys.clone()),
            Self::Missing => Err(AwsError::Credentials {
                reason: "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`".to_owned(),
                transient: false,
            }),
        }
    }
}

fn keys(id: String, secret: String, token: Option<String>) -> Credentials {
    Credentials::new(id, secret, token, None, "quench")
}
