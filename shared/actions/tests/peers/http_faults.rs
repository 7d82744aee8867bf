//! Every fault that a target can have, at every connector: what is known of the effect, and that one attempt asks once.

use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{
    PATH, SIGNING_SECRET, TOKEN, attempt, http, outside, prepared, slack, teams, webhook,
};
use quench_actions::{ActionError, perform};
use quench_automations::StepKind;
use serde_json::json;
use std::time::{Duration, Instant};

/// What an attempt tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Done,
    Transient,
    Permanent,
    Unknown,
}
use Told::{Done, Permanent, Transient, Unknown};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Connector {
    SlackHook,
    SlackBot,
    Teams,
    Webhook,
    HttpGet,
    HttpPost,
    HttpPut,
    HttpPostWithKey,
}

const CONNECTORS: [Connector; 8] = [
    Connector::SlackHook,
    Connector::SlackBot,
    Connector::Teams,
    Connector::Webhook,
    Connector::HttpGet,
    Connector::HttpPost,
    Connector::HttpPut,
    Connector::HttpPostWithKey,
];

impl Connector {
    fn step(self) -> StepKind {
        let mut step = http("POST", "items");
        match self {
            Self::SlackHook => return slack("slack-hook", None),
            Self::SlackBot => return slack("slack-bot", Some("#security")),
            Self::Teams => return teams(),
            Self::Webhook => return webhook(),
            Self::HttpGet => step.method = "GET".to_owned(),
            Self::HttpPut => step.method = "PUT".to_owned(),
            Self::HttpPostWithKey => step.idempotency_header = Some("Idempotency-Key".to_owned()),
            Self::HttpPost => {}
        }
        if self != Self::HttpGet {
            step.json = Some(json!({ "title": "{{ finding.title }}" }));
        }
        StepKind::Http(step)
    }

    fn is_repeatable(self) -> bool {
        !matches!(
            self,
            Self::SlackHook | Self::SlackBot | Self::Teams | Self::HttpPost
        )
    }

    /// The body by which this target says yes.
    fn yes(self) -> &'static str {
        match self {
            Self::SlackHook => "ok",
            Self::SlackBot => r##"{"ok":true,"channel":"C1","ts":"1.2"}"##,
            Self::Teams | Self::Webhook => "",
            _ => r#"{"id":7}"#,
        }
    }
}

/// What is told where the exchange breaks off after the request left.
fn broken(connector: Connector) -> Told {
    if connector.is_repeatable() {
        Transient
    } else {
        Unknown
    }
}

/// What is told where a status of success came and the body did not come to its end.
fn cut_short(connector: Connector) -> Told {
    match connector {
        // The body is what says yes.
        Connector::SlackHook | Connector::SlackBot => Unknown,
        Connector::Teams | Connector::Webhook => Done,
        // The effect is there; only its answer is lost.
        Connector::HttpPost => Done,
        // Asking again costs nothing.
        _ => Transient,
    }
}

/// The faults by name: how the server acts, and what is to be told.
fn faults(connector: Connector) -> Vec<(&'static str, Conduct, Told)> {
    let yes = connector.yes();
    let head_of_yes =
        |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    let says = |bytes: Vec<u8>| Conduct::Says(bytes);
    let mut faults = vec![
        ("yes", says(answer(200, "", yes)), Done),
        ("silent", Conduct::IsSilent, broken(connector)),
        ("leaves", Conduct::Leaves, broken(connector)),
        (
            "reset before answer",
            Conduct::SaysAndResets(Vec::new()),
            broken(connector),
        ),
        (
            "slow headers",
            Conduct::Drips(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec(), b"a".to_vec()),
            broken(connector),
        ),
        (
            "slow body",
            Conduct::Drips(head_of_yes(100_000), b" ".to_vec()),
            cut_short(connector),
        ),
        (
            "reset mid-body",
            Conduct::SaysAndResets([head_of_yes(5_000), vec![b' '; 100]].concat()),
            cut_short(connector),
        ),
        (
            "200 then reset",
            Conduct::SaysAndResets(head_of_yes(100)),
            cut_short(connector),
        ),
        (
            "shorter than told",
            says([head_of_yes(500), b"{}".to_vec()].concat()),
            cut_short(connector),
        ),
        (
            "chunks that lie",
            says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\nnope\r\n".to_vec()),
            cut_short(connector),
        ),
        (
            "chunks without an end",
            says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec()),
            cut_short(connector),
        ),
        (
            "empty 200",
            says(answer(200, "", "")),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Unknown,
                _ => Done,
            },
        ),
        (
            "no content",
            says(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Unknown,
                _ => Done,
            },
        ),
        (
            "200 with a refusal in JSON",
            says(answer(
                200,
                "content-type: application/json\r\n",
                r#"{"ok":false,"error":"invalid_auth"}"#,
            )),
            match connector {
                Connector::SlackHook | Connector::SlackBot | Connector::Teams => Permanent,
                _ => Done,
            },
        ),
        (
            "200 that tells of a status 429",
            says(answer(
                200,
                "",
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x",
            )),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Permanent,
                Connector::Teams => Transient,
                _ => Done,
            },
        ),
        (
            "200 that tells of a status 413",
            says(answer(
                200,
                "",
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId x",
            )),
            match connector {
                Connector::SlackHook | Connector::SlackBot | Connector::Teams => Permanent,
                _ => Done,
            },
        ),
        (
            "Slack is not sure",
            says(answer(200, "", r#"{"ok":false,"error":"fatal_error"}"#)),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Unknown,
                Connector::Teams => Permanent,
                _ => Done,
            },
        ),
        (
            "Slack is busy",
            says(answer(
                200,
                "retry-after: 7\r\n",
                r#"{"ok":false,"error":"ratelimited"}"#,
            )),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Transient,
                Connector::Teams => Permanent,
                _ => Done,
            },
        ),
        (
            "a page of a portal",
            says(answer(
                200,
                "content-type: text/html\r\n",
                "<html>log in</html>",
            )),
            match connector {
                Connector::SlackHook | Connector::SlackBot => Permanent,
                _ => Done,
            },
        ),
        (
            "wrong content type",
            says(answer(200, "content-type: image/png\r\n", yes)),
            Done,
        ),
        (
            "hint before the answer",
            says(
                [
                    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec(),
                    answer(200, "", yes),
                ]
                .concat(),
            ),
            Done,
        ),
        (
            "other protocol",
            says(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
                    .to_vec(),
            ),
            Permanent,
        ),
        (
            "HTTP/0.9",
            says(b"hello there\n".to_vec()),
            broken(connector),
        ),
        ("junk", says(vec![0xff; 300]), broken(connector)),
        (
            "1 MB of header",
            says(
                [
                    b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
                    vec![b'a'; 1 << 20],
                    b"\r\n\r\n".to_vec(),
                ]
                .concat(),
            ),
            broken(connector),
        ),
        (
            "compressed",
            Conduct::Pours(
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03"
                    .to_vec(),
                vec![0; 1 << 16],
            ),
            match cut_short(connector) {
                // What is kept of a body has a limit; a request need not fail for that.
                Transient => Done,
                told => told,
            },
        ),
        (
            "1 GB of body",
            Conduct::Pours(head_of_yes(1 << 30), vec![b'a'; 1 << 16]),
            match cut_short(connector) {
                Transient => Done,
                told => told,
            },
        ),
    ];
    for status in [301, 302, 303, 307, 308] {
        let location = "location: http://127.0.0.1:1/\r\n";
        faults.push(("redirect", says(answer(status, location, yes)), Permanent));
    }
    for status in [
        400, 401, 402, 403, 404, 405, 409, 410, 411, 413, 415, 418, 422, 451,
    ] {
        faults.push(("refusal", says(answer(status, "", "no")), Permanent));
    }
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 507, 599] {
        faults.push(("trouble", says(answer(status, "", "later")), Transient));
    }
    faults
}

fn told(result: &Result<quench_actions::Performed, ActionError>) -> Told {
    match result {
        Ok(_) => Done,
        Err(ActionError::Transient { .. }) => Transient,
        Err(ActionError::Permanent { .. }) => Permanent,
        Err(ActionError::Unknown { .. }) => Unknown,
        Err(pending @ ActionError::Pending { .. }) => panic!("a request goes on: {pending}"),
    }
}

fn holds_secret(text: &str) -> bool {
    ["never-to-be-shown", TOKEN, SIGNING_SECRET, PATH]
        .iter()
        .any(|secret| text.contains(secret))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_connector_is_told_for_what_it_is() {
    let limit = Duration::from_millis(1_500);
    let mut wrong = Vec::new();
    let mut tried = 0;
    for connector in CONNECTORS {
        let tasks: Vec<_> = faults(connector)
            .into_iter()
            .map(|(name, conduct, expected)| {
                tokio::spawn(async move {
                    let server = HttpServer::start(conduct.clone()).await;
                    let action = prepared(&connector.step());
                    let outside = outside(&server.url(""));
                    let began = Instant::now();
                    let result = perform(&action, &outside, &attempt(limit)).await;
                    let took = began.elapsed();
                    let shown = format!("{result:?} {action:?} {outside:?}");
                    let requests = server.requests().len();
                    let sent = *server.sent.lock().unwrap();
                    let mut wrong = Vec::new();
                    if told(&result) != expected {
                        wrong.push(format!("expected {expected:?}, not {result:?}"));
                    }
                    if requests != 1 {
                        wrong.push(format!("asked {requests} times"));
                    }
                    if took > limit + Duration::from_secs(3) {
                        wrong.push(format!("took {took:?}"));
                    }
                    if sent > 32 << 20 {
                        wrong.push(format!("took {sent} bytes of body"));
                    }
                    if holds_secret(&shown) {
                        wrong.push(format!("shows a secret: {shown}"));
                    }
                    (name, wrong)
                })
            })
            .collect();
        for task in tasks {
            let (name, faults) = task.await.unwrap();
            tried += 1;
            wrong.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{connector:?}, {name}: {fault}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tried, 8 * 56);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_the_request_leaves_is_transient_everywhere() {
    let limit = Duration::from_millis(800);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mute = HttpServer::start(Conduct::ReadsNothing).await;
    let plain = HttpServer::start(Conduct::Says(answer(200, "", "ok"))).await;
    for (name, base) in [
        ("name without address", "http://nothing.invalid".to_owned()),
        ("connection refused", format!("http://127.0.0.1:{closed}")),
        (
            "TLS without an answer",
            format!("https://127.0.0.1:{}", mute.port),
        ),
        ("no TLS there", format!("https://127.0.0.1:{}", plain.port)),
    ] {
        for connector in CONNECTORS {
            let action = prepared(&connector.step());
            let result = perform(&action, &outside(&base), &attempt(limit)).await;
            assert_eq!(
                told(&result),
                Transient,
                "{name}, {connector:?}: {result:?}"
            );
            assert!(!holds_secret(&format!("{result:?}")));
        }
    }
}

#[tokio::test]
async fn the_pause_that_a_target_asks_for_is_told_and_bounded() {
    for (value, seconds) in [
        ("30", Some(30)),
        ("0", Some(0)),
        ("99999999999999999999", Some(86_400)),
        ("Wed, 01 Jan 2098 00:00:00 GMT", Some(86_400)),
        ("Wed, 01 Jan 1997 00:00:00 GMT", None),
        ("-1", None),
        ("soon", None),
        ("", None),
    ] {
        let header = format!("retry-after: {value}\r\n");
        for status in [429, 503] {
            let server = HttpServer::start(Conduct::Says(answer(status, &header, ""))).await;
            let action = prepared(&Connector::Teams.step());
            let result = perform(
                &action,
                &outside(&server.url("")),
                &attempt(Duration::from_secs(5)),
            )
            .await;
            let Err(ActionError::Transient { retry_after, .. }) = result else {
                panic!("{result:?}");
            };
            assert_eq!(retry_after.map(|pause| pause.as_secs()), seconds, "{value}");
        }
    }
}

#[tokio::test]
async fn a_pause_within_a_slack_answer_is_told_too() {
    let busy = answer(
        200,
        "retry-after: 7\r\n",
        r#"{"ok":false,"error":"ratelimited"}"#,
    );
    let server = HttpServer::start(Conduct::Says(busy)).await;
    let action = prepared(&Connector::SlackBot.step());
    let result = perform(
        &action,
        &outside(&server.url("")),
        &attempt(Duration::from_secs(5)),
    )
    .await;
    assert_eq!(
        result,
        Err(ActionError::Transient {
            reason: "Slack refused the message: ratelimited".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        })
    );
}
