use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queue;
use crate::run::{RunState, StartedBy};
use crate::specimen::{apply, config, moment};
use crate::store::{FindingFilter, Page, RunFilter};
use crate::{Answer, Run, intake, worker};
use ::http::{HeaderMap, HeaderValue};
use std::time::Duration;
use tempfile::TempDir;

const FILES: &str = r#"
playbook: note-it
triggers: [alert, recommendation, compliance]
steps:
  - id: remember
    set: { seen: "{{ finding.id }}" }
---
playbook: mail-it
triggers: [alert, recommendation, compliance]
parameters:
  to: { type: email, required: true }
steps:
  - id: mail
    email: { to: "{{ params.to }}", subject: "{{ finding.title }}", template: finding }
---
playbook: alerts-only
triggers: [alert]
steps:
  - id: end
    stop: { reason: done }
"#;

const ALL: Page = Page {
    limit: 1000,
    skip: 0,
};

async fn opened(config: Config) -> App {
    let app = App::open_at(config, Clock::manual(moment(0)))
        .await
        .unwrap();
    apply(&app, FILES).await;
    app
}

async fn stocked(folder: &TempDir) -> (App, String) {
    let app = opened(config(folder.path())).await;
    let event = crate::specimen::event("shop", false, 1);
    let taken = intake::intake(&app, &event).await.unwrap();
    let finding = taken.findings[0].finding.id.clone();
    (app, finding)
}

async fn runs(app: &App) -> Vec<Run> {
    app.store.runs(&RunFilter::default(), ALL).await.unwrap()
}

fn payload(name: &str) -> Value {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../findings/tests/data/aws");
    let bytes = std::fs::read(format!("{data}/{name}.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The event of a button pressed for two findings.
fn pressed(id: &str, name: &str) -> Value {
    let mut event = payload("security-hub-custom-action");
    let first = event["detail"]["findings"][0].clone();
    let mut second = first.clone();
    second["Id"] = json!(format!("{}-2", first["Id"].as_str().unwrap()));
    event["detail"]["findings"] = json!([first, second]);
    event["detail"]["actionName"] = json!(name);
    let arn = format!("arn:aws:securityhub:eu-west-1:111122223333:action/custom/{id}");
    event["resources"] = json!([arn]);
    event
}

async fn press(app: &App, event: &Value) -> Result<Pressed, PressError> {
    custom_action(app, event.to_string().as_bytes()).await
}

fn by(run: &Run) -> &str {
    match &run.started_by {
        StartedBy::Manual { by } => by,
        StartedBy::Automation { .. } => panic!("no automation is here"),
    }
}

// ------------------------------------------------------------------------------------------------------- invocation

async fn invoke(app: &App, asked: Value) -> Result<Value, ManualError> {
    invoked(app, &Asked::read(&asked)?, "").await
}

#[tokio::test]
async fn an_invocation_is_answered_with_the_run() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let asked = json!({"playbook": "mail-it", "finding": finding, "with": {"to": "a@example.com"}, "by": "anna"});
    let run = invoke(&app, asked).await.unwrap();
    assert_eq!(run["playbook"], "mail-it");
    assert_eq!(run["state"]["is"], "queued");
    assert_eq!(run["started_by"]["manual"]["by"], "invocation for anna");
    assert_eq!(
        (&run["made"], &run["automations"]),
        (&json!(true), &json!([]))
    );
    let id = run["id"].as_str().unwrap().to_owned();
    worker::finish(&app, std::slice::from_ref(&id), Duration::ZERO, |_| {})
        .await
        .unwrap();
    let shown = invoke(&app, json!({"run": id})).await.unwrap();
    assert_eq!(shown["state"]["is"], "succeeded");
    assert!(!shown["journal"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_invocation_that_lambda_repeats_makes_no_second_run() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let asked = Asked::read(&json!({"playbook": "note-it", "finding": finding})).unwrap();
    let mut made = Vec::new();
    for request in ["r-1", "r-1", "r-2"] {
        let run = invoked(&app, &asked, request).await.unwrap();
        made.push(run["made"].as_bool().unwrap());
    }
    assert_eq!(made, [true, false, true]);
    assert_eq!(runs(&app).await.len(), 2);
}

#[tokio::test]
async fn an_invocation_with_a_key_makes_one_run_however_often_it_comes() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let asked = json!({"playbook": "note-it", "finding": finding, "key": "k"});
    let first = invoke(&app, asked.clone()).await.unwrap();
    let again = invoke(&app, asked).await.unwrap();
    assert_eq!(first["id"], again["id"]);
    assert_eq!(
        (&first["made"], &again["made"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(runs(&app).await.len(), 1);
    let asked = json!({"playbook": "note-it", "finding": finding});
    for _ in 0..2 {
        invoke(&app, asked.clone()).await.unwrap();
    }
    assert_eq!(runs(&app).await.len(), 3);
}

#[tokio::test]
async fn what_an_invocation_cannot_have_is_told_by_name() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    for (asked, name) in [
        (
            json!({"playbook": "mail-if", "finding": finding}),
            "UnknownPlaybook",
        ),
        (
            json!({"playbook": "mail-it", "finding": "nothing"}),
            "UnknownFinding",
        ),
        (
            json!({"playbook": "alerts-only", "finding": finding}),
            "UnfitPlaybook",
        ),
        (
            json!({"playbook": "mail-it", "finding": finding}),
            "InvalidParameters",
        ),
        (
            json!({"playbook": "mail-it", "finding": finding, "with": {"to": "a@example.com", "cc": 1}}),
            "InvalidParameters",
        ),
        (json!({"playbook": "mail-it"}), "InvalidRequest"),
        (
            json!({"playbook": "note-it", "finding": finding, "mode": "enforce"}),
            "InvalidRequest",
        ),
        (
            json!({"playbook": "note-it", "finding": finding, "key": ""}),
            "InvalidRequest",
        ),
        (
            json!({"playbook": "note-it", "finding": finding, "key": "a\nb"}),
            "InvalidRequest",
        ),
        (json!([]), "InvalidRequest"),
        (json!({}), "InvalidRequest"),
        (json!({"run": "no"}), "UnknownRun"),
        (json!({"run": "0".repeat(32)}), "UnknownRun"),
        (json!({"retry": "0".repeat(32)}), "UnknownRun"),
    ] {
        let refused = invoke(&app, asked.clone()).await.unwrap_err();
        assert_eq!(refused.name(), name, "{asked}: {refused}");
    }
    assert!(runs(&app).await.is_empty());
}

// ------------------------------------------------------------------------------------------------------------- HTTP

fn bearer(scope: &str) -> Caller {
    let claims = [
        ("sub", "1234"),
        ("email", "anna@example.com"),
        ("scope", scope),
    ];
    Caller::bearer(|wanted| {
        let (_, value) = claims.iter().find(|(name, _)| *name == wanted)?;
        Some(*value)
    })
    .unwrap()
}

async fn call(
    app: &App,
    method: &str,
    path: &str,
    caller: Option<&Caller>,
    key: Option<&str>,
    body: &[u8],
) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
    }
    let request = Request {
        method,
        path,
        headers: &headers,
        body,
        caller,
    };
    answer(app, &request).await
}

#[tokio::test]
async fn a_run_is_started_shown_and_retried_over_http() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let caller = bearer("openid runs:trigger");
    let asked = json!({"playbook": "note-it", "finding": finding}).to_string();
    let started = call(&app, "POST", "/runs", Some(&caller), None, asked.as_bytes()).await;
    assert_eq!(started.status, 202, "{}", started.text());
    let run = started.body.clone().unwrap();
    assert_eq!(run["started_by"]["manual"]["by"], "anna@example.com (1234)");
    let path = started.header("location").unwrap();
    assert_eq!(path, format!("/runs/{}", run["id"].as_str().unwrap()));
    let shown = call(&app, "GET", path, Some(&bearer("runs:read")), None, b"").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.body.unwrap()["journal"], json!([]));
    // Behind a stage its name stands first.
    let staged = format!("/prod{path}");
    assert_eq!(
        call(&app, "GET", &staged, Some(&caller), None, b"")
            .await
            .status,
        200
    );
    let retry = format!("{path}/retry");
    let refused = call(&app, "POST", &retry, Some(&caller), None, b"").await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(refused.body.unwrap()["error"], "NotFailed");
    let id = run["id"].as_str().unwrap();
    let claim = app
        .store
        .claim_run(id, "w", app.clock.now(), Duration::from_secs(30))
        .await
        .unwrap();
    let crate::Claim::Held { lease, .. } = claim else {
        panic!("{claim:?}");
    };
    let failed = RunState::Failed {
        reason: "broken".to_owned(),
    };
    app.store
        .settle(&lease, &failed, app.clock.now())
        .await
        .unwrap();
    let retried = call(&app, "POST", &retry, Some(&caller), None, b"").await;
    assert_eq!(retried.status, 202, "{}", retried.text());
    assert_eq!(retried.body.unwrap()["state"]["is"], "queued");
}

#[tokio::test]
async fn the_same_idempotency_key_of_the_same_caller_is_the_same_run() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let anna = bearer("runs:trigger");
    let role = Caller::Principal {
        arn: "arn:aws:sts::111122223333:assumed-role/operator/bert".to_owned(),
    };
    let asked = json!({"playbook": "note-it", "finding": finding}).to_string();
    let post = async |caller: &Caller, key: &str, body: &str| {
        call(
            &app,
            "POST",
            "/runs",
            Some(caller),
            Some(key),
            body.as_bytes(),
        )
        .await
    };
    let first = post(&anna, "1", &asked).await;
    let again = post(&anna, "1", &asked).await;
    assert_eq!((first.status, again.status), (202, 200));
    assert_eq!(first.body.unwrap()["id"], again.body.unwrap()["id"]);
    assert_eq!(post(&role, "1", &asked).await.status, 202);
    assert_eq!(runs(&app).await.len(), 2);
    let other = json!({"playbook": "mail-it", "finding": finding, "with": {"to": "a@example.com"}});
    let reused = post(&anna, "1", &other.to_string()).await;
    assert_eq!(reused.status, 422);
    assert_eq!(reused.body.unwrap()["error"], "KeyReused");
    let both = json!({"playbook": "note-it", "finding": finding, "key": "2"}).to_string();
    assert_eq!(post(&anna, "3", &both).await.status, 400);
    assert_eq!(post(&anna, "2", &both).await.status, 202);
    assert_eq!(post(&anna, &"k".repeat(256), &asked).await.status, 400);
}

#[tokio::test]
async fn only_operators_start_runs_and_only_who_is_known_reads_them() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let asked = json!({"playbook": "note-it", "finding": finding}).to_string();
    let role = Caller::Principal {
        arn: "arn:aws:iam::111122223333:user/anna".to_owned(),
    };
    let run = "0".repeat(32);
    for (caller, start, show, retry) in [
        (None, 401, 401, 401),
        (Some(bearer("")), 403, 403, 403),
        (
            Some(bearer("openid runs:triggered xruns:trigger")),
            403,
            403,
            403,
        ),
        (Some(bearer("runs:read")), 403, 404, 403),
        (Some(bearer("runs:trigger")), 202, 404, 404),
        (Some(bearer("[openid runs:trigger]")), 202, 404, 404),
        (Some(bearer("quench/runs:trigger")), 202, 404, 404),
        (Some(role), 202, 404, 404),
    ] {
        let caller = caller.as_ref();
        let statuses = (
            call(&app, "POST", "/runs", caller, None, asked.as_bytes())
                .await
                .status,
            call(&app, "GET", &format!("/runs/{run}"), caller, None, b"")
                .await
                .status,
            call(
                &app,
                "POST",
                &format!("/runs/{run}/retry"),
                caller,
                None,
                b"",
            )
            .await
            .status,
        );
        assert_eq!(statuses, (start, show, retry), "{caller:?}");
    }
}

#[test]
fn an_address_that_is_not_verified_is_no_name() {
    let named = |claims: &[(&'static str, &'static str)]| {
        let caller = Caller::bearer(|wanted| {
            let (_, value) = claims.iter().find(|(name, _)| *name == wanted)?;
            Some(*value)
        });
        caller.map(|caller| match caller {
            Caller::Bearer { subject, .. } => subject,
            Caller::Principal { arn } => arn,
        })
    };
    let mail = ("email", "anna@example.com");
    assert_eq!(named(&[mail]), None);
    assert_eq!(
        named(&[("sub", "1"), mail]).as_deref(),
        Some("anna@example.com (1)")
    );
    let verified = [("sub", "1"), mail, ("email_verified", "true")];
    assert_eq!(named(&verified).as_deref(), Some("anna@example.com (1)"));
    let not = [("sub", "1\n2"), mail, ("email_verified", "false")];
    assert_eq!(named(&not).as_deref(), Some("1 2"));
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let (app, finding) = stocked(&folder).await;
    let caller = bearer("runs:trigger");
    let asked = |playbook: &str| json!({"playbook": playbook, "finding": finding}).to_string();
    let large = " ".repeat(256 * 1024 + 1);
    for (method, path, body, status, text) in [
        ("POST", "/runs", "{", 400, "no JSON"),
        ("POST", "/runs", "[]", 400, "playbook"),
        ("POST", "/runs", r#"{"playbook": "x"}"#, 400, "finding"),
        ("POST", "/runs", &large, 413, "bytes"),
        (
            "POST",
            "/runs",
            &asked("note-if"),
            422,
            "did you mean `note-it`?",
        ),
        ("POST", "/runs", &asked("mail-it"), 422, "`to`"),
        ("POST", "/runs", &asked("alerts-only"), 422, "alerts"),
        ("GET", "/runs", "", 405, "method"),
        ("POST", "/runs/1", "", 405, "method"),
        ("GET", "/runs/1/retry", "", 405, "method"),
        ("GET", "/", "", 404, "found"),
        ("GET", "/runs/1/2/3", "", 404, "found"),
        ("GET", "/a/b/runs", "", 404, "found"),
        ("GET", "/runs/xyz", "", 404, "run `xyz`"),
    ] {
        let answer = call(&app, method, path, Some(&caller), None, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
        let type_ = answer.header("content-type");
        assert_eq!(type_, Some("application/problem+json"));
    }
    assert!(runs(&app).await.is_empty());
}

// --------------------------------------------------------------------------------------------------- custom actions

#[tokio::test]
async fn a_button_takes_its_findings_in_and_starts_its_playbook_for_each_once() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let event = pressed("NoteIt", "Note");
    let first = press(&app, &event).await.unwrap();
    assert_eq!(first.playbook, "note-it");
    assert_eq!(first.runs.len(), 2);
    assert!(first.runs.iter().all(|started| started.made));
    let made = runs(&app).await;
    assert!(
        made.iter()
            .all(|run| by(run) == "custom action `NoteIt` (Note)")
    );
    let findings = app.store.findings(&FindingFilter::default(), ALL).await;
    assert_eq!(findings.unwrap().len(), 2);
    let again = press(&app, &event).await.unwrap();
    assert!(again.runs.iter().all(|started| !started.made));
    assert_eq!(runs(&app).await, made);
    // Pressed once more, it is another event.
    let mut second = event.clone();
    second["id"] = json!("00000000-0000-4000-8000-000000000001");
    press(&app, &second).await.unwrap();
    assert_eq!(runs(&app).await.len(), 4);
}

#[tokio::test]
async fn the_same_event_through_intake_and_the_function_makes_its_runs_once() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let event = pressed("NoteIt", "Note");
    let taken = intake::intake(&app, event.to_string().as_bytes())
        .await
        .unwrap();
    assert_eq!(taken.refused, []);
    let by_intake = taken.pressed.unwrap();
    let by_function = press(&app, &event).await.unwrap();
    let ids = |pressed: &Pressed| -> Vec<String> {
        pressed
            .runs
            .iter()
            .map(|started| started.run.clone())
            .collect()
    };
    assert_eq!(ids(&by_intake), ids(&by_function));
    assert_eq!(runs(&app).await.len(), 2);
}

#[tokio::test]
async fn intake_starts_nothing_for_findings_that_came_beside_a_button() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let mut beside = payload("security-hub-control");
    beside["id"] = json!("00000000-0000-4000-8000-000000000002");
    let both = json!([beside, pressed("NoteIt", "Note")]).to_string();
    let taken = intake::intake(&app, both.as_bytes()).await.unwrap();
    assert_eq!(taken.findings.len(), 3);
    assert_eq!(taken.pressed.unwrap().runs.len(), 2);
}

#[tokio::test]
async fn the_mapping_comes_first_then_the_id_then_the_name() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    let text = r#"{"NoteIt": {"playbook": "mail-it", "with": {"to": "a@example.com"}}}"#;
    config.actions = buttons(text).unwrap();
    let app = opened(config).await;
    for (id, name, playbook) in [
        ("NoteIt", "Note it", "mail-it"),
        ("NOTEIT2", "Note It!", "note-it"),
        ("AlertsOnly", "note-it", "alerts-only"),
    ] {
        let mut event = pressed(id, name);
        event["id"] = json!(id);
        match press(&app, &event).await {
            Ok(pressed) => assert_eq!(pressed.playbook, playbook, "{id}"),
            Err(PressError::Trigger { fault, .. }) => {
                assert!(fault.to_string().contains(playbook), "{fault}");
            }
            Err(error) => panic!("{id}: {error}"),
        }
    }
    let mailed: Vec<Run> = runs(&app)
        .await
        .into_iter()
        .filter(|run| run.playbook == "mail-it")
        .collect();
    assert!(mailed.iter().all(|run| run.with["to"] == "a@example.com"));
    assert_eq!(mailed.len(), 2);
}

#[tokio::test]
async fn what_a_button_cannot_start_is_told_by_name() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let twin =
        "playbook: note_it\ntriggers: [alert]\nsteps:\n  - id: end\n    stop: { reason: done }\n";
    let mut nameless = pressed("NoteIt", "Note");
    nameless.as_object_mut().unwrap().remove("id");
    let insight = payload("security-hub-insight-results");
    let control = payload("security-hub-control");
    for (event, name) in [
        (pressed("Unheard", "Of"), "UnknownPlaybook"),
        (pressed("MailIt", "Mail"), "InvalidParameters"),
        (pressed("AlertsOnly", "Alerts"), "UnfitPlaybook"),
        (nameless, "NoEventId"),
        (insight, "InsightResults"),
        (control, "InvalidRequest"),
    ] {
        let refused = press(&app, &event).await.unwrap_err();
        assert_eq!(refused.name(), name, "{refused}");
        assert!(!refused.is_transient());
    }
    assert!(runs(&app).await.is_empty());
    if let Ok(()) = try_apply(&app, twin).await {
        let refused = press(&app, &pressed("NoteIt", "Note")).await.unwrap_err();
        assert_eq!(refused.name(), "AmbiguousPlaybook");
    }
}

async fn try_apply(app: &App, yaml: &str) -> Result<(), ()> {
    let files = [quench_automations::SourceFile {
        path: "twin.yaml".to_owned(),
        text: yaml.to_owned(),
    }];
    let library = crate::catalog::library(app).await.unwrap();
    let definitions = quench_automations::load(&files, &library).map_err(drop)?;
    crate::catalog::apply(app, definitions)
        .await
        .map_err(drop)?;
    Ok(())
}

#[tokio::test]
async fn a_button_on_a_queue_that_starts_nothing_becomes_a_dead_letter_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let event = pressed("Unheard", "Of").to_string();
    app.queues
        .send(
            Queue::Recommendation,
            event.as_bytes(),
            crate::Sending::default(),
            app.clock.now(),
        )
        .await
        .unwrap();
    worker::drain(&app, Duration::ZERO, |_| {}).await.unwrap();
    // Its findings are there all the same.
    let findings = app.store.findings(&FindingFilter::default(), ALL).await;
    assert_eq!(findings.unwrap().len(), 2);
    let dead = app.queues.dead_letters(10).await.unwrap();
    let reason = dead[0].reason.as_deref().unwrap();
    assert!(reason.contains("`Unheard` starts no playbook"), "{reason}");
}

#[tokio::test]
async fn a_finding_of_a_button_that_is_not_understood_is_told_and_the_other_is_served() {
    let folder = TempDir::new().unwrap();
    let app = opened(config(folder.path())).await;
    let mut event = pressed("NoteIt", "Note");
    event["detail"]["findings"][0]["Severity"] = json!("much");
    let refused = press(&app, &event).await.unwrap_err();
    assert_eq!(refused.name(), "RefusedFinding");
    assert_eq!(runs(&app).await.len(), 1);
}
