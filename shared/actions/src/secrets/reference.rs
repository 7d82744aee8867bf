use super::SecretError;
use std::path::{Path, PathBuf};

/// A place that a well-formed secret reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable.
    Variable(String),
    /// A file, by its absolute path.
    File(PathBuf),
    /// Something that AWS keeps.
    Stored {
        /// Where.
        place: Stored,
        /// The field of it, where it is a JSON object.
        key: Option<String>,
    },
}

/// A place in AWS that keeps a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stored {
    /// Secrets Manager, by name or ARN.
    Secret(String),
    /// A parameter of Systems Manager, by name or ARN.
    Parameter(String),
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
    /// Anything but the known forms.
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
        if let Some(place) = place.strip_prefix("secretsmanager/") {
            let (id, key) = match place.split_once('#') {
                Some((id, key)) => (id, Some(key.to_owned())),
                None => (place, None),
            };
            let fine = is_stored(id, "/_+=.@-:", 2048) && key.as_deref() != Some("");
            let place = Stored::Secret(id.to_owned());
            return fine
                .then_some(Self::Stored { place, key })
                .ok_or_else(unknown);
        }
        if let Some(name) = place.strip_prefix("ssm/") {
            if !is_stored(name, "/_.-:", 2048) {
                return Err(unknown());
            }
            // A name with levels begins with `/` (API reference of Systems Manager, `PutParameter`).
            let rooted = name.starts_with('/') || name.starts_with("arn:") || !name.contains('/');
            let place = Stored::Parameter(match rooted {
                true => name.to_owned(),
                false => format!("/{name}"),
            });
            return Ok(Self::Stored { place, key: None });
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

/// Says whether a text can be the name of something in AWS.
fn is_stored(name: &str, marks: &str, limit: usize) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || marks.contains(letter);
    (1..=limit).contains(&name.len())
        && name.chars().all(fits)
        && !name.trim_matches('/').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> (Stored, Option<String>) {
        match Reference::parse(text).unwrap() {
            Reference::Stored { place, key } => (place, key),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn only_the_known_places_are_known() {
        for text in [
            "secret://vault/x",
            "secret://env/",
            "secret://env/A B",
            "secret://env/A/B",
            "secret://file/",
            "secret://file///",
            "secret://",
            "secret://ENV/A",
            "secret://secretsmanager/",
            "secret://secretsmanager/#key",
            "secret://secretsmanager/name#",
            "secret://secretsmanager/a b",
            "secret://secretsmanager/a?b",
            "secret://ssm/",
            "secret://ssm//",
            "secret://ssm/a#b",
            "secret://ssm/a b",
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
    fn a_secret_is_named_by_its_name_or_arn_and_a_key() {
        let secret = |id: &str| Stored::Secret(id.to_owned());
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:quench/slack-AbCdEf";
        for (text, id, key) in [
            ("secret://secretsmanager/quench/slack", "quench/slack", None),
            (
                "secret://secretsmanager/slack#token",
                "slack",
                Some("token"),
            ),
            (
                "secret://secretsmanager/slack#a b#c",
                "slack",
                Some("a b#c"),
            ),
            (
                &format!("secret://secretsmanager/{arn}#bot"),
                arn,
                Some("bot"),
            ),
        ] {
            assert_eq!(stored(text), (secret(id), key.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_parameter_with_levels_begins_at_the_root() {
        let arn = "arn:aws:ssm:eu-central-1:111122223333:parameter/quench/token";
        for (text, name) in [
            ("secret://ssm/token", "token"),
            ("secret://ssm//token", "/token"),
            ("secret://ssm/quench/token", "/quench/token"),
            ("secret://ssm//quench/token", "/quench/token"),
            ("secret://ssm/token:3", "token:3"),
            (&format!("secret://ssm/{arn}"), arn),
        ] {
            assert_eq!(
                stored(text),
                (Stored::Parameter(name.to_owned()), None),
                "{text}"
            );
        }
    }
}
