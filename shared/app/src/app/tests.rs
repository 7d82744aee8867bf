//! The whole way of a finding on AWS, against an emulator: table, queues and mail.

use super::*;
use crate::delivery::{Delivery, batch, run_batch};
use crate::emulated::{self, emulator};
use crate::queue::{Message, Queue};
use crate::run::{Event, RunState};
use crate::specimen::{apply, event};
use crate::store::{FindingFilter, Page, RunFilter};
use quench_actions::aws::{Request, Service};
use quench_emulator::Emulator;
use serde_json::{Value, json};
use url::Url;

const RULES: &str = "\
playbook: tell
triggers: [compliance]
steps:
  - id: mail
    email: { to: [team@example.com], subject: \"{{ finding.id }}\", template: finding }
  - id: rest
    wait: { for: 30m }
  - id: end
    stop: { reason: told }
---
automation: tell
trigger: compliance
when:
  - status: { equals: failed }
run:
  - playbook: tell
";

async fn open(emulator: &Emulator) -> App {
    let aws = emulated::aws(emulator);
    let identity = ["v2", "email", "identities"];
    let identity = Request::new(http::Method::POST, &identity)
        .with_json(&json!({"EmailIdentity": "quench@example.com"}));
    // Another test may have verified it.
    let _ = aws
        .rest(Service::Ses, "CreateEmailIdentity", identity)
        .await;
    let table = emulated::table(&aws).await;
    let mut queues = Vec::new();
    for queue in Queue::ALL {
        let url = emulated::queue(&aws, queue.name(), 5).await;
        queues.push((queue, Url::parse(&url).unwrap()));
    }
    let config = Config {
        mail_from: "quench@example.com".to_owned(),
        ..Config::aws(table, queues)
    };
    let variables = emulator.variables();
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name)?;
        Some(found.1.clone())
    };
    App::open_from(config, Clock::System, lookup).await.unwrap()
}

/// Receives what is on a queue, as Lambda does before it calls a function.
async fn receive(app: &App, queue: Queue) -> Vec<Message> {
    let minute = Duration::from_secs(60);
    let received = app.queues.receive(queue, 10, minute, app.clock.now()).await;
    received.unwrap()
}

fn delivery(message: &Message) -> Delivery {
    Delivery {
        id: message.id.clone(),
        body: message.body.clone(),
        sent: Some(message.sent),
        received: message.received,
    }
}

async fn deliver_runs(app: &App) -> usize {
    let messages = receive(app, Queue::Runs).await;
    let failed = run_batch(app, messages.iter().map(delivery).collect()).await;
    assert_eq!(failed, []);
    for message in &messages {
        app.queues.ack(message).await.unwrap();
    }
    messages.len()
}

/// The mails that the emulator's SES took, with this text somewhere.
async fn mails(emulator: &Emulator, text: &str) -> usize {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = ("127.0.0.1", emulator.port());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET /_ministack/ses/messages HTTP/1.0\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let kept: Value = serde_json::from_str(body).unwrap();
    let accounts = kept["messages"].as_object().unwrap().values();
    let mails = accounts.flat_map(|mails| mails.as_array().unwrap());
    mails.filter(|mail| mail.to_string().contains(text)).count()
}

#[tokio::test]
async fn a_finding_ends_in_one_mail_however_often_it_is_delivered() {
    let emulator = emulator();
    let app = open(&emulator).await;
    apply(&app, RULES).await;
    let payload = event("a-bucket-of-our-own", false, 1);
    let now = app.clock.now();
    app.queues
        .send(Queue::Compliance, &payload, Default::default(), now)
        .await
        .unwrap();
    let messages = receive(&app, Queue::Compliance).await;
    let counted = app.for_invocation(Some(Duration::from_secs(60)));
    for _ in 0..3 {
        let failed = batch(&counted, messages.iter().map(delivery).collect()).await;
        assert_eq!(failed, []);
    }
    let line: Value =
        serde_json::from_str(&counted.metrics.line("compliance", app.clock.now())).unwrap();
    assert_eq!(
        (&line["Findings"], &line["RunsStarted"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(line["QueueAge"].as_array().unwrap().len(), 3);
    let runs = app.store.runs(&RunFilter::default(), Page::default()).await;
    let run = runs.unwrap().remove(0);

    // The repetitions told nothing new, so they queued nothing.
    assert_eq!(deliver_runs(&app).await, 1);
    // A twin finds the work done.
    let twin = crate::queue::Sending::default();
    app.queues
        .send(Queue::Runs, run.id.as_bytes(), twin, app.clock.now())
        .await
        .unwrap();
    assert_eq!(deliver_runs(&app).await, 1);
    assert_eq!(mails(&emulator, "a-bucket-of-our-own").await, 1);
    let journal = app.store.journal(&run.id).await.unwrap();
    let done = |event: &Event| matches!(event, Event::Succeeded { .. });
    let mailed = journal.iter().filter(|entry| entry.path == "mail");
    assert_eq!(mailed.filter(|entry| done(&entry.event)).count(), 1);

    // It rests for longer than queues hold messages back, so none is there; the table tells when it is due.
    let run = app.store.run(&run.id).await.unwrap().unwrap();
    assert!(
        matches!(run.state, RunState::Waiting { .. }),
        "{:?}",
        run.state
    );
    let depth = app
        .queues
        .depth(Queue::Runs, app.clock.now())
        .await
        .unwrap();
    assert_eq!(depth, Default::default());
    let later = crate::clock::after(app.clock.now(), Duration::from_secs(31 * 60));
    assert_eq!(app.store.due_runs(later, 9).await.unwrap(), [run.id]);
}

#[tokio::test]
async fn a_poisoned_payload_fails_alone() {
    let emulator = emulator();
    let app = open(&emulator).await;
    apply(&app, RULES).await;
    let payloads = [
        event("one", false, 1),
        b"poison".to_vec(),
        event("two", true, 1),
    ];
    let messages = payloads
        .into_iter()
        .enumerate()
        .map(|(number, body)| Delivery {
            id: number.to_string(),
            body,
            sent: None,
            received: 1,
        });
    let failed = batch(&app, messages.collect()).await;
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].id.as_str(), failed[0].transient), ("1", false));
    let findings = app
        .store
        .findings(&FindingFilter::default(), Page::default())
        .await
        .unwrap();
    assert_eq!(findings.len(), 2);
}

#[tokio::test]
async fn who_looks_on_waits_for_what_functions_do() {
    let emulator = emulator();
    let app = open(&emulator).await;
    apply(&app, RULES).await;
    let taken = crate::intake::intake(&app, &event("watched", false, 1))
        .await
        .unwrap();
    let runs: Vec<String> = taken.findings[0].runs().map(str::to_owned).collect();
    let patience = Duration::from_millis(700);
    let drained = crate::worker::finish(&app, &runs, patience, |_| {})
        .await
        .unwrap();
    assert_eq!((drained.done, drained.unfinished), (0, 1));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let error = crate::worker::serve_queues(&app, stopped)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`QUENCH_TABLE`"), "{error}");
}

#[tokio::test]
async fn nothing_is_called_when_it_is_opened() {
    let config = Config::aws("none", []);
    let variables = |name: &str| match name {
        "AWS_REGION" => Some("eu-central-1".to_owned()),
        // Whoever called would wait.
        "AWS_ENDPOINT_URL" => Some("http://192.0.2.1:9".to_owned()),
        _ => None,
    };
    App::open_from(config.clone(), Clock::System, variables)
        .await
        .unwrap();
    let error = App::open_from(config, Clock::System, |_| None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`AWS_REGION`"), "{error}");
}
