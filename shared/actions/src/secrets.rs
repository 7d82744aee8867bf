//! Secrets by reference: `secret://env/NAME` and `secret://file/ABSOLUTE_PATH`.

use crate::ActionError;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE_LIMIT: u64 = 64 * 1024;

/// Where secret references lead; cheap to clone, and its `Debug` shows no value.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// Environment variables of this process, and files.
    Process,
    /// Values held in memory, by their full reference.
    Held(Arc<BTreeMap<String, SecretString>>),
}

/// Why a secret reference yields nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has not the form of one; the text itself is not repeated, as it may be the secret.
    #[error(
        "text given where a secret reference is needed; write `secret://env/NAME` or `secret://file/ABSOLUTE_PATH`"
    )]
    NotAReference,
    /// It names a place that is not known.
    #[error(
        "secret `{0}` is of no known kind; write `secret://env/NAME` or `secret://file/ABSOLUTE_PATH`"
    )]
    UnknownPlace(String),
    /// There is nothing.
    #[error("secret `{0}` is not set")]
    Missing(String),
    /// It cannot be read.
    #[error("secret `{reference}` cannot be read: {reason}")]
    Unreadable {
        /// The reference.
        reference: String,
        /// Why.
        reason: String,
    },
}

impl From<SecretError> for ActionError {
    fn from(error: SecretError) -> Self {
        Self::permanent(error.to_string())
    }
}

/// A place that a well-formed secret reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable.
    Variable(String),
    /// A file, by its absolute path.
    File(PathBuf),
}

/// Says whether a text is meant as a secret reference.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    text.starts_with("secret://")
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// Anything but the two known forms.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let place = text
            .strip_prefix("secret://")
            .ok_or(SecretError::NotAReference)?;
        let unknown = || SecretError::UnknownPlace(text.to_owned());
        if let Some(name) = place.strip_prefix("env/") {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            return if !name.is_empty() && name.chars().all(plain) {
                Ok(Self::Variable(name.to_owned()))
            } else {
                Err(unknown())
            };
        }
        // Both `secret://file/run/secrets/x` and `secret://file//run/secrets/x` mean `/run/secrets/x`.
        let path = place.strip_prefix("file/").ok_or_else(unknown)?;
        let path = path.trim_start_matches('/');
        if path.is_empty() || path.contains('\0') {
            return Err(unknown());
        }
        Ok(Self::File(Path::new("/").join(path)))
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

    /// Yields the secret that a reference leads to, without the line break that ends a file.
    ///
    /// # Errors
    /// A text that is no reference, and a place that holds nothing.
    pub async fn resolve(&self, reference: &str) -> Result<SecretString, SecretError> {
        let place = Reference::parse(reference)?;
        let missing = || SecretError::Missing(reference.to_owned());
        let value = match self {
            Self::Held(values) => return values.get(reference).cloned().ok_or_else(missing),
            Self::Process => match place {
                Reference::Variable(name) => std::env::var(name).map_err(|_| missing())?,
                Reference::File(path) => read(reference, &path).await?,
            },
        };
        let value = value.trim_end_matches(['\r', '\n']);
        if value.is_empty() {
            return Err(missing());
        }
        Ok(SecretString::from(value))
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
    use secrecy::ExposeSecret;

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

    #[tokio::test]
    async fn a_literal_secret_is_refused_and_not_repeated() {
        let error = Secrets::Process.resolve("hunter2").await.unwrap_err();
        assert_eq!(error, SecretError::NotAReference);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn only_the_two_places_are_known() {
        for text in [
            "secret://vault/x",
            "secret://env/",
            "secret://env/A B",
            "secret://env/A/B",
            "secret://file/",
            "secret://file///",
            "secret://",
            "secret://ENV/A",
        ] {
            assert!(
                matches!(Reference::parse(text), Err(SecretError::UnknownPlace(_))),
                "{text}"
            );
        }
        assert_eq!(
            Reference::parse("secret://file/run/x"),
            Reference::parse("secret://file//run/x")
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let secrets = Secrets::held([("secret://env/A", "hunter2")]);
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
