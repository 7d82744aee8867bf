use jiff::Timestamp;
use ring::hmac::{self, HMAC_SHA256};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What the keys of signatures are derived for last.
pub(super) const TERMINATOR: &str = "aws4_request";

/// Keys that requests are signed with, wiped when nobody has them any more; its `Debug` shows none.
pub(super) struct Keys {
    id: String,
    secret: SecretString,
    token: Option<SecretString>,
    expires: Option<Timestamp>,
    derived: Mutex<Vec<Derived>>,
}

/// A key that signs requests to one service in one region for one day.
struct Derived {
    day: String,
    region: String,
    service: String,
    key: SecretBox<[u8; 32]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Keys {
    pub(super) fn new(
        id: String,
        secret: SecretString,
        token: Option<SecretString>,
        expires: Option<Timestamp>,
    ) -> Self {
        Self {
            id,
            secret,
            token,
            expires,
            derived: Mutex::default(),
        }
    }

    /// The name of the keys, which is no secret.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What goes along with keys that are good for some time.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Until when they are good, if that is said.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Authenticates a text by what is derived from the secret key for a day (`20150830`), a region and a service.
    pub(super) fn sign(&self, day: &str, region: &str, service: &str, text: &[u8]) -> hmac::Tag {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        let known = derived
            .iter()
            .position(|known| known.is_for(day, region, service));
        let known = known.unwrap_or_else(|| {
            // What another day was signed with is not needed again.
            derived.retain(|known| known.day == day);
            derived.push(Derived {
                day: day.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
                key: derive(&self.secret, [day, region, service, TERMINATOR]),
            });
            derived.len() - 1
        });
        authenticate(derived[known].key.expose_secret(), text)
    }
}

impl Derived {
    fn is_for(&self, day: &str, region: &str, service: &str) -> bool {
        self.service == service && self.region == region && self.day == day
    }
}

fn derive(secret: &SecretString, scope: [&str; 4]) -> SecretBox<[u8; 32]> {
    let secret = secret.expose_secret();
    // It is not to grow: what it leaves behind would not be wiped.
    let mut first = String::with_capacity("AWS4".len() + secret.len());
    first.push_str("AWS4");
    first.push_str(secret);
    let first = SecretString::from(first);
    let [day, rest @ ..] = scope;
    let start = authenticate(first.expose_secret().as_bytes(), day.as_bytes());
    SecretBox::init_with_mut(|key: &mut [u8; 32]| {
        key.copy_from_slice(start.as_ref());
        for part in rest {
            let next = authenticate(&key[..], part.as_bytes());
            key.copy_from_slice(next.as_ref());
        }
    })
}

fn authenticate(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base16ct::lower::encode_string as hex;

    fn keys() -> Keys {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        Keys::new("AKIDEXAMPLE".to_owned(), secret.into(), None, None)
    }

    /// Those of the AWS General Reference, "Examples of how to derive a signing key".
    #[test]
    fn the_published_examples_have_their_published_keys() {
        for (day, key) in [
            (
                "20120215",
                "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d",
            ),
            (
                "20150830",
                "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
            ),
        ] {
            let derived = derive(&keys().secret, [day, "us-east-1", "iam", TERMINATOR]);
            assert_eq!(hex(derived.expose_secret()), key);
        }
    }

    #[test]
    fn what_is_kept_signs_as_what_is_derived_anew() {
        let kept = keys();
        for (day, region, service) in [
            ("20261122", "eu-central-1", "dynamodb"),
            ("20261122", "eu-central-1", "sqs"),
            ("20261122", "us-east-1", "sqs"),
            ("20261122", "eu-central-1", "dynamodb"),
            ("20261123", "eu-central-1", "dynamodb"),
            ("20261122", "eu-central-1", "dynamodb"),
        ] {
            let anew = keys().sign(day, region, service, b"text");
            let sign = kept.sign(day, region, service, b"text");
            assert_eq!(sign.as_ref(), anew.as_ref());
            let again = kept.sign(day, region, service, b"text");
            assert_eq!(again.as_ref(), anew.as_ref());
        }
        assert_eq!(kept.derived.lock().unwrap().len(), 1, "those of one day");
    }

    #[test]
    fn keys_are_not_shown() {
        let token = Some("never-to-be-shown".into());
        let keys = Keys::new("AKID".to_owned(), "never-to-be-shown".into(), token, None);
        keys.sign("20261122", "eu-central-1", "sqs", b"text");
        let shown = format!("{keys:?}");
        assert_eq!(shown, "Keys { expires: None, .. }");
    }
}
