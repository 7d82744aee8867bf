//! The forms of web and e-mail addresses.

/// Checks the form of an absolute `https` address.
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("https://") else {
        return Err(format!(
            "`{text}` is not an address that begins with `https://`"
        ));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{text}` is not an address"));
    }
    if host.contains('@') {
        return Err("user and password do not belong into an address".to_owned());
    }
    Ok(())
}

/// Checks the form of an e-mail address, with or without a name before it; the error is a message and a help.
pub(crate) fn check_email(text: &str) -> Result<(), (String, Option<String>)> {
    let fault = || {
        (
            format!("`{text}` is not an e-mail address"),
            Some("such as `security@example.com` or `Security <security@example.com>`".to_owned()),
        )
    };
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').ok_or_else(fault)?,
        None => text,
    };
    let (local, domain) = address.rsplit_once('@').ok_or_else(fault)?;
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let fine = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"@".contains(c))
        && domain.len() <= 255
        && domain.split('.').all(label);
    if fine { Ok(()) } else { Err(fault()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_for_form() {
        for good in [
            "a@example.com",
            "Team <a.b+c@sub.example.com>",
            "a@localhost",
        ] {
            assert_eq!(check_email(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a b@example.com",
            "a@exa mple.com",
            "a@example.com>",
            "a@b\r\nbcc:c@d",
        ] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
        assert!(check_url("http://example.com").is_err());
        assert!(check_url("https://").is_err());
        assert!(check_url("https://user:pass@example.com").is_err());
        assert_eq!(check_url("https://example.com/x"), Ok(()));
    }
}
