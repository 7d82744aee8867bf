//! Findings, definitions and applications for tests.

use crate::app::App;
use crate::catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::run::{Run, RunState, StartedBy};
use crate::store::FindingRecord;
use jiff::Timestamp;
use quench_automations::{Library, SourceFile, load};
use quench_findings::{Finding, Kind, Severity, Source, Status, Transition};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A moment of 2026.
pub(crate) fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

/// Text of this many letters that no compression makes much smaller, always the same.
pub(crate) fn noise(letters: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..letters).map(letter).collect()
}

pub(crate) fn finding(id: &str) -> Finding {
    Finding {
        id: id.to_owned(),
        kind: Kind::Alert,
        source: Source::Guardduty,
        finding_type: None,
        title: format!("Something odd about {id}"),
        description: None,
        severity: Severity::Medium,
        status: Some(Status::New),
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        scope: Some("aws:111122223333".to_owned()),
        resources: Vec::new(),
        compliance: None,
        first_seen: None,
        last_seen: None,
        updated: Some(moment(0)),
        remediation: None,
        links: Vec::new(),
        parent: None,
        sample: false,
        item: None,
        raw: json!({"id": id}).into(),
    }
}

pub(crate) fn record(id: &str, at: Timestamp) -> FindingRecord {
    FindingRecord {
        finding: finding(id).into(),
        version: 1,
        sequence: 1,
        transition: Transition::Created,
        pending: true,
        created: at,
        stored: at,
        sent: Some(at),
    }
}

pub(crate) fn run(id: &str, at: Timestamp) -> Run {
    Run {
        id: id.to_owned(),
        finding: finding("f").into(),
        transition: Transition::Created,
        started_by: StartedBy::Automation {
            name: "tell".to_owned(),
            version: "v".to_owned(),
            explanation: Value::Null,
        },
        playbook: "note".to_owned(),
        versions: BTreeMap::from([("note".to_owned(), "v".to_owned())]),
        with: Map::new(),
        mode: None,
        state: RunState::Queued,
        created: at,
        updated: at,
    }
}

/// The event of a Config rule that judges a bucket.
pub(crate) fn event(bucket: &str, good: bool, second: i64) -> Vec<u8> {
    let time = moment(second).to_string();
    let compliance = if good { "COMPLIANT" } else { "NON_COMPLIANT" };
    let event = json!({
        "version": "0",
        "id": "21c0e6a2-6f0a-4b1e-9f4e-0f6a3f1f2b31",
        "detail-type": "Config Rules Compliance Change",
        "source": "aws.config",
        "account": "111122223333",
        "time": time,
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "resourceId": bucket,
            "awsRegion": "eu-west-1",
            "awsAccountId": "111122223333",
            "configRuleName": "bucket-is-private",
            "configRuleARN": "arn:aws:config:eu-west-1:111122223333:config-rule/config-rule-abcdef",
            "recordVersion": "1.0",
            "messageType": "ComplianceChangeNotification",
            "resourceType": "AWS::S3::Bucket",
            "newEvaluationResult": {
                "evaluationResultIdentifier": {
                    "evaluationResultQualifier": {
                        "configRuleName": "bucket-is-private",
                        "resourceType": "AWS::S3::Bucket",
                        "resourceId": bucket
                    },
                    "orderingTimestamp": time
                },
                "complianceType": compliance,
                "resultRecordedTime": time,
                "configRuleInvokedTime": time
            },
            "notificationCreationTime": time
        }
    });
    event.to_string().into_bytes()
}

/// Two automations over three playbooks, one of which starts another; together a failed bucket makes three runs.
pub(crate) const RULES: &str = "\
playbook: note
triggers: [compliance]
steps:
  - id: remember
    set: { bucket: \"{{ finding.id }}\" }
  - id: end
    stop: { reason: noted }
---
playbook: outer
triggers: [compliance]
steps:
  - id: inner
    playbook: note
---
playbook: other
triggers: [compliance]
steps:
  - id: remember
    set: { region: \"{{ finding.region }}\" }
---
automation: first
trigger: compliance
on: [created, changed, resolved]
run:
  - playbook: outer
  - playbook: note
---
automation: second
trigger: compliance
on: [created, changed, resolved]
when:
  - status: { equals: failed }
run:
  - playbook: other
";

pub(crate) fn config(folder: &Path) -> Config {
    Config {
        concurrency: 2,
        ..Config::local(folder)
    }
}

/// An application over this folder whose clock stands.
pub(crate) async fn app(folder: &Path, clock: &Clock) -> App {
    App::open_at(config(folder), clock.clone()).await.unwrap()
}

pub(crate) async fn apply(app: &App, yaml: &str) {
    let files = [SourceFile {
        path: "rules.yaml".to_owned(),
        text: yaml.to_owned(),
    }];
    let library: Library = catalog::library(app).await.unwrap();
    let definitions = match load(&files, &library) {
        Ok(definitions) => definitions,
        Err(faults) => panic!("{}", faults.render(false)),
    };
    catalog::apply(app, definitions).await.unwrap();
}
