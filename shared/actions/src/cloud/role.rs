use crate::neutral;
use crate::secrets::{Reference, SecretError, is_reference};
use std::fmt;

/// The name of a role, with its path where it has one, such as `security/quench-remediation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName(String);

/// A text is no name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a role; write it without account, such as `quench-remediation`, or with its path, such as `security/quench-remediation`"
)]
pub struct InvalidRoleName(String);

/// What the owner of a role asks those for who act as it (user guide of IAM, "The confused deputy problem").
#[derive(Clone, PartialEq, Eq)]
pub enum ExternalId {
    /// Itself.
    Text(String),
    /// A reference that leads to it.
    Secret(String),
}

/// A text is no external id; it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExternalId {
    /// It has letters that it cannot have, or too few or too many.
    #[error(
        "an external id has 2 to 1224 letters and digits, and `_+=,.@:/-`; or write a secret reference"
    )]
    Text,
    /// The reference is none.
    #[error(transparent)]
    Reference(#[from] SecretError),
}

impl RoleName {
    /// Reads it; a `/` before it is not needed.
    ///
    /// # Errors
    /// A text that IAM would not take for one (API reference of IAM, `CreateRole`).
    pub fn parse(text: &str) -> Result<Self, InvalidRoleName> {
        let name = text.trim().trim_start_matches('/');
        let last = name.rsplit('/').next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte);
        let fine = name.len() <= 512
            && (1..=64).contains(&last.len())
            && name.bytes().all(plain)
            && !name.contains("//");
        if fine {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidRoleName(neutral::line(text, 80)))
        }
    }

    pub(super) fn arn(&self, partition: &str, account: &str) -> String {
        format!("arn:{partition}:iam::{account}:role/{}", self.0)
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl ExternalId {
    /// Reads it, or a secret reference that leads to it.
    ///
    /// # Errors
    /// A text that STS would not take for one (API reference of STS, `AssumeRole`), a reference that is none.
    pub fn parse(text: &str) -> Result<Self, InvalidExternalId> {
        if is_reference(text) {
            Reference::parse(text)?;
            return Ok(Self::Secret(text.to_owned()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
        if (2..=1224).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self::Text(text.to_owned()))
        } else {
            Err(InvalidExternalId::Text)
        }
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => out.write_str("Text(…)"),
            Self::Secret(reference) => write!(out, "Secret({reference})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_without_its_account() {
        for (text, arn) in [
            ("quench", "arn:aws:iam::111122223333:role/quench"),
            ("/a/b/quench", "arn:aws:iam::111122223333:role/a/b/quench"),
        ] {
            let name = RoleName::parse(text).unwrap();
            assert_eq!(name.arn("aws", "111122223333"), arn);
        }
        for bad in [
            "",
            "/",
            "a/",
            "a//b",
            "arn:aws:iam::111122223333:role/quench",
            "quench role",
            "*",
            &"x".repeat(65),
        ] {
            let told = RoleName::parse(bad).unwrap_err().to_string();
            assert!(told.contains("without account"), "{bad}");
        }
    }

    #[test]
    fn an_external_id_is_text_or_a_reference_and_is_not_shown() {
        let id = ExternalId::parse("s3cret-id").unwrap();
        assert_eq!(id, ExternalId::Text("s3cret-id".to_owned()));
        assert!(!format!("{id:?}").contains("s3cret"));
        let reference = "secret://secretsmanager/quench#external_id";
        let id = ExternalId::parse(reference).unwrap();
        assert_eq!(id, ExternalId::Secret(reference.to_owned()));
        for bad in ["x", "has space", "secret://nowhere/x", &"x".repeat(1225)] {
            let told = ExternalId::parse(bad).unwrap_err().to_string();
            assert!(!told.contains("has space"), "{told}");
        }
    }
}
