/// Says whether a header, a part of a query or a field is likely to hold a secret, by its name.
#[must_use]
pub fn names_secret(name: &str) -> bool {
    names_credential(name) || words(name).any(|word| matches!(word.as_str(), "key" | "code"))
}

/// Says whether a name is hardly ever given to anything but a secret: what it holds must not stand in a file.
#[must_use]
pub fn names_credential(name: &str) -> bool {
    // Tokens are also what language models count.
    let joined: String = words(name).filter(|word| word != "tokens").collect();
    [
        "token",
        "secret",
        "password",
        "passwd",
        "signature",
        "apikey",
        "accesskey",
        "credential",
        "authorization",
    ]
    .iter()
    .any(|part| joined.contains(part))
        || words(name).any(|word| {
            matches!(
                word.as_str(),
                "sig" | "auth" | "sas" | "pwd" | "cookie" | "bearer"
            )
        })
}

fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(['-', '_', '.', ' '])
        .map(str::to_ascii_lowercase)
}

/// Says whether a text is sent as it stands: neither made by a template nor fetched from where secrets are kept.
pub(crate) fn is_literal(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && !text.contains("{{")
        && !text.contains("{%")
        && !text.starts_with("secret://")
}

/// Finds a credential in an address: its user and password, or a part of its query.
pub(crate) fn in_address(text: &str) -> Option<Credential<'_>> {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if text.contains("://")
        && let Some((user, _)) = place.rsplit_once('@')
        && is_literal(user)
    {
        return Some(Credential::User);
    }
    let (_, query) = rest.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (names_credential(name) && is_literal(value)).then_some(Credential::Query(name))
    })
}

/// Where in an address a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    User,
    /// With the name of the part.
    Query(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials_are_told_from_other_names() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "X-Api-Key",
            "apikey",
            "api_key",
            "Cookie",
            "Set-Cookie",
            "access_token",
            "X-Amz-Signature",
            "client_secret",
            "password",
            "sig",
        ] {
            assert!(names_credential(name) && names_secret(name), "{name}");
        }
        for name in ["Idempotency-Key", "code", "key"] {
            assert!(names_secret(name) && !names_credential(name), "{name}");
        }
        for name in [
            "X-Source",
            "max_tokens",
            "design",
            "author",
            "keyboard",
            "Accept",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn credentials_are_found_in_addresses() {
        assert_eq!(
            in_address("https://user:pw@example.com/x"),
            Some(Credential::User)
        );
        assert_eq!(
            in_address("/v1?page=2&api_key=abc"),
            Some(Credential::Query("api_key"))
        );
        for fine in [
            "https://example.com/?q=a@b",
            "/v1?token={{ params.token }}",
            "a@example.com",
            "https://example.com/@user",
        ] {
            assert_eq!(in_address(fine), None, "{fine}");
        }
    }
}
