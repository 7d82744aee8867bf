use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use jiff::Timestamp;
use ring::hmac::{self, HMAC_SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretString};

/// How far a signed time may lie from now, in seconds; the tolerance that Standard Webhooks recommends.
const TOLERANCE: i64 = 5 * 60;
/// Signatures of one message that are looked at: those of two keys in each of two forms, and room for future ones.
const MOST_SIGNATURES: usize = 16;
/// Bytes of a shared secret of Standard Webhooks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a message does not prove its sender; for the log, never for the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("there is no single header `{0}`")]
    NoHeader(String),
    #[error("`webhook-timestamp` is no number of seconds")]
    NoTime,
    #[error("`webhook-timestamp` lies {0} s away from now")]
    Untimely(u64),
    #[error("no signature fits a secret")]
    NoSignature,
    #[error("the key is none of the secrets")]
    WrongKey,
}

/// A secret that cannot be what the scheme needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnfitSecret {
    #[error("is no `whsec_` secret of 24 to 64 bytes in base64, and no `whpk_` public key")]
    StandardWebhooks,
}

/// The value of a header that is there once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Unproven> {
    let missing = || Unproven::NoHeader(name.to_owned());
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| missing()),
        _ => Err(missing()),
    }
}

/// What proves a sender by Standard Webhooks.
pub(super) enum Key {
    Shared(hmac::Key),
    Public(Vec<u8>),
}

impl Key {
    /// Reads `whsec_` and `whpk_` keys; what has neither prefix is a shared secret, as in the libraries of the standard.
    pub(super) fn read(secret: &SecretString) -> Result<Key, UnfitSecret> {
        let text = secret.expose_secret().trim();
        let decode = |text| {
            BASE64
                .decode(text)
                .map_err(|_| UnfitSecret::StandardWebhooks)
        };
        if let Some(public) = text.strip_prefix("whpk_") {
            let public = decode(public)?;
            return match public.len() {
                32 => Ok(Key::Public(public)),
                _ => Err(UnfitSecret::StandardWebhooks),
            };
        }
        let shared = decode(text.strip_prefix("whsec_").unwrap_or(text))?;
        match SECRET_BYTES.contains(&shared.len()) {
            true => Ok(Key::Shared(hmac::Key::new(HMAC_SHA256, &shared))),
            false => Err(UnfitSecret::StandardWebhooks),
        }
    }

    fn made(&self, version: &str, signature: &[u8], content: &[u8]) -> bool {
        match (self, version) {
            (Key::Shared(key), "v1") => hmac::verify(key, content, signature).is_ok(),
            (Key::Public(key), "v1a") => UnparsedPublicKey::new(&ED25519, key)
                .verify(content, signature)
                .is_ok(),
            _ => false,
        }
    }
}

/// Checks a message of Standard Webhooks: over `id.timestamp.body`, in bytes as they came.
pub(super) fn standard_webhooks(
    keys: &[Key],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Unproven> {
    let id = single(headers, "webhook-id")?;
    let time = single(headers, "webhook-timestamp")?;
    let signatures = single(headers, "webhook-signature")?;
    // Only digits: a sign or a blank would be signed, but is no time of the standard.
    let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let second: i64 = match time.parse() {
        Ok(second) if digits => second,
        _ => return Err(Unproven::NoTime),
    };
    let apart = now.as_second().abs_diff(second);
    if apart > TOLERANCE.unsigned_abs() {
        return Err(Unproven::Untimely(apart));
    }
    let mut content = Vec::with_capacity(id.len() + time.len() + body.len() + 2);
    content.extend_from_slice(id.as_bytes());
    content.push(b'.');
    content.extend_from_slice(time.as_bytes());
    content.push(b'.');
    content.extend_from_slice(body);
    let proven = signatures
        .split_ascii_whitespace()
        .take(MOST_SIGNATURES)
        .filter_map(|signature| signature.split_once(','))
        .filter_map(|(version, signature)| Some((version, BASE64.decode(signature).ok()?)))
        .any(|(version, signature)| {
            keys.iter()
                .any(|key| key.made(version, &signature, &content))
        });
    match proven {
        true => Ok(()),
        false => Err(Unproven::NoSignature),
    }
}

/// Checks `X-Hub-Signature-256`: the HMAC of the body alone, in hex.
pub(super) fn github(
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Unproven> {
    let header = single(headers, "x-hub-signature-256")?;
    let signature = header.strip_prefix("sha256=").and_then(from_hex);
    let signature = signature.ok_or(Unproven::NoSignature)?;
    let proven = secrets.iter().any(|secret| {
        let key = hmac::Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
        hmac::verify(&key, body, &signature).is_ok()
    });
    match proven {
        true => Ok(()),
        false => Err(Unproven::NoSignature),
    }
}

/// Checks a key that a header carries.
pub(super) fn shared_key(
    secrets: &[SecretString],
    headers: &HeaderMap,
    header: &str,
) -> Result<(), Unproven> {
    let given = single(headers, header)?;
    // Digests under the secret are compared, so that neither content nor length of it shows in the time it takes.
    let proven = secrets.iter().any(|secret| {
        let key = hmac::Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
        let expected = hmac::sign(&key, secret.expose_secret().as_bytes());
        hmac::verify(&key, given.as_bytes(), expected.as_ref()).is_ok()
    });
    match proven {
        true => Ok(()),
        false => Err(Unproven::WrongKey),
    }
}

/// Spends the time that the check of a known sender would.
pub(super) fn in_vain(body: &[u8]) {
    let key = hmac::Key::new(HMAC_SHA256, &[0; 32]);
    std::hint::black_box(hmac::verify(&key, body, &[0; 32]).is_ok());
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests;
