//! Functions and state machines, which the emulator runs for real.

use crate::automation::OWN;
use crate::aws_emulator::{aws_of, client};
use crate::aws_faults::variables;
use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{attempt, context, outside_in, permanent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quench_actions::aws::{Aws, Limits, Request, Service};
use quench_actions::cloud::{Cloud, Entrance};
use quench_actions::{Action, ActionError, Attempt, Outside, Performed, Secrets, perform, prepare};
use quench_automations::{LambdaStep, OnUnknown, StepFunctionsStep, StepKind};
use quench_emulator::Emulator;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Says what it was called with, or fails with what it must not tell.
const CODE: &str = "
def handler(event, context):
    if event.get('fail'):
        raise PermissionError('never-to-be-shown')
    return {'event': event}
";

fn outside(aws: Aws) -> Outside {
    outside_in(Cloud::new(aws, Entrance::default(), Secrets::Process))
}

fn patient() -> Attempt {
    attempt(Duration::from_secs(120))
}

fn function(name: &str, payload: Value) -> LambdaStep {
    LambdaStep {
        function: name.to_owned(),
        qualifier: None,
        payload: Some(payload),
        detached: false,
        approval: None,
    }
}

fn machine(arn: &str, input: Value) -> StepFunctionsStep {
    StepFunctionsStep {
        state_machine: arn.to_owned(),
        input: Some(input),
        detached: false,
        approval: None,
    }
}

fn prepared(kind: &StepKind) -> Action {
    prepare(kind, &context(json!({}))).unwrap().unwrap()
}

async fn invoke(step: LambdaStep, outside: &Outside) -> Result<Performed, ActionError> {
    perform(&prepared(&StepKind::Lambda(step)), outside, &patient()).await
}

/// An archive of one file, which is not compressed (APPNOTE of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16).
fn archive(name: &str, content: &str) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in content.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let mut about = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    about.extend((!crc).to_le_bytes());
    about.extend([length, length].concat());
    about.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    about.extend([0, 0]);
    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&about);
    archive.extend(name.bytes().chain(content.bytes()));
    let start = u32::try_from(archive.len()).unwrap();
    archive.extend(b"PK\x01\x02\x14\x00");
    archive.extend(&about);
    archive.extend([0; 14]);
    archive.extend(name.bytes());
    let size = u32::try_from(archive.len()).unwrap() - start;
    archive.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    archive.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    archive.extend([0, 0]);
    archive
}

async fn create_function(aws: &Aws) {
    let zip = STANDARD.encode(archive("code.py", CODE));
    let body = json!({
        "FunctionName": "contain",
        "Runtime": "python3.12",
        "Handler": "code.handler",
        "Role": "arn:aws:iam::000000000000:role/x",
        "Code": { "ZipFile": zip },
    });
    let path = ["2015-03-31", "functions"];
    let request = Request::new(Method::POST, &path).with_json(&body);
    aws.rest(Service::Lambda, "CreateFunction", request)
        .await
        .unwrap();
}

async fn create_machine(aws: &Aws, name: &str, state: Value) -> String {
    let definition = json!({ "StartAt": "Only", "States": { "Only": state } });
    let body = json!({
        "name": name,
        "definition": definition.to_string(),
        "roleArn": "arn:aws:iam::000000000000:role/x",
    });
    let made = aws
        .json(Service::StepFunctions, "CreateStateMachine", &body)
        .await
        .unwrap();
    made["stateMachineArn"].as_str().unwrap().to_owned()
}

/// All in one: starting an emulator takes a second of a processor.
#[tokio::test]
async fn functions_and_state_machines_run() {
    let emulator = Emulator::start();
    let aws = client(&emulator);
    let outside = outside(aws.clone());
    create_function(&aws).await;
    a_function_answers(&outside).await;
    a_function_that_fails_is_told_without_what_it_said(&outside).await;
    a_state_machine_is_started_once(&aws, &outside).await;
    a_state_machine_that_fails_is_told_without_its_cause(&aws, &outside).await;
    a_long_state_machine_is_found_again(&aws, &outside).await;
}

async fn a_function_answers(outside: &Outside) {
    let step = function("contain", json!({ "who": "{{ finding.account }}" }));
    let done = invoke(step.clone(), outside).await.unwrap();
    assert_eq!(done.summary, "function `contain` answered");
    assert_eq!(done.output["json"]["event"], json!({ "who": OWN }));
    let by_arn = function(
        "arn:aws:lambda:{{ finding.region }}:000000000000:function:contain",
        json!({}),
    );
    let done = invoke(by_arn, outside).await.unwrap();
    assert_eq!(done.output["json"]["event"], json!({}));
    let whole = LambdaStep {
        payload: None,
        ..step.clone()
    };
    let done = invoke(whole, outside).await.unwrap();
    assert_eq!(done.output["json"]["event"]["account"], OWN);
    assert_eq!(done.output["json"]["event"].get("raw"), None);
    let detached = LambdaStep {
        detached: true,
        ..step
    };
    let done = invoke(detached, outside).await.unwrap();
    assert_eq!(done.output["status"], 202);
}

async fn a_function_that_fails_is_told_without_what_it_said(outside: &Outside) {
    let step = function("contain", json!({ "fail": true }));
    let told = permanent(invoke(step, outside).await);
    assert!(
        told.starts_with("function `contain` failed with `"),
        "{told}"
    );
    assert!(!told.contains("never-to-be-shown"), "{told}");
    let missing = permanent(invoke(function("nothing", json!({})), outside).await);
    assert!(missing.contains("ResourceNotFoundException"), "{missing}");
}

async fn executions(aws: &Aws, arn: &str) -> usize {
    let body = json!({ "stateMachineArn": arn });
    let listed = aws
        .json(Service::StepFunctions, "ListExecutions", &body)
        .await
        .unwrap();
    listed["executions"].as_array().unwrap().len()
}

async fn a_state_machine_is_started_once(aws: &Aws, outside: &Outside) {
    let arn = create_machine(aws, "pass", json!({ "Type": "Pass", "End": true })).await;
    for (detached, status) in [
        (false, "SUCCEEDED"),
        (false, "SUCCEEDED"),
        (true, "RUNNING"),
    ] {
        let step = StepFunctionsStep {
            detached,
            ..machine(&arn, json!({ "severity": "{{ finding.severity }}" }))
        };
        let action = prepared(&StepKind::StepFunctions(step));
        assert_eq!(action.is_idempotent(outside), !detached);
        let done = perform(&action, outside, &patient()).await.unwrap();
        assert_eq!(done.output["status"], status);
        if !detached {
            assert_eq!(done.output["output"], json!({ "severity": "high" }));
        }
    }
    assert_eq!(executions(aws, &arn).await, 1);
}

async fn a_state_machine_that_fails_is_told_without_its_cause(aws: &Aws, outside: &Outside) {
    let state = json!({ "Type": "Fail", "Error": "NotContained", "Cause": "never-to-be-shown" });
    let arn = create_machine(aws, "fail", state).await;
    for (round, count) in [(0, 1), (0, 1), (1, 2)] {
        let action = prepared(&StepKind::StepFunctions(machine(&arn, json!({}))));
        let attempt = Attempt { round, ..patient() };
        let told = permanent(perform(&action, outside, &attempt).await);
        assert!(
            told.contains("ended as FAILED with `NotContained`"),
            "{told}"
        );
        assert!(!told.contains("never-to-be-shown"), "{told}");
        assert_eq!(executions(aws, &arn).await, count);
    }
}

async fn a_long_state_machine_is_found_again(aws: &Aws, outside: &Outside) {
    let arn = create_machine(
        aws,
        "wait",
        json!({ "Type": "Wait", "Seconds": 3600, "End": true }),
    )
    .await;
    let action = prepared(&StepKind::StepFunctions(machine(&arn, json!({}))));
    let mut attempt = attempt(Duration::from_secs(1));
    for _ in 0..2 {
        let Err(ActionError::Pending { mark, again, .. }) =
            perform(&action, outside, &attempt).await
        else {
            panic!("it is not over");
        };
        assert!(again >= Duration::from_secs(5));
        attempt.mark = Some(mark);
    }
    assert_eq!(executions(aws, &arn).await, 1);
    let body = json!({ "executionArn": attempt.mark, "error": "Enough" });
    aws.json(Service::StepFunctions, "StopExecution", &body)
        .await
        .unwrap();
    let told = permanent(perform(&action, outside, &attempt).await);
    assert!(told.contains("ended as ABORTED with `Enough`"), "{told}");
}

/// An outside world whose services all answer alike, after STS said who calls.
async fn answering(conduct: Vec<Vec<u8>>) -> (HttpServer, Outside) {
    let identity = format!(
        "<R><GetCallerIdentityResult><Account>{OWN}</Account><Arn>arn:aws:iam::{OWN}:role/runner</Arn></GetCallerIdentityResult></R>"
    );
    let mut answers = vec![answer(200, "content-type: text/xml\r\n", &identity)];
    answers.extend(conduct);
    let server = HttpServer::start(Conduct::InTurn(answers)).await;
    let aws = aws_of(&variables(&server.url(""))).with_limits(Limits {
        attempts: 1,
        ..Limits::default()
    });
    (server, outside(aws))
}

fn error(status: u16, code: &str) -> Vec<u8> {
    let body = json!({ "message": "scripted", "__type": code }).to_string();
    answer(status, &format!("x-amzn-errortype: {code}\r\n"), &body)
}

#[tokio::test]
async fn what_lambda_refuses_is_told_apart() {
    for (status, code, transient) in [
        (429, "TooManyRequestsException", true),
        (500, "ServiceException", true),
        (409, "ResourceConflictException", true),
        (403, "AccessDeniedException", false),
        (404, "ResourceNotFoundException", false),
        (413, "RequestTooLargeException", false),
    ] {
        let (server, outside) = answering(vec![error(status, code)]).await;
        let failed = invoke(function("contain", json!({})), &outside)
            .await
            .unwrap_err();
        assert_eq!(
            matches!(failed, ActionError::Transient { .. }),
            transient,
            "{failed:?}"
        );
        assert!(failed.to_string().contains(code), "{failed}");
        let calls = server.requests();
        let line = calls.last().unwrap().line().to_owned();
        assert_eq!(
            line,
            "POST /2015-03-31/functions/contain/invocations HTTP/1.1"
        );
    }
}

#[tokio::test]
async fn a_function_that_fails_is_known_by_the_type_of_its_error() {
    let body = json!({ "errorType": "PermissionError", "errorMessage": "never-to-be-shown" });
    let headers = "x-amz-function-error: Unhandled\r\nx-amzn-requestid: 7\r\n";
    let (_server, outside) = answering(vec![answer(200, headers, &body.to_string())]).await;
    let told = permanent(invoke(function("contain", json!({})), &outside).await);
    assert_eq!(
        told,
        "function `contain` failed with `PermissionError`; its log tells more of request `7`"
    );
}

#[tokio::test]
async fn an_invocation_whose_answer_is_lost_is_in_doubt_and_not_repeated() {
    // The answer breaks off before it says anything.
    let (server, outside) = answering(vec![Vec::new()]).await;
    let action = prepared(&StepKind::Lambda(function("contain", json!({}))));
    let lost = perform(&action, &outside, &patient()).await.unwrap_err();
    assert!(matches!(lost, ActionError::Unknown { .. }), "{lost:?}");
    assert_eq!(server.requests().len(), 2);
    assert!(!action.is_idempotent(&outside));
    assert_eq!(action.default_on_unknown(), OnUnknown::Fail);
}

#[tokio::test]
async fn a_function_learns_what_tells_an_invocation_from_its_repetition() {
    let ok = || answer(200, "x-amzn-requestid: 7\r\n", "\"done\"");
    let (server, outside) = answering(vec![ok()]).await;
    let mut keys = Vec::new();
    for detached in [false, false, true] {
        let step = LambdaStep {
            detached,
            qualifier: Some("live".to_owned()),
            ..function("contain", json!({}))
        };
        let done = invoke(step, &outside).await.unwrap();
        assert_eq!(done.output["json"], "done");
        let requests = server.requests();
        let request = requests.last().unwrap();
        assert!(request.line().contains("invocations?Qualifier=live "));
        let told = request.header("x-amz-client-context");
        keys.push(told.map(|told| {
            let told: Value = serde_json::from_slice(&STANDARD.decode(told).unwrap()).unwrap();
            assert_eq!(told["custom"]["quench.run"], "0f3c9a7be1d24c55");
            told["custom"]["quench.key"].as_str().unwrap().to_owned()
        }));
    }
    assert!(keys[0].is_some() && keys[0] == keys[1]);
    assert_eq!(keys[2], None);
}

const MACHINE: &str = "arn:aws:states:eu-central-1:111122223333:stateMachine:contain";

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_looked_for() {
    let found = json!({ "status": "SUCCEEDED", "output": "{}" }).to_string();
    for detached in [false, true] {
        let answers = vec![Vec::new(), answer(200, "", &found)];
        let (server, outside) = answering(answers).await;
        let step = StepFunctionsStep {
            detached,
            ..machine(MACHINE, json!({}))
        };
        let action = prepared(&StepKind::StepFunctions(step));
        perform(&action, &outside, &patient()).await.unwrap();
        let targets: Vec<String> = server.requests()[1..]
            .iter()
            .map(|request| request.header("x-amz-target").unwrap().to_owned())
            .collect();
        assert_eq!(targets[0], "AWSStepFunctions.StartExecution");
        let looks = &targets[1..];
        assert!(
            looks
                .iter()
                .all(|target| target == "AWSStepFunctions.DescribeExecution")
        );
    }
    let gone = error(400, "ExecutionDoesNotExist");
    let (_server, outside) = answering(vec![Vec::new(), gone]).await;
    let action = prepared(&StepKind::StepFunctions(machine(MACHINE, json!({}))));
    let lost = perform(&action, &outside, &patient()).await.unwrap_err();
    assert!(matches!(lost, ActionError::Unknown { .. }), "{lost:?}");
}

#[tokio::test]
async fn an_express_state_machine_is_not_waited_for() {
    let express = MACHINE.replace(":stateMachine:", ":express:");
    let started = json!({ "executionArn": format!("{express}:x:y") }).to_string();
    for detached in [true, false] {
        let (_server, outside) = answering(vec![answer(200, "", &started)]).await;
        let step = StepFunctionsStep {
            detached,
            ..machine(MACHINE, json!({}))
        };
        let done = perform(
            &prepared(&StepKind::StepFunctions(step)),
            &outside,
            &patient(),
        )
        .await;
        match detached {
            true => assert_eq!(done.unwrap().output["status"], "RUNNING"),
            false => {
                let told = permanent(done);
                assert!(told.contains("say `detached: true`"), "{told}");
            }
        }
    }
}

#[test]
fn what_is_called_is_not_chosen_by_the_finding_and_has_its_form() {
    let of = |kind: StepKind| {
        let prepared = prepare(&kind, &context(json!({})));
        prepared.unwrap_err().to_string()
    };
    let name = |name: &str| of(StepKind::Lambda(function(name, json!({}))));
    let arn = |arn: &str| of(StepKind::StepFunctions(machine(arn, json!({}))));
    for (told, expected) in [
        (
            name("{{ finding.resources[0].name }}"),
            "chosen by the finding",
        ),
        (name("contain/../x"), "no name or ARN"),
        (
            name("arn:aws:lambda:eu-central-1:1111:function:x"),
            "no name or ARN",
        ),
        (
            arn("{{ finding.resources[0].id }}"),
            "chosen by the finding",
        ),
        (arn("contain"), "no ARN"),
        (
            arn("arn:aws:states:eu-central-1:111122223333:execution:x:y"),
            "no ARN",
        ),
    ] {
        assert!(told.contains(expected), "{told}");
    }
    let both = LambdaStep {
        qualifier: Some("live".to_owned()),
        ..function(
            "arn:aws:lambda:eu-central-1:111122223333:function:x:1",
            json!({}),
        )
    };
    let told = of(StepKind::Lambda(both));
    assert!(told.contains("leave out `qualifier`"), "{told}");
    let large = json!("x".repeat(1024 * 1024));
    let detached = LambdaStep {
        detached: true,
        ..function("x", large.clone())
    };
    let told = of(StepKind::Lambda(detached));
    assert!(told.contains("Lambda takes 1048576"), "{told}");
    let told = of(StepKind::StepFunctions(machine(MACHINE, large)));
    assert!(told.contains("Step Functions takes 262144"), "{told}");
}
