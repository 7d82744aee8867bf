use crate::run::{Entry, Event};
use quench_actions::Outside;
use quench_actions::remediate::Plan;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

const REDACTED: &str = "[redacted]";

/// Shorter secrets are left alone, as they would take ordinary words with them.
const SHORTEST: usize = 6;

/// Knows the secrets of all connections and takes them out of what is written down.
///
/// Actions leave secrets out of what they report; this is for what a target sends back.
#[derive(Debug, Default)]
pub(crate) struct Redaction {
    secrets: Vec<SecretString>,
}

impl Redaction {
    pub(crate) async fn of(outside: &Outside) -> Self {
        let mut references = Vec::new();
        for connection in outside.connections.values() {
            if let Ok(connection) = serde_json::to_value(connection) {
                collect(&connection, &mut references);
            }
        }
        references.sort_unstable();
        references.dedup();
        let mut secrets = Vec::new();
        for reference in references {
            // One that leads nowhere fails the steps that need it, with its name.
            if let Ok(secret) = outside.secrets.resolve(&reference).await {
                secrets.push(secret);
            }
        }
        Self::new(secrets)
    }

    fn new(mut secrets: Vec<SecretString>) -> Self {
        secrets.retain(|secret| secret.expose_secret().len() >= SHORTEST);
        // A secret that holds another goes first, lest its rest stays.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self { secrets }
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                for (_, field) in fields.iter_mut() {
                    self.value(field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Why a plan must not be written down: without what is secret in it, nothing could be restored.
    fn unwritable(&self, plan: &Plan) -> Option<String> {
        let mut redacted = json!(plan);
        self.value(&mut redacted);
        (redacted != json!(plan)).then(|| {
            format!(
                "{} holds a secret of a connection, which must not be written down; nothing is changed; \
                 give the connection another secret",
                plan.target
            )
        })
    }

    /// An entry as it may be written.
    pub(crate) fn entry(&self, mut entry: Entry) -> Entry {
        if self.secrets.is_empty() {
            return entry;
        }
        match &mut entry.event {
            Event::Started { content } | Event::Proposed { content, .. } => self.value(content),
            Event::Succeeded {
                summary, output, ..
            } => {
                *summary = self.text(summary);
                self.value(output);
            }
            Event::Retrying { reason, .. }
            | Event::Failed { reason }
            | Event::Unknown { reason }
            | Event::Held { reason, .. }
            | Event::Outdated { reason, .. }
            | Event::Pending { reason, .. }
            | Event::UndoFailed { reason, .. } => {
                *reason = self.text(reason);
            }
            Event::Asked { untold, .. } => {
                for told in untold {
                    *told = self.text(told);
                }
            }
            Event::Guarded { checks, .. } => {
                for check in checks {
                    check.about = self.text(&check.about);
                }
            }
            Event::Decided { reason, .. } => {
                if let Some(reason) = reason {
                    *reason = self.text(reason);
                }
            }
            Event::Planned { plan, .. } => {
                if let Some(reason) = self.unwritable(plan) {
                    entry.event = Event::Failed { reason };
                }
            }
            Event::Waiting { .. }
            | Event::Reopened
            | Event::Applying { .. }
            | Event::Applied { .. }
            | Event::UndoAsked { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. } => {}
        }
        entry
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("secret://") => references.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, references)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quench_actions::remediate::{Kind, Parameters, Remediation, Risk, Target};
    use quench_automations::Mode;

    #[test]
    fn secrets_go_out_of_all_texts_the_longer_one_first() {
        let secrets = ["hunter2", "hunter2-and-more", "ab"].map(SecretString::from);
        let redaction = Redaction::new(secrets.into());
        let entry = redaction.entry(Entry {
            path: "call".to_owned(),
            attempt: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            event: Event::Succeeded {
                summary: "hunter2 about".to_owned(),
                output: json!({"body": {"echo": ["x hunter2-and-more y", 7]}}),
                took: std::time::Duration::ZERO,
            },
        });
        let Event::Succeeded {
            summary, output, ..
        } = entry.event
        else {
            panic!("the kind of event stays")
        };
        assert_eq!(summary, "[redacted] about");
        assert_eq!(output, json!({"body": {"echo": ["x [redacted] y", 7]}}));
        assert!(!format!("{redaction:?}").contains("hunter2"));
    }

    #[test]
    fn a_plan_that_holds_a_secret_is_refused_as_nothing_could_be_restored_from_what_is_left_of_it()
    {
        let target = Target::read(
            "arn:aws:s3:::logs",
            &[Kind::Bucket],
            "111122223333",
            "eu-central-1",
        );
        let plan = |policy: &str| Plan {
            remediation: Remediation::S3TlsOnly,
            target: target.clone().unwrap(),
            parameters: Parameters::new(),
            risk: Risk::Medium,
            changes: Vec::new(),
            nothing_to_do: None,
            warnings: Vec::new(),
            before: json!({ "policy": policy }),
            after: json!({}),
            hash: String::new(),
        };
        let written = |plan: Plan| {
            let entry = Entry {
                path: "close".to_owned(),
                attempt: 1,
                at: jiff::Timestamp::UNIX_EPOCH,
                event: Event::Planned {
                    plan: Box::new(plan),
                    mode: Mode::Enforce,
                },
            };
            Redaction::new(vec![SecretString::from("hunter2")])
                .entry(entry)
                .event
        };
        let Event::Failed { reason } = written(plan("the hunter2 one")) else {
            panic!("it would be written down")
        };
        assert!(reason.contains("nothing is changed"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
        assert!(matches!(
            written(plan("another one")),
            Event::Planned { .. }
        ));
    }
}
