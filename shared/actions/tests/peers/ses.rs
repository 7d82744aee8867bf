use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{attempt, context, outside, sender};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailparse::MailHeaderMap;
use quench_actions::aws::{Aws, Service};
use quench_actions::mailer::{InvalidMailer, SesSettings};
use quench_actions::{Action, ActionError, Mailer, Performed, perform, prepare};
use quench_automations::{EmailStep, OnUnknown, StepKind};
use quench_emulator::Emulator;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn email() -> Action {
    let step = StepKind::Email(EmailStep {
        to: json!(["a@example.com", "b@example.com"]),
        cc: Some(json!("c@example.com")),
        subject: "{{ finding.title }} — ä".to_owned(),
        template: Some("finding".to_owned()),
        text: None,
        html: None,
    });
    prepare(&step, &context(json!({}))).unwrap().unwrap()
}

async fn send(aws: Aws, settings: SesSettings, limit: Duration) -> Result<Performed, ActionError> {
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = Mailer::ses(aws, settings, sender()).unwrap();
    let action = email();
    assert!(!action.is_idempotent(&outside));
    assert_eq!(action.default_on_unknown(), OnUnknown::Repeat);
    perform(&action, &outside, &attempt(limit)).await
}

async fn against(conduct: Conduct) -> (Result<Performed, ActionError>, HttpServer) {
    let server = HttpServer::start(conduct).await;
    let aws = aws_of(&variables(&server.url("")));
    let settings = SesSettings {
        configuration_set: Some("quench".to_owned()),
        rate: None,
    };
    let result = send(aws, settings, Duration::from_secs(1)).await;
    (result, server)
}

fn refused(status: u16, code: &str, message: &str) -> Vec<u8> {
    let headers = format!("x-amzn-errortype: {code}:http://internal.amazon.com/x/\r\n");
    answer(status, &headers, &json!({ "message": message }).to_string())
}

pub(crate) async fn a_mail_goes_out_whole(emulator: &Emulator, aws: &Aws) {
    let identity =
        quench_actions::aws::Request::new(reqwest::Method::POST, &["v2", "email", "identities"])
            .with_json(&json!({ "EmailIdentity": "quench@example.com" }));
    aws.rest(Service::Ses, "CreateEmailIdentity", identity)
        .await
        .unwrap();
    let performed = send(aws.clone(), SesSettings::default(), Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(
        performed.summary,
        "mail to a@example.com, b@example.com handed to SES"
    );
    let id = performed.output["message_id"].as_str().unwrap();
    assert!(id.ends_with("@eu-central-1.amazonses.com>"), "{id}");
    let kept: Value = fetched(&format!("{}/_ministack/ses/messages", emulator.endpoint())).await;
    let text = kept.to_string();
    assert!(
        text.contains("a@example.com") && text.contains("c@example.com"),
        "{text}"
    );
}

async fn fetched(url: &str) -> Value {
    let url = url::Url::parse(url).unwrap();
    let mut stream = tokio::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap()))
        .await
        .unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        url.path()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let from = body.find('{').unwrap();
    let to = body.rfind('}').unwrap();
    serde_json::from_str(&body[from..=to]).unwrap()
}

#[tokio::test]
async fn the_request_holds_the_very_mail() {
    let yes = answer(200, "", r#"{"MessageId":"0102-7"}"#);
    let (result, server) = against(Conduct::Says(yes)).await;
    let performed = result.unwrap();
    assert_eq!(
        performed.output,
        json!({
            "to": ["a@example.com", "b@example.com"], "cc": ["c@example.com"], "refused": [],
            "message_id": "<0102-7@eu-central-1.amazonses.com>", "path": null,
        })
    );
    let request = &server.requests()[0];
    assert_eq!(request.line(), "POST /v2/email/outbound-emails HTTP/1.1");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["FromEmailAddress"], "quench@example.com");
    assert_eq!(body["ConfigurationSetName"], "quench");
    assert_eq!(
        body["EmailTags"],
        json!([{ "Name": "run", "Value": "0f3c9a7be1d24c55" }])
    );
    assert_eq!(
        body["Destination"],
        json!({ "ToAddresses": ["a@example.com", "b@example.com"], "CcAddresses": ["c@example.com"] })
    );
    let raw = STANDARD
        .decode(body["Content"]["Raw"]["Data"].as_str().unwrap())
        .unwrap();
    let mail = mailparse::parse_mail(&raw).unwrap();
    let header = |name: &str| mail.headers.get_first_value(name).unwrap();
    assert_eq!(header("From"), "Quench <quench@example.com>");
    assert!(header("Subject").ends_with("— ä"));
    assert_eq!(header("X-Quench-Run"), "0f3c9a7be1d24c55");
    assert_eq!(mail.subparts.len(), 2);
}

#[tokio::test]
async fn every_answer_is_classed_and_says_what_to_do() {
    let (transient, permanent) = (true, false);
    for (status, code, message, class, hint) in [
        (
            429,
            "TooManyRequestsException",
            "Maximum sending rate exceeded.",
            transient,
            "lower `QUENCH_SES_RATE`",
        ),
        (
            429,
            "TooManyRequestsException",
            "Daily message quota exceeded.",
            transient,
            "day's quota",
        ),
        (
            400,
            "LimitExceededException",
            "x",
            transient,
            "lower `QUENCH_SES_RATE`",
        ),
        (
            400,
            "SendingPausedException",
            "x",
            transient,
            "resume it in SES",
        ),
        (500, "InternalFailure", "x", transient, "InternalFailure"),
        (
            503,
            "ServiceUnavailable",
            "x",
            transient,
            "ServiceUnavailable",
        ),
        (
            400,
            "AccountSuspendedException",
            "x",
            permanent,
            "support case",
        ),
        (
            400,
            "MailFromDomainNotVerifiedException",
            "x",
            permanent,
            "DNS records",
        ),
        (
            404,
            "NotFoundException",
            "x",
            permanent,
            "QUENCH_SES_CONFIGURATION_SET",
        ),
        (
            400,
            "MessageRejected",
            "Email address is not verified.",
            permanent,
            "sandbox",
        ),
        (
            400,
            "MessageRejected",
            "Illegal content",
            permanent,
            "Illegal content",
        ),
        (
            400,
            "BadRequestException",
            "Missing final",
            permanent,
            "Missing final",
        ),
        (
            403,
            "AccessDeniedException",
            "not authorized",
            permanent,
            "ses:SendRawEmail",
        ),
    ] {
        let (result, _server) = against(Conduct::Says(refused(status, code, message))).await;
        let error = result.unwrap_err();
        assert_eq!(
            matches!(error, ActionError::Transient { .. }),
            class,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, ActionError::Permanent { .. }),
            !class,
            "{error:?}"
        );
        assert!(error.to_string().contains(hint), "{error}");
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[tokio::test]
async fn a_used_up_day_is_not_asked_for_again_at_once() {
    let no = refused(
        429,
        "TooManyRequestsException",
        "Daily message quota exceeded.",
    );
    let (result, _server) = against(Conduct::Says(no)).await;
    let ActionError::Transient { retry_after, .. } = result.unwrap_err() else {
        panic!("it may succeed later");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(900)));
}

#[tokio::test]
async fn a_mail_that_was_throttled_goes_out_at_the_next_try() {
    let (result, server) = against(Conduct::InTurn(vec![
        refused(
            429,
            "TooManyRequestsException",
            "Maximum sending rate exceeded.",
        ),
        answer(200, "", r#"{"MessageId":"1"}"#),
    ]))
    .await;
    result.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_mail_without_an_answer_is_in_doubt_and_not_sent_twice() {
    for conduct in [Conduct::Leaves, Conduct::IsSilent] {
        let (result, server) = against(conduct.clone()).await;
        let error = result.unwrap_err();
        assert!(matches!(error, ActionError::Unknown { .. }), "{error:?}");
        assert_eq!(server.requests().len(), 1, "{conduct:?}");
    }
    let (result, server) = against(Conduct::Says(refused(504, "Gateway", ""))).await;
    assert!(
        matches!(result, Err(ActionError::Unknown { .. })),
        "{result:?}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_yes_that_breaks_off_is_a_yes() {
    for said in [
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"Mess".to_vec(),
        answer(200, "", "not json"),
    ] {
        let (result, server) = against(Conduct::Says(said)).await;
        assert_eq!(result.unwrap().output["message_id"], Value::Null);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_leaves_no_doubt() {
    let aws = aws_of(&variables("http://127.0.0.1:1"));
    let result = send(aws, SesSettings::default(), Duration::from_secs(2)).await;
    let error = result.unwrap_err();
    assert!(matches!(error, ActionError::Transient { .. }), "{error:?}");
}

#[tokio::test]
async fn mails_keep_to_the_rate() {
    let server = HttpServer::start(Conduct::Says(answer(200, "", r#"{"MessageId":"1"}"#))).await;
    let aws = aws_of(&variables(&server.url("")));
    let settings = SesSettings {
        configuration_set: None,
        rate: Some(10.0),
    };
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = Mailer::ses(aws, settings, sender()).unwrap();
    let action = email();
    let began = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (outside, action) = (outside.clone(), action.clone());
            tokio::spawn(async move {
                perform(&action, &outside, &attempt(Duration::from_secs(10))).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // Ten at once, and six more a tenth of a second apart.
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn who_would_wait_longer_than_the_step_may_take_is_told_when_to_come() {
    let server = HttpServer::start(Conduct::Says(answer(200, "", r#"{"MessageId":"1"}"#))).await;
    let aws = aws_of(&variables(&server.url("")));
    let settings = SesSettings {
        configuration_set: None,
        rate: Some(0.05),
    };
    let mut outside = outside("http://127.0.0.1:1");
    outside.mailer = Mailer::ses(aws, settings, sender()).unwrap();
    let action = email();
    let limit = attempt(Duration::from_secs(2));
    perform(&action, &outside, &limit).await.unwrap();
    let error = perform(&action, &outside, &limit).await.unwrap_err();
    let ActionError::Transient {
        retry_after,
        reason,
    } = error
    else {
        panic!("its turn comes");
    };
    assert!(reason.contains("about 20 s"), "{reason}");
    assert!(retry_after.unwrap() > Duration::from_secs(18));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let aws = aws_of(&variables("http://127.0.0.1:1"));
    let with = |configuration_set: Option<&str>, rate| {
        let settings = SesSettings {
            configuration_set: configuration_set.map(str::to_owned),
            rate,
        };
        Mailer::ses(aws.clone(), settings, sender())
    };
    assert!(matches!(with(None, Some(0.0)), Err(InvalidMailer::Rate(_))));
    assert!(matches!(
        with(Some("a b"), None),
        Err(InvalidMailer::ConfigurationSet(_))
    ));
    with(Some("quench_1-a"), Some(14.0)).unwrap();
}
