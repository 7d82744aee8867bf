//! Questions that were asked, for tests.

use super::{About, Approval, ApprovalState, Asked, Proposal, answer, ask};
use crate::answer::Answer;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::manual::{Caller, Request};
use crate::run::{Run, RunState, StartedBy};
use crate::specimen::{self, finding, moment};
use crate::store::Claim;
use ::http::HeaderMap;
use quench_actions::remediate::{Change, Risk};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const HASH: &str = "5f3a";
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn question() -> Approval {
    Approval {
        id: "0a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
        run: "00ff".to_owned(),
        path: "close".to_owned(),
        plan_hash: HASH.to_owned(),
        risk: Some(Risk::Medium),
        title: "revoke-open-ingress on security group `sg-1`".to_owned(),
        what: Proposal::Plan {
            remediation: "revoke-open-ingress".to_owned(),
            resource: "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            parameters: serde_json::Map::new(),
            changes: vec![Change {
                path: "ingress.tcp 22 from 0.0.0.0/0".to_owned(),
                before: json!("<script>alert(1)</script>"),
                after: Value::Null,
            }],
            warnings: vec!["SSH & more".to_owned()],
        },
        message: None,
        finding: About::from(&finding("f")),
        playbook: "close-open-ports".to_owned(),
        automation: None,
        asked: vec![
            Asked::new("anna@example.com"),
            Asked::new("bert@example.com"),
        ],
        requester: None,
        created: moment(100),
        expires: moment(4000),
        state: ApprovalState::Pending,
    }
}

/// An application in which a run waits for the answer to a question, and the tokens of those who were asked.
pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) app: App,
    pub(super) approval: Approval,
    pub(super) anna: String,
    pub(super) bert: String,
}

pub(super) async fn scene(change: impl FnOnce(&mut Approval)) -> Scene {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(moment(100));
    let config = Config {
        url: Some("https://quench.example.com".parse().unwrap()),
        ..specimen::config(folder.path())
    };
    let app = App::open_at(config, clock).await.unwrap();
    let mut approval = question();
    change(&mut approval);
    let run = Run {
        started_by: match &approval.requester {
            Some(by) => StartedBy::Manual { by: by.clone() },
            None => specimen::run("00ff", moment(90)).started_by,
        },
        ..specimen::run("00ff", moment(90))
    };
    app.store.create_run(&run).await.unwrap();
    let claim = app.store.claim_run("00ff", "one", moment(95), MINUTE).await;
    let Ok(Claim::Held { lease, .. }) = claim else {
        panic!("{claim:?}");
    };
    let state = RunState::Waiting {
        until: approval.expires,
        reason: "people are asked".to_owned(),
    };
    app.store.settle(&lease, &state, moment(99)).await.unwrap();
    let outside = app.outside().await.unwrap();
    let untold = ask(&app, &outside, &approval, false, MINUTE).await.unwrap();
    assert_eq!(untold, []);
    let outbox = folder.path().join("outbox");
    Scene {
        anna: token(&outbox, "anna@example.com"),
        bert: token(&outbox, "bert@example.com"),
        approval,
        folder,
        app,
    }
}

/// The mails of a folder, without the line breaks of their encoding.
pub(super) fn mails(outbox: &Path) -> Vec<String> {
    let files = std::fs::read_dir(outbox).unwrap();
    files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|mail| mail.replace("=\r\n", "").replace("=3D", "="))
        .collect()
}

pub(super) fn token(outbox: &Path, to: &str) -> String {
    let mail = mails(outbox)
        .into_iter()
        .find(|mail| mail.contains(&format!("To: {to}\r\n")))
        .unwrap();
    let (_, after) = mail
        .split_once("https://quench.example.com/approvals/")
        .unwrap();
    after.chars().take(43).collect()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            ::http::HeaderName::from_static(name),
            value.parse().unwrap(),
        )
    });
    pairs.collect()
}

impl Scene {
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        accept: &str,
        body: &str,
    ) -> Answer {
        let headers = headers(&[("content-type", kind), ("accept", accept)]);
        let path = format!("/approvals/{path}");
        let request = Request {
            method,
            path: &path,
            headers: &headers,
            body: body.as_bytes(),
            caller: None,
        };
        answer(&self.app, &request).await
    }

    pub(super) async fn page(&self, token: &str) -> Answer {
        self.ask("GET", token, "", "text/html,*/*;q=0.8", "").await
    }

    pub(super) async fn json(&self, token: &str) -> Value {
        let shown = self.ask("GET", token, "", "application/json", "").await;
        assert_eq!(shown.status, 200);
        shown.body.unwrap()
    }

    pub(super) async fn post(&self, token: &str, decision: &str) -> Answer {
        let body = format!("plan_hash={HASH}&reason=&decision={decision}");
        self.ask("POST", token, FORM, "text/html", &body).await
    }

    pub(super) async fn by_login(&self, by: &str, scopes: &str) -> Answer {
        let claims = [("sub", "1234"), ("email", by), ("scope", scopes)];
        let caller = Caller::bearer(|claim| {
            let found = claims.iter().find(|(name, _)| *name == claim)?;
            Some(found.1)
        });
        let body = json!({"decision": "approve", "plan_hash": HASH}).to_string();
        let path = format!("/prod/approvals/{}/decision", self.approval.id);
        let request = Request {
            method: "POST",
            path: &path,
            headers: &headers(&[("content-type", "application/json; charset=utf-8")]),
            body: body.as_bytes(),
            caller: caller.as_ref(),
        };
        answer(&self.app, &request).await
    }

    pub(super) async fn state(&self) -> ApprovalState {
        let found = self.app.store.approval(&self.approval.id).await.unwrap();
        found.unwrap().state
    }

    pub(super) async fn queued(&self) -> u64 {
        let now = self.app.clock.now();
        let queue = crate::queue::Queue::Runs;
        self.app.queues.depth(queue, now).await.unwrap().ready
    }
}
