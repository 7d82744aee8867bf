//! The hub, deployed on an emulator of AWS from the template and the zips that users deploy, driven end to end.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking and says what it saw"
)]

use std::sync::{Arc, Mutex, PoisonError, Weak};

use quench_tests::hub::{Hub, Settings};
use serde_json::json;

#[path = "aws/approvals.rs"]
mod approvals;
#[path = "aws/deploy.rs"]
mod deploy;
#[path = "aws/doors.rs"]
mod doors;
#[path = "aws/faults.rs"]
mod faults;
#[path = "aws/logs.rs"]
mod logs;
#[path = "aws/members.rs"]
mod members;
#[path = "aws/permissions.rs"]
mod permissions;
#[path = "aws/queues.rs"]
mod queues;
#[path = "aws/roles.rs"]
mod roles;
#[path = "aws/sources.rs"]
mod sources;
#[path = "aws/stack.rs"]
mod stack;
#[path = "aws/tokens.rs"]
mod tokens;

/// Mails on every finding, but on none that is quiet, slight or well.
const MAIL_ON_ALL: &str = r#"
playbook: mail
description: Mails.
triggers: [alert, recommendation, compliance]
steps:
  - id: mail
    email:
      to: team@example.com
      subject: "{{ finding.title }}"
      template: finding
---
automation: alerts
trigger: alert
when:
  - title: { not_equals: Quiet }
    severity: { at_least: medium }
run: [{ playbook: mail }]
---
automation: recommendations
trigger: recommendation
when:
  - status: { equals: unhealthy }
run: [{ playbook: mail }]
---
automation: compliance
trigger: compliance
when:
  - status: { equals: failed }
run: [{ playbook: mail }]
"#;

/// What is reported by CloudTrail and is an alert here.
const CLOUDTRAIL_EVENTS: &str = "PutBucketPolicy,ConsoleLogin";

/// The hub that most tests share; it goes with the last of them that runs.
fn hub() -> Arc<Hub> {
    static SHARED: Mutex<Weak<Hub>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hub) = shared.upgrade() {
        return hub;
    }
    let hub = Arc::new(mailing(&Settings {
        parameters: vec![
            ("Senders".to_owned(), doors::senders()),
            ("CustomActions".to_owned(), doors::custom_actions()),
            ("CloudTrailEvents".to_owned(), CLOUDTRAIL_EVENTS.to_owned()),
            ("IntakeDeliveries".to_owned(), "3".to_owned()),
        ],
        ..Settings::default()
    }));
    *shared = Arc::downgrade(&hub);
    hub
}

/// A hub that mails on every finding.
fn mailing(settings: &Settings) -> Hub {
    let hub = Hub::deploy(settings);
    let secret = json!({"Name": "quench/scanner", "SecretString": doors::SECRET});
    hub.aws.ok("secretsmanager", "create_secret", &secret);
    hub.apply(MAIL_ON_ALL);
    hub
}
