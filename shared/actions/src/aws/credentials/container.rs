use super::{Given, none};
use crate::aws::keys::Keys;
use crate::aws::wire::Wire;
use crate::aws::{AwsError, InvalidAws};
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;
use url::{Host, Url};

const LIMIT: Duration = Duration::from_secs(5);
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";

/// The place that a container platform hands out keys at.
///
/// Source: "Container credential provider" of the AWS SDKs and Tools reference guide.
pub(in crate::aws) struct Container {
    url: Url,
    token: Token,
}

enum Token {
    None,
    Text(SecretString),
    /// It changes, and is read each time.
    File(PathBuf),
}

impl Container {
    /// Reads it out of variables; none where they name none.
    pub(super) fn read(
        lookup: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<Option<Self>, InvalidAws> {
        let (variable, url) = match (lookup(RELATIVE), lookup(FULL)) {
            (Some(relative), _) => (RELATIVE, format!("http://169.254.170.2{relative}")),
            (None, Some(full)) => (FULL, full),
            (None, None) => return Ok(None),
        };
        let refused = || InvalidAws::CredentialsPlace(variable);
        let url = Url::parse(&url).map_err(|_| refused())?;
        if !is_safe(&url) || variable == RELATIVE && url.host_str() != Some("169.254.170.2") {
            return Err(refused());
        }
        let file = lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let token = match (file, lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
            (Some(file), _) => Token::File(file.into()),
            (None, Some(token)) => Token::Text(token.into()),
            (None, None) => Token::None,
        };
        Ok(Some(Self { url, token }))
    }

    pub(super) async fn fetch(&self, wire: &Wire) -> Result<Keys, AwsError> {
        let token = match &self.token {
            Token::None => None,
            Token::Text(token) => Some(token.clone()),
            Token::File(path) => {
                let read = tokio::fs::read_to_string(path).await;
                let read = read.map_err(|error| {
                    none(
                        format!("`{}` cannot be read: {error}", path.display()),
                        true,
                    )
                })?;
                Some(SecretString::from(read.trim()))
            }
        };
        let token = token.as_ref().map(ExposeSecret::expose_secret);
        let answer = wire
            .get(&self.url, token, LIMIT)
            .await
            .map_err(|reason| none(format!("the container's place gives none: {reason}"), true))?;
        if answer.status != 200 {
            let later = answer.status == 429 || answer.status >= 500;
            let reason = format!("the container's place answered {}", answer.status);
            return Err(none(reason, later));
        }
        Given::read(&answer.body)
            .ok_or_else(|| none("the container's place gives none that can be used", false))
    }
}

/// Says whether keys may be fetched from there: over TLS, from this machine or from the known addresses of platforms.
fn is_safe(url: &Url) -> bool {
    const ECS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
    const EKS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 23);
    const EKS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);
    let plain = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip == ECS || ip == EKS,
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback() || ip == EKS_V6,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => true,
        "http" => plain,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variable: &str, value: &str) -> Result<Option<Container>, InvalidAws> {
        Container::read(&mut |name| (name == variable).then(|| value.to_owned()))
    }

    #[test]
    fn keys_are_fetched_from_safe_places_only() {
        for good in [
            "http://169.254.170.2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:51679/x",
            "http://[::1]/x",
            "http://localhost/x",
            "https://keys.example.com/x",
        ] {
            assert!(matches!(read(FULL, good), Ok(Some(_))), "{good}");
        }
        for bad in [
            "http://keys.example.com/x",
            "http://169.254.169.254/latest",
            "http://10.0.0.1/x",
            "ftp://localhost/x",
            "nothing",
        ] {
            let refused = read(FULL, bad).err();
            assert_eq!(refused, Some(InvalidAws::CredentialsPlace(FULL)), "{bad}");
        }
    }

    #[test]
    fn a_relative_place_stays_at_its_server() {
        let place = read(RELATIVE, "/v2/keys?id=1").unwrap().unwrap();
        assert_eq!(place.url.as_str(), "http://169.254.170.2/v2/keys?id=1");
        for bad in ["@localhost/x", ".example.com/x", ":99999/x"] {
            assert!(read(RELATIVE, bad).is_err(), "{bad}");
        }
    }
}
