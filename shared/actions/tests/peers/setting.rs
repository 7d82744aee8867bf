//! An outside world for tests, and steps to try in it.

use quench_actions::aws::InvalidAws;
use quench_actions::mailer::Sender;
use quench_actions::{
    Action, ActionError, AddressGuard, Attempt, Cloud, Context, HttpClient, HttpRules, Mailer,
    Outside, Performed, Secrets, perform, prepare,
};
use quench_automations::{
    Auth, Connection, ConnectionKind, HttpStep, SlackStep, StepKind, TeamsStep, WebhookStep,
    templates,
};
use quench_findings::Finding;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const TOKEN: &str = "xoxb-never-to-be-shown";
pub(crate) const PATH: &str = "/services/T000/B000/never-to-be-shown";

pub(crate) fn finding() -> Finding {
    serde_json::from_str(include_str!("../data/finding.json")).unwrap()
}

pub(crate) fn context(params: Value) -> Context {
    let finding = finding();
    let document = json!({ "raw": finding.raw, "defender": {} });
    let mut own = json!({
        "steps": {},
        "vars": {},
        "run": {
            "id": "0f3c9a7be1d24c55", "automation": "tell", "playbook": "try",
            "transition": "created", "mode": null, "url": null,
        },
    });
    own["params"] = params;
    let mut all = templates::context(&finding, &document);
    all.extend(own.as_object().cloned().unwrap_or_default());
    Context {
        all: Value::Object(all),
        own,
    }
}

pub(crate) fn attempt(limit: Duration) -> Attempt {
    Attempt {
        key: "0f3c9a7be1d24c55/mail".to_owned(),
        round: 0,
        mark: None,
        number: 1,
        timeout: limit,
    }
}

pub(crate) fn client(allowed: &[&str], authorities: Vec<CertificateDer<'static>>) -> HttpClient {
    HttpClient::new(HttpRules {
        guard: AddressGuard::allowing(allowed.iter().copied()).unwrap(),
        authorities,
    })
    .unwrap()
}

pub(crate) fn sender() -> Sender {
    Sender::new("Quench <quench@example.com>").unwrap()
}

/// An outside world whose every connection leads to one server.
pub(crate) fn outside(base: &str) -> Outside {
    outside_with(
        base,
        client(&["127.0.0.1", "nothing.invalid", "localhost"], Vec::new()),
        Auth::None,
    )
}

pub(crate) fn outside_with(base: &str, http: HttpClient, auth: Auth) -> Outside {
    let hook = "secret://env/HOOK".to_owned();
    let kinds = [
        (
            "slack-hook",
            ConnectionKind::SlackHook { url: hook.clone() },
        ),
        (
            "slack-bot",
            ConnectionKind::SlackBot {
                token: "secret://env/TOKEN".to_owned(),
                url: Some(format!("{base}/api")),
            },
        ),
        ("teams", ConnectionKind::Teams { url: hook.clone() }),
        (
            "webhook",
            ConnectionKind::Webhook {
                url: hook,
                secret: "secret://env/SIGNING".to_owned(),
            },
        ),
        (
            "http",
            ConnectionKind::Http {
                url: format!("{base}/base"),
                auth,
            },
        ),
    ];
    let connections: BTreeMap<String, Connection> = kinds
        .into_iter()
        .map(|(name, kind)| {
            let name = name.to_owned();
            let connection = Connection {
                name: name.clone(),
                description: None,
                kind,
            };
            (name, connection)
        })
        .collect();
    Outside {
        http,
        mailer: Mailer::outbox(PathBuf::from("/nonexistent"), sender()),
        connections: Arc::new(connections),
        secrets: Secrets::held([
            ("secret://env/HOOK", format!("{base}{PATH}").as_str()),
            ("secret://env/TOKEN", TOKEN),
            ("secret://env/SIGNING", SIGNING_SECRET),
            ("secret://env/PASSWORD", "hunter2-never-to-be-shown"),
        ]),
        cloud: Err(InvalidAws::NoRegion),
    }
}

/// An outside world that has nothing but AWS.
pub(crate) fn outside_in(cloud: Cloud) -> Outside {
    Outside {
        cloud: Ok(cloud),
        ..outside("http://127.0.0.1:9")
    }
}

pub(crate) fn slack(connection: &str, channel: Option<&str>) -> StepKind {
    StepKind::Slack(SlackStep {
        connection: connection.to_owned(),
        channel: channel.map(str::to_owned),
        text: None,
    })
}

pub(crate) fn teams() -> StepKind {
    StepKind::Teams(TeamsStep {
        connection: "teams".to_owned(),
        title: None,
        text: None,
    })
}

pub(crate) fn webhook() -> StepKind {
    StepKind::Webhook(WebhookStep {
        connection: "webhook".to_owned(),
        event: None,
        data: None,
    })
}

pub(crate) fn http(method: &str, url: &str) -> HttpStep {
    HttpStep {
        connection: Some("http".to_owned()),
        method: method.to_owned(),
        url: url.to_owned(),
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        json: None,
        body: None,
        expect: Vec::new(),
        idempotency_header: None,
    }
}

pub(crate) fn prepared(step: &StepKind) -> Action {
    prepare(step, &context(json!({}))).unwrap().unwrap()
}

pub(crate) async fn done(step: &StepKind, outside: &Outside) -> Result<Performed, ActionError> {
    perform(&prepared(step), outside, &attempt(Duration::from_secs(10))).await
}

pub(crate) fn permanent(result: Result<Performed, ActionError>) -> String {
    match result {
        Err(ActionError::Permanent { reason }) => reason,
        other => panic!("not a permanent error: {other:?}"),
    }
}
