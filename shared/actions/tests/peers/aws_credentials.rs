use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, HttpServer, answer};
use quench_actions::aws::{Aws, AwsError, Role, Service};
use serde_json::json;
use std::time::Duration;

fn role(arn: &str) -> Role {
    Role {
        arn: arn.to_owned(),
        external_id: Some("quench-7".to_owned()),
        session: "run 0f3c/ä".to_owned(),
        policy: None,
        lasting: Duration::from_secs(900),
    }
}

async fn who(aws: &Aws) -> Result<String, AwsError> {
    let identity = aws.query(Service::Sts, "GetCallerIdentity", &[]).await?;
    let arn = identity.text_at("GetCallerIdentityResult/Arn").unwrap();
    Ok(arn.to_owned())
}

pub(crate) async fn a_role_is_taken_on(aws: &Aws) {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }],
    })
    .to_string();
    let parameters = [
        ("RoleName", "responder"),
        ("AssumeRolePolicyDocument", trust.as_str()),
    ];
    let made = aws
        .query(Service::Iam, "CreateRole", &parameters)
        .await
        .unwrap();
    let arn = made.text_at("CreateRoleResult/Role/Arn").unwrap();
    let acting = aws.assume_role(role(arn));
    let known = who(&acting).await.unwrap();
    assert!(
        known.contains("assumed-role/responder/run-0f3c--"),
        "{known}"
    );
    assert!(!who(aws).await.unwrap().contains("responder"));
}

fn keys(id: &str, left: Duration) -> String {
    let expires = jiff::Timestamp::now() + left;
    json!({
        "AccessKeyId": id, "SecretAccessKey": "never-to-be-shown", "Token": "neither", "Expiration": expires.to_string(),
    })
    .to_string()
}

fn signer(server: &HttpServer, number: usize) -> String {
    let requests = server.requests();
    let signature = requests[number].header("authorization").unwrap();
    let (_, rest) = signature.split_once("Credential=").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn container(place: &HttpServer, target: &HttpServer) -> Aws {
    let token = "Basic container-token";
    aws_of(&[
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ENDPOINT_URL", target.url("")),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            place.url("/keys?of=me"),
        ),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.to_owned()),
    ])
}

async fn call(aws: &Aws) -> Result<(), AwsError> {
    let called = aws.json(Service::Sqs, "ListQueues", &json!({})).await;
    called.map(|_| ())
}

#[tokio::test]
async fn a_containers_keys_are_fetched_once_and_again_before_they_expire() {
    let hour = Duration::from_secs(3_600);
    let place = HttpServer::start(Conduct::InTurn(vec![
        answer(200, "", &keys("FIRST", Duration::from_secs(60))),
        answer(200, "", &keys("SECOND", hour)),
    ]))
    .await;
    let target = HttpServer::start(Conduct::Says(answer(200, "", "{}"))).await;
    let aws = container(&place, &target);
    assert!(place.requests().is_empty());
    for _ in 0..4 {
        call(&aws).await.unwrap();
    }
    let asked = place.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line(), "GET /keys?of=me HTTP/1.1");
    assert_eq!(
        asked[0].header("authorization"),
        Some("Basic container-token")
    );
    let signers: Vec<_> = (0..4).map(|number| signer(&target, number)).collect();
    assert_eq!(signers, ["FIRST", "SECOND", "SECOND", "SECOND"]);
}

#[tokio::test]
async fn many_at_once_fetch_keys_once() {
    let place = HttpServer::start(Conduct::Says(answer(
        200,
        "",
        &keys("ONE", Duration::from_secs(3_600)),
    )))
    .await;
    let target = HttpServer::start(Conduct::Says(answer(200, "", "{}"))).await;
    let aws = container(&place, &target);
    let calls = (0..20).map(|_| {
        let aws = aws.clone();
        tokio::spawn(async move { call(&aws).await })
    });
    for called in calls.collect::<Vec<_>>() {
        called.await.unwrap().unwrap();
    }
    assert_eq!(place.requests().len(), 1);
    assert_eq!(target.requests().len(), 20);
}

#[tokio::test]
async fn keys_that_cannot_be_replaced_are_used_while_they_are_good() {
    let place = HttpServer::start(Conduct::InTurn(vec![
        answer(200, "", &keys("OLD", Duration::from_secs(120))),
        answer(500, "", "broken"),
    ]))
    .await;
    let target = HttpServer::start(Conduct::Says(answer(200, "", "{}"))).await;
    let aws = container(&place, &target);
    for _ in 0..4 {
        call(&aws).await.unwrap();
    }
    assert_eq!(place.requests().len(), 2);
}

#[tokio::test]
async fn keys_that_are_refused_as_expired_are_fetched_anew() {
    let hour = Duration::from_secs(3_600);
    let place = HttpServer::start(Conduct::InTurn(vec![
        answer(200, "", &keys("WITHDRAWN", hour)),
        answer(200, "", &keys("GOOD", hour)),
    ]))
    .await;
    let expired = answer(400, "", r#"{"__type":"ExpiredTokenException"}"#);
    let target = HttpServer::start(Conduct::InTurn(vec![expired, answer(200, "", "{}")])).await;
    let aws = container(&place, &target);
    call(&aws).await.unwrap();
    assert_eq!(signer(&target, 1), "GOOD");
}

#[tokio::test]
async fn a_place_without_keys_is_told_without_what_it_said() {
    for (said, transient) in [
        (
            answer(
                200,
                "",
                r#"{"AccessKeyId":"A","SecretAccessKey":7,"x":"leak"}"#,
            ),
            false,
        ),
        (answer(200, "", "leak"), false),
        (answer(403, "", "leak"), false),
        (answer(503, "", "leak"), true),
    ] {
        let place = HttpServer::start(Conduct::Says(said)).await;
        let target = HttpServer::start(Conduct::Says(answer(200, "", "{}"))).await;
        let error = call(&container(&place, &target)).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(matches!(error, AwsError::Credentials { .. }), "{error:?}");
        assert!(!error.to_string().contains("leak"), "{error}");
        assert!(target.requests().is_empty());
    }
}

pub(crate) async fn a_role_that_may_not_be_taken_on_is_told(aws: &Aws) {
    let arn = "arn:aws:iam::111122223333:role/nobody";
    let error = who(&aws.assume_role(role(arn))).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("STS refused `AssumeRole` with"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn the_keys_of_variables_sign_at_once() {
    let target = HttpServer::start(Conduct::Says(answer(200, "", "{}"))).await;
    let aws = aws_of(&variables(&target.url("")));
    call(&aws).await.unwrap();
    assert_eq!(signer(&target, 0), "AKIDEXAMPLE");
}
