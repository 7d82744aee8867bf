use crate::aws_emulator::aws_of;
use crate::http_server::{Conduct, HttpServer, Received, answer, read_request};
use quench_actions::aws::{Aws, AwsError, Limits, Repeat, Request, Service};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "key-never-to-be-shown";
const TOKEN: &str = "session-never-to-be-shown";

pub(crate) fn variables(endpoint: &str) -> Vec<(String, String)> {
    [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn aws(server: &HttpServer) -> Aws {
    aws_of(&variables(&server.url(""))).with_limits(Limits {
        attempt: Duration::from_millis(400),
        total: Duration::from_secs(5),
        attempts: 3,
        answer: 4096,
    })
}

async fn get_item(aws: &Aws) -> Result<Value, AwsError> {
    let body = json!({ "TableName": "t", "Key": { "pk": { "S": "a" } } });
    aws.json(Service::DynamoDb, "GetItem", &body).await
}

async fn once(aws: &Aws) -> Result<Value, AwsError> {
    let request = Request::new(reqwest::Method::POST, &["v2", "email", "outbound-emails"])
        .with_json(&json!({ "a": 1 }))
        .with_repeat(Repeat::Never);
    aws.rest(Service::Ses, "SendEmail", request).await
}

fn fine() -> Vec<u8> {
    answer(200, "content-type: application/json\r\n", r#"{"a":1}"#)
}

fn refused(status: u16, code: &str) -> Vec<u8> {
    let headers = "x-amzn-requestid: 7ABC\r\n";
    let body = format!(r#"{{"__type":"com.amazonaws.x#{code}","message":"because of it"}}"#);
    answer(status, headers, &body)
}

async fn against(conduct: Conduct) -> (Aws, HttpServer) {
    let server = HttpServer::start(conduct).await;
    (aws(&server), server)
}

#[tokio::test]
async fn a_request_is_signed_and_says_what_it_wants() {
    let (aws, server) = against(Conduct::Says(fine())).await;
    assert_eq!(get_item(&aws).await.unwrap(), json!({ "a": 1 }));
    let request = &server.requests()[0];
    assert_eq!(request.line(), "POST / HTTP/1.1");
    let header = |name: &str| request.header(name).unwrap();
    assert_eq!(header("x-amz-target"), "DynamoDB_20120810.GetItem");
    assert_eq!(header("content-type"), "application/x-amz-json-1.0");
    assert_eq!(header("x-amz-security-token"), TOKEN);
    let signature = header("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert!(signature.contains("/eu-central-1/dynamodb/aws4_request"));
    for name in ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
        assert!(signature.contains(name), "{signature}");
    }
    assert!(!request.head.contains(SECRET));
}

#[tokio::test]
async fn too_much_to_do_and_passing_faults_are_followed_by_another_try() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (429, "TooManyRequestsException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (400, "TransactionConflictException"),
    ] {
        let turns = vec![refused(status, code), refused(status, code), fine()];
        let (aws, server) = against(Conduct::InTurn(turns)).await;
        get_item(&aws).await.unwrap();
        assert_eq!(server.requests().len(), 3, "{code}");
    }
}

#[tokio::test]
async fn what_stays_wrong_is_told_after_the_last_try() {
    let (aws, server) = against(Conduct::Says(refused(400, "ThrottlingException"))).await;
    let error = get_item(&aws).await.unwrap_err();
    assert_eq!(server.requests().len(), 3);
    assert!(error.is_throttled() && error.is_transient() && !error.is_in_doubt());
    assert_eq!(
        error.to_string(),
        "DynamoDB refused `GetItem` with ThrottlingException: because of it (request `7ABC`)"
    );
}

#[tokio::test]
async fn a_plain_no_is_not_asked_again() {
    for code in [
        "ConditionalCheckFailedException",
        "ValidationException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        // The keys are fixed: no others will come.
        "ExpiredTokenException",
    ] {
        let (aws, server) = against(Conduct::Says(refused(400, code))).await;
        let error = get_item(&aws).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(server.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_cancelled_transaction_is_repeated_only_where_all_its_reasons_pass() {
    let cancelled = |reasons: &str| {
        let body = format!(
            r#"{{"__type":"TransactionCanceledException","CancellationReasons":{reasons}}}"#
        );
        answer(400, "", &body)
    };
    for (reasons, tries) in [
        (r#"[{"Code":"None"},{"Code":"TransactionConflict"}]"#, 3),
        (r#"[{"Code":"ThrottlingError"}]"#, 3),
        (
            r#"[{"Code":"TransactionConflict"},{"Code":"ConditionalCheckFailed"}]"#,
            1,
        ),
        ("[]", 1),
    ] {
        let (aws, server) = against(Conduct::Says(cancelled(reasons))).await;
        get_item(&aws).await.unwrap_err();
        assert_eq!(server.requests().len(), tries, "{reasons}");
    }
}

#[tokio::test]
async fn an_exchange_that_breaks_is_repeated_where_that_is_safe() {
    let broken = [
        Conduct::Leaves,
        Conduct::IsSilent,
        Conduct::SaysAndResets(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
    ];
    for conduct in broken {
        let (aws, server) = against(conduct.clone()).await;
        let error = get_item(&aws).await.unwrap_err();
        assert!(error.is_transient() && error.is_in_doubt(), "{error}");
        assert_eq!(server.requests().len(), 3, "{conduct:?}");

        let (aws, server) = against(conduct.clone()).await;
        let error = once(&aws).await.unwrap_err();
        assert!(error.is_in_doubt(), "{error}");
        assert_eq!(server.requests().len(), 1, "{conduct:?}");
    }
}

#[tokio::test]
async fn what_must_not_happen_twice_is_repeated_only_after_a_no() {
    for (said, tries) in [
        (refused(429, "TooManyRequestsException"), 3),
        (refused(503, "ServiceUnavailable"), 3),
        (refused(500, "InternalFailure"), 1),
        (refused(504, "GatewayTimeout"), 1),
    ] {
        let (aws, server) = against(Conduct::Says(said)).await;
        once(&aws).await.unwrap_err();
        assert_eq!(server.requests().len(), tries);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_still_tells_by_its_status_what_was_done() {
    let cut = |status: u16| {
        let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 500\r\n\r\n{{\"a\":");
        Conduct::Says(head.into_bytes())
    };
    let (aws, server) = against(cut(200)).await;
    let error = once(&aws).await.unwrap_err();
    assert!(error.is_done() && !error.is_in_doubt(), "{error}");
    assert_eq!(server.requests().len(), 1);
    let (aws, server) = against(cut(200)).await;
    get_item(&aws).await.unwrap_err();
    assert_eq!(server.requests().len(), 3);
    let (aws, server) = against(cut(400)).await;
    let error = once(&aws).await.unwrap_err();
    assert!(!error.is_done() && !error.is_in_doubt(), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_doubt() {
    let aws = aws_of(&variables("http://127.0.0.1:1"));
    let limits = Limits {
        attempts: 2,
        ..Limits::default()
    };
    for error in [
        get_item(&aws.with_limits(limits)).await.unwrap_err(),
        once(&aws.with_limits(limits)).await.unwrap_err(),
    ] {
        assert!(matches!(error, AwsError::Unreachable { .. }), "{error:?}");
        assert!(error.is_transient() && !error.is_in_doubt());
    }
}

#[tokio::test]
async fn all_tries_end_within_the_time_for_all() {
    let (aws, server) = against(Conduct::IsSilent).await;
    let aws = aws.with_limits(Limits {
        attempt: Duration::from_millis(300),
        total: Duration::from_millis(700),
        attempts: 100,
        answer: 4096,
    });
    let began = Instant::now();
    get_item(&aws).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(1_200));
    assert!((2..=3).contains(&server.requests().len()));
}

#[tokio::test]
async fn a_pause_that_the_service_asks_for_is_kept_or_passed_on() {
    let mut wait = refused(503, "SlowDown");
    let text = String::from_utf8(wait).unwrap();
    wait = text
        .replacen("\r\n", "\r\nretry-after: 1\r\n", 1)
        .into_bytes();
    let (aws, server) = against(Conduct::InTurn(vec![wait.clone(), fine()])).await;
    let began = Instant::now();
    get_item(&aws).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 2);

    let long = String::from_utf8(wait)
        .unwrap()
        .replace("retry-after: 1", "retry-after: 60");
    let (aws, server) = against(Conduct::Says(long.into_bytes())).await;
    let error = get_item(&aws).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    let block = b"x".repeat(64 * 1024);
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let (aws, server) = against(Conduct::Pours(head, block)).await;
    let error = get_item(&aws).await.unwrap_err();
    assert!(matches!(error, AwsError::Answer { .. }), "{error:?}");
    assert!(!error.is_transient());
    assert!(*server.sent.lock().unwrap() < 64 << 20);
}

#[tokio::test]
async fn a_yes_that_is_no_json_is_told() {
    let page = answer(200, "", "<html>proxy</html>");
    let (aws, server) = against(Conduct::Says(page)).await;
    let error = get_item(&aws).await.unwrap_err();
    assert!(matches!(error, AwsError::Answer { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_yes_of_another_shape_is_told_and_not_quoted() {
    let (aws, _server) = against(Conduct::Says(answer(200, "", r#"{"Count": "a secret"}"#))).await;
    let asked = json!({});
    let (service, operation) = (Service::DynamoDb, "Query");
    let read = aws.json_as::<HashMap<String, u64>>(service, operation, &asked, Repeat::Safe);
    let error = read.await.unwrap_err();
    assert!(matches!(error, AwsError::Answer { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("line 1 column 20"), "{told}");
    assert!(!format!("{told} {error:?}").contains("secret"), "{told}");
}

fn signed_at(request: &Received) -> jiff::Timestamp {
    let text = request.header("x-amz-date").unwrap();
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_set_by_the_answer() {
    for (code, hours) in [
        ("RequestTimeTooSkewed", 3),
        ("InvalidSignatureException", -2),
    ] {
        let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&there)
            .unwrap();
        let no = String::from_utf8(refused(403, code)).unwrap();
        let no = no.replacen("\r\n", &format!("\r\ndate: {date}\r\n"), 1);
        let (aws, server) = against(Conduct::InTurn(vec![no.into_bytes(), fine()])).await;
        get_item(&aws).await.unwrap();
        get_item(&aws).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "{code}");
        for request in &requests[1..] {
            let off = signed_at(request).as_second().abs_diff(there.as_second());
            assert!(off < 60, "{code}: {off}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_not_taken_for_a_wrong_clock() {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
        .unwrap();
    let no = String::from_utf8(refused(403, "InvalidSignatureException")).unwrap();
    let no = no.replacen("\r\n", &format!("\r\ndate: {date}\r\n"), 1);
    let (aws, server) = against(Conduct::Says(no.into_bytes())).await;
    let error = get_item(&aws).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn neither_errors_nor_debug_show_keys() {
    let canonical = format!(
        "The request signature we calculated does not match. The Canonical String for this request should have been 'POST x-amz-security-token:{TOKEN} {SECRET}'"
    );
    let body = json!({ "__type": "InvalidSignatureException", "message": canonical });
    let said = answer(403, "", &body.to_string());
    let (aws, _server) = against(Conduct::Says(said)).await;
    let error = get_item(&aws).await.unwrap_err();
    let told = format!("{error} {aws:?}");
    assert!(told.contains("does not match"), "{told}");
    assert!(!told.contains(SECRET) && !told.contains(TOKEN), "{told}");
}

#[tokio::test]
async fn errors_in_xml_are_read() {
    let body = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
        <Code>AccessDenied</Code><Message>User is not authorized</Message></Error><RequestId>9</RequestId></ErrorResponse>"#;
    let (aws, _server) = against(Conduct::Says(answer(403, "", body))).await;
    let error = aws
        .query(Service::Sts, "GetCallerIdentity", &[])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "STS refused `GetCallerIdentity` with AccessDenied: User is not authorized (request `9`)"
    );
    let body = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>m</Message></Error></Errors>\
        <RequestID>8</RequestID></Response>";
    let (aws, _server) = against(Conduct::Says(answer(503, "", body))).await;
    let error = aws
        .query(Service::Ec2, "DescribeInstances", &[])
        .await
        .unwrap_err();
    assert!(error.is_throttled());
    assert_eq!(
        error.service_error().unwrap().request_id.as_deref(),
        Some("8")
    );
}

/// Answers so many requests on each connection, then closes it without a word; counts the connections.
async fn keeping(each: usize) -> (Aws, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for _ in 0..each {
                    if read_request(&mut stream).await.is_none() {
                        return;
                    }
                    stream.write_all(&fine()).await.unwrap();
                }
                // Reads the next, and leaves without an answer.
                read_request(&mut stream).await;
            });
        }
    });
    (
        aws_of(&variables(&format!("http://127.0.0.1:{port}"))),
        connections,
    )
}

#[tokio::test]
async fn connections_are_kept_but_not_for_what_must_not_happen_twice() {
    let (aws, connections) = keeping(100).await;
    for _ in 0..20 {
        get_item(&aws).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        once(&aws).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 4);
    get_item(&aws.in_region("eu-west-1").unwrap())
        .await
        .unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_kept_connection_that_is_dead_does_no_harm() {
    let (aws, connections) = keeping(1).await;
    for _ in 0..5 {
        get_item(&aws).await.unwrap();
        once(&aws).await.unwrap();
    }
    assert!(connections.load(Ordering::SeqCst) >= 10);
}

/// Keeps everything that is logged, at every level and by every crate.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_log_at_any_level_shows_keys() {
    let heard = Heard::default();
    // While there is but one listener, whether a line is of interest is decided by the thread that comes to it first.
    let _another = tracing::Dispatch::new(Heard::default());
    let listening = tracing::subscriber::set_default(heard.clone());
    let turns = vec![refused(400, "ThrottlingException"), fine()];
    let (aws, server) = against(Conduct::InTurn(turns)).await;
    get_item(&aws).await.unwrap();
    once(&aws).await.unwrap();
    drop(listening);
    let heard = heard.0.lock().unwrap().clone();
    assert!(heard.contains("call to AWS is repeated"), "{heard}");
    let request = server.requests()[0].clone();
    let signature = request.header("authorization").unwrap();
    let signature = signature.rsplit('=').next().unwrap();
    for secret in [SECRET, TOKEN, signature] {
        assert!(!heard.contains(secret), "{heard}");
    }
}
