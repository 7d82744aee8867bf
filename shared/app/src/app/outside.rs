use super::OpenError;
use crate::config::{Config, Mail};
use quench_actions::mailer::{Sender, SmtpSecurity, SmtpSettings};
use quench_actions::{AddressGuard, HttpClient, HttpRules, Mailer, Outside, Secrets, certificates};
use std::net::IpAddr;
use std::sync::Arc;
use url::Url;

/// Sets up everything that leads outside, except for the connections, which the store holds.
pub(super) fn outside(config: &Config) -> Result<Outside, OpenError> {
    let invalid = |error: &dyn std::fmt::Display| OpenError::Outside(error.to_string());
    let authorities = match &config.authorities {
        None => Vec::new(),
        Some(file) => {
            let told = |error: &dyn std::fmt::Display| {
                OpenError::Outside(format!(
                    "the certificates in `{}` cannot be used: {error}",
                    file.display()
                ))
            };
            let pem = std::fs::read(file).map_err(|error| told(&error))?;
            certificates(&pem).map_err(|error| told(&error))?
        }
    };
    let sender = Sender::new(&config.mail_from)
        .map_err(|error| invalid(&error))?
        .with_finding_domains(config.mail_domains.iter().cloned());
    let mailer = match &config.mail {
        Mail::Outbox => Mailer::outbox(config.outbox(), sender),
        Mail::Smtp {
            url,
            user,
            password,
        } => {
            let settings = SmtpSettings {
                host: host(url),
                port: url.port(),
                security: security(url),
                username: user.clone(),
                password: password.clone(),
            };
            Mailer::smtp(settings, sender, &authorities).map_err(|error| invalid(&error))?
        }
    };
    let allowed = config.allow_hosts.iter().map(String::as_str);
    let guard = AddressGuard::allowing(allowed).map_err(|error| invalid(&error))?;
    Ok(Outside {
        http: HttpClient::new(HttpRules { guard, authorities }).map_err(|error| invalid(&error))?,
        mailer,
        connections: Arc::default(),
        secrets: Secrets::Process,
    })
}

/// The host as sockets take it: IPv6 without brackets.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// `smtps` is TLS from the first byte, `smtp` is TLS after a greeting; a server on this machine needs none.
fn security(url: &Url) -> SmtpSecurity {
    let host = host(url);
    let here = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "smtps" => SmtpSecurity::Tls,
        _ if here => SmtpSecurity::None,
        _ => SmtpSecurity::StartTls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_this_machine_is_spoken_to_in_plain_text() {
        for (url, expected) in [
            ("smtp://mail.example.com", SmtpSecurity::StartTls),
            ("smtps://mail.example.com", SmtpSecurity::Tls),
            ("smtps://localhost", SmtpSecurity::Tls),
            ("smtp://localhost:2525", SmtpSecurity::None),
            ("smtp://127.0.0.1:2525", SmtpSecurity::None),
            ("smtp://[::1]:2525", SmtpSecurity::None),
            ("smtp://localhost.example.com", SmtpSecurity::StartTls),
            ("smtp://10.0.0.1", SmtpSecurity::StartTls),
        ] {
            assert_eq!(security(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_allow_list_or_certificate_file_is_told() {
        let mut config = Config::local("x");
        config.allow_hosts = vec!["not a host".into()];
        let told = outside(&config).unwrap_err().to_string();
        assert!(told.contains("`not a host`"), "{told}");
        let mut config = Config::local("x");
        config.authorities = Some("/nowhere/own.pem".into());
        let told = outside(&config).unwrap_err().to_string();
        assert!(told.contains("`/nowhere/own.pem`"), "{told}");
    }
}
