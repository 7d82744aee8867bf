//! Secrets by reference: `secret://env/NAME`, `secret://file/ABSOLUTE_PATH`, `secret://secretsmanager/NAME#JSON_KEY`
//! and `secret://ssm/NAME`.

mod reference;
mod vault;

pub use reference::{Reference, Stored, is_reference};
pub use vault::{Keeping, Vault};

use crate::{ActionError, Aws};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const FILE_LIMIT: u64 = 64 * 1024;

/// Where secret references lead; cheap to clone, and its `Debug` shows no value.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// Environment variables of this process, and files.
    Process,
    /// The same, and what is kept in Secrets Manager and in the parameters of Systems Manager.
    Aws(Arc<Vault>),
    /// Values held in memory, by their full reference.
    Held(Arc<BTreeMap<String, SecretString>>),
}

/// Why a secret reference yields nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has not the form of one; the text itself is not repeated, as it may be the secret.
    #[error(
        "text given where a secret reference is needed; write `secret://env/NAME`, `secret://file/ABSOLUTE_PATH`, `secret://secretsmanager/NAME` or `secret://ssm/NAME`"
    )]
    NotAReference,
    /// It names a place that is not known.
    #[error(
        "secret `{0}` is of no known kind; write `secret://env/NAME`, `secret://file/ABSOLUTE_PATH`, `secret://secretsmanager/NAME` or `secret://ssm/NAME`"
    )]
    UnknownPlace(String),
    /// There is nothing.
    #[error("secret `{0}` is not set")]
    Missing(String),
    /// It lies in AWS, and this process does not know how to call it.
    #[error(
        "secret `{0}` lies in AWS, which this process is not set up to call; set `AWS_REGION` and credentials"
    )]
    NoAws(String),
    /// This process may not read it.
    #[error("secret `{reference}` may not be read: {reason}")]
    Denied {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
    /// It cannot be read.
    #[error("secret `{reference}` cannot be read: {reason}")]
    Unreadable {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
    /// It cannot be read now, but perhaps later.
    #[error("secret `{reference}` cannot be read now: {reason}")]
    Unavailable {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
}

impl SecretError {
    /// Says whether it may be read later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<SecretError> for ActionError {
    fn from(error: SecretError) -> Self {
        if error.is_transient() {
            Self::transient(error.to_string())
        } else {
            Self::permanent(error.to_string())
        }
    }
}

impl Secrets {
    /// Holds the given values, by reference.
    #[must_use]
    pub fn held<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::Held(Arc::new(
            values
                .into_iter()
                .map(|(reference, value)| (reference.to_owned(), SecretString::from(value)))
                .collect(),
        ))
    }

    /// Reads secrets from AWS too.
    #[must_use]
    pub fn aws(aws: &Aws) -> Self {
        Self::Aws(Arc::new(Vault::new(aws, Keeping::default())))
    }

    /// Yields the secret that a reference leads to, without the line break that ends a file.
    ///
    /// # Errors
    /// A text that is no reference, and a place that holds nothing.
    pub async fn resolve(&self, reference: &str) -> Result<SecretString, SecretError> {
        let place = Reference::parse(reference)?;
        let missing = || SecretError::Missing(reference.to_owned());
        let value = match (self, place) {
            (Self::Held(values), _) => return values.get(reference).cloned().ok_or_else(missing),
            (_, Reference::Variable(name)) if is_own(&name) => return Err(own(reference)),
            (_, Reference::Variable(name)) => std::env::var(name).map_err(|_| missing())?,
            (_, Reference::File(path)) => read(reference, &path).await?,
            (Self::Aws(vault), Reference::Stored { place, key }) => {
                let whole = vault.read(reference, &place).await?;
                match key {
                    Some(key) => field(reference, whole.expose_secret(), &key)?,
                    None => whole.expose_secret().to_owned(),
                }
            }
            (Self::Process, Reference::Stored { .. }) => {
                return Err(SecretError::NoAws(reference.to_owned()));
            }
        };
        let value = value.trim_end_matches(['\r', '\n']);
        if value.is_empty() {
            return Err(missing());
        }
        Ok(SecretString::from(value))
    }

    /// Reads a secret anew if AWS keeps it, and says whether it is another than it was: for when a target refuses it.
    ///
    /// False where it cannot be read, and where that was just done.
    pub async fn has_changed(&self, reference: &str) -> bool {
        match (self, Reference::parse(reference)) {
            (Self::Aws(vault), Ok(Reference::Stored { place, .. })) => {
                vault.has_changed(&place).await
            }
            _ => false,
        }
    }
}

/// A field of a secret that is a JSON object.
fn field(reference: &str, whole: &str, key: &str) -> Result<String, SecretError> {
    let unreadable = |reason: String| SecretError::Unreadable {
        reference: reference.to_owned(),
        reason,
    };
    let fields: serde_json::Map<String, Value> = serde_json::from_str(whole).map_err(|_| {
        unreadable("it is no JSON object, so leave out `#` and what follows".into())
    })?;
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(plain @ (Value::Number(_) | Value::Bool(_))) => Ok(plain.to_string()),
        Some(_) => Err(unreadable(format!("its field `{key}` is no text"))),
        None => Err(unreadable(format!("it has no field `{key}`"))),
    }
}

/// Whether a variable holds the keys that this process signs with: what it may do is not for playbooks to hand on.
fn is_own(variable: &str) -> bool {
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ]
    .contains(&variable)
}

fn own(reference: &str) -> SecretError {
    SecretError::Denied {
        reference: reference.to_owned(),
        reason: "it would tell what this process itself is trusted with".to_owned(),
    }
}

async fn read(reference: &str, path: &Path) -> Result<String, SecretError> {
    let unreadable = |reason: String| SecretError::Unreadable {
        reference: reference.to_owned(),
        reason,
    };
    let about = tokio::fs::metadata(path)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SecretError::Missing(reference.to_owned()),
            _ => unreadable(error.to_string()),
        })?;
    // The system shows the environment of a process as a file as well, by more than one name.
    let real = tokio::fs::canonicalize(path).await;
    let real = real.map_err(|error| unreadable(error.to_string()))?;
    if ["/proc", "/sys"]
        .iter()
        .any(|shown| real.starts_with(shown))
    {
        return Err(own(reference));
    }
    if !about.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    if about.len() > FILE_LIMIT {
        return Err(unreadable(format!(
            "it is larger than {} KiB",
            FILE_LIMIT / 1024
        )));
    }
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_yields_its_text_without_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret with spaces \r\n").unwrap();
        let reference = format!("secret://file{}", path.display());
        let secret = Secrets::Process.resolve(&reference).await.unwrap();
        assert_eq!(secret.expose_secret(), "s3cret with spaces ");
    }

    #[tokio::test]
    async fn a_variable_of_the_process_is_read() {
        let secret = Secrets::Process.resolve("secret://env/PATH").await.unwrap();
        assert_eq!(secret.expose_secret(), std::env::var("PATH").unwrap());
    }

    #[tokio::test]
    async fn what_is_not_there_is_missing_by_its_reference() {
        for reference in [
            "secret://env/QUENCH_NO_SUCH_VARIABLE",
            "secret://file/no/such/file",
        ] {
            assert_eq!(
                Secrets::Process.resolve(reference).await.unwrap_err(),
                SecretError::Missing(reference.to_owned())
            );
        }
    }

    #[tokio::test]
    async fn an_empty_file_and_a_folder_and_a_large_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, "\n").unwrap();
        let of = |path: &Path| format!("secret://file{}", path.display());
        assert!(matches!(
            Secrets::Process.resolve(&of(&path)).await,
            Err(SecretError::Missing(_))
        ));
        assert!(matches!(
            Secrets::Process.resolve(&of(folder.path())).await,
            Err(SecretError::Unreadable { .. })
        ));
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(matches!(
            Secrets::Process.resolve(&of(&path)).await,
            Err(SecretError::Unreadable { .. })
        ));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_this_process_is_trusted_with_is_no_secret_of_a_playbook() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/proc/self/environ", &link).unwrap();
        for reference in [
            "secret://env/AWS_ACCESS_KEY_ID".to_owned(),
            "secret://env/AWS_SECRET_ACCESS_KEY".to_owned(),
            "secret://env/AWS_SESSION_TOKEN".to_owned(),
            "secret://file/proc/self/environ".to_owned(),
            "secret://file/dev/../proc/self/environ".to_owned(),
            format!("secret://file{}", link.display()),
        ] {
            let told = Secrets::Process.resolve(&reference).await.unwrap_err();
            let denied = matches!(told, SecretError::Denied { .. });
            assert!(denied, "{reference}: {told}");
        }
    }

    #[tokio::test]
    async fn a_literal_secret_is_refused_and_not_repeated() {
        let error = Secrets::Process.resolve("hunter2").await.unwrap_err();
        assert_eq!(error, SecretError::NotAReference);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[tokio::test]
    async fn what_aws_keeps_needs_aws() {
        for reference in ["secret://ssm/token", "secret://secretsmanager/slack#token"] {
            let error = Secrets::Process.resolve(reference).await.unwrap_err();
            assert_eq!(error, SecretError::NoAws(reference.to_owned()));
            assert!(error.to_string().contains("AWS_REGION"));
        }
        let held = Secrets::held([("secret://ssm/token", "x")]);
        assert!(held.resolve("secret://ssm/token").await.is_ok());
        assert!(!held.has_changed("secret://ssm/token").await);
    }

    #[test]
    fn a_field_of_a_secret_is_text() {
        let whole = r#"{"token":"t","port":587,"on":true,"list":["hidden"],"none":null}"#;
        let get = |key: &str| field("secret://secretsmanager/x", whole, key);
        assert_eq!(get("token").unwrap(), "t");
        assert_eq!(get("port").unwrap(), "587");
        assert_eq!(get("on").unwrap(), "true");
        for key in ["list", "none", "missing"] {
            let told = get(key).unwrap_err().to_string();
            assert!(told.contains(key) && !told.contains("hidden"), "{told}");
        }
        let told = field("secret://secretsmanager/x", "hunter2", "a").unwrap_err();
        assert!(!told.to_string().contains("hunter2"));
    }

    #[test]
    fn debug_shows_no_value() {
        let secrets = Secrets::held([("secret://env/A", "hunter2")]);
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
