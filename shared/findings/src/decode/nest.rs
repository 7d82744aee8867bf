//! The queues, topics, functions and lists that carry events.

use serde_json::Value;

use crate::fields::{entry, join, member};

/// What a carrier holds, still packed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// JSON as it stands.
    Value(&'a Value),
    /// JSON within a text.
    Text(&'a str),
    /// JSON within base64; or JSON text as it stands, which base64 cannot be mistaken for.
    Encoded(&'a str),
}

/// One thing carried, and its JSON path in the carrier.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    pub(super) path: String,
    pub(super) content: Content<'a>,
}

/// Lists that APIs and exports put findings or events into.
const LISTS: &[&str] = &[
    "findings",
    "value",
    "listFindingsResults",
    "successfulSet",
    "events",
    "entries",
    "results",
    "items",
    "alerts",
    "assessments",
    "recommendations",
];

/// What a value carries; none if it is no carrier that is known.
pub(super) fn open(value: &Value) -> Option<Vec<Carried<'_>>> {
    for name in ["Records", "Messages", "receivedMessages"] {
        if let Some((name, Value::Array(records))) = entry(value, name) {
            return Some(each(name, records, open_record));
        }
    }
    if let Some(carried) = open_one(value) {
        return Some(vec![carried]);
    }
    let (name, elements) = LISTS.iter().find_map(|name| {
        let (name, list) = entry(value, name)?;
        Some((name, list.as_array()?))
    })?;
    Some(each(name, elements, |_| None))
}

fn each<'a>(
    name: &str,
    elements: &'a [Value],
    open: fn(&'a Value) -> Option<Carried<'a>>,
) -> Vec<Carried<'a>> {
    elements
        .iter()
        .enumerate()
        .map(|(index, element)| {
            let path = format!("{name}[{index}]");
            match open(element) {
                Some(inner) => Carried {
                    path: join(&path, &inner.path),
                    ..inner
                },
                None => Carried {
                    path,
                    content: Content::Value(element),
                },
            }
        })
        .collect()
}

/// A record of SQS, SNS, Kinesis or Firehose, or a Pub/Sub message.
fn open_record(record: &Value) -> Option<Carried<'_>> {
    if let Some(kinesis) = member(record, "kinesis")
        && let Some(Value::String(data)) = member(kinesis, "data")
    {
        return Some(carried("kinesis.data", Content::Encoded(data)));
    }
    open_one(record)
}

fn open_one(value: &Value) -> Option<Carried<'_>> {
    let has = |names: &[&str]| names.iter().any(|name| member(value, name).is_some());

    // SQS, and HTTP requests as API gateways, function URLs and Logic Apps hand them on.
    match entry(value, "body") {
        Some((name, Value::String(body))) => {
            let encoded = member(value, "isBase64Encoded").and_then(Value::as_bool) == Some(true);
            let content = if encoded {
                Content::Encoded(body)
            } else {
                Content::Text(body)
            };
            return Some(carried(name, content));
        }
        Some((name, body @ (Value::Object(_) | Value::Array(_)))) => {
            return Some(carried(name, Content::Value(body)));
        }
        _ => {}
    }

    // SNS: a notification as it is delivered, or the record a function gets.
    if let Some(notification @ Value::Object(_)) = member(value, "Sns") {
        return open_one(notification).map(|inner| Carried {
            path: join("Sns", &inner.path),
            ..inner
        });
    }
    if has(&["TopicArn", "MessageId", "SigningCertURL", "UnsubscribeURL"])
        && let Some(Value::String(message)) = member(value, "Message")
    {
        return Some(carried("Message", Content::Text(message)));
    }

    // Pub/Sub: a push request or one of `receivedMessages`, else the message itself.
    if let Some(message @ Value::Object(_)) = member(value, "message") {
        return open_one(message).map(|inner| Carried {
            path: join("message", &inner.path),
            ..inner
        });
    }
    if let Some(Value::String(data)) = member(value, "data") {
        return Some(carried("data", Content::Encoded(data)));
    }

    // CloudEvents and Event Grid; recorded answers of an API.
    if let Some(Value::String(data)) = member(value, "data_base64") {
        return Some(carried("data_base64", Content::Encoded(data)));
    }
    if let Some(data @ (Value::Object(_) | Value::Array(_))) = member(value, "data") {
        return Some(carried("data", Content::Value(data)));
    }

    // CloudWatch Logs subscriptions; CloudTrail's LookupEvents; an event without its envelope's names.
    if let Some(logs) = member(value, "awslogs")
        && let Some(Value::String(data)) = member(logs, "data")
    {
        return Some(carried("awslogs.data", Content::Encoded(data)));
    }
    if let Some(Value::String(record)) = member(value, "CloudTrailEvent") {
        return Some(carried("CloudTrailEvent", Content::Text(record)));
    }
    if let Some(Value::String(detail)) = member(value, "detail") {
        return Some(carried("detail", Content::Text(detail)));
    }
    ["detail", "finding", "EntityResult"]
        .iter()
        .find_map(|name| {
            let (name, inner) = entry(value, name)?;
            inner
                .is_object()
                .then(|| carried(name, Content::Value(inner)))
        })
}

fn carried<'a>(path: &str, content: Content<'a>) -> Carried<'a> {
    Carried {
        path: path.to_owned(),
        content,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(value: &Value) -> Vec<String> {
        open(value).map_or_else(Vec::new, |all| {
            all.into_iter().map(|carried| carried.path).collect()
        })
    }

    #[test]
    fn every_carrier_is_known_by_its_own_names() {
        for (value, expected) in [
            (
                json!({"Records": [{"body": "{}"}, {"messageId": "1", "body": {}}]}),
                vec!["Records[0].body", "Records[1].body"],
            ),
            (json!({"messageId": "1", "body": "{}"}), vec!["body"]),
            (
                json!({"Messages": [{"MessageId": "1", "Body": "{}"}]}),
                vec!["Messages[0].Body"],
            ),
            (
                json!({"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "1", "Message": "{}"}}]}),
                vec!["Records[0].Sns.Message"],
            ),
            (
                json!({"Type": "Notification", "TopicArn": "t", "Message": "{}"}),
                vec!["Message"],
            ),
            (
                json!({"records": [{"recordId": "1", "data": "e30="}]}),
                vec!["records[0].data"],
            ),
            (
                json!({"Records": [{"kinesis": {"data": "e30="}}]}),
                vec!["Records[0].kinesis.data"],
            ),
            (
                json!({"message": {"data": "e30=", "messageId": "1"}, "subscription": "s"}),
                vec!["message.data"],
            ),
            (
                json!({"receivedMessages": [{"ackId": "a", "message": {"data": "e30="}}]}),
                vec!["receivedMessages[0].message.data"],
            ),
            (json!({"data": "e30=", "attributes": {}}), vec!["data"]),
            (
                json!({"specversion": "1.0", "data": {"a": 1}}),
                vec!["data"],
            ),
            (
                json!({"specversion": "1.0", "data_base64": "e30="}),
                vec!["data_base64"],
            ),
            (json!({"eventType": "x", "data": {}}), vec!["data"]),
            (json!({"value": [{}, {}]}), vec!["value[0]", "value[1]"]),
            (json!({"Findings": [{}]}), vec!["Findings[0]"]),
            (json!({"Entries": [{}]}), vec!["Entries[0]"]),
            (json!({"detail": {}}), vec!["detail"]),
            (
                json!({"status_code": 200, "data": {"Findings": []}}),
                vec!["data"],
            ),
            (json!({"Notification": "x", "Finding": {}}), vec!["Finding"]),
            (json!({"successfulSet": [{}]}), vec!["successfulSet[0]"]),
        ] {
            assert_eq!(paths(&value), expected, "{value}");
        }
    }

    #[test]
    fn other_objects_are_no_carriers() {
        for value in [
            json!({}),
            json!({"message": "hello"}),
            json!({"data": 1}),
            json!({"value": {}}),
            json!([]),
        ] {
            assert!(open(&value).is_none(), "{value}");
        }
    }
}
