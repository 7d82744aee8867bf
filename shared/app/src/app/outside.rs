use super::OpenError;
use crate::config::{Config, Mail};
use quench_actions::aws::Aws;
use quench_actions::cloud::{Cloud, Entrance};
use quench_actions::mailer::{Sender, SesSettings};
#[cfg(feature = "local")]
use quench_actions::mailer::{SmtpSecurity, SmtpSettings};
use quench_actions::{
    AddressGuard, CertificateDer, HttpClient, Mailer, Outside, Secrets, Trust, certificates,
};
#[cfg(feature = "local")]
use std::net::IpAddr;
use std::sync::Arc;
#[cfg(feature = "local")]
use url::Url;

/// Sets up everything that leads outside from one machine, except for the connections, which the store holds.
#[cfg(feature = "local")]
pub(super) fn on_machine(
    config: &Config,
    variables: impl FnMut(&str) -> Option<String>,
) -> Result<Outside, OpenError> {
    let authorities = authorities(config)?;
    let mailer = match &config.mail {
        Mail::Outbox => {
            let folder = config.outbox();
            let folder = folder.ok_or_else(|| invalid("an outbox needs a data folder"))?;
            Mailer::outbox(folder, sender(config)?)
        }
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
            Mailer::smtp(settings, sender(config)?, &authorities).map_err(invalid)?
        }
        Mail::Ses { .. } => return Err(invalid("mail through SES is for AWS only")),
    };
    let trust = Trust::system(&authorities).map_err(invalid)?;
    let secrets = Secrets::Process;
    Ok(Outside {
        http: http(config, &trust)?,
        mailer,
        connections: Arc::default(),
        cloud: Aws::new(variables, &trust).map(|aws| cloud(config, aws, &secrets)),
        secrets,
    })
}

/// Sets up AWS and everything else that leads outside from it, over one TLS configuration and one set of authorities.
pub(super) fn on_aws(
    config: &Config,
    variables: impl FnMut(&str) -> Option<String>,
) -> Result<(Aws, Outside), OpenError> {
    let trust = Trust::built_in(&authorities(config)?).map_err(invalid)?;
    let aws = Aws::new(variables, &trust).map_err(invalid)?;
    let mailer = match &config.mail {
        Mail::Ses {
            configuration_set,
            rate,
        } => {
            let settings = SesSettings {
                configuration_set: configuration_set.clone(),
                rate: rate.map(f64::from),
            };
            Mailer::ses(aws.clone(), settings, sender(config)?).map_err(invalid)?
        }
        Mail::Outbox | Mail::Smtp { .. } => {
            return Err(invalid("on AWS mail goes through SES"));
        }
    };
    let secrets = Secrets::aws(&aws);
    let outside = Outside {
        http: http(config, &trust)?,
        mailer,
        connections: Arc::default(),
        cloud: Ok(cloud(config, aws.clone(), &secrets)),
        secrets,
    };
    Ok((aws, outside))
}

fn cloud(config: &Config, aws: Aws, secrets: &Secrets) -> Cloud {
    let entrance = Entrance {
        role: config.remediation_role.clone(),
        external_id: config.external_id.clone(),
    };
    Cloud::new(aws, entrance, secrets.clone())
}

fn invalid(error: impl std::fmt::Display) -> OpenError {
    OpenError::Outside(error.to_string())
}

fn authorities(config: &Config) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let Some(file) = &config.authorities else {
        return Ok(Vec::new());
    };
    let told = |error: &dyn std::fmt::Display| {
        invalid(format_args!(
            "the certificates in `{}` cannot be used: {error}",
            file.display()
        ))
    };
    let pem = std::fs::read(file).map_err(|error| told(&error))?;
    certificates(&pem).map_err(|error| told(&error))
}

fn sender(config: &Config) -> Result<Sender, OpenError> {
    let sender = Sender::new(&config.mail_from).map_err(invalid)?;
    Ok(sender.with_finding_domains(config.mail_domains.iter().cloned()))
}

fn http(config: &Config, trust: &Trust) -> Result<HttpClient, OpenError> {
    let allowed = config.allow_hosts.iter().map(String::as_str);
    let guard = AddressGuard::allowing(allowed).map_err(invalid)?;
    Ok(HttpClient::trusting(guard, trust))
}

#[cfg(feature = "local")]
/// The host as sockets take it: IPv6 without brackets.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

#[cfg(feature = "local")]
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
        let told = on_machine(&config, |_| None).unwrap_err().to_string();
        assert!(told.contains("`not a host`"), "{told}");
        let mut config = Config::local("x");
        config.authorities = Some("/nowhere/own.pem".into());
        let told = on_machine(&config, |_| None).unwrap_err().to_string();
        assert!(told.contains("`/nowhere/own.pem`"), "{told}");
    }
}
