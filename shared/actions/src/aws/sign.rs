//! Signature Version 4, in headers: "Create a signed AWS API request" in the IAM user guide.

use super::keys::{Keys, TERMINATOR};
use super::{AwsError, Service};
use base16ct::lower::encode_string as hex;
use jiff::Timestamp;
use jiff::tz::Offset;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use ring::digest::{Context, SHA256, digest};
use url::Url;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What a signature is good for.
#[derive(Clone, Copy)]
struct Scope<'a> {
    region: &'a str,
    service: &'a str,
    /// Paths are signed as they are sent, and the digest of the body is sent along: so S3 wants it, and nobody else.
    as_s3: bool,
}

/// Adds the headers of Signature Version 4.
pub(super) fn sign(
    service: Service,
    region: &str,
    keys: &Keys,
    now: Timestamp,
    request: (&Method, &Url, &mut HeaderMap, &[u8]),
) -> Result<(), AwsError> {
    let scope = Scope {
        region,
        service: service.signing_name(),
        as_s3: matches!(service, Service::S3 | Service::S3Control),
    };
    authorize(scope, keys, now, request).map_err(|reason| AwsError::Request {
        service,
        reason: format!("it cannot be signed: {reason}"),
    })
}

fn authorize(
    scope: Scope<'_>,
    keys: &Keys,
    now: Timestamp,
    (method, url, headers, body): (&Method, &Url, &mut HeaderMap, &[u8]),
) -> Result<(), String> {
    let time = time(now);
    let day = &time[..8];
    let content = hex(digest(&SHA256, body).as_ref());
    headers.insert(DATE, value(time.clone())?);
    if let Some(token) = keys.token() {
        headers.insert(TOKEN, secret(token.to_owned())?);
    }
    if scope.as_s3 {
        headers.insert(CONTENT, value(content.clone())?);
    }
    let names = names(headers);
    let canonical = {
        let mut canonical = Canonical(Context::new(&SHA256));
        canonical.line(&[method.as_str()]);
        canonical.line(&[&path(url.path(), scope.as_s3)]);
        canonical.line(&[&query(url.query().unwrap_or_default())]);
        for name in &names {
            canonical.header(name, headers, url)?;
        }
        canonical.line(&[]);
        canonical.line(&[&names.join(";")]);
        canonical.add(content.as_bytes());
        hex(canonical.0.finish().as_ref())
    };
    let Scope {
        region, service, ..
    } = scope;
    let text = format!("{ALGORITHM}\n{time}\n{day}/{region}/{service}/{TERMINATOR}\n{canonical}");
    let signature = keys.sign(day, region, service, text.as_bytes());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{day}/{region}/{service}/{TERMINATOR}, SignedHeaders={}, Signature={}",
        keys.id(),
        names.join(";"),
        hex(signature.as_ref())
    );
    headers.insert(AUTHORIZATION, secret(authorization)?);
    Ok(())
}

/// A time such as `20150830T123600Z`.
fn time(now: Timestamp) -> String {
    let now = Offset::UTC.to_datetime(now);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        now.year(),
        now.month(),
        now.day(),
        now.hour(),
        now.minute(),
        now.second()
    )
}

fn value(text: String) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|error| error.to_string())
}

fn secret(text: String) -> Result<HeaderValue, String> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The names of all headers that are signed, in order: those that are there, and `host`.
fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.push(HOST.as_str());
    names.sort_unstable();
    names.dedup();
    names
}

/// The digest of a request in its canonical form, of which no copy is made: it may hold a token.
struct Canonical(Context);

impl Canonical {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.add(part.as_bytes());
        }
        self.add(b"\n");
    }

    fn header(&mut self, name: &str, headers: &HeaderMap, url: &Url) -> Result<(), String> {
        self.add(name.as_bytes());
        self.add(b":");
        let mut values = headers.get_all(name).iter().peekable();
        if values.peek().is_none() {
            // The client sends it.
            let host = url.host_str().ok_or("its address names no host")?;
            self.add(host.as_bytes());
            if let Some(port) = url.port() {
                self.add(format!(":{port}").as_bytes());
            }
        }
        while let Some(value) = values.next() {
            self.words(value.as_bytes());
            if values.peek().is_some() {
                self.add(b",");
            }
        }
        self.add(b"\n");
        Ok(())
    }

    /// A value with one space where it has several, and none around it.
    fn words(&mut self, value: &[u8]) {
        let words = value.split(|byte| *byte == b' ');
        let mut words = words.filter(|word| !word.is_empty());
        if let Some(first) = words.next() {
            self.add(first);
        }
        for word in words {
            self.add(b" ");
            self.add(word);
        }
    }
}

/// A path, encoded once more than it is sent, and without empty parts; for S3 as it is sent.
fn path(sent: &str, as_s3: bool) -> String {
    if as_s3 {
        return sent.to_owned();
    }
    let mut path = String::with_capacity(sent.len());
    for part in sent.split('/').filter(|part| !part.is_empty()) {
        path.push('/');
        super::request::encode(part, &mut path);
    }
    if sent.ends_with('/') || path.is_empty() {
        path.push('/');
    }
    path
}

/// A query in order; it is sent as it is encoded here.
fn query(sent: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = sent
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests;
