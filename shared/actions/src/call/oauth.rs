//! OAuth 2.0 client credentials (RFC 6749, section 4.4), with the tokens kept until they expire.

use crate::http_client::{Answer, HttpClient, Request};
use crate::{ActionError, Secrets};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

/// Lifetime of a token whose server does not say.
const USUAL_LIFETIME: Duration = Duration::from_secs(300);
/// Longest time that a token is kept, whatever its server says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);
/// A token is renewed this long before it expires.
const MARGIN: Duration = Duration::from_secs(30);

/// Tokens in use, by the client they were given to; whoever needs one that is on its way waits for it.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<Name, Slot>>);

type Name = [u8; 32];
type Slot = Arc<Mutex<Option<Token>>>;

struct Token {
    value: SecretString,
    good_until: Instant,
}

/// A client as its token server knows it.
pub(crate) struct Client<'a> {
    pub(crate) token_url: &'a str,
    pub(crate) client_id: &'a str,
    /// Secret reference.
    pub(crate) client_secret: &'a str,
    pub(crate) scopes: &'a [String],
}

/// Yields a token that is not `stale`, from the store or the server.
///
/// Whatever goes wrong here, the step's own effect has not taken place: no failure is unknown.
pub(crate) async fn token(
    http: &HttpClient,
    secrets: &Secrets,
    client: &Client<'_>,
    stale: Option<&SecretString>,
    limit: Duration,
) -> Result<SecretString, ActionError> {
    let secret = secrets.resolve(client.client_secret).await?;
    let slot = {
        let mut tokens = http.tokens().0.lock().await;
        Arc::clone(tokens.entry(client.name(&secret)).or_default())
    };
    let mut kept = slot.lock().await;
    if let Some(token) = kept.as_ref() {
        let refused =
            stale.is_some_and(|stale| stale.expose_secret() == token.value.expose_secret());
        if !refused && Instant::now() < token.good_until {
            return Ok(token.value.clone());
        }
    }
    let token = client.ask(http, &secret, limit).await?;
    let value = token.value.clone();
    *kept = Some(token);
    Ok(value)
}

/// How the client proves itself to the token server.
#[derive(Clone, Copy, PartialEq)]
enum Proof {
    /// By HTTP Basic, which every server must know (RFC 6749, section 2.3.1).
    Header,
    /// In the body, which is all that some servers know.
    Body,
}

impl Client<'_> {
    /// Names a client together with its secret, so that a changed secret begins anew.
    fn name(&self, secret: &SecretString) -> Name {
        let mut digest = Sha256::new();
        for part in [self.token_url, self.client_id, secret.expose_secret()]
            .into_iter()
            .chain(self.scopes.iter().map(String::as_str))
        {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    async fn ask(
        &self,
        http: &HttpClient,
        secret: &SecretString,
        limit: Duration,
    ) -> Result<Token, ActionError> {
        let mut answer = self.post(http, secret, Proof::Header, limit).await?;
        if matches!(answer.status, 400 | 401) {
            answer = self.post(http, secret, Proof::Body, limit).await?;
        }
        let began = Instant::now();
        if !answer.succeeded() {
            return Err(about_token(answer.refusal(&[secret.expose_secret()])));
        }
        if !answer.whole {
            return Err(ActionError::transient(format!(
                "answer of token server `{}` broke off",
                answer.host
            )));
        }
        let unfit = |what: &str| {
            ActionError::permanent(format!("answer of token server `{}` {what}", answer.host))
        };
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| unfit("is not JSON"))?;
        let value = body["access_token"]
            .as_str()
            .filter(|token| !token.is_empty())
            .ok_or_else(|| unfit("holds no `access_token`"))?;
        let kind = body["token_type"].as_str().unwrap_or("bearer");
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(unfit("holds a token that is not a bearer token"));
        }
        let lifetime = match &body["expires_in"] {
            Value::Number(seconds) => seconds.as_u64(),
            // Some servers write the number as text.
            Value::String(seconds) => seconds.parse().ok(),
            _ => None,
        };
        let lifetime = lifetime.map_or(USUAL_LIFETIME, Duration::from_secs);
        Ok(Token {
            value: SecretString::from(value),
            good_until: began + lifetime.min(LONGEST_LIFETIME).saturating_sub(MARGIN),
        })
    }

    async fn post(
        &self,
        http: &HttpClient,
        secret: &SecretString,
        proof: Proof,
        limit: Duration,
    ) -> Result<Answer, ActionError> {
        let url = Url::parse(self.token_url).map_err(|error| {
            ActionError::permanent(format!("address of the token server is not valid: {error}"))
        })?;
        let request = self.request(url, secret, proof);
        http.send(request, limit).await.map_err(about_token)
    }

    fn request(&self, url: Url, secret: &SecretString, proof: Proof) -> Request {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match proof {
            Proof::Header => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                headers.insert(
                    AUTHORIZATION,
                    basic(&encode(self.client_id), &encode(secret.expose_secret())),
                );
            }
            Proof::Body => {
                form.append_pair("client_id", self.client_id);
                form.append_pair("client_secret", secret.expose_secret());
            }
        }
        Request {
            method: Method::POST,
            url,
            headers,
            body: Some(Bytes::from(form.finish())),
            repeatable: true,
        }
    }
}

/// The value of `Authorization` for HTTP Basic.
pub(crate) fn basic(username: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{username}:{password}"));
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 fits a header");
    value.set_sensitive(true);
    value
}

fn about_token(error: ActionError) -> ActionError {
    match error {
        ActionError::Transient {
            reason,
            retry_after,
        } => ActionError::Transient {
            reason: format!("no token: {reason}"),
            retry_after,
        },
        ActionError::Permanent { reason } => ActionError::permanent(format!("no token: {reason}")),
        ActionError::Unknown { reason } | ActionError::Pending { reason, .. } => {
            ActionError::transient(format!("no token: {reason}"))
        }
    }
}
