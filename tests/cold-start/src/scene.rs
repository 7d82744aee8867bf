//! Where functions are measured: the hub on an emulator of AWS, with a thousand automations in force.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use quench_tests::events::{config, defender, guardduty, inspector};
use quench_tests::hub::{FUNCTIONS, Hub, Settings, zip};
use quench_tests::proxy::Call;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::launch::Function;

/// Automations in force.
pub(crate) const AUTOMATIONS: usize = 1000;
/// Findings, or runs, of a batch.
const BATCH: usize = 10;

/// How long an answer of AWS that is replayed takes.
const ANSWER: Duration = Duration::from_millis(1);
/// Bytes of an event that Lambda invokes a function with at most ("Lambda quotas", invocation payload).
const EVENT: usize = 6 * 1024 * 1024;

/// The key that the sender `defender` shows.
const KEY: &str = "a key of measurements only";

/// The hub, with the programs of its functions unpacked.
pub(crate) struct Scene {
    hub: Hub,
    folder: TempDir,
    findings: usize,
    /// Calls that were to be replayed and had no answer.
    missed: Arc<AtomicUsize>,
}

impl Scene {
    /// Deploys the hub and puts the automations in force. What would invoke its functions is switched off: here they are
    /// started by who measures.
    pub(crate) fn set() -> Result<Scene, String> {
        let senders = json!({"defender": {
            "scheme": "shared-key",
            "secrets": ["secret://secretsmanager/quench/defender"],
        }});
        let hub = Hub::deploy(&Settings {
            parameters: vec![
                ("Senders".to_owned(), senders.to_string()),
                ("MailRate".to_owned(), "1000".to_owned()),
            ],
            ..Settings::default()
        });
        let secret = json!({"Name": "quench/defender", "SecretString": KEY});
        hub.aws.ok("secretsmanager", "create_secret", &secret);
        let mappings = hub
            .aws
            .ok("lambda", "list_event_source_mappings", &json!({}));
        for mapping in mappings["EventSourceMappings"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let off = json!({"UUID": mapping["UUID"], "Enabled": false});
            hub.aws.ok("lambda", "update_event_source_mapping", &off);
        }
        let timer = &hub.resources()["EveryMinuteRule"];
        hub.aws
            .ok("events", "disable_rule", &json!({"Name": timer}));
        hub.apply(&definitions());
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let scene = Scene {
            hub,
            folder,
            findings: 0,
            missed: Arc::default(),
        };
        for name in FUNCTIONS {
            scene.unpack(name)?;
        }
        Ok(scene)
    }

    fn unpack(&self, name: &str) -> Result<(), String> {
        let status = Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .args([zip(name), self.folder.path().join(name)])
            .status()
            .map_err(|error| format!("python3: {error}"))?;
        let chmod = Command::new("chmod")
            .arg("755")
            .arg(self.program(name))
            .status();
        match status.success() && chmod.is_ok_and(|status| status.success()) {
            true => Ok(()),
            false => Err(format!("`{name}.zip` cannot be unpacked")),
        }
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("bootstrap")
    }

    /// A function with the environment that it was deployed with.
    pub(crate) fn function(&self, name: &str) -> Function {
        let initial = name[..1].to_uppercase();
        let deployed = self
            .hub
            .output(&format!("{initial}{}FunctionName", &name[1..]));
        let asked = json!({"FunctionName": deployed});
        let deployed = self
            .hub
            .aws
            .ok("lambda", "get_function_configuration", &asked);
        let mut environment = self.environment();
        for (name, value) in deployed["Environment"]["Variables"]
            .as_object()
            .into_iter()
            .flatten()
        {
            environment.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
        }
        Function {
            name: name.to_owned(),
            program: self.program(name),
            arguments: Vec::new(),
            environment,
        }
    }

    /// The variables of region, credentials and endpoint.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut variables = self.hub.variables();
        variables.retain(|(name, _)| name.starts_with("AWS_"));
        variables
    }

    /// The calls to AWS since this was asked the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.hub.proxy.calls()
    }

    /// Has every call answered as these were, without AWS, and one after the other as AWS answers them: who finds several
    /// answers at once is spared most of the waking up.
    pub(crate) fn replay(&self, made: &[Call]) {
        self.missed.store(0, Ordering::Relaxed);
        let (made, missed) = (made.to_vec(), Arc::clone(&self.missed));
        self.hub.proxy.refuse(move |call| {
            let told = made.iter().find(|known| {
                known.operation == call.operation && known.request.body == call.request.body
            });
            let answer = told.and_then(|told| told.response.clone());
            std::thread::sleep(ANSWER);
            missed.fetch_add(usize::from(answer.is_none()), Ordering::Relaxed);
            answer
        });
    }

    /// Lets AWS answer again.
    ///
    /// # Errors
    /// A call was made meanwhile that had no answer.
    pub(crate) fn recover(&self) -> Result<(), String> {
        self.hub.proxy.recover();
        self.hub.proxy.calls();
        match self.missed.load(Ordering::Relaxed) {
            0 => Ok(()),
            missed => Err(format!("{missed} calls were not those that were replayed")),
        }
    }

    /// What a function is invoked with: batches are of findings, or runs, that never were there before.
    pub(crate) fn payload(&mut self, function: &str) -> Result<Value, String> {
        let first = self.findings;
        self.findings += BATCH;
        let numbers = first..self.findings;
        Ok(match function {
            "alert" => batch(numbers.map(|number| guardduty(number).to_string())),
            "recommendation" => {
                batch(numbers.map(|number| inspector(number, "ACTIVE", 0).to_string()))
            }
            "compliance" => batch(numbers.map(|number| config(number).to_string())),
            "runner" => batch(self.runs()?.into_iter()),
            "webhook" => request("POST", "/webhook/defender", &defender(first).to_string()),
            // A link that nobody was sent: it is looked for, and an answer is written.
            "approve" => {
                let token = URL_SAFE_NO_PAD.encode(format!("{first:032}"));
                request("GET", &format!("/approvals/{token}"), "")
            }
            "manual" => {
                let runs = self.hub.json(["runs", "list", "--limit", "1"]);
                json!({"playbook": "mail", "finding": runs[0]["finding"]["id"]})
            }
            _ => json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events"}),
        })
    }

    /// The largest batch that there can be, of findings as large as its room allows, with many small parts.
    pub(crate) fn flood(&mut self) -> Value {
        let first = self.findings;
        self.findings += BATCH;
        let part = json!({"name": "example", "value": [1, true, "text"]});
        let bodies = (first..self.findings).map(|number| {
            let mut finding = guardduty(number);
            // Within the batch each quotation mark takes two bytes.
            let parts = EVENT / BATCH / (part.to_string().replace('"', "__").len() + 1) - 200;
            finding["detail"]["service"]["parts"] = vec![part.clone(); parts].into();
            finding.to_string()
        });
        let batch = batch(bodies);
        let bytes = batch.to_string().len();
        assert!(bytes <= EVENT && bytes > EVENT / 10 * 9, "{bytes} bytes");
        batch
    }

    /// Runs that wait for the runner.
    fn runs(&self) -> Result<Vec<String>, String> {
        let queue = self.hub.output("QueueRuns");
        let asked = json!({"QueueUrl": queue, "MaxNumberOfMessages": BATCH});
        let mut bodies = Vec::new();
        while bodies.len() < BATCH {
            let received = self.hub.aws.ok("sqs", "receive_message", &asked);
            let messages = received["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Err(
                    "no runs are queued: measure `alert` as well, which starts some".to_owned(),
                );
            }
            for message in messages {
                let seen = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
                self.hub.aws.ok("sqs", "delete_message", &seen);
                bodies.push(message["Body"].as_str().unwrap_or_default().to_owned());
            }
        }
        bodies.truncate(BATCH);
        Ok(bodies)
    }
}

/// A batch as a queue hands it over.
fn batch(bodies: impl Iterator<Item = String>) -> Value {
    let records: Vec<Value> = bodies
        .enumerate()
        .map(|(number, body)| {
            json!({
                "messageId": format!("059f36b4-87a3-44ab-83d2-{number:012}"),
                "receiptHandle": STANDARD.encode([7; 300]),
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1793612345678",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1793612345682",
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:quench",
                "awsRegion": "eu-central-1",
            })
        })
        .collect();
    json!({ "Records": records })
}

/// A request as an HTTP API hands it over.
fn request(method: &str, path: &str, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-quench-key": KEY},
        "pathParameters": {"sender": "defender"},
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "api",
            "domainName": "api.execute-api.eu-central-1.amazonaws.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "azure-logic-apps/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:10:00:00 +0000",
            "timeEpoch": 1_795_341_600_000_u64,
        },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

/// A playbook, an automation of each kind that mails on everything, and automations as people write them, of two to four
/// conditions: most compare, some search, few look at how a text begins or ends or how large a number is.
fn definitions() -> String {
    let mut text = String::from(
        "playbook: mail
description: Mails.
triggers: [alert, recommendation, compliance]
steps:
  - id: mail
    email: { to: team@example.com, subject: \"{{ finding.title }}\", template: finding }
",
    );
    let kinds = ["alert", "recommendation", "compliance"];
    for kind in kinds {
        let _ = write!(
            text,
            "---\nautomation: every-{kind}\ntrigger: {kind}\nrun: [{{ playbook: mail }}]\n"
        );
    }
    for number in 0..AUTOMATIONS - kinds.len() {
        let kind = kinds[number % kinds.len()];
        let conditions = [
            format!(
                "account: {{ equals: \"{:012}\" }}",
                200_000_000_000_u64 + number as u64
            ),
            format!("type: {{ equals: \"Threat:EC2/Kind{}\" }}", number % 97),
            format!("title: {{ contains: \"service {number}\" }}"),
            format!("resource.tags.team: {{ equals: \"team-{}\" }}", number % 41),
            format!("resource.id: {{ starts_with: \"arn:aws:s3:::project-{number}\" }}"),
            format!(
                "region: {{ equals: \"{}\" }}",
                ["eu-west-1", "us-east-1", "eu-north-1"][number % 3]
            ),
            format!("description: {{ contains: \"exploit {}\" }}", number % 53),
            format!("resource.name: {{ ends_with: \"-{number}.example.com\" }}"),
            format!(
                "raw.detail.service.count: {{ greater_than: {} }}",
                20 + number % 50
            ),
            "severity: { equals: critical }".to_owned(),
        ];
        let _ = write!(
            text,
            "---\nautomation: rule-{number}\ntrigger: {kind}\nwhen:\n  -"
        );
        // Each kind of condition at the start in turn, and others that stand beside it.
        for offset in 0..2 + number % 3 {
            let condition = &conditions[(number + offset * 3) % conditions.len()];
            let indent = if offset == 0 { " " } else { "    " };
            let _ = writeln!(text, "{indent}{condition}");
        }
        text.push_str("run: [{ playbook: mail }]\n");
    }
    text
}
