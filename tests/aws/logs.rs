//! What deployed functions write to their logs: lines that people search, and metrics that `CloudWatch` takes out of them.

use std::collections::{BTreeMap, BTreeSet};

use quench_tests::events::guardduty;
use quench_tests::hub::{Hub, capital, wait_for};
use serde_json::{Value, json};

use crate::hub;
use crate::sources::succeeded;

#[test]
fn a_finding_is_followed_through_the_logs_and_counted_by_the_functions_that_were_deployed() {
    let hub = hub();
    let title = "Brute force number 3000.";
    hub.put(&[guardduty(3000)]);
    hub.wait_for_mails(title, 1);
    let run = hub.runs(title).swap_remove(0);
    let run = succeeded(&hub, run["id"].as_str().unwrap());
    let (id, finding) = (&run["id"], &run["finding"]["id"]);

    let taken_in =
        |line: &Value| line["message"] == "took a finding in" && line["finding.id"] == *finding;
    let alert = invocation(&hub, "alert", taken_in);
    let started = told(&alert, "started a run", id);
    assert_eq!(started["finding.id"], *finding);
    let counted = metrics(&hub, "alert", &alert);
    let expected = ["Findings", "Matches", "RunsStarted"].map(|name| (name, "Count"));
    holds(&counted, &expected);
    holds(&counted, &[("QueueAge", "Milliseconds")]);

    let ended = |line: &Value| line["message"] == "run finished" && line["run.id"] == *id;
    let runner = invocation(&hub, "runner", ended);
    let finished = told(&runner, "run finished", id);
    assert_eq!(finished["finding.id"], *finding);
    assert_eq!(finished["run.state"], "succeeded");
    let counted = metrics(&hub, "runner", &runner);
    holds(&counted, &[("RunsSucceeded", "Count")]);
    let expected = ["TimeToNotify", "QueueAge", "RunTime"].map(|name| (name, "Milliseconds"));
    holds(&counted, &expected);

    // What people search by is in every line, and each can be told from those of other invocations.
    for lines in [&alert, &runner] {
        for line in lines.iter().filter(|line| line.get("_aws").is_none()) {
            for name in ["timestamp", "level", "message", "lambda.request_id"] {
                let written = line[name].as_str().unwrap_or_default();
                assert!(!written.is_empty(), "`{name}` is not told: {line}");
            }
        }
    }
}

/// What a function logged in the invocation that has such a line.
#[track_caller]
fn invocation(hub: &Hub, function: &str, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let group = hub.resources()[&format!("{}Logs", capital(function))].clone();
    wait_for(&format!("the line of `{function}`"), || {
        // The emulator gives each invocation a stream of its own, and writes what Lambda says around it, as AWS does.
        let mut invocations: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut asked = json!({"logGroupName": group});
        loop {
            let seen = hub.aws.ok("logs", "filter_log_events", &asked);
            for event in seen["events"].as_array().unwrap() {
                let message = event["message"].as_str().unwrap();
                let of_lambda = ["START ", "END ", "REPORT "];
                if of_lambda.iter().any(|word| message.starts_with(word)) {
                    continue;
                }
                let line: Value = serde_json::from_str(message)
                    .unwrap_or_else(|_| panic!("`{function}` wrote what is no JSON: {message}"));
                let stream = event["logStreamName"].as_str().unwrap().to_owned();
                invocations.entry(stream).or_default().push(line);
            }
            match seen["nextToken"].as_str() {
                Some(token) => asked["nextToken"] = json!(token),
                None => break,
            }
        }
        invocations
            .into_values()
            .find(|lines| lines.iter().any(&is_it) && lines.iter().any(is_metrics))
    })
}

/// The line with this message on a run, by whose id people search.
#[track_caller]
fn told<'a>(lines: &'a [Value], message: &str, run: &Value) -> &'a Value {
    lines
        .iter()
        .find(|line| line["message"] == message && line["run.id"] == *run)
        .unwrap_or_else(|| panic!("nothing says `{message}` of {run}: {lines:?}"))
}

fn is_metrics(line: &Value) -> bool {
    line.get("_aws").is_some()
}

/// The units of an invocation's metrics by name, once its line is held to the embedded metric format, and to the namespace and
/// dimension that alarms and dashboard look for.
#[track_caller]
fn metrics(hub: &Hub, function: &str, lines: &[Value]) -> BTreeMap<String, String> {
    let lines: Vec<&Value> = lines.iter().filter(|line| is_metrics(line)).collect();
    let [line] = lines[..] else {
        panic!("an invocation has one line of metrics: {lines:?}");
    };
    let written = line["_aws"]["Timestamp"].as_u64().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let age = now.saturating_sub(u128::from(written));
    assert!(age < 600_000, "milliseconds since 1970: {written}");
    let [directive] = &line["_aws"]["CloudWatchMetrics"].as_array().unwrap()[..] else {
        panic!("one directive: {line}");
    };
    assert_eq!(directive["Namespace"], "Quench");
    assert_eq!(directive["Dimensions"], json!([["Function"]]));
    let name = hub.output(&format!("{}FunctionName", capital(function)));
    assert_eq!(line["Function"], name);
    let told: BTreeSet<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let metrics = directive["Metrics"].as_array().unwrap();
    let metrics: BTreeMap<String, String> = metrics
        .iter()
        .map(|metric| {
            let text = |part: &str| metric[part].as_str().unwrap().to_owned();
            (text("Name"), text("Unit"))
        })
        .collect();
    let declared = metrics.keys().map(String::as_str);
    let declared: BTreeSet<&str> = declared.chain(["_aws", "Function"]).collect();
    assert_eq!(told, declared, "what has a value is declared: {line}");
    for (name, unit) in &metrics {
        let values = match &line[name] {
            Value::Array(values) => values.clone(),
            one => vec![one.clone()],
        };
        assert!((1..=100).contains(&values.len()), "{name}: {line}");
        for value in values {
            let is_right = match unit.as_str() {
                "Count" => value.as_u64().is_some_and(|count| count > 0),
                "Milliseconds" => value.as_f64().is_some_and(|time| time >= 0.0),
                _ => false,
            };
            assert!(is_right, "{name}, {unit}: {value}");
        }
    }
    metrics
}

#[track_caller]
fn holds(metrics: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, unit) in expected {
        let found = metrics.get(*name).map(String::as_str);
        assert_eq!(found, Some(*unit), "{name}: {metrics:?}");
    }
}
