use crate::authority::{Authority, Certificate};
use crate::setting::{attempt, context, outside, sender};
use crate::smtp_server::{Reply, Script, SmtpServer};
use mailparse::MailHeaderMap;
use quench_actions::mailer::{InvalidMailer, SmtpSecurity, SmtpSettings};
use quench_actions::{Action, ActionError, Attempt, Mailer, Performed, perform, prepare};
use quench_automations::{EmailStep, OnUnknown, StepKind};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::time::Duration;

fn settings(port: u16, security: SmtpSecurity) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port: Some(port),
        security,
        username: None,
        password: None,
    }
}

fn email(to: &[&str]) -> Action {
    let step = StepKind::Email(EmailStep {
        to: json!(to),
        cc: None,
        subject: "{{ finding.title }}".to_owned(),
        template: Some("finding".to_owned()),
        text: None,
        html: None,
    });
    prepare(&step, &context(json!({}))).unwrap().unwrap()
}

async fn send(
    settings: SmtpSettings,
    authorities: &[CertificateDer<'static>],
    action: &Action,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = Mailer::smtp(settings, sender(), authorities).unwrap();
    assert!(!action.is_idempotent(&outside));
    assert_eq!(action.default_on_unknown(), OnUnknown::Repeat);
    perform(action, &outside, attempt).await
}

async fn send_by(
    script: Script,
    to: &[&str],
    number: u32,
) -> (Result<Performed, ActionError>, SmtpServer) {
    // What is silent is waited for to the end; what speaks may take its time.
    let mut replies = script.replies.values();
    let is_silent = replies.any(|reply| matches!(reply, Reply::IsSilent));
    let mut attempt = attempt(Duration::from_secs(if is_silent { 5 } else { 60 }));
    let server = SmtpServer::start(script).await;
    attempt.number = number;
    let result = send(
        settings(server.port, SmtpSecurity::None),
        &[],
        &email(to),
        &attempt,
    )
    .await;
    (result, server)
}

#[tokio::test]
async fn a_mail_is_handed_over_whole() {
    let (result, server) = send_by(Script::of(&[]), &["a@example.com", "b@example.com"], 1).await;
    let performed = result.unwrap();
    assert_eq!(
        performed.summary,
        "mail to a@example.com, b@example.com handed to localhost"
    );
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["a@example.com", "b@example.com"]);
    assert!(
        mails[0].from.contains("<quench@example.com>"),
        "{}",
        mails[0].from
    );
    let parsed = mailparse::parse_mail(mails[0].data.as_bytes()).unwrap();
    assert_eq!(parsed.subparts.len(), 2);
    assert_eq!(
        parsed.headers.get_first_value("Message-ID").as_deref(),
        performed.output["message_id"].as_str()
    );
    assert_eq!(server.said().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn each_reply_is_classed_by_where_it_comes_and_what_it_says() {
    use Reply::{Drops, IsSilent, Says};
    let transient = [
        "421 4.3.2 closing",
        "450 4.2.1 greylisted",
        "451 4.7.1 try again",
        "452 4.5.3 too many",
        "454 4.7.0 Throttling failure: Maximum sending rate exceeded.",
    ];
    let permanent = [
        "535 5.7.8 bad credentials",
        "550 5.1.1 no such user",
        "552 5.3.4 too big",
        "554 5.7.1 rejected",
    ];
    let mut cases: Vec<(&str, Reply, &str)> = Vec::new();
    for at in ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        cases.extend(transient.iter().map(|line| (at, Says(line), "transient")));
        cases.extend(permanent.iter().map(|line| (at, Says(line), "permanent")));
        let lost = if at == "." { "unknown" } else { "transient" };
        cases.push((at, Drops, lost));
        cases.push((at, IsSilent, lost));
        cases.push((at, Says("nonsense"), lost));
    }
    // Not the code that asks for the mail; what follows would be commands to the server.
    cases.push(("DATA", Says("250 fine"), "permanent"));
    let tried = cases.len();
    // What is silent has a time to get as far as that, which is not to be spent on the others.
    let (silent, others): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .partition(|(_, reply, _)| matches!(reply, IsSilent));
    for cases in [others, silent] {
        let tasks = cases.into_iter().map(|(at, reply, expected)| {
            tokio::spawn(async move {
                let (result, server) =
                    send_by(Script::of(&[(at, reply.clone())]), &["a@example.com"], 1).await;
                let told = match &result {
                    Ok(_) => "done",
                    Err(ActionError::Transient { .. }) => "transient",
                    Err(ActionError::Permanent { .. }) => "permanent",
                    Err(ActionError::Unknown { .. }) => "unknown",
                    Err(ActionError::Pending { .. }) => "pending",
                };
                assert_eq!(told, expected, "{at}, {reply:?}: {result:?}");
                assert!(expected == "unknown" || server.mails().is_empty());
                if let Says(line) = reply
                    && line.len() > 12
                {
                    let reason = result.unwrap_err().to_string();
                    assert!(reason.contains(&line[4..]), "{reason}");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    assert_eq!(tried, 6 * 12 + 1);
}

#[tokio::test]
async fn a_mail_that_was_taken_is_sent_however_the_server_parts() {
    for reply in [Reply::IsSilent, Reply::Drops, Reply::Says("554 go away")] {
        let script = Script::of(&[("QUIT", reply)]);
        let (result, server) = send_by(script, &["a@example.com"], 1).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(server.mails().len(), 1);
    }
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let attempt = attempt(Duration::from_secs(2));
    let action = email(&["a@example.com"]);
    let result = send(settings(port, SmtpSecurity::None), &[], &action, &attempt).await;
    assert!(
        matches!(result, Err(ActionError::Transient { .. })),
        "{result:?}"
    );
    let mut unnamed = settings(port, SmtpSecurity::StartTls);
    unnamed.host = "mail.invalid".to_owned();
    let result = send(unnamed, &[], &action, &attempt).await;
    assert!(
        matches!(result, Err(ActionError::Transient { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn who_is_refused_for_good_does_not_keep_the_others_from_their_mail() {
    let script = Script::saying("RCPT:b@example.com", "550 5.1.1 no such user");
    let (result, server) = send_by(script, &["a@example.com", "b@example.com"], 1).await;
    let performed = result.unwrap();
    assert_eq!(performed.output["refused"], json!(["b@example.com"]));
    assert_eq!(
        performed.summary,
        "mail to a@example.com handed to localhost, which refused b@example.com"
    );
    assert_eq!(server.mails()[0].to, ["a@example.com"]);
}

#[tokio::test]
async fn who_is_put_off_puts_off_the_mail_at_first_and_is_left_out_later() {
    let script = Script::saying("RCPT:b@example.com", "450 4.2.0 greylisted");
    let both = ["a@example.com", "b@example.com"];
    for number in 1..4 {
        let (result, server) = send_by(script.clone(), &both, number).await;
        assert!(
            matches!(result, Err(ActionError::Transient { .. })),
            "{result:?}"
        );
        assert!(server.mails().is_empty());
    }
    let (result, server) = send_by(script.clone(), &both, 4).await;
    assert_eq!(result.unwrap().output["refused"], json!(["b@example.com"]));
    assert_eq!(server.mails()[0].to, ["a@example.com"]);
    let (result, _) = send_by(script, &["b@example.com"], 9).await;
    assert!(
        matches!(result, Err(ActionError::Transient { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn where_one_is_refused_and_the_other_put_off_there_is_hope() {
    let script = Script::of(&[
        ("RCPT:a@example.com", Reply::Says("450 4.2.0 greylisted")),
        ("RCPT:b@example.com", Reply::Says("550 5.1.1 no such user")),
    ]);
    let (result, _) = send_by(script, &["a@example.com", "b@example.com"], 9).await;
    assert!(
        matches!(result, Err(ActionError::Transient { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing() {
    let server = SmtpServer::start(Script::of(&[])).await;
    let mut settings = settings(server.port, SmtpSecurity::StartTls);
    settings.username = Some("user".to_owned());
    settings.password = Some("secret://env/PASSWORD".to_owned());
    let result = send(
        settings,
        &[],
        &email(&["a@example.com"]),
        &attempt(Duration::from_secs(5)),
    )
    .await;
    assert_eq!(
        result.unwrap_err(),
        ActionError::Permanent {
            reason: "`localhost` does not offer STARTTLS; nothing was sent".to_owned()
        }
    );
    let said = server.said();
    assert!(
        said.iter()
            .all(|line| line.starts_with("EHLO") || line == "QUIT"),
        "{said:?}"
    );
}

#[tokio::test]
async fn mail_goes_over_tls_either_way_and_the_password_only_there() {
    let authority = Authority::new();
    for (security, wrapped) in [(SmtpSecurity::StartTls, false), (SmtpSecurity::Tls, true)] {
        let tls = authority.acceptor(Certificate::Good);
        let server = SmtpServer::start_with(Script::of(&[]), Some(tls), wrapped).await;
        let mut settings = settings(server.port, security);
        settings.username = Some("user".to_owned());
        settings.password = Some("secret://env/PASSWORD".to_owned());
        let result = send(
            settings,
            &[authority.der()],
            &email(&["a@example.com"]),
            &attempt(Duration::from_secs(5)),
        )
        .await;
        let performed = result.unwrap();
        assert!(!format!("{performed:?}").contains("hunter2"));
        assert_eq!(server.mails().len(), 1);
        let said = server.said();
        // Base64 of NUL, user, NUL, password.
        let auth = said
            .iter()
            .position(|line| line.starts_with("AUTH PLAIN AHVzZXIAaHVudGVyMi"))
            .unwrap();
        let began = said.iter().position(|line| line == "STARTTLS");
        assert_eq!(began.is_some(), !wrapped);
        assert!(began.is_none_or(|began| began < auth));
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_permanent_for_mail_too() {
    let authority = Authority::new();
    for certificate in [
        Certificate::Expired,
        Certificate::WrongHost,
        Certificate::SelfSigned,
    ] {
        for (security, wrapped) in [(SmtpSecurity::StartTls, false), (SmtpSecurity::Tls, true)] {
            let tls = authority.acceptor(certificate);
            let server = SmtpServer::start_with(Script::of(&[]), Some(tls), wrapped).await;
            let result = send(
                settings(server.port, security),
                &[authority.der()],
                &email(&["a@example.com"]),
                &attempt(Duration::from_secs(5)),
            )
            .await;
            let Err(ActionError::Permanent { reason }) = result else {
                panic!("{certificate:?}: {result:?}");
            };
            assert!(
                reason.starts_with("certificate of `localhost` is not valid"),
                "{reason}"
            );
            assert!(server.mails().is_empty());
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_permanent_and_a_missing_secret_is_told_by_reference() {
    let server = SmtpServer::start(Script::saying("AUTH", "535 5.7.8 authentication failed")).await;
    let mut with_password = settings(server.port, SmtpSecurity::None);
    with_password.username = Some("user".to_owned());
    with_password.password = Some("secret://env/PASSWORD".to_owned());
    let action = email(&["a@example.com"]);
    let attempt = attempt(Duration::from_secs(5));
    let result = send(with_password.clone(), &[], &action, &attempt).await;
    assert_eq!(
        result.unwrap_err(),
        ActionError::Permanent {
            reason: "`localhost` answered 535: 5.7.8 authentication failed".to_owned()
        }
    );
    with_password.password = Some("secret://env/ABSENT".to_owned());
    let result = send(with_password, &[], &action, &attempt).await;
    assert_eq!(
        result.unwrap_err(),
        ActionError::Permanent {
            reason: "secret `secret://env/ABSENT` is not set".to_owned()
        }
    );
}

#[test]
fn a_mail_server_elsewhere_without_tls_is_refused() {
    for host in [
        "mail.example.com",
        "10.0.0.1",
        "127.0.0.1.example.com",
        "localhost.example.com",
    ] {
        let mut plain = settings(25, SmtpSecurity::None);
        plain.host = host.to_owned();
        assert_eq!(
            Mailer::smtp(plain, sender(), &[]).unwrap_err(),
            InvalidMailer::PlainNotLoopback(host.to_owned())
        );
    }
    for host in ["localhost", "127.0.0.1", "::1", "[::1]", "127.8.9.10"] {
        let mut plain = settings(25, SmtpSecurity::None);
        plain.host = host.to_owned();
        assert!(Mailer::smtp(plain, sender(), &[]).is_ok(), "{host}");
    }
}

#[test]
fn half_of_the_credentials_and_a_host_that_is_none_are_refused() {
    let mut half = settings(25, SmtpSecurity::None);
    half.username = Some("user".to_owned());
    assert_eq!(
        Mailer::smtp(half, sender(), &[]).unwrap_err(),
        InvalidMailer::HalfCredentials
    );
    let mut odd = settings(25, SmtpSecurity::Tls);
    odd.host = "a b".to_owned();
    assert_eq!(
        Mailer::smtp(odd, sender(), &[]).unwrap_err(),
        InvalidMailer::Host("a b".to_owned())
    );
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_as_such() {
    let server = SmtpServer::start(Script::of(&[])).await;
    let result = send(
        settings(server.port, SmtpSecurity::Tls),
        &[],
        &email(&["a@example.com"]),
        &attempt(Duration::from_secs(5)),
    )
    .await;
    let Err(ActionError::Transient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    let begins = format!("`localhost` speaks no TLS on port {}: ", server.port);
    assert!(reason.starts_with(&begins), "{reason}");
    assert!(reason.ends_with("; is its address `smtp://`?"), "{reason}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn the_time_that_a_silent_server_was_given_is_told_roundly() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let result = send(
        settings(port, SmtpSecurity::None),
        &[],
        &email(&["a@example.com"]),
        &attempt(Duration::from_micros(299_852)),
    )
    .await;
    drop(listener);
    let Err(ActionError::Transient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(reason, "`localhost` did not answer within 0.3 s");
}
