//! How accounts are entered: over an emulator that asks for leave, and over a fake of STS that counts.

use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, Handler, HttpServer, Received, answer};
use crate::setting::{attempt, context, outside_in};
use quench_actions::aws::{Aws, Limits, Request, Service};
use quench_actions::cloud::{Cloud, Entrance, ExternalId, RoleName};
use quench_actions::remediate::{self, Fault, Kind, Parameters, Remediation, Target};
use quench_actions::{Secrets, perform, prepare};
use quench_automations::{LambdaStep, SsmStep, StepFunctionsStep, StepKind};
use quench_emulator::{ACCOUNT, Emulator, REGION, Settings};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const OTHER: &str = "444455556666";
const ROLE: &str = "security/quench-remediation";

fn keys(emulator: &Emulator, id: &str, secret: &str) -> Aws {
    aws_of(&[
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", &emulator.endpoint()),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ])
}

async fn iam(aws: &Aws, operation: &str, form: &[(&str, &str)]) -> quench_actions::aws::Element {
    let made = aws.query(Service::Iam, operation, form).await;
    made.unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn policy(actions: &[&str]) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
    })
    .to_string()
}

/// The role of the other account, which whoever comes with the external id may take on.
async fn admit(owner: &Aws) {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": "only-quench-7" } },
        }],
    })
    .to_string();
    let form = [
        ("RoleName", "quench-remediation"),
        ("Path", "/security/"),
        ("AssumeRolePolicyDocument", trust.as_str()),
    ];
    iam(owner, "CreateRole", &form).await;
    let allowed = policy(&["s3:*", "states:*"]);
    let form = [
        ("RoleName", "quench-remediation"),
        ("PolicyName", "work"),
        ("PolicyDocument", allowed.as_str()),
    ];
    iam(owner, "PutRolePolicy", &form).await;
}

/// Keys of a user of the own account who may take on roles and nothing else.
async fn runner(emulator: &Emulator) -> Aws {
    let root = keys(emulator, "test", "test");
    iam(&root, "CreateUser", &[("UserName", "runner")]).await;
    let allowed = policy(&["sts:AssumeRole"]);
    let form = [
        ("UserName", "runner"),
        ("PolicyName", "enter"),
        ("PolicyDocument", allowed.as_str()),
    ];
    iam(&root, "PutUserPolicy", &form).await;
    let key = iam(&root, "CreateAccessKey", &[("UserName", "runner")]).await;
    let text = |name: &str| key.text_at(&format!("CreateAccessKeyResult/AccessKey/{name}"));
    keys(
        emulator,
        text("AccessKeyId").unwrap(),
        text("SecretAccessKey").unwrap(),
    )
}

fn entrance(external_id: Option<&str>) -> Entrance {
    Entrance {
        role: RoleName::parse(ROLE).ok(),
        external_id: external_id.map(|id| ExternalId::parse(id).unwrap()),
    }
}

fn bucket(name: &str) -> Target {
    Target::read(name, &[Kind::Bucket], OTHER, REGION).unwrap()
}

const REMEDIATION: Remediation = Remediation::S3BlockPublicAccess;

#[tokio::test]
async fn another_account_is_entered_with_its_external_id_and_for_one_resource_alone() {
    let settings = Settings {
        authorize: true,
        ..Settings::default()
    };
    let emulator = Emulator::start_with(&settings);
    let owner = keys(&emulator, OTHER, "test");
    admit(&owner).await;
    for name in ["quench-logs", "quench-other"] {
        let mut request = Request::new(Method::PUT, &[name]);
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        request.body = place.into();
        owner
            .send(Service::S3, "CreateBucket", request)
            .await
            .unwrap();
    }
    // New ones have a block.
    let request = Request::new(Method::DELETE, &["quench-logs"]);
    let request = request.with_query("publicAccessBlock", "");
    let removed = owner.send(Service::S3, "DeletePublicAccessBlock", request);
    removed.await.unwrap();
    let aws = runner(&emulator).await;
    let secrets = Secrets::held([("secret://env/EXTERNAL_ID", "only-quench-7")]);
    let id = Some("secret://env/EXTERNAL_ID");
    let cloud = Cloud::new(aws.clone(), entrance(id), secrets);

    let target = bucket("quench-logs");
    let entered = cloud.open(&target, REMEDIATION, "0f3c").await.unwrap();
    let who = entered
        .query(Service::Sts, "GetCallerIdentity", &[])
        .await
        .unwrap();
    let arn = who.text_at("GetCallerIdentityResult/Arn").unwrap();
    assert!(
        arn.ends_with("assumed-role/quench-remediation/quench-0f3c"),
        "{arn}"
    );
    let now = jiff::Timestamp::now();
    let nothing = Parameters::new();
    let planned = remediate::plan(&entered, REMEDIATION, &target, &nothing, now).await;
    assert!(!planned.unwrap().changes.is_empty());
    // The same session may not touch its neighbour, which the role itself may.
    let other = remediate::plan(
        &entered,
        REMEDIATION,
        &bucket("quench-other"),
        &nothing,
        now,
    )
    .await;
    assert!(matches!(other, Err(Fault::Denied { .. })), "{other:?}");

    for (external_id, told) in [
        (Some("only-quench-8"), "`QUENCH_EXTERNAL_ID` holds"),
        (None, "set `QUENCH_EXTERNAL_ID`"),
    ] {
        let cloud = Cloud::new(aws.clone(), entrance(external_id), Secrets::Process);
        let refused = cloud.open(&target, REMEDIATION, "0f3c").await.unwrap_err();
        assert!(matches!(refused, Fault::Guard(_)), "{refused:?}");
        let refused = refused.to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(
            refused.contains("role/security/quench-remediation"),
            "{refused}"
        );
    }
    let cloud = Cloud::new(aws.clone(), Entrance::default(), Secrets::Process);
    let refused = cloud.open(&target, REMEDIATION, "0f3c").await.unwrap_err();
    assert!(
        refused.to_string().contains("`QUENCH_REMEDIATION_ROLE`"),
        "{refused}"
    );

    let cloud = Cloud::new(aws, entrance(Some("only-quench-7")), Secrets::Process);
    a_state_machine_of_another_account_is_started(&owner, cloud).await;
}

async fn a_state_machine_of_another_account_is_started(owner: &Aws, cloud: Cloud) {
    let definition = json!({ "StartAt": "Done", "States": { "Done": { "Type": "Succeed" } } });
    let body = json!({
        "name": "contain",
        "definition": definition.to_string(),
        "roleArn": format!("arn:aws:iam::{OTHER}:role/security/quench-remediation"),
    });
    let made = owner
        .json(Service::StepFunctions, "CreateStateMachine", &body)
        .await
        .unwrap();
    let step = StepFunctionsStep {
        state_machine: made["stateMachineArn"].as_str().unwrap().to_owned(),
        input: None,
        detached: false,
        approval: None,
    };
    let action = prepare(&StepKind::StepFunctions(step), &context(json!({})));
    let attempt = attempt(Duration::from_secs(60));
    let done = perform(&action.unwrap().unwrap(), &outside_in(cloud), &attempt)
        .await
        .unwrap();
    assert_eq!(done.output["status"], "SUCCEEDED");
}

fn xml(body: &str) -> Option<Vec<u8>> {
    Some(answer(200, "content-type: text/xml\r\n", body))
}

/// STS that gives out keys for every role, or says why not.
fn sts(request: &Received, refusal: Option<(u16, &'static str)>) -> Option<Vec<u8>> {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    if form.contains("Action=GetCallerIdentity") {
        let signature = request.header("authorization").unwrap();
        let name = match signature.contains("Credential=ASIA") {
            true => "quench-remediation/quench-0f3c",
            false => "runner/quench-runner",
        };
        return xml(&format!(
            "<R><GetCallerIdentityResult><Account>111122223333</Account><Arn>arn:aws-us-gov:sts::111122223333:assumed-role/{name}</Arn></GetCallerIdentityResult></R>",
        ));
    }
    if form.contains("Action=GetRole&") {
        return xml("<R><GetRoleResult><Role><Path>/</Path></Role></GetRoleResult></R>");
    }
    if form.contains("Action=GetRolePolicy") {
        let body = "<E><Error><Code>NoSuchEntity</Code><Message>none</Message></Error></E>";
        return Some(answer(404, "content-type: text/xml\r\n", body));
    }
    if let Some((status, code)) = refusal {
        let body = format!("<E><Error><Code>{code}</Code><Message>scripted</Message></Error></E>");
        return Some(answer(status, "content-type: text/xml\r\n", &body));
    }
    let expires = jiff::Timestamp::now() + Duration::from_secs(900);
    xml(&format!(
        "<R><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>never-to-be-shown</SecretAccessKey><SessionToken>neither</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></R>"
    ))
}

async fn fake(refusal: Option<(u16, &'static str)>) -> (HttpServer, Aws) {
    let handler = Handler::new(move |request| sts(request, refusal));
    let server = HttpServer::start(Conduct::Handles(handler)).await;
    let aws = aws_of(&variables(&server.url(""))).with_limits(Limits {
        attempts: 1,
        ..Limits::default()
    });
    (server, aws)
}

fn forms(server: &HttpServer, action: &str) -> Vec<Value> {
    let requests = server.requests();
    let forms = requests.iter().map(|request| {
        let pairs = url::form_urlencoded::parse(&request.body).into_owned();
        Value::Object(
            pairs
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
        )
    });
    forms.filter(|form| form["Action"] == action).collect()
}

#[tokio::test]
async fn a_session_is_cut_to_its_target_and_taken_on_once() {
    let (server, aws) = fake(None).await;
    let cloud = Cloud::new(aws, entrance(Some("only-quench-7")), Secrets::Process);
    for name in ["logs", "logs", "other"] {
        cloud
            .open(&bucket(name), REMEDIATION, "0f3c")
            .await
            .unwrap();
    }
    let own = Target::read("logs", &[Kind::Bucket], "111122223333", REGION).unwrap();
    cloud.open(&own, REMEDIATION, "0f3c").await.unwrap();
    assert_eq!(forms(&server, "GetCallerIdentity").len(), 1);
    let taken = forms(&server, "AssumeRole");
    assert_eq!(taken.len(), 3);
    let arn = "arn:aws-us-gov:iam::444455556666:role/security/quench-remediation";
    assert_eq!(taken[0]["RoleArn"], arn);
    assert_eq!(taken[0]["ExternalId"], "only-quench-7");
    assert_eq!(taken[0]["RoleSessionName"], "quench-0f3c");
    assert_eq!(taken[0]["DurationSeconds"], "900");
    let policy = taken[0]["Policy"].as_str().unwrap();
    assert!(
        policy.contains("arn:aws:s3:::logs") && !policy.contains("other"),
        "{policy}"
    );
    assert!(
        taken[2]["RoleArn"]
            .as_str()
            .unwrap()
            .contains("::111122223333:")
    );
}

#[tokio::test]
async fn a_session_for_a_call_may_make_that_call_alone() {
    let (server, aws) = fake(None).await;
    let outside = outside_in(Cloud::new(aws, entrance(None), Secrets::Process));
    let runbook = SsmStep {
        document: "arn:aws:ssm:eu-central-1:999999999999:document/Contain".to_owned(),
        version: None,
        parameters: serde_json::from_value(json!({
            "AutomationAssumeRole": format!("arn:aws:iam::{OTHER}:role/runbooks"),
        }))
        .unwrap(),
        account: Some(OTHER.to_owned()),
        region: None,
        approval: None,
    };
    let function = LambdaStep {
        function: format!("arn:aws:lambda:eu-central-1:{OTHER}:function:contain:live"),
        qualifier: None,
        payload: None,
        detached: false,
        approval: None,
    };
    let machine = StepFunctionsStep {
        state_machine: format!("arn:aws:states:eu-central-1:{OTHER}:stateMachine:contain:live"),
        input: None,
        detached: true,
        approval: None,
    };
    for (kind, expected) in [
        (
            StepKind::Ssm(runbook),
            json!([
                {
                    "Effect": "Allow",
                    "Action": "ssm:StartAutomationExecution",
                    "Resource": [
                        "arn:aws-us-gov:ssm:eu-central-1:*:document/Contain",
                        "arn:aws-us-gov:ssm:eu-central-1:*:automation-definition/Contain:*",
                        "arn:aws-us-gov:ssm:eu-central-1:444455556666:automation-execution/*",
                    ],
                },
                {
                    "Effect": "Allow",
                    "Action": "ssm:GetAutomationExecution",
                    "Resource": "arn:aws-us-gov:ssm:eu-central-1:444455556666:automation-execution/*",
                },
                {
                    "Effect": "Allow",
                    "Action": "iam:PassRole",
                    "Resource": ["arn:aws:iam::444455556666:role/runbooks"],
                    "Condition": { "StringEquals": { "iam:PassedToService": "ssm.amazonaws.com" } },
                },
            ]),
        ),
        (
            StepKind::Lambda(function),
            json!([{
                "Effect": "Allow",
                "Action": ["lambda:InvokeFunction"],
                "Resource": [
                    "arn:aws:lambda:eu-central-1:444455556666:function:contain",
                    "arn:aws:lambda:eu-central-1:444455556666:function:contain:*",
                ],
            }]),
        ),
        (
            StepKind::StepFunctions(machine),
            json!([
                {
                    "Effect": "Allow",
                    "Action": "states:StartExecution",
                    "Resource": [
                        "arn:aws:states:eu-central-1:444455556666:stateMachine:contain",
                        "arn:aws:states:eu-central-1:444455556666:stateMachine:contain:*",
                    ],
                },
                {
                    "Effect": "Allow",
                    "Action": "states:DescribeExecution",
                    "Resource": "arn:aws:states:eu-central-1:444455556666:execution:contain:quench-*",
                },
            ]),
        ),
    ] {
        let action = prepare(&kind, &context(json!({}))).unwrap().unwrap();
        // What comes of the call does not matter: the fake knows STS alone.
        let _ = perform(&action, &outside, &attempt(Duration::from_secs(60))).await;
        let taken = forms(&server, "AssumeRole");
        let policy = taken.last().unwrap()["Policy"].as_str().unwrap();
        let policy: Value = serde_json::from_str(policy).unwrap();
        assert_eq!(policy["Statement"], expected);
    }
}

#[tokio::test]
async fn own_credentials_are_used_in_the_own_account_without_a_role() {
    let (server, aws) = fake(None).await;
    let cloud = Cloud::new(aws, Entrance::default(), Secrets::Process);
    let own = Target::read("logs", &[Kind::Bucket], "111122223333", "eu-west-1").unwrap();
    let entered = cloud.open(&own, REMEDIATION, "0f3c").await.unwrap();
    assert_eq!(entered.region(), "eu-west-1");
    assert!(forms(&server, "AssumeRole").is_empty());
}

#[tokio::test]
async fn who_takes_on_the_role_is_not_contained_through_it() {
    let (_server, aws) = fake(None).await;
    let cloud = Cloud::new(aws, entrance(None), Secrets::Process);
    let contain = Remediation::ContainPrincipal;
    let (now, nothing) = (jiff::Timestamp::now(), Parameters::new());
    for (name, is_own) in [
        ("runner", true),
        ("quench-remediation", true),
        ("other", false),
    ] {
        let arn = format!("arn:aws-us-gov:iam::111122223333:role/{name}");
        let target = Target::read(&arn, &[Kind::Role], "111122223333", "us-gov-west-1").unwrap();
        let entered = cloud.open(&target, contain, "0f3c").await.unwrap();
        let planned = remediate::plan(&entered, contain, &target, &nothing, now).await;
        match planned {
            Err(Fault::Guard(why)) => assert!(is_own && why.contains("contain itself"), "{why}"),
            planned => assert!(!is_own && planned.is_ok(), "{name}: {planned:?}"),
        }
    }
}

#[tokio::test]
async fn why_there_is_no_way_in_is_told_apart() {
    for (refusal, is_transient) in [
        ((403, "AccessDenied"), false),
        ((400, "MalformedPolicyDocument"), false),
        ((400, "Throttling"), true),
        ((500, "InternalFailure"), true),
    ] {
        let (_server, aws) = fake(Some(refusal)).await;
        let cloud = Cloud::new(aws, entrance(None), Secrets::Process);
        let fault = cloud
            .open(&bucket("logs"), REMEDIATION, "0f3c")
            .await
            .unwrap_err();
        assert_eq!(fault.is_transient(), is_transient, "{fault:?}");
        assert!(fault.to_string().contains(refusal.1), "{fault}");
    }
    let (server, aws) = fake(None).await;
    let id = Some("secret://env/QUENCH_NO_SUCH_VARIABLE");
    let cloud = Cloud::new(aws, entrance(id), Secrets::Process);
    let fault = cloud
        .open(&bucket("logs"), REMEDIATION, "0f3c")
        .await
        .unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("`QUENCH_EXTERNAL_ID` cannot be used"),
        "{fault}"
    );
    assert!(forms(&server, "AssumeRole").is_empty());
}
