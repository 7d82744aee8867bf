//! Runbooks of Systems Manager Automation, which no emulator has: a small fake that keeps to the API reference.

use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, Handler, HttpServer, Received, answer};
use crate::setting::{attempt, context, outside_in, permanent};
use quench_actions::aws::Limits;
use quench_actions::cloud::{Cloud, Entrance};
use quench_actions::{Action, ActionError, Attempt, Outside, Performed, Secrets, perform, prepare};
use quench_automations::{SsmStep, StepKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const OWN: &str = "111122223333";

/// How the fake behaves.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// How often an execution is looked at before it ends.
    looks: usize,
    /// What it is when it ends.
    end: Value,
    /// Whether too many run already.
    is_full: bool,
    /// Whether the next answer to a start is lost.
    loses_a_start: bool,
    /// The code of an error that is all that it says.
    refuses: Option<(u16, &'static str)>,
}

#[derive(Default)]
struct State {
    rules: Rules,
    /// By token: what was asked for, the id, and how often it was looked at.
    executions: BTreeMap<String, (Value, String, usize)>,
}

/// Systems Manager, with its documents `Contain` and `AWS-StopEC2Instance`.
#[derive(Clone)]
struct Automation {
    server: HttpServer,
    state: Arc<Mutex<State>>,
}

/// STS as far as the own credentials need it.
pub(crate) fn identity(request: &Received) -> Option<Vec<u8>> {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    form.contains("Action=GetCallerIdentity").then(|| {
        let xml = format!(
            "<R><GetCallerIdentityResult><Account>{OWN}</Account><Arn>arn:aws:sts::{OWN}:assumed-role/runner/x</Arn></GetCallerIdentityResult></R>"
        );
        answer(200, "content-type: text/xml\r\n", &xml)
    })
}

fn refused(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = json!({ "__type": code, "message": message }).to_string();
    answer(
        status,
        "content-type: application/x-amz-json-1.1\r\n",
        &body,
    )
}

impl Automation {
    async fn start(rules: Rules) -> Self {
        let state = Arc::new(Mutex::new(State {
            rules,
            ..State::default()
        }));
        let kept = Arc::clone(&state);
        let handler =
            Handler::new(move |request| identity(request).or_else(|| serve(request, &kept)));
        Self {
            server: HttpServer::start(Conduct::Handles(handler)).await,
            state,
        }
    }

    fn outside(&self) -> Outside {
        let aws = aws_of(&variables(&self.server.url(""))).with_limits(Limits {
            attempts: 1,
            ..Limits::default()
        });
        outside_in(Cloud::new(aws, Entrance::default(), Secrets::Process))
    }

    fn started(&self) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let executions = state.executions.values();
        executions.map(|(body, ..)| body.clone()).collect()
    }

    fn calls(&self) -> Vec<String> {
        let requests = self.server.requests();
        let targets = requests.iter().filter_map(|request| {
            let target = request.header("x-amz-target")?;
            Some(target.trim_start_matches("AmazonSSM.").to_owned())
        });
        targets.collect()
    }
}

fn serve(request: &Received, state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut state = state.lock().unwrap();
    let rules = state.rules.clone();
    if let Some((status, code)) = rules.refuses {
        return Some(refused(status, code, "scripted"));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let invalid = |why: &str| Some(refused(400, "ValidationException", why));
    match request.header("x-amz-target").unwrap() {
        "AmazonSSM.StartAutomationExecution" => {
            let document = body["DocumentName"].as_str().unwrap();
            if !["Contain", "AWS-StopEC2Instance"].contains(&document) {
                let code = "AutomationDefinitionNotFoundException";
                return Some(refused(400, code, "no such document"));
            }
            let lists = body["Parameters"].as_object().unwrap().values();
            let is_text = |list: &Value| {
                list.as_array()
                    .is_some_and(|all| all.iter().all(Value::is_string))
            };
            if !lists.into_iter().all(is_text) {
                return invalid("parameters are lists of texts");
            }
            let token = body["ClientToken"].as_str().unwrap().to_lowercase();
            let lengths: Vec<usize> = token.split('-').map(str::len).collect();
            if lengths != [8, 4, 4, 4, 12] {
                return invalid("the token is no UUID");
            }
            let known = state.executions.get(&token);
            let id = match known {
                Some((first, id, _)) if *first == body => id.clone(),
                Some(_) => {
                    return Some(refused(
                        400,
                        "IdempotentParameterMismatch",
                        "other parameters",
                    ));
                }
                None if rules.is_full => {
                    let code = "AutomationExecutionLimitExceededException";
                    return Some(refused(429, code, "too many"));
                }
                None => {
                    let id = format!("execution-{}", state.executions.len() + 1);
                    state.executions.insert(token, (body, id.clone(), 0));
                    id
                }
            };
            if std::mem::take(&mut state.rules.loses_a_start) {
                return None;
            }
            Some(answer(
                200,
                "",
                &json!({ "AutomationExecutionId": id }).to_string(),
            ))
        }
        "AmazonSSM.GetAutomationExecution" => {
            let id = body["AutomationExecutionId"].as_str().unwrap();
            let execution = state
                .executions
                .values_mut()
                .find(|(_, known, _)| known == id);
            let Some((_, _, looks)) = execution else {
                return Some(refused(400, "AutomationExecutionNotFoundException", id));
            };
            *looks += 1;
            let mut found = json!({
                "AutomationExecutionId": id,
                "AutomationExecutionStatus": "InProgress",
                "ExecutionStartTime": jiff::Timestamp::now().as_second(),
            });
            if *looks > rules.looks {
                let end = rules.end.as_object().unwrap().clone();
                found.as_object_mut().unwrap().extend(end);
            }
            let body = json!({ "AutomationExecution": found }).to_string();
            Some(answer(200, "", &body))
        }
        other => Some(refused(400, "UnknownOperationException", other)),
    }
}

fn success() -> Value {
    json!({
        "AutomationExecutionStatus": "Success",
        "Outputs": { "stop.State": ["stopped"] },
    })
}

fn step() -> SsmStep {
    SsmStep {
        document: "Contain".to_owned(),
        version: None,
        parameters: Map::new(),
        account: None,
        region: None,
        approval: None,
    }
}

fn runbook(step: SsmStep) -> Action {
    let kind = StepKind::Ssm(step);
    prepare(&kind, &context(json!({}))).unwrap().unwrap()
}

fn refusal(step: SsmStep) -> String {
    let kind = StepKind::Ssm(step);
    let prepared = prepare(&kind, &context(json!({ "name": "Contain" })));
    prepared.unwrap_err().to_string()
}

/// Long enough for what has to be done, too short to look a second time.
fn brief() -> Attempt {
    attempt(Duration::from_secs(1))
}

async fn run(automation: &Automation, attempt: &Attempt) -> Result<Performed, ActionError> {
    perform(&runbook(step()), &automation.outside(), attempt).await
}

#[tokio::test]
async fn a_runbook_is_started_with_what_the_step_says_and_yields_its_outputs() {
    let automation = Automation::start(Rules {
        end: success(),
        ..Rules::default()
    })
    .await;
    let mut step = step();
    step.document = "{{ params.name }}".to_owned();
    step.version = Some("3".to_owned());
    step.parameters = serde_json::from_value(json!({
        "InstanceId": "{{ finding.resources[1].id }}",
        "Kinds": ["a", "{{ finding.severity }}"],
        "Count": "{{ 2 + 1 }}",
        "Force": true,
        "Absent": "{{ none }}",
    }))
    .unwrap();
    let kind = StepKind::Ssm(step);
    let action = prepare(&kind, &context(json!({ "name": "Contain" })));
    let action = action.unwrap().unwrap();
    let shown = serde_json::to_value(&action).unwrap();
    assert_eq!(shown["ssm"]["account"], OWN);
    assert_eq!(shown["ssm"]["region"], "eu-central-1");
    let done = perform(&action, &automation.outside(), &brief())
        .await
        .unwrap();
    assert_eq!(done.summary, "runbook `Contain` succeeded");
    assert_eq!(
        done.output,
        json!({
            "execution": "execution-1",
            "status": "Success",
            "outputs": { "stop.State": ["stopped"] },
            "whole": true,
        })
    );
    let started = automation.started();
    assert_eq!(started[0]["DocumentVersion"], "3");
    assert_eq!(
        started[0]["Parameters"],
        json!({
            "InstanceId": ["arn:aws:ec2:eu-central-1:111122223333:instance/i-0123456789abcdef0"],
            "Kinds": ["a", "high"],
            "Count": ["3"],
            "Force": ["true"],
        })
    );
}

#[tokio::test]
async fn a_long_runbook_is_left_alone_and_found_again_by_its_mark() {
    let automation = Automation::start(Rules {
        looks: 2,
        end: success(),
        ..Rules::default()
    })
    .await;
    let mut attempt = brief();
    for _ in 0..2 {
        let Err(ActionError::Pending {
            again,
            mark,
            reason,
        }) = run(&automation, &attempt).await
        else {
            panic!("it is not over");
        };
        assert!(again >= Duration::from_secs(5), "{again:?}");
        assert!(reason.contains("InProgress"), "{reason}");
        assert_eq!(mark, "execution-1");
        attempt.mark = Some(mark);
        attempt.number += 1;
    }
    let done = run(&automation, &attempt).await.unwrap();
    assert_eq!(done.output["execution"], "execution-1");
    let calls = automation.calls();
    let starts = calls.iter().filter(|call| call.starts_with("Start"));
    assert_eq!(starts.count(), 1, "{calls:?}");
}

#[tokio::test]
async fn a_short_runbook_is_waited_for() {
    let automation = Automation::start(Rules {
        looks: 1,
        end: success(),
        ..Rules::default()
    })
    .await;
    run(&automation, &attempt(Duration::from_secs(60)))
        .await
        .unwrap();
    assert_eq!(
        automation.calls(),
        [
            "StartAutomationExecution",
            "GetAutomationExecution",
            "GetAutomationExecution"
        ]
    );
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_made_once() {
    let automation = Automation::start(Rules {
        end: success(),
        loses_a_start: true,
        ..Rules::default()
    })
    .await;
    let lost = run(&automation, &brief()).await.unwrap_err();
    assert!(matches!(lost, ActionError::Transient { .. }), "{lost:?}");
    let mut second = brief();
    second.number = 2;
    let done = run(&automation, &second).await.unwrap();
    assert_eq!(done.output["execution"], "execution-1");
    assert_eq!(automation.started().len(), 1);
}

#[tokio::test]
async fn a_round_after_a_failure_runs_it_anew() {
    let automation = Automation::start(Rules {
        end: json!({ "AutomationExecutionStatus": "Failed", "FailureMessage": "Step fails:\nno" }),
        ..Rules::default()
    })
    .await;
    for round in [0, 0, 1] {
        let attempt = Attempt { round, ..brief() };
        let told = permanent(run(&automation, &attempt).await);
        assert!(
            told.starts_with("runbook `Contain` ended as Failed: Step fails: no (execution"),
            "{told}"
        );
    }
    assert_eq!(automation.started().len(), 2);
}

#[tokio::test]
async fn a_runbook_waits_while_too_many_run() {
    let automation = Automation::start(Rules {
        is_full: true,
        ..Rules::default()
    })
    .await;
    let Err(ActionError::Transient { retry_after, .. }) = run(&automation, &brief()).await else {
        panic!("it is not queued");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
    assert!(automation.started().is_empty());
}

#[tokio::test]
async fn ends_and_refusals_are_told_apart() {
    for (status, permanent) in [
        ("TimedOut", true),
        ("Cancelled", true),
        ("Rejected", true),
        ("Waiting", false),
    ] {
        let automation = Automation::start(Rules {
            end: json!({ "AutomationExecutionStatus": status }),
            ..Rules::default()
        })
        .await;
        let error = run(&automation, &brief()).await.unwrap_err();
        assert_eq!(
            matches!(error, ActionError::Permanent { .. }),
            permanent,
            "{error:?}"
        );
        assert!(error.to_string().contains(status), "{error}");
    }
    for (answer, transient, told) in [
        (
            (400, "AccessDeniedException"),
            false,
            "`ssm:StartAutomationExecution` is not allowed",
        ),
        ((400, "ThrottlingException"), true, "ThrottlingException"),
        ((500, "InternalServerError"), true, "InternalServerError"),
        (
            (400, "InvalidAutomationExecutionParametersException"),
            false,
            "InvalidAutomation",
        ),
    ] {
        let automation = Automation::start(Rules {
            refuses: Some(answer),
            ..Rules::default()
        })
        .await;
        let error = run(&automation, &brief()).await.unwrap_err();
        assert_eq!(
            matches!(error, ActionError::Transient { .. }),
            transient,
            "{error:?}"
        );
        assert!(error.to_string().contains(told), "{error}");
    }
    let automation = Automation::start(Rules::default()).await;
    let mut step = step();
    step.document = "Unknown".to_owned();
    let done = perform(&runbook(step), &automation.outside(), &brief()).await;
    let told = permanent(done);
    assert!(
        told.contains("AutomationDefinitionNotFoundException"),
        "{told}"
    );
}

#[test]
fn what_runs_is_not_chosen_by_the_finding() {
    let of = |change: fn(&mut SsmStep)| {
        let mut step = step();
        change(&mut step);
        refusal(step)
    };
    for told in [
        of(|step| step.document = "{{ finding.title }}".to_owned()),
        of(|step| step.document = "Contain-{{ finding.severity }}".to_owned()),
        of(|step| step.version = Some("{{ raw.detail.service.count }}".to_owned())),
        of(|step| step.account = Some("{{ finding.resources[0].name }}".to_owned())),
        of(|step| step.region = Some("{{ finding.resources[0].region }}".to_owned())),
        of(|step| {
            let role = json!("{{ finding.resources[0].tags.owner }}");
            step.parameters
                .insert("AutomationAssumeRole".to_owned(), role);
        }),
    ] {
        assert!(told.contains("chosen by the finding"), "{told}");
    }
    for (told, expected) in [
        (
            of(|step| step.document = "a b".to_owned()),
            "no name or ARN",
        ),
        (
            of(|step| step.document = "x/../y".to_owned()),
            "no name or ARN",
        ),
        (
            of(|step| step.version = Some("latest".to_owned())),
            "no version",
        ),
        (
            of(|step| step.account = Some("1111".to_owned())),
            "no account",
        ),
        (
            of(|step| step.region = Some("evil.example.com/".to_owned())),
            "no region",
        ),
        (
            of(|step| step.document = "{{ nothing }}".to_owned()),
            "`document`",
        ),
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn another_account_needs_a_role() {
    let automation = Automation::start(Rules::default()).await;
    let mut step = step();
    step.account = Some("444455556666".to_owned());
    let told = permanent(perform(&runbook(step), &automation.outside(), &brief()).await);
    assert!(told.contains("`QUENCH_REMEDIATION_ROLE`"), "{told}");
    assert!(automation.calls().is_empty());
}
