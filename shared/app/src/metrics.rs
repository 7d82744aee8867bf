//! What is counted and timed while messages are worked on, in the format that `CloudWatch` takes from logs.
//!
//! Names are in the namespace `Quench` with the one dimension `Function`, the name that a function is deployed by; what did
//! not happen is left out.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const NAMESPACE: &str = "Quench";
const DIMENSION: &str = "Function";
/// The most values of one metric in one line (`CloudWatch` embedded metric format specification, "Target members").
const MOST_VALUES: usize = 100;

/// Counts and times of one invocation; clones count together. By default nothing is counted.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Option<Arc<Mutex<Tally>>>);

#[derive(Debug, Default)]
struct Tally {
    counts: BTreeMap<Count, u64>,
    times: BTreeMap<Timed, Vec<Duration>>,
    duration: Duration,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    /// Findings that arrived, those included that told nothing new.
    Findings,
    /// Automations that a finding set off.
    Matches,
    /// Runs that automations made.
    RunsStarted,
    /// Runs that somebody started by hand.
    RunsByHand,
    /// Runs that were due, of which no message spoke.
    RunsDue,
    /// Those of them that had been due for minutes.
    RunsLate,
    /// Runs that ended well.
    RunsSucceeded,
    /// Runs that a step ended.
    RunsStopped,
    /// Runs that failed.
    RunsFailed,
    /// Remediations that were found to change something.
    RemediationsPlanned,
    /// Remediations that were applied.
    RemediationsApplied,
    /// Remediations that failed, or that guards stopped.
    RemediationsFailed,
    /// Remediations that were undone.
    RemediationsUndone,
    /// Payloads of which anything was refused.
    PayloadsRefused,
    /// Messages that were not dealt with and come again.
    MessagesFailed,
    /// Messages of senders outside that were put onto a queue.
    WebhooksAccepted,
    /// Messages from outside that were not.
    WebhooksRefused,
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timed {
    /// From a finding's last change, as its source tells, to its storing.
    SourceDelay,
    /// From a message's sending, or the time that it was held back until, to its delivery.
    QueueAge,
    /// From a run's making, just after its finding was stored, to its first notification.
    TimeToNotify,
    /// From a run's making to its end.
    RunTime,
}

impl Count {
    fn name(self) -> &'static str {
        match self {
            Count::Findings => "Findings",
            Count::Matches => "Matches",
            Count::RunsStarted => "RunsStarted",
            Count::RunsByHand => "RunsByHand",
            Count::RunsDue => "RunsDue",
            Count::RunsLate => "RunsLate",
            Count::RunsSucceeded => "RunsSucceeded",
            Count::RunsStopped => "RunsStopped",
            Count::RunsFailed => "RunsFailed",
            Count::RemediationsPlanned => "RemediationsPlanned",
            Count::RemediationsApplied => "RemediationsApplied",
            Count::RemediationsFailed => "RemediationsFailed",
            Count::RemediationsUndone => "RemediationsUndone",
            Count::PayloadsRefused => "PayloadsRefused",
            Count::MessagesFailed => "MessagesFailed",
            Count::WebhooksAccepted => "WebhooksAccepted",
            Count::WebhooksRefused => "WebhooksRefused",
        }
    }
}

impl Timed {
    fn name(self) -> &'static str {
        match self {
            Timed::SourceDelay => "SourceDelay",
            Timed::QueueAge => "QueueAge",
            Timed::TimeToNotify => "TimeToNotify",
            Timed::RunTime => "RunTime",
        }
    }
}

impl Metrics {
    /// Begins to count.
    pub(crate) fn counting() -> Metrics {
        Metrics(Some(Arc::default()))
    }

    pub(crate) fn count(&self, what: Count, by: usize) {
        if let Some(mut tally) = self.tally() {
            *tally.counts.entry(what).or_default() += by as u64;
        }
    }

    /// Notes a time from `since` until `now`; clocks that are apart make no negative times.
    pub(crate) fn time(&self, what: Timed, since: Timestamp, now: Timestamp) {
        if let Some(mut tally) = self.tally() {
            let times = tally.times.entry(what).or_default();
            if times.len() < MOST_VALUES {
                times.push(crate::clock::until(since, now));
            }
        }
    }

    /// Notes how long the invocation took.
    pub fn duration(&self, took: Duration) {
        if let Some(mut tally) = self.tally() {
            tally.duration = took;
        }
    }

    /// What was counted, as one line of a log; `function` is the name that the function is deployed by.
    pub fn line(&self, function: &str, now: Timestamp) -> String {
        let mut metrics = Vec::new();
        let mut values = Map::new();
        let mut put = |name: &str, unit: &str, value: Value| {
            metrics.push(json!({"Name": name, "Unit": unit}));
            values.insert(name.to_owned(), value);
        };
        if let Some(tally) = self.tally() {
            for (count, value) in &tally.counts {
                if *value > 0 {
                    put(count.name(), "Count", json!(value));
                }
            }
            for (time, values) in &tally.times {
                let values: Vec<Value> = values.iter().copied().map(milliseconds).collect();
                put(time.name(), "Milliseconds", Value::Array(values));
            }
            put("Duration", "Milliseconds", milliseconds(tally.duration));
        }
        let mut line = json!({
            "_aws": {
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": metrics,
                }],
            },
            DIMENSION: function,
        });
        if let Value::Object(line) = &mut line {
            line.extend(values);
        }
        line.to_string()
    }

    fn tally(&self) -> Option<MutexGuard<'_, Tally>> {
        let tally = self.0.as_ref()?;
        Some(tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> Value {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match micros % 1000 {
        0 => json!(micros / 1000),
        _ => json!(micros as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::moment;

    /// Holds a line to the specification of the embedded metric format.
    fn check(line: &str) -> Value {
        assert!(!line.contains('\n'));
        assert!(line.len() <= 1024 * 1024, "the largest event of a log");
        let root: Value = serde_json::from_str(line).unwrap();
        let about = root["_aws"].as_object().unwrap();
        assert_eq!(about.len(), 2, "{about:?}");
        assert!(about["Timestamp"].is_u64(), "milliseconds since 1970");
        for directive in about["CloudWatchMetrics"].as_array().unwrap() {
            let namespace = directive["Namespace"].as_str().unwrap();
            assert!((1..=1024).contains(&namespace.len()));
            let sets = directive["Dimensions"].as_array().unwrap();
            assert!(!sets.is_empty());
            for set in sets {
                let names = set.as_array().unwrap();
                assert!(names.len() <= 30);
                for name in names {
                    let value = root[name.as_str().unwrap()].as_str().unwrap();
                    assert!((1..=1024).contains(&value.len()));
                }
            }
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()));
            let mut names = std::collections::BTreeSet::new();
            for metric in metrics {
                let name = metric["Name"].as_str().unwrap();
                assert!(names.insert(name), "`{name}` is told twice");
                let unit = metric["Unit"].as_str().unwrap();
                assert!(["Count", "Milliseconds"].contains(&unit));
                match &root[name] {
                    Value::Number(_) => {}
                    Value::Array(values) => {
                        assert!((1..=100).contains(&values.len()), "{name}");
                        assert!(values.iter().all(Value::is_number), "{name}");
                    }
                    other => panic!("`{name}` is {other}"),
                }
            }
        }
        root
    }

    #[test]
    fn a_line_has_the_embedded_metric_format() {
        let metrics = Metrics::counting();
        metrics.count(Count::Findings, 2);
        metrics.clone().count(Count::Findings, 1);
        metrics.count(Count::Matches, 0);
        metrics.time(Timed::QueueAge, moment(0), moment(2));
        metrics.time(Timed::QueueAge, moment(3), moment(2));
        metrics.duration(Duration::from_micros(1500));
        let line = metrics.line("alert", moment(9));
        assert_eq!(
            check(&line),
            json!({
                "_aws": {
                    "Timestamp": moment(9).as_millisecond(),
                    "CloudWatchMetrics": [{
                        "Namespace": "Quench",
                        "Dimensions": [["Function"]],
                        "Metrics": [
                            {"Name": "Findings", "Unit": "Count"},
                            {"Name": "QueueAge", "Unit": "Milliseconds"},
                            {"Name": "Duration", "Unit": "Milliseconds"},
                        ],
                    }],
                },
                "Function": "alert",
                "Findings": 3,
                "QueueAge": [2000, 0],
                "Duration": 1.5,
            })
        );
    }

    #[test]
    fn an_invocation_in_which_nothing_happened_tells_how_long_it_took() {
        let metrics = Metrics::counting();
        let told = check(&metrics.line("runner", moment(0)));
        assert_eq!(told["Duration"], 0);
    }

    #[test]
    fn values_beyond_what_a_line_holds_are_left_out() {
        let metrics = Metrics::counting();
        for _ in 0..500 {
            metrics.time(Timed::RunTime, moment(0), moment(1));
        }
        check(&metrics.line("runner", moment(0)));
    }

    #[test]
    fn nothing_is_kept_where_nobody_asks() {
        let metrics = Metrics::default();
        metrics.count(Count::Findings, 1);
        metrics.time(Timed::RunTime, moment(0), moment(1));
        assert!(!metrics.line("alert", moment(0)).contains("Findings"));
    }
}
