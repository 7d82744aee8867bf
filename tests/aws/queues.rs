//! What queues do to messages: they bring them twice, in any order, in batches with broken ones.

use std::collections::BTreeSet;

use quench_tests::events::{guardduty, inspector};
use quench_tests::hub::{Hub, wait_for};
use serde_json::{Value, json};

use crate::hub;
use crate::sources::succeeded;

#[test]
fn a_message_that_cannot_be_handled_ends_among_the_dead_letters_and_the_rest_of_its_batch_is_done()
{
    let hub = hub();
    let queue = hub.output("QueueRecommendation").to_owned();
    // How long lies between its deliveries is for the operator to say.
    let soon = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "2"}});
    hub.aws.ok("sqs", "set_queue_attributes", &soon);
    let bodies = (100..109).map(|number| inspector(number, "ACTIVE", 0).to_string());
    let poison = r#"{"source": "nobody", "detail": "poison"}"#.to_owned();
    let bodies: Vec<String> = bodies.chain([poison.clone()]).collect();
    send(&hub, &queue, &bodies);

    for number in 100..109 {
        let title = format!("Vulnerability number {number}.");
        assert_eq!(hub.wait_for_mails(&title, 1).len(), 1);
        assert_eq!(hub.runs(&title).len(), 1);
    }
    let resources = hub.resources();
    let dead = &resources["RecommendationDeadLetters"];
    wait_for("the dead letter", || (hub.messages(dead) > 0).then_some(()));
    assert_eq!(hub.messages(dead), 1);
    let letters = hub.json(["dead-letters", "list"]);
    let ours: Vec<&Value> = letters
        .iter()
        .filter(|letter| letter.to_string().contains("nobody"))
        .collect();
    assert_eq!(ours.len(), 1, "{letters:?}");
    // As often as the template was told, and once to be listed.
    assert_eq!(ours[0]["received"], 4, "{letters:?}");
    // To look at them takes nothing away.
    let received = json!({"QueueUrl": dead, "VisibilityTimeout": 0});
    let kept = wait_for("the dead letter", || {
        let received = hub.aws.ok("sqs", "receive_message", &received);
        received["Messages"][0]["Body"].as_str().map(str::to_owned)
    });
    assert_eq!(kept, poison);
}

#[test]
fn a_batch_that_is_delivered_again_starts_nothing_again() {
    let hub = hub();
    let events: Vec<Value> = (200..210).map(guardduty).collect();
    let batch = batch(&events);
    for _ in 0..2 {
        let answer = hub.invoke("alert", &batch).unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
    // As other messages of the same events, too.
    hub.put(&events);
    for number in 200..210 {
        hub.wait_for_mails(&format!("Brute force number {number}."), 1);
    }
    at_rest(&hub);
    for number in 200..210 {
        let title = format!("Brute force number {number}.");
        assert_eq!(hub.runs(&title).len(), 1, "{title}");
        assert_eq!(hub.mails(&title).len(), 1, "{title}");
    }
}

#[test]
fn a_recommendation_starts_a_run_whenever_it_becomes_unhealthy() {
    let hub = hub();
    let title = "Vulnerability number 300.";
    hub.put(&[inspector(300, "ACTIVE", 0)]);
    hub.wait_for_mails(title, 1);
    hub.put(&[inspector(300, "CLOSED", 10)]);
    wait_for("the finding's health", || {
        let findings = hub.json(["findings", "list", "--limit", "10000"]);
        findings
            .into_iter()
            .find(|finding| is_titled(finding, title))
            .filter(|finding| finding.to_string().contains(r#""status":"healthy""#))
    });
    assert_eq!(hub.runs(title).len(), 1, "no run for what is well");
    hub.put(&[inspector(300, "ACTIVE", 20)]);
    hub.wait_for_mails(title, 2);
    // Again unhealthy is no change.
    let last = inspector(300, "ACTIVE", 30);
    let decoded = quench_findings::decode(last.to_string().as_bytes());
    let updated = json!(decoded.findings[0].updated.unwrap());
    hub.put(&[last]);
    wait_for("the last event", || {
        let findings = hub.json(["findings", "list", "--limit", "10000"]);
        let mut findings = findings.into_iter();
        let finding = findings.find(|finding| is_titled(finding, title))?;
        (finding["updated"] == updated).then_some(())
    });
    at_rest(&hub);
    let runs = hub.runs(title);
    assert_eq!(runs.len(), 2, "{runs:?}");
    for run in runs {
        succeeded(&hub, run["id"].as_str().unwrap());
    }
    assert_eq!(hub.mails(title).len(), 2);
}

#[test]
fn three_hundred_events_some_of_them_twice_add_up() {
    let hub = hub();
    let quiet = |number: usize| {
        let mut event = guardduty(number);
        event["detail"]["title"] = json!("Quiet");
        event
    };
    let loud: Vec<Value> = (1000..1200).map(guardduty).collect();
    let quiets: Vec<Value> = (1200..1300).map(quiet).collect();
    let mut events = Vec::new();
    for (position, event) in loud.iter().chain(&quiets).enumerate() {
        events.push(event.clone());
        if position % 3 == 0 {
            events.push(event.clone());
        }
    }
    // Second deliveries come in another order than first ones.
    events.sort_by_key(|event| event.to_string().len() % 7);
    hub.put(&events);
    hub.wait_for_mails("Brute force number 1", 200);
    at_rest(&hub);

    let wanted: BTreeSet<String> = loud
        .iter()
        .map(|event| event["detail"]["title"].as_str().unwrap().to_owned())
        .collect();
    let of_runs = titles(
        hub.runs("Brute force number 1")
            .iter()
            .map(|run| &run["finding"]["title"]),
        &wanted,
    );
    assert_eq!(of_runs.len(), 200, "a run for each match");
    let of_mails = titles(
        hub.mails("Brute force number 1")
            .iter()
            .map(|mail| &mail["Subject"]),
        &wanted,
    );
    assert_eq!(of_mails.len(), 200, "a mail for each run");
    assert_eq!(of_mails.iter().collect::<BTreeSet<_>>().len(), 200);
    let findings = hub.json(["findings", "list", "--limit", "10000"]);
    let quiet = findings
        .iter()
        .filter(|finding| is_titled(finding, "Quiet"));
    assert_eq!(quiet.count(), 100, "a finding that matches nothing is kept");
    assert_eq!(hub.runs("Quiet").len(), 0);
    let resources = hub.resources();
    for dead in ["AlertDeadLetters", "RunsDeadLetters", "Undelivered"] {
        assert_eq!(hub.messages(&resources[dead]), 0, "{dead}");
    }
}

/// Those of these titles that are wanted, in their order.
fn titles<'a>(all: impl Iterator<Item = &'a Value>, wanted: &BTreeSet<String>) -> Vec<String> {
    let mut titles: Vec<String> = all
        .filter_map(Value::as_str)
        .filter(|title| wanted.contains(*title))
        .map(str::to_owned)
        .collect();
    titles.sort();
    titles
}

/// Waits until nothing is queued and nothing in hand.
#[track_caller]
pub(crate) fn at_rest(hub: &Hub) {
    for queue in [
        "QueueAlert",
        "QueueRecommendation",
        "QueueCompliance",
        "QueueRuns",
    ] {
        wait_for(&format!("the end of `{queue}`"), || {
            (hub.messages(hub.output(queue)) == 0).then_some(())
        });
    }
}

fn is_titled(finding: &Value, title: &str) -> bool {
    let of = [&finding["title"], &finding["finding"]["title"]];
    of.iter().any(|written| written.as_str() == Some(title))
}

/// Puts messages on a queue, as one batch.
#[track_caller]
fn send(hub: &Hub, queue: &str, bodies: &[String]) {
    let entries: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| json!({"Id": number.to_string(), "MessageBody": body}))
        .collect();
    let batch = json!({"QueueUrl": queue, "Entries": entries});
    let sent = hub.aws.ok("sqs", "send_message_batch", &batch);
    assert_eq!(
        sent["Successful"].as_array().map(Vec::len),
        Some(bodies.len())
    );
}

/// What a queue hands a function.
pub(crate) fn batch(events: &[Value]) -> Value {
    let records: Vec<Value> = events
        .iter()
        .enumerate()
        .map(|(number, event)| {
            json!({
                "messageId": format!("00000000-0000-4000-8000-{number:012}"),
                "receiptHandle": "handle",
                "body": event.to_string(),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1793612345678",
                    "SenderId": "000000000000",
                    "ApproximateFirstReceiveTimestamp": "1793612345679",
                },
                "messageAttributes": {},
                "md5OfBody": "00000000000000000000000000000000",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:alert",
                "awsRegion": "eu-central-1",
            })
        })
        .collect();
    json!({ "Records": records })
}
