use super::{AwsError, Service};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::fmt;

/// Whether a request may be sent again when nobody can tell whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// Carrying it out twice is as good as once.
    #[default]
    Safe,
    /// Only an answer that says no, or a request that never left, is followed by another.
    Never,
}

/// A request to a service, before it is signed; its `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// First label of the domain name, where an operation is asked for at one of its own; endpoints that are set by
    /// variables go without.
    pub label: Option<String>,
    /// Segments of the path, not yet encoded.
    pub path: Vec<String>,
    /// Names and values of the query, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Headers besides those of the signature.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Whether it may be sent again on doubt.
    pub repeat: Repeat,
}

impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("length", &self.body.len())
            .field("repeat", &self.repeat)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A request without query, headers and body, which may be repeated.
    #[must_use]
    pub fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            label: None,
            path: path.iter().map(|&part| part.to_owned()).collect(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            repeat: Repeat::Safe,
        }
    }

    /// Asks at a domain name of its own.
    #[must_use]
    pub fn with_label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Adds a part of the query.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes JSON as the body.
    #[must_use]
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self
    }

    /// Says whether it may be sent again on doubt.
    #[must_use]
    pub fn with_repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Path and query as they follow an endpoint.
    pub(super) fn place(&self, service: Service) -> Result<(String, Option<String>), AwsError> {
        let mut path = String::new();
        for segment in &self.path {
            // Both would be taken for a step in the tree of paths, also when they are encoded.
            if matches!(segment.as_str(), "." | "..") {
                return Err(AwsError::Request {
                    service,
                    reason: format!("`{segment}` cannot be a part of a path"),
                });
            }
            path.push('/');
            encode(segment, &mut path);
        }
        if path.is_empty() {
            path.push('/');
        }
        if self.query.is_empty() {
            return Ok((path, None));
        }
        Ok((path, Some(form(&self.query))))
    }
}

/// Names and values as a query or a form.
pub(super) fn form<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> String {
    let mut form = String::new();
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        encode(name.as_ref(), &mut form);
        form.push('=');
        encode(value.as_ref(), &mut form);
    }
    form
}

/// Percent-encodes all but what is unreserved (RFC 3986, section 2.3), as signatures want it.
pub(super) fn encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(HEX[usize::from(byte >> 4)]));
            into.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::Url;

    #[test]
    fn parts_of_a_path_stay_parts() {
        let request = Request::new(Method::GET, &["v1", "a/b ü", "%2e", "x;y=z", "*"]);
        let (path, query) = request.place(Service::Lambda).unwrap();
        assert_eq!(path, "/v1/a%2Fb%20%C3%BC/%252e/x%3By%3Dz/%2A");
        assert_eq!(query, None);
        let root = Request::new(Method::GET, &[]);
        assert_eq!(root.place(Service::S3).unwrap().0, "/");
    }

    #[test]
    fn a_part_that_would_lead_elsewhere_is_refused() {
        for part in [".", ".."] {
            let request = Request::new(Method::GET, &["v1", part, "x"]);
            assert!(request.place(Service::Lambda).is_err(), "{part}");
        }
    }

    #[test]
    fn a_query_is_encoded() {
        let request = Request::new(Method::GET, &["v1"])
            .with_query("a b", "1&2=3")
            .with_query("c", "");
        let (_, query) = request.place(Service::Lambda).unwrap();
        assert_eq!(query.as_deref(), Some("a%20b=1%262%3D3&c="));
    }

    proptest! {
        #[test]
        fn an_address_keeps_the_parts_as_they_were_given(parts in prop::collection::vec("\\PC{1,12}", 1..5)) {
            prop_assume!(parts.iter().all(|part| part != "." && part != ".."));
            let given: Vec<&str> = parts.iter().map(String::as_str).collect();
            let (path, _) = Request::new(Method::GET, &given).place(Service::Lambda).unwrap();
            let mut url = Url::parse("https://lambda.eu-central-1.amazonaws.com/").unwrap();
            url.set_path(&path);
            prop_assert_eq!(url.path(), path.as_str());
            prop_assert_eq!(url.path_segments().unwrap().count(), parts.len());
        }

        #[test]
        fn a_form_is_read_back_as_it_was_given(pairs in prop::collection::vec((".{0,8}", ".{0,8}"), 0..5)) {
            let read: Vec<(String, String)> = url::form_urlencoded::parse(form(&pairs).as_bytes())
                .into_owned()
                .collect();
            prop_assume!(pairs.iter().all(|(name, value)| !name.is_empty() || !value.is_empty()));
            prop_assert_eq!(read, pairs);
        }
    }
}
