use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{
    PATH, SIGNING_SECRET, TOKEN, client, done, http, outside, outside_with, permanent, prepared,
    slack, teams, webhook,
};
use quench_actions::call::webhook::SigningSecret;
use quench_actions::{Action, ActionError, HttpClient, HttpRules, Outside};
use quench_automations::{Auth, HttpStep, OnUnknown, StepKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn open(base: &str, auth: Auth) -> Outside {
    outside_with(base, client(&["127.0.0.1"], Vec::new()), auth)
}

fn ok(body: &str) -> Vec<u8> {
    answer(200, "content-type: application/json\r\n", body)
}

#[tokio::test]
async fn a_webhook_is_signed_over_what_is_sent_and_keeps_its_id() {
    let server = HttpServer::start(Conduct::Says(answer(204, "", ""))).await;
    let outside = outside(&server.url(""));
    let action = prepared(&webhook());
    assert!(action.is_idempotent(&outside));
    assert_eq!(action.default_on_unknown(), OnUnknown::Repeat);
    let first = done(&webhook(), &outside).await.unwrap();
    let second = done(&webhook(), &outside).await.unwrap();
    assert_eq!(first, second);
    let secret = SigningSecret::parse(SIGNING_SECRET).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.line(), format!("POST {PATH} HTTP/1.1"));
        let id = request.header("webhook-id").unwrap();
        assert_eq!(first.output["webhook_id"], id);
        let timestamp: i64 = request
            .header("webhook-timestamp")
            .unwrap()
            .parse()
            .unwrap();
        assert!((jiff::Timestamp::now().as_second() - timestamp).abs() < 60);
        assert_eq!(
            request.header("webhook-signature").unwrap(),
            secret.sign(id, timestamp, &request.body)
        );
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "finding.created");
        assert_eq!(body["timestamp"], "2026-11-22T09:30:00Z");
        assert_eq!(body["data"]["severity"], "high");
        assert_eq!(body["data"].get("raw"), None);
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("user-agent").unwrap().starts_with("quench/"));
    }
}

#[tokio::test]
async fn two_secrets_sign_while_the_receiver_changes_over() {
    let server = HttpServer::start(Conduct::Says(answer(200, "", ""))).await;
    let mut outside = outside(&server.url(""));
    let hook = server.url(PATH);
    let both = format!("{SIGNING_SECRET} whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    outside.secrets = quench_actions::Secrets::held([
        ("secret://env/HOOK", hook.as_str()),
        ("secret://env/SIGNING", both.as_str()),
    ]);
    done(&webhook(), &outside).await.unwrap();
    let signatures = server.requests()[0]
        .header("webhook-signature")
        .unwrap()
        .to_owned();
    let signatures: Vec<_> = signatures.split(' ').collect();
    assert_eq!(signatures.len(), 2);
    assert!(
        signatures
            .iter()
            .all(|signature| signature.starts_with("v1,"))
    );
    assert_ne!(signatures[0], signatures[1]);
}

#[tokio::test]
async fn a_bad_signing_secret_is_told_without_it() {
    let mut outside = outside("http://127.0.0.1:1");
    outside.secrets = quench_actions::Secrets::held([
        ("secret://env/HOOK", "http://127.0.0.1:1/"),
        ("secret://env/SIGNING", "hunter2"),
    ]);
    let reason = permanent(done(&webhook(), &outside).await);
    assert_eq!(
        reason,
        "connection `webhook`: signing secret is not `whsec_` and base64 of 24 to 64 bytes"
    );
}

#[tokio::test]
async fn a_slack_bot_posts_to_a_channel_with_its_token() {
    let server = HttpServer::start(Conduct::Says(ok(
        r##"{"ok":true,"channel":"C7","ts":"1.5"}"##,
    )))
    .await;
    let outside = outside(&server.url(""));
    let performed = done(&slack("slack-bot", Some("#security")), &outside)
        .await
        .unwrap();
    assert_eq!(
        performed.summary,
        "message posted to Slack channel #security"
    );
    assert_eq!(
        performed.output,
        json!({ "status": 200, "channel": "C7", "ts": "1.5" })
    );
    let request = &server.requests()[0];
    assert_eq!(request.line(), "POST /api/chat.postMessage HTTP/1.1");
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["channel"], "#security");
    assert_eq!(body["unfurl_links"], false);
    assert!(body["blocks"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn a_bot_needs_a_channel_and_a_hook_has_its_own() {
    let outside = outside("http://127.0.0.1:1");
    assert_eq!(
        permanent(done(&slack("slack-bot", None), &outside).await),
        "connection `slack-bot` is a bot, which needs `channel`"
    );
    assert!(
        permanent(done(&slack("slack-hook", Some("#x")), &outside).await)
            .contains("leave out `channel`")
    );
}

#[tokio::test]
async fn a_connection_must_be_there_and_fit() {
    let outside = outside("http://127.0.0.1:1");
    assert_eq!(
        permanent(done(&slack("slak", None), &outside).await),
        "there is no connection `slak`"
    );
    assert_eq!(
        permanent(done(&slack("teams", None), &outside).await),
        "connection `teams` does not lead to Slack"
    );
    let mut step = http("GET", "x");
    step.connection = Some("webhook".to_owned());
    assert_eq!(
        permanent(done(&StepKind::Http(step), &outside).await),
        "connection `webhook` does not lead to an HTTP service"
    );
}

#[tokio::test]
async fn a_card_goes_to_teams_in_its_envelope() {
    let server = HttpServer::start(Conduct::Says(answer(202, "", ""))).await;
    done(&teams(), &outside(&server.url(""))).await.unwrap();
    let body: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
    assert_eq!(body["type"], "message");
    let card = &body["attachments"][0];
    assert_eq!(
        card["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(card["content"]["type"], "AdaptiveCard");
}

#[tokio::test]
async fn each_kind_of_credentials_is_sent_and_none_is_told() {
    let echo = format!(r#"{{"echo":"hunter2-never-to-be-shown {TOKEN}"}}"#);
    for (auth, header, value) in [
        (Auth::None, "authorization", None),
        (
            Auth::Basic {
                username: "user".to_owned(),
                password: "secret://env/PASSWORD".to_owned(),
            },
            "authorization",
            Some("Basic dXNlcjpodW50ZXIyLW5ldmVyLXRvLWJlLXNob3du"),
        ),
        (
            Auth::Bearer {
                token: "secret://env/TOKEN".to_owned(),
            },
            "authorization",
            Some("Bearer xoxb-never-to-be-shown"),
        ),
        (
            Auth::ApiKey {
                header: "X-Api-Key".to_owned(),
                key: "secret://env/PASSWORD".to_owned(),
            },
            "x-api-key",
            Some("hunter2-never-to-be-shown"),
        ),
    ] {
        for status in [200, 403] {
            let server = HttpServer::start(Conduct::Says(answer(
                status,
                "content-type: application/json\r\nx-echo: xoxb-never-to-be-shown\r\n",
                &echo,
            )))
            .await;
            let result = done(
                &StepKind::Http(http("GET", "x")),
                &open(&server.url(""), auth.clone()),
            )
            .await;
            assert_eq!(server.requests()[0].header(header), value);
            assert_eq!(server.requests()[0].line(), "GET /base/x HTTP/1.1");
            assert_eq!(result.is_ok(), status == 200);
            let sent = match &auth {
                Auth::None => continue,
                Auth::Bearer { .. } => TOKEN,
                _ => "hunter2-never-to-be-shown",
            };
            assert!(!format!("{result:?}").contains(sent), "{result:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_there_for_later_steps() {
    let body = r#"{"id":7,"key":"SEC-7"}"#;
    let server = HttpServer::start(Conduct::Says(answer(
        201,
        "content-type: application/json\r\nset-cookie: a=b\r\nx-id: 7\r\n",
        body,
    )))
    .await;
    let mut step = http("POST", "issues");
    step.json = Some(json!({ "title": "{{ finding.title }}" }));
    step.headers = BTreeMap::from([("X-Severity".to_owned(), "{{ finding.severity }}".to_owned())]);
    step.idempotency_header = Some("Idempotency-Key".to_owned());
    let performed = done(&StepKind::Http(step), &open(&server.url(""), Auth::None))
        .await
        .unwrap();
    assert_eq!(
        performed.summary,
        format!("POST 127.0.0.1:{} answered 201", server.port)
    );
    assert_eq!(performed.output["json"], json!({ "id": 7, "key": "SEC-7" }));
    assert_eq!(performed.output["headers"]["x-id"], "7");
    assert_eq!(performed.output["headers"].get("set-cookie"), None);
    assert_eq!(performed.output["whole"], true);
    let request = &server.requests()[0];
    assert_eq!(request.header("x-severity"), Some("high"));
    assert_eq!(
        request.header("idempotency-key"),
        Some("0f3c9a7be1d24c55/mail")
    );
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert!(
        sent["title"]
            .as_str()
            .unwrap()
            .starts_with("Successful SQL")
    );
}

#[tokio::test]
async fn the_expected_status_is_the_one_that_succeeds() {
    for (expect, status, succeeds) in [
        (vec![404], 404, true),
        (vec![404], 200, false),
        (vec![200, 409], 409, true),
        (vec![302], 302, true),
        (vec![], 299, true),
    ] {
        let server = HttpServer::start(Conduct::Says(answer(status, "", "x"))).await;
        let mut step = http("GET", "x");
        step.expect = expect;
        let result = done(&StepKind::Http(step), &open(&server.url(""), Auth::None)).await;
        assert_eq!(result.is_ok(), succeeds, "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_that_breaks_off_is_in_doubt() {
    let server = HttpServer::start(Conduct::Leaves).await;
    let result = done(
        &StepKind::Http(http("POST", "x")),
        &open(&server.url(""), Auth::None),
    )
    .await;
    assert!(
        matches!(result, Err(ActionError::Unknown { .. })),
        "{result:?}"
    );
    assert_eq!(server.requests()[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn http_that_cannot_be_repeated_fails_on_doubt_by_default() {
    let post = prepared(&StepKind::Http(http("POST", "x")));
    let outside = outside("http://127.0.0.1:1");
    assert!(!post.is_idempotent(&outside));
    assert_eq!(post.default_on_unknown(), OnUnknown::Fail);
    let put = prepared(&StepKind::Http(http("PUT", "x")));
    assert!(put.is_idempotent(&outside));
    assert_eq!(put.default_on_unknown(), OnUnknown::Repeat);
    assert_eq!(
        prepared(&slack("slack-hook", None)).default_on_unknown(),
        OnUnknown::Repeat
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = HttpServer::start(Conduct::Says(answer(200, "", "ok"))).await;
    let location = format!("location: {}\r\n", target.url("/"));
    let server = HttpServer::start(Conduct::Says(answer(307, &location, ""))).await;
    let reason = permanent(
        done(
            &StepKind::Http(http("GET", "x")),
            &open(&server.url(""), Auth::None),
        )
        .await,
    );
    assert_eq!(
        reason,
        format!(
            "`127.0.0.1:{}` answered 307; redirects are not followed",
            server.port
        )
    );
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn without_an_allow_list_nothing_inside_is_reached_by_address_or_name() {
    let server = HttpServer::start(Conduct::Says(answer(200, "", "ok"))).await;
    let strict = HttpClient::new(HttpRules::default()).unwrap();
    let ports = HttpRules {
        guard: quench_actions::AddressGuard {
            allowed: Vec::new(),
            ports: vec![server.port],
        },
        authorities: Vec::new(),
    };
    let on_port = HttpClient::new(ports).unwrap();
    for (client, base, begins) in [
        (
            &strict,
            format!("http://127.0.0.1:{}", server.port),
            "`http` to `127.0.0.1` is refused",
        ),
        (
            &strict,
            format!("https://127.0.0.1:{}", server.port),
            "port ",
        ),
        (
            &on_port,
            format!("https://127.0.0.1:{}", server.port),
            "`127.0.0.1` leads to 127.0.0.1",
        ),
        (
            &on_port,
            format!("https://localhost:{}", server.port),
            "`localhost` leads to ",
        ),
        (
            &on_port,
            format!("https://LOCALHOST:{}", server.port),
            "`localhost` leads to ",
        ),
        (
            &on_port,
            format!("https://[::1]:{}", server.port),
            "`[::1]` leads to ::1",
        ),
        (
            &strict,
            "https://169.254.169.254".to_owned(),
            "`169.254.169.254` leads to",
        ),
        (&strict, "ftp://example.com".to_owned(), "`ftp` to"),
    ] {
        for step in [
            slack("slack-hook", None),
            teams(),
            webhook(),
            StepKind::Http(http("GET", "x")),
        ] {
            let outside = outside_with(&base, client.clone(), Auth::None);
            let reason = permanent(done(&step, &outside).await);
            assert!(reason.starts_with(begins), "{base}: {reason}");
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn proxies_named_by_the_environment_are_not_asked() {
    // The client is built without the feature that reads them; what is sent arrives at the server itself.
    let server = HttpServer::start(Conduct::Says(answer(200, "", "ok"))).await;
    done(&slack("slack-hook", None), &outside(&server.url("")))
        .await
        .unwrap();
    assert!(server.requests()[0].line().starts_with("POST /services/"));
}

fn oauth(token_url: &str) -> Auth {
    Auth::ClientCredentials {
        token_url: token_url.to_owned(),
        client_id: "client id".to_owned(),
        client_secret: "secret://env/PASSWORD".to_owned(),
        scopes: vec!["read".to_owned(), "write".to_owned()],
    }
}

fn token(value: &str, expires_in: &str) -> Vec<u8> {
    ok(&format!(
        r#"{{"access_token":"{value}","token_type":"Bearer","expires_in":{expires_in}}}"#
    ))
}

fn get() -> StepKind {
    StepKind::Http(HttpStep { ..http("GET", "x") })
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept() {
    let tokens = HttpServer::start(Conduct::Says(token("t0ken-1", "3600"))).await;
    let server = HttpServer::start(Conduct::Says(ok("{}"))).await;
    let outside = open(&server.url(""), oauth(&tokens.url("/token")));
    let (first, second, third) = tokio::join!(
        async { done(&get(), &outside).await },
        async { done(&get(), &outside).await },
        async { done(&get(), &outside.clone()).await },
    );
    for result in [first, second, third] {
        let performed = result.unwrap();
        assert!(!format!("{performed:?}").contains("t0ken-1"));
    }
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        String::from_utf8_lossy(&asked[0].body),
        "grant_type=client_credentials&scope=read+write"
    );
    // Of `client+id:hunter2-never-to-be-shown`.
    assert_eq!(
        asked[0].header("authorization"),
        Some("Basic Y2xpZW50K2lkOmh1bnRlcjItbmV2ZXItdG8tYmUtc2hvd24=")
    );
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer t0ken-1"));
    }
}

#[tokio::test]
async fn a_token_that_expires_soon_is_not_kept() {
    let tokens = HttpServer::start(Conduct::InTurn(vec![
        token("a-1", "\"20\""),
        token("a-2", "3600"),
    ]))
    .await;
    let server = HttpServer::start(Conduct::Says(ok("{}"))).await;
    let outside = open(&server.url(""), oauth(&tokens.url("/token")));
    done(&get(), &outside).await.unwrap();
    done(&get(), &outside).await.unwrap();
    done(&get(), &outside).await.unwrap();
    assert_eq!(tokens.requests().len(), 2);
    let used: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(used, ["Bearer a-1", "Bearer a-2", "Bearer a-2"]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_only_once() {
    let tokens = HttpServer::start(Conduct::InTurn(vec![
        token("a-1", "3600"),
        token("a-2", "3600"),
    ]))
    .await;
    let server = HttpServer::start(Conduct::InTurn(vec![answer(401, "", ""), ok("{}")])).await;
    let outside = open(&server.url(""), oauth(&tokens.url("/token")));
    done(&get(), &outside).await.unwrap();
    assert_eq!(tokens.requests().len(), 2);
    assert_eq!(
        server.requests()[1].header("authorization"),
        Some("Bearer a-2")
    );

    let always = HttpServer::start(Conduct::Says(answer(401, "", "no"))).await;
    let outside = open(&always.url(""), oauth(&tokens.url("/token")));
    let reason = permanent(done(&get(), &outside).await);
    assert!(reason.contains("answered 401"), "{reason}");
    assert_eq!(always.requests().len(), 2);
}

#[tokio::test]
async fn a_server_that_wants_the_secret_in_the_body_gets_it_there() {
    let tokens = HttpServer::start(Conduct::InTurn(vec![
        answer(401, "", r#"{"error":"invalid_client"}"#),
        token("a-1", "3600"),
    ]))
    .await;
    let server = HttpServer::start(Conduct::Says(ok("{}"))).await;
    done(&get(), &open(&server.url(""), oauth(&tokens.url("/token"))))
        .await
        .unwrap();
    let asked = tokens.requests();
    assert_eq!(asked[1].header("authorization"), None);
    assert_eq!(
        String::from_utf8_lossy(&asked[1].body),
        "grant_type=client_credentials&scope=read+write&client_id=client+id&client_secret=hunter2-never-to-be-shown"
    );
}

#[tokio::test]
async fn trouble_with_the_token_server_is_never_in_doubt() {
    let server = HttpServer::start(Conduct::Says(ok("{}"))).await;
    let mut post = http("POST", "x");
    post.json = Some(json!({}));
    for (conduct, permanent) in [
        (Conduct::Leaves, false),
        (Conduct::Says(answer(503, "retry-after: 9\r\n", "")), false),
        (Conduct::Says(answer(429, "", "")), false),
        (
            Conduct::Says(answer(
                400,
                "",
                r#"{"error":"invalid_client hunter2-never-to-be-shown"}"#,
            )),
            true,
        ),
        (Conduct::Says(answer(404, "", "")), true),
        (Conduct::Says(answer(302, "location: /\r\n", "")), true),
        (Conduct::Says(ok("not json")), true),
        (Conduct::Says(ok("{}")), true),
        (Conduct::Says(ok(r#"{"access_token":""}"#)), true),
        (
            Conduct::Says(ok(r#"{"access_token":"x","token_type":"mac"}"#)),
            true,
        ),
        (
            Conduct::SaysAndResets(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec()),
            false,
        ),
    ] {
        let tokens = HttpServer::start(conduct.clone()).await;
        let outside = open(&server.url(""), oauth(&tokens.url("/token")));
        let error = done(&StepKind::Http(post.clone()), &outside)
            .await
            .unwrap_err();
        match (&error, permanent) {
            (ActionError::Permanent { .. }, true) | (ActionError::Transient { .. }, false) => {}
            _ => panic!("{conduct:?}: {error:?}"),
        }
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn an_action_tells_what_will_be_done_and_no_secret() {
    for step in [
        slack("slack-hook", None),
        slack("slack-bot", Some("#x")),
        teams(),
        webhook(),
        get(),
    ] {
        let action: Action = prepared(&step);
        let told = serde_json::to_string(&action).unwrap();
        assert!(
            !told.contains("never-to-be-shown") && !told.contains("whsec_"),
            "{told}"
        );
    }
}
