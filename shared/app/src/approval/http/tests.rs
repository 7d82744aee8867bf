use super::*;
use crate::approval::scene::{FORM, HASH, scene};
use crate::specimen::moment;
use quench_actions::remediate::Risk;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

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
