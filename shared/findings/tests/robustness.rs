//! Laws that hold for every fixture: no damage makes the decoder panic, and no carrier changes what is decoded.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use quench_findings::{Finding, decode};
use serde_json::{Value, json};

/// All fixtures, of whatever source.
fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == "json") {
                let payload = std::fs::read(&path).unwrap();
                files.push((path, payload));
            }
        }
    }
    files.sort();
    assert!(files.len() > 20);
    files
}

/// Decodes, and holds the result to what every result promises.
fn decode_soundly(payload: &[u8]) -> Vec<Finding> {
    let decoded = decode(payload);
    assert!(
        !decoded.findings.is_empty() || !decoded.refused.is_empty(),
        "silence: {}",
        String::from_utf8_lossy(payload)
    );
    for refusal in &decoded.refused {
        assert!(!refusal.reason.is_empty() && !refusal.path.is_empty());
    }
    for finding in &decoded.findings {
        assert!(!finding.id.is_empty() && !finding.title.is_empty());
    }
    decoded.findings
}

#[test]
fn truncation_at_any_byte_is_refused_and_never_panics() {
    for (path, payload) in fixtures() {
        // Without the line break at the end, each shorter text is broken.
        let whole = payload.trim_ascii_end();
        let value: Value = serde_json::from_slice(whole).unwrap();
        let compact = value.to_string();
        for end in 0..compact.len() {
            let findings = decode_soundly(&compact.as_bytes()[..end]);
            assert!(findings.is_empty(), "{} cut at {end}", path.display());
        }
    }
}

#[test]
fn another_type_in_any_field_never_panics() {
    let types = [json!(null), json!(true), json!(""), json!({})];
    // Odder values take turns: over all fixtures each meets every sort of field.
    let odd = [
        json!(-1),
        json!(1e308),
        json!("\u{0}é\u{1F600}"),
        json!([null, {"a": []}]),
    ];
    let mut turn = 0;
    for (_, payload) in fixtures() {
        let mut value: Value = serde_json::from_slice(&payload).unwrap();
        for pointer in pointers(&value) {
            let mut damaged = |other: &Value| {
                let place = value.pointer_mut(&pointer).unwrap();
                let own = std::mem::replace(place, other.clone());
                let damaged = value.to_string();
                *value.pointer_mut(&pointer).unwrap() = own;
                damaged
            };
            for other in &types {
                decode_soundly(damaged(other).as_bytes());
            }
            turn += 1;
            for finding in decode_soundly(damaged(&odd[turn % odd.len()]).as_bytes()) {
                assert!(finding.document().is_object());
            }
        }
    }
}

#[test]
fn any_field_may_be_missing() {
    for (_, payload) in fixtures() {
        let value: Value = serde_json::from_slice(&payload).unwrap();
        for pointer in pointers(&value) {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut damaged = value.clone();
            match damaged.pointer_mut(parent) {
                Some(Value::Object(members)) => {
                    members.remove(&name.replace("~1", "/").replace("~0", "~"));
                }
                Some(Value::Array(elements)) => {
                    elements.remove(name.parse().unwrap());
                }
                _ => unreachable!("a pointer has a parent"),
            }
            decode_soundly(damaged.to_string().as_bytes());
        }
    }
}

/// Pointers to everything below a value.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, child)| (name.replace('~', "~0").replace('/', "~1"), child))
                .collect(),
            Value::Array(elements) => elements
                .iter()
                .enumerate()
                .map(|(index, child)| (index.to_string(), child))
                .collect(),
            _ => Vec::new(),
        };
        for (name, child) in children {
            let path = format!("{path}/{name}");
            walk(child, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// The carriers of the field, each put around one text.
#[derive(Debug, Clone, Copy)]
enum Carrier {
    SqsRecords,
    SqsRecord,
    SqsReceived,
    SnsNotification,
    SnsRecords,
    Firehose,
    Kinesis,
    PubsubPush,
    PubsubPull,
    PubsubMessage,
    CloudEvent,
    CloudEventBase64,
    EventGrid,
    OwnBus,
    PutEvents,
    Gateway,
    List,
    ValueList,
    Array,
    ByteOrderMark,
}

const CARRIERS: &[Carrier] = &[
    Carrier::SqsRecords,
    Carrier::SqsRecord,
    Carrier::SqsReceived,
    Carrier::SnsNotification,
    Carrier::SnsRecords,
    Carrier::Firehose,
    Carrier::Kinesis,
    Carrier::PubsubPush,
    Carrier::PubsubPull,
    Carrier::PubsubMessage,
    Carrier::CloudEvent,
    Carrier::CloudEventBase64,
    Carrier::EventGrid,
    Carrier::OwnBus,
    Carrier::PutEvents,
    Carrier::Gateway,
    Carrier::List,
    Carrier::ValueList,
    Carrier::Array,
];

fn pack(text: &str, carrier: Carrier) -> String {
    let value = || serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')).unwrap();
    let encoded = || STANDARD.encode(text);
    match carrier {
        Carrier::SqsRecords => json!({"Records": [{"messageId": "1", "receiptHandle": "r", "body": text, "eventSource": "aws:sqs"}]}),
        Carrier::SqsRecord => json!({"messageId": "1", "body": text, "attributes": {}}),
        Carrier::SqsReceived => json!({"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": text}]}),
        Carrier::SnsNotification => json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": text, "Timestamp": "2026-01-01T00:00:00Z"}),
        Carrier::SnsRecords => json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "MessageId": "1", "Subject": null, "Message": text}}]}),
        Carrier::Firehose => json!({"invocationId": "i", "records": [{"recordId": "1", "data": encoded()}]}),
        Carrier::Kinesis => json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "p", "data": encoded()}}]}),
        Carrier::PubsubPush => json!({"message": {"attributes": {}, "data": encoded(), "messageId": "1"}, "subscription": "s"}),
        Carrier::PubsubPull => json!({"receivedMessages": [{"ackId": "a", "message": {"data": encoded()}}]}),
        Carrier::PubsubMessage => json!({"@type": "type.googleapis.com/google.pubsub.v1.PubsubMessage", "data": encoded()}),
        Carrier::CloudEvent => json!({"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": value()}),
        Carrier::CloudEventBase64 => json!({"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data_base64": encoded()}),
        Carrier::EventGrid => json!([{"id": "1", "eventType": "t", "subject": "s", "eventTime": "2026-01-01T00:00:00Z", "data": value()}]),
        Carrier::OwnBus => json!({"version": "0", "source": "com.example.forwarder", "detail-type": "Forwarded", "detail": value()}),
        Carrier::PutEvents => json!({"Entries": [{"Source": "com.example.forwarder", "DetailType": "Forwarded", "Detail": text}]}),
        Carrier::Gateway => json!({"headers": {}, "requestContext": {}, "body": encoded(), "isBase64Encoded": true}),
        Carrier::List => json!({"findings": [value()], "NextToken": null}),
        Carrier::ValueList => json!({"value": [value()]}),
        Carrier::Array => json!([value()]),
        Carrier::ByteOrderMark => return format!("\u{feff}{text}"),
    }
    .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_carrier_changes_what_is_decoded(
        which in any::<proptest::sample::Index>(),
        carriers in prop::collection::vec(prop::sample::select(CARRIERS), 0..4),
        marked in any::<bool>(),
    ) {
        let fixtures = fixtures();
        let (path, payload) = &fixtures[which.index(fixtures.len())];
        let mut text = String::from_utf8(payload.clone()).unwrap();
        for carrier in &carriers {
            text = pack(&text, *carrier);
        }
        if marked {
            text = pack(&text, Carrier::ByteOrderMark);
        }
        let bare = decode(payload);
        let packed = decode(text.as_bytes());
        prop_assert_eq!(&bare.findings, &packed.findings, "{} in {:?}", path.display(), carriers);
        prop_assert_eq!(bare.action, packed.action);
        prop_assert_eq!(bare.refused.len(), packed.refused.len());
    }

    #[test]
    fn lines_of_events_decode_as_each_alone(first in any::<proptest::sample::Index>(), second in any::<proptest::sample::Index>()) {
        let fixtures = fixtures();
        let pair = [first, second].map(|index| &fixtures[index.index(fixtures.len())].1);
        let lines: Vec<String> = pair
            .iter()
            .map(|payload| serde_json::from_slice::<Value>(payload).unwrap().to_string())
            .collect();
        let expected: Vec<Finding> = pair.iter().flat_map(|payload| decode(payload).findings).collect();
        for joint in ["\n", "\r\n", ""] {
            let read = decode(lines.join(joint).as_bytes()).findings;
            prop_assert_eq!(&read, &expected);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_soundly(&bytes);
    }
}

#[test]
fn carriers_within_carriers_come_to_an_end() {
    let (_, payload) = fixtures().remove(0);
    let mut text = String::from_utf8(payload).unwrap();
    for _ in 0..30 {
        text = pack(&text, Carrier::Array);
    }
    let decoded = decode(text.as_bytes());
    assert!(decoded.findings.is_empty());
    assert_eq!(
        decoded.refused[0].reason,
        "is packed into more than 12 others"
    );
}

#[test]
fn a_crowd_of_findings_in_one_event_is_read_without_keeping_it_many_times() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ocsf");
    let payload = std::fs::read(folder.join("findings-imported-v2.json")).unwrap();
    let mut event: Value = serde_json::from_slice(&payload).unwrap();
    let one = event["detail"]["findings"][0].clone();
    event["detail"]["findings"] = (0..1000)
        .map(|number| {
            let mut finding = one.clone();
            finding["finding_info"]["uid"] = format!("f-{number}").into();
            finding
        })
        .collect();
    let findings = decode_soundly(event.to_string().as_bytes());
    assert_eq!(findings.len(), 1000);
    assert_eq!(findings[7].id, "f-7");
    assert_eq!(
        findings[7].raw["detail"]["findings"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(findings[7].raw["account"], event["account"]);
}

fn event_of(findings: usize, filler: usize) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ocsf");
    let payload = std::fs::read(folder.join("findings-imported-v2.json")).unwrap();
    let mut event: Value = serde_json::from_slice(&payload).unwrap();
    let one = event["detail"]["findings"][0].clone();
    event["detail"]["findings"] = (0..findings)
        .map(|number| {
            let mut finding = one.clone();
            finding["finding_info"]["uid"] = format!("f-{number}").into();
            finding["unmapped"] = "x".repeat(filler).into();
            finding
        })
        .collect();
    event
}

#[test]
fn large_findings_in_one_event_are_not_kept_with_each_other() {
    let event = event_of(50, 20_000);
    let mut as_text = event.clone();
    as_text["detail"] = event["detail"].to_string().into();
    let mut bare = event["detail"].clone();
    bare["class_uid"] = 2003.into();
    for payload in [&event, &as_text, &bare] {
        let findings = decode_soundly(payload.to_string().as_bytes());
        assert_eq!(findings.len(), 50);
        let kept: usize = findings
            .iter()
            .map(|finding| finding.raw.to_string().len())
            .sum();
        assert!(
            kept < 2 * payload.to_string().len(),
            "{kept} bytes are kept"
        );
        let own = findings[7].raw.to_string();
        assert!(own.contains("f-7\"") && !own.contains("f-8\""));
    }
}

#[test]
fn a_few_small_findings_keep_the_event_as_it_came() {
    let event = event_of(3, 10);
    for finding in decode_soundly(event.to_string().as_bytes()) {
        assert_eq!(*finding.raw, event);
    }
}

#[test]
fn one_bad_finding_of_a_crowd_is_refused_with_its_place() {
    let mut event = event_of(150, 10);
    event["detail"]["findings"][57]["severity_id"] = 77.into();
    let decoded = decode(event.to_string().as_bytes());
    assert_eq!(decoded.findings.len(), 149);
    assert_eq!(decoded.refused[0].path, "detail.findings[57].severity_id");
}

#[test]
fn a_crowd_with_too_much_beside_it_is_refused() {
    let mut event = event_of(400, 10);
    event["detail"]["beside"] = "x".repeat(300_000).into();
    let decoded = decode(event.to_string().as_bytes());
    assert!(decoded.findings.is_empty());
    assert_eq!(decoded.refused.len(), 1);
    assert_eq!(decoded.refused[0].path, "detail");
}
