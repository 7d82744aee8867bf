use super::*;
use crate::approval::{About, Asked, Proposal, ask};
use crate::clock::Clock;
use crate::config::Config;
use crate::run::{Run, RunState, StartedBy};
use crate::schedule::tick;
use crate::specimen::{self, finding, moment};
use crate::store::{Claim, RunStage};
use quench_actions::remediate::{Change, Risk};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const HASH: &str = "5f3a";
const MINUTE: Duration = Duration::from_secs(60);
const FORM: &str = "application/x-www-form-urlencoded";

fn question() -> Approval {
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
struct Scene {
    folder: TempDir,
    app: App,
    approval: Approval,
    anna: String,
    bert: String,
}

async fn scene(change: impl FnOnce(&mut Approval)) -> Scene {
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
fn mails(outbox: &Path) -> Vec<String> {
    let files = std::fs::read_dir(outbox).unwrap();
    files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|mail| mail.replace("=\r\n", "").replace("=3D", "="))
        .collect()
}

fn token(outbox: &Path, to: &str) -> String {
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
    async fn ask(&self, method: &str, path: &str, kind: &str, accept: &str, body: &str) -> Answer {
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

    async fn page(&self, token: &str) -> Answer {
        self.ask("GET", token, "", "text/html,*/*;q=0.8", "").await
    }

    async fn json(&self, token: &str) -> Value {
        let shown = self.ask("GET", token, "", "application/json", "").await;
        assert_eq!(shown.status, 200);
        shown.body.unwrap()
    }

    async fn post(&self, token: &str, decision: &str) -> Answer {
        let body = format!("plan_hash={HASH}&reason=&decision={decision}");
        self.ask("POST", token, FORM, "text/html", &body).await
    }

    async fn by_login(&self, by: &str, scopes: &str) -> Answer {
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

    async fn state(&self) -> ApprovalState {
        let found = self.app.store.approval(&self.approval.id).await.unwrap();
        found.unwrap().state
    }

    async fn queued(&self) -> u64 {
        let now = self.app.clock.now();
        let queue = crate::queue::Queue::Runs;
        self.app.queues.depth(queue, now).await.unwrap().ready
    }
}

fn assert_refused(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(what), "{}", answer.text());
}

#[tokio::test]
async fn whoever_has_a_link_is_shown_what_is_asked_and_decides_it_once() {
    let scene = scene(|_| {}).await;
    let page = scene.page(&scene.anna).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    for shown in [
        "revoke-open-ingress on security group",
        "ingress.tcp 22 from 0.0.0.0/0",
        "&lt;script&gt;alert(1)&lt;&#x2f;script&gt;",
        "SSH &amp; more",
        "anna@example.com",
        HASH,
    ] {
        let plain = html.replace("&#x2f;", "/");
        assert!(
            plain.contains(&shown.replace("&#x2f;", "/")),
            "{shown}: {html}"
        );
    }
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("<style>:root"), "{html}");

    let told = scene.post(&scene.anna, "approve").await;
    assert_refused(&told, 200, "You have approved it");
    let state = ApprovalState::Approved {
        by: "anna@example.com".to_owned(),
        at: moment(100),
        reason: None,
    };
    assert_eq!(scene.state().await, state);
    // Its run goes on at once.
    assert_eq!(
        scene.app.store.due_runs(moment(100), 9).await.unwrap(),
        ["00ff"]
    );
    assert_eq!(scene.queued().await, 1);
    let unheard = scene.app.store.unheard_approvals(moment(9999), 9).await;
    assert_eq!(unheard.unwrap(), []);

    // Neither the same link nor another changes anything any more.
    scene.app.clock.advance(MINUTE);
    for (token, decision) in [
        (&scene.anna, "approve"),
        (&scene.anna, "deny"),
        (&scene.bert, "deny"),
    ] {
        let refused = scene.post(token, decision).await;
        assert_refused(
            &refused,
            409,
            "approved already, by anna@example.com at 2026-11-1",
        );
        assert_eq!(scene.state().await, state);
    }
    let shown = scene.page(&scene.bert).await;
    assert_refused(&shown, 200, "It was approved already, by anna@example.com");
    assert!(!shown.text().contains("<form"), "{}", shown.text());
}

#[tokio::test]
async fn a_reason_to_deny_is_kept_and_told() {
    let scene = scene(|_| {}).await;
    let body = format!("decision=deny&plan_hash={HASH}&reason=not+before+%3Cnoon%3E");
    let denied = scene
        .ask("POST", &scene.bert, FORM, "application/json", &body)
        .await;
    assert_eq!(denied.status, 200);
    assert_eq!(denied.body.unwrap()["state"]["is"], "denied");
    let refused = scene.post(&scene.anna, "approve").await;
    assert_refused(&refused, 409, "denied already, by bert@example.com");
    assert!(
        refused.text().contains("not before &lt;noon&gt;"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn to_look_changes_nothing_however_often_and_whoever_looks() {
    let scene = scene(|_| {}).await;
    let (store, before) = (&scene.app.store, scene.json(&scene.anna).await);
    let run = store.run("00ff").await.unwrap();
    let approval = store.approval(&scene.approval.id).await.unwrap();
    for _ in 0..20 {
        for method in ["GET", "HEAD"] {
            let shown = scene.ask(method, &scene.anna, "", "*/*", "").await;
            assert_eq!(shown.status, 200);
        }
        // Not even with what a form would send.
        let body = format!("decision=approve&plan_hash={HASH}");
        scene.ask("GET", &scene.anna, FORM, "*/*", &body).await;
    }
    for method in ["OPTIONS", "PUT", "DELETE", "PATCH"] {
        let refused = scene.ask(method, &scene.anna, "", "*/*", "").await;
        assert_eq!(refused.status, 405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
    }
    assert_eq!(scene.json(&scene.anna).await, before);
    assert_eq!(store.run("00ff").await.unwrap(), run);
    assert_eq!(store.approval(&scene.approval.id).await.unwrap(), approval);
    assert_eq!(scene.queued().await, 0);
}

#[tokio::test]
async fn what_expired_is_gone_also_at_its_last_moment() {
    let scene = scene(|_| {}).await;
    scene.app.clock.advance(Duration::from_secs(3900));
    let refused = scene.post(&scene.anna, "approve").await;
    assert_refused(&refused, 410, "expired at");
    assert_refused(&scene.page(&scene.anna).await, 200, "expired at");
    assert_eq!(scene.json(&scene.anna).await["error"], "Expired");
    let refused = scene.by_login("carl@example.com", "approvals:decide").await;
    assert_eq!(
        (refused.status, &refused.body.unwrap()["error"]),
        (410, &json!("Expired"))
    );
    assert_eq!(scene.state().await, ApprovalState::Pending);
    assert_eq!(scene.queued().await, 0);
}

#[tokio::test]
async fn whoever_asked_for_the_run_does_not_decide_it() {
    let scene =
        scene(|approval| approval.requester = Some("anna@example.com (1234)".to_owned())).await;
    let refused = scene.post(&scene.anna, "approve").await;
    assert_refused(&refused, 403, "somebody else has to decide");
    let refused = scene.by_login("Anna@Example.com", "approvals:decide").await;
    assert_eq!(
        (refused.status, &refused.body.unwrap()["error"]),
        (403, &json!("OwnRequest"))
    );
    assert_eq!(scene.state().await, ApprovalState::Pending);
    let shown = scene.json(&scene.anna).await;
    assert_eq!(
        (&shown["may_decide"], &shown["error"]),
        (&json!(false), &json!("OwnRequest"))
    );
    assert_eq!(scene.post(&scene.bert, "approve").await.status, 200);
}

#[tokio::test]
async fn what_changed_since_is_not_done_upon_an_old_approval() {
    let scene = scene(|_| {}).await;
    let store = &scene.app.store;
    store
        .supersede_approval(&scene.approval.id, moment(200))
        .await
        .unwrap();
    let refused = scene.post(&scene.anna, "approve").await;
    assert_refused(&refused, 409, "What it was about changed at");
    assert_refused(
        &scene.page(&scene.anna).await,
        200,
        "a new one is asked for",
    );
    assert_eq!(scene.json(&scene.bert).await["error"], "Superseded");
    assert_eq!(
        scene.state().await,
        ApprovalState::Superseded { at: moment(200) }
    );
}

#[tokio::test]
async fn what_is_of_high_risk_takes_a_login_with_the_right_scope() {
    let scene = scene(|approval| approval.risk = Some(Risk::High)).await;
    let page = scene.page(&scene.anna).await;
    assert_refused(&page, 200, "deciding takes a login");
    assert!(!page.text().contains("<form"), "{}", page.text());
    for decision in ["approve", "deny"] {
        let refused = scene.post(&scene.anna, decision).await;
        assert_refused(&refused, 403, "quench approvals approve 0a1b2c3d");
    }
    let refused = scene.by_login("anna@example.com", "runs:trigger").await;
    assert_refused(&refused, 403, "approvals:decide");
    assert_eq!(scene.state().await, ApprovalState::Pending);
    let decided = scene
        .by_login("anna@example.com", "openid quench/approvals:decide")
        .await;
    assert_eq!(decided.status, 200, "{}", decided.text());
    let by = "anna@example.com (1234)".to_owned();
    let (at, reason) = (moment(100), None);
    assert_eq!(
        scene.state().await,
        ApprovalState::Approved { by, at, reason }
    );
}

#[tokio::test]
async fn a_decision_without_a_login_is_none_where_one_is_needed() {
    let scene = scene(|_| {}).await;
    let path = format!("{}/decision", scene.approval.id);
    let body = json!({"decision": "approve", "plan_hash": HASH}).to_string();
    let refused = scene
        .ask("POST", &path, "application/json", "", &body)
        .await;
    assert_eq!(refused.status, 401);
    // The id is in mails and lists: it opens nothing.
    let refused = scene.ask("GET", &scene.approval.id, "", "", "").await;
    assert_eq!(refused.status, 404);
    let refused = scene
        .ask("POST", &scene.approval.id, "application/json", "", &body)
        .await;
    assert_eq!(refused.status, 404);
    assert_eq!(scene.state().await, ApprovalState::Pending);
}

#[tokio::test]
async fn who_says_something_else_than_asked_decides_nothing() {
    let scene = scene(|_| {}).await;
    let json = "application/json";
    for (kind, body, status) in [
        (FORM, "decision=approve&plan_hash=0000".to_owned(), 409),
        (FORM, "decision=approve".to_owned(), 400),
        (FORM, format!("plan_hash={HASH}"), 400),
        (FORM, format!("decision=maybe&plan_hash={HASH}"), 400),
        (
            FORM,
            format!("decision=deny&decision=approve&plan_hash={HASH}"),
            400,
        ),
        (
            FORM,
            format!("decision=approve&plan_hash={HASH}&more=1"),
            400,
        ),
        (json, format!("decision=approve&plan_hash={HASH}"), 400),
        (json, "null".to_owned(), 400),
        (
            FORM,
            json!({"decision": "approve", "plan_hash": HASH}).to_string(),
            400,
        ),
        (
            "text/plain",
            format!("decision=approve&plan_hash={HASH}"),
            400,
        ),
        ("", String::new(), 400),
        (
            FORM,
            format!(
                "decision=approve&plan_hash={HASH}&reason={}",
                "x".repeat(BODY_LIMIT)
            ),
            413,
        ),
    ] {
        let refused = scene.ask("POST", &scene.anna, kind, json, &body).await;
        assert_eq!(refused.status, status, "{kind} {}", refused.text());
        let problem = refused.header("content-type");
        assert_eq!(problem, Some("application/problem+json"));
    }
    assert_eq!(scene.state().await, ApprovalState::Pending);
    for wrong in [
        "",
        "x",
        &scene.anna[1..],
        &scene.anna.to_lowercase(),
        &"A".repeat(43),
        "../approvals",
    ] {
        assert_eq!(scene.page(wrong).await.status, 404, "{wrong}");
        assert_eq!(scene.post(wrong, "approve").await.status, 404, "{wrong}");
    }
    assert_eq!(scene.state().await, ApprovalState::Pending);
}

#[tokio::test]
async fn every_answer_keeps_to_itself() {
    let scene = scene(|_| {}).await;
    let answers = [
        scene.page(&scene.anna).await,
        scene.page("x").await,
        scene.ask("PUT", &scene.anna, "", "", "").await,
        scene
            .ask("GET", &scene.anna, "", "application/json", "")
            .await,
        scene.post(&scene.anna, "approve").await,
        scene.post(&scene.anna, "approve").await,
    ];
    for answer in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{}", answer.status);
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        // Whoever reads it along sees no link, and nothing is fetched for it.
        let text = answer.text();
        assert!(!text.contains(&scene.anna), "{text}");
        for outside in ["src=", "href=", "url(", "@import", "onclick", "javascript:"] {
            assert!(!text.contains(outside), "{outside}: {text}");
        }
    }
}

#[tokio::test]
async fn whoever_dies_between_deciding_and_waking_is_made_up_for_by_the_sweep() {
    let scene = scene(|_| {}).await;
    let (app, id) = (&scene.app, &scene.approval.id);
    let decided = app
        .store
        .decide_approval(id, HASH, Choice::Approve, "anna", None, moment(100))
        .await;
    assert!(decided.is_ok());
    assert_eq!(
        tick(app, MINUTE).await.unwrap().unheard,
        0,
        "whoever decided may be at it"
    );
    assert_eq!(app.store.due_runs(moment(200), 9).await.unwrap(), [""; 0]);
    app.clock.advance(MINUTE);
    assert_eq!(tick(app, MINUTE).await.unwrap().unheard, 1);
    assert_eq!(
        app.store.due_runs(app.clock.now(), 9).await.unwrap(),
        ["00ff"]
    );
    assert_eq!(scene.queued().await, 1);
    assert_eq!(tick(app, MINUTE).await.unwrap().unheard, 0);
}

#[tokio::test]
async fn a_question_whose_run_is_over_can_be_decided_and_starts_nothing() {
    let scene = scene(|_| {}).await;
    let store = &scene.app.store;
    store.wake_run("00ff", moment(100)).await.unwrap();
    let claim = store.claim_run("00ff", "two", moment(100), MINUTE).await;
    let Ok(Claim::Held { lease, .. }) = claim else {
        panic!("{claim:?}");
    };
    store
        .settle(&lease, &RunState::Succeeded, moment(101))
        .await
        .unwrap();
    assert_eq!(scene.post(&scene.anna, "approve").await.status, 200);
    let run = store.run("00ff").await.unwrap().unwrap();
    assert_eq!(RunStage::of(&run.state), RunStage::Succeeded);
    assert_eq!(scene.queued().await, 0);
}

#[tokio::test]
async fn asking_again_tells_nobody_twice_and_both_links_of_one_person_lead_there() {
    let scene = scene(|_| {}).await;
    let outbox = scene.folder.path().join("outbox");
    let outside = scene.app.outside().await.unwrap();
    let ask_again = async || ask(&scene.app, &outside, &scene.approval, false, MINUTE).await;
    assert_eq!(ask_again().await.unwrap(), []);
    assert_eq!(mails(&outbox).len(), 2);
    let kept = scene
        .app
        .store
        .approval(&scene.approval.id)
        .await
        .unwrap()
        .unwrap();
    let tokens: Vec<usize> = kept.asked.iter().map(|asked| asked.tokens.len()).collect();
    assert_eq!(tokens, [1, 1]);

    // One whose mail left, but who died before that was noted, is told again.
    let half = Approval {
        id: "ff".repeat(16),
        ..scene.approval.clone()
    };
    scene.app.store.put_approval(&half).await.unwrap();
    ask(&scene.app, &outside, &half, false, MINUTE)
        .await
        .unwrap();
    let first = mails(&outbox).len();
    assert_eq!(first, 4);
    let text = mails(&outbox).concat();
    let links: BTreeSet<&str> = text
        .split("https://quench.example.com/approvals/")
        .skip(1)
        .map(|after| &after[..43])
        .collect();
    assert_eq!(links.len(), 4, "each person has a link of his own");
    for link in links {
        assert_eq!(scene.page(link).await.status, 200);
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_was_decided_meanwhile() {
    let scene = scene(|_| {}).await;
    let outside = scene.app.outside().await.unwrap();
    let mut late = Approval {
        id: "ee".repeat(16),
        ..scene.approval.clone()
    };
    late.asked = vec![Asked::new("late@example.com")];
    scene.app.store.put_approval(&late).await.unwrap();
    let now = moment(100);
    let decided = scene
        .app
        .store
        .decide_approval(&late.id, HASH, Choice::Deny, "x", None, now);
    decided.await.unwrap();
    assert_eq!(
        ask(&scene.app, &outside, &late, false, MINUTE)
            .await
            .unwrap(),
        []
    );
    assert!(
        !mails(&scene.folder.path().join("outbox"))
            .concat()
            .contains("late@example.com")
    );
}

#[tokio::test]
async fn addresses_of_the_finding_are_told_only_in_allowed_domains() {
    let scene = scene(|_| {}).await;
    let outside = scene.app.outside().await.unwrap();
    let other = Approval {
        id: "dd".repeat(16),
        ..scene.approval.clone()
    };
    let refused = ask(&scene.app, &outside, &other, true, MINUTE)
        .await
        .unwrap_err();
    assert!(!refused.is_transient());
    assert!(
        refused
            .to_string()
            .contains("anna@example.com cannot be asked"),
        "{refused}"
    );
}

#[tokio::test]
async fn without_an_address_of_its_own_the_mail_names_the_command_and_makes_no_link() {
    let folder = TempDir::new().unwrap();
    let app = specimen::app(folder.path(), &Clock::manual(moment(100))).await;
    let outside = app.outside().await.unwrap();
    ask(&app, &outside, &question(), false, MINUTE)
        .await
        .unwrap();
    let mails = mails(&folder.path().join("outbox"));
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.contains("quench approvals approve 0a1b2c3d"), "{mail}");
        assert!(
            !mail.contains("/approvals/0") && !mail.contains("https://"),
            "{mail}"
        );
    }
    let kept = app.store.approval(&question().id).await.unwrap().unwrap();
    assert!(
        kept.asked
            .iter()
            .all(|asked| asked.tokens.is_empty() && asked.told.is_some())
    );
}

/// Writes down all that is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn add(&self, values: impl FnOnce(&mut dyn tracing::field::Visit)) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut line = Line(String::new());
        values(&mut line);
        self.0.lock().unwrap().push_str(&line.0);
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.add(|visit| span.record(visit));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        self.add(|visit| values.record(visit));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.add(|visit| event.record(visit));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn tokens_are_in_the_mail_and_nowhere_else() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let scene = scene(|_| {}).await;
    let shown = scene.json(&scene.anna).await.to_string();
    scene.page(&scene.bert).await;
    let told = scene.post(&scene.bert, "deny").await.text();
    let refused = scene.post(&scene.anna, "approve").await.text();
    tick(&scene.app, MINUTE).await.unwrap();
    let stored = scene
        .app
        .store
        .approval(&scene.approval.id)
        .await
        .unwrap()
        .unwrap();
    let journal = scene.app.store.journal("00ff").await.unwrap();
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.contains("an approval was looked at"), "{logged}");
    assert!(logged.contains("an approval was decided"), "{logged}");
    let mut places = vec![
        shown,
        told,
        refused,
        logged,
        json!(stored).to_string(),
        public(&stored).to_string(),
        format!("{stored:?} {journal:?}"),
    ];
    let mut files = 0;
    for file in std::fs::read_dir(scene.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            files += 1;
            places.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(files >= 2, "the database and its log");
    assert!(
        places.concat().contains("revoke-open-ingress"),
        "it is looked for where it would be"
    );
    for token in [&scene.anna, &scene.bert] {
        for place in &places {
            assert!(!place.contains(token.as_str()), "{place}");
            // Nor is a part of it, nor its digest where people read.
            assert!(!place.contains(&token[..12]), "{place}");
        }
        for place in &places[..4] {
            assert!(!place.contains(&super::super::ask::hash(token)), "{place}");
        }
    }
}
