//! The `step_functions` step: an execution of a state machine.

use super::watch::{QUEUED, Watch, pause};
use super::webhook::told;
use crate::action::unrendered;
use crate::aws::{Aws, AwsError, Repeat, Service};
use crate::cloud::{Place, account_of, chosen, refusal, run_of};
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use quench_automations::{StepFunctionsStep, templates};
use serde::Serialize;
use serde_json::{Value, json};

/// Most bytes of what one is started with (developer guide of Step Functions, "Quotas").
const INPUT: usize = 256 * 1024;
/// Most bytes of an output that are kept.
const KEPT: usize = 64 * 1024;

/// The IAM actions that it needs.
pub const PERMISSIONS: &[&str] = &["states:StartExecution", "states:DescribeExecution"];

/// An execution to be started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFunctions {
    /// ARN of the state machine, perhaps with a version or alias.
    pub state_machine: String,
    /// What it is started with.
    pub input: Value,
    /// Whether its end is not waited for.
    pub detached: bool,
    /// Where the state machine is.
    #[serde(skip)]
    pub place: Place,
    /// The run that it belongs to.
    #[serde(skip)]
    pub run: String,
}

/// Renders a step.
///
/// # Errors
/// Templates that cannot be rendered, a state machine that the finding would choose, an input that is too large.
pub fn prepare(step: &StepFunctionsStep, context: &Context) -> Result<StepFunctions, ActionError> {
    let state_machine = chosen("state_machine", &step.state_machine, context)?;
    let place = place_of(&state_machine)?;
    let input = match &step.input {
        Some(input) => templates::render_json(input, &context.all).map_err(unrendered("input"))?,
        None => told(&context.all["finding"]),
    };
    let length = input.to_string().len();
    if length > INPUT {
        return Err(ActionError::permanent(format!(
            "`input` has {length} bytes, and Step Functions takes {INPUT}"
        )));
    }
    Ok(StepFunctions {
        state_machine,
        input,
        detached: step.detached,
        place,
        run: run_of(context),
    })
}

fn place_of(arn: &str) -> Result<Place, ActionError> {
    let no = || {
        ActionError::permanent(format!(
            "`{}` is no ARN of a state machine",
            neutral::line(arn, 160)
        ))
    };
    let parts: Vec<&str> = arn.split(':').collect();
    let plain = |text: &str| {
        (1..=80).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match parts[..] {
        [
            "arn",
            partition,
            "states",
            _,
            _,
            "stateMachine",
            ref names @ ..,
        ] if partition.starts_with("aws")
            && (1..=2).contains(&names.len())
            && names.iter().all(|name| plain(name)) =>
        {
            let (account, region) = account_of(arn).ok_or_else(no)?;
            Place::checked(account.to_owned(), region.to_owned())
        }
        _ => Err(no()),
    }
}

/// Starts the execution, once for all attempts, and tells how it ends unless that is not wanted.
///
/// # Errors
/// [`ActionError::Pending`] while it goes on; what Step Functions answers; how it failed.
pub async fn perform(
    step: &StepFunctions,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let mut watch = Watch::begin(attempt);
    let cloud = outside.cloud()?;
    let policy = |_: &str| step.policy();
    let aws = cloud.call(&step.place, policy, &step.run).await?;
    let execution = match &attempt.mark {
        Some(execution) => execution.clone(),
        None => start(&aws, step, attempt).await?,
    };
    if step.detached {
        return Ok(Performed {
            summary: format!("state machine `{}` started", step.name()),
            output: json!({ "execution": execution, "status": "RUNNING" }),
        });
    }
    if execution.contains(":express:") {
        return Err(ActionError::permanent(format!(
            "state machine `{}` was started, but it is an express one, whose executions cannot be asked how they end; say `detached: true`",
            step.name()
        )));
    }
    loop {
        let found = describe(&aws, &execution).await;
        let found = found.map_err(|error| match error.code() {
            // It takes a moment until a new one is known everywhere.
            Some("ExecutionDoesNotExist") => ActionError::transient(error.to_string()),
            _ => refusal(&error, PERMISSIONS[1], true),
        })?;
        let status = found["status"].as_str().unwrap_or_default();
        match status {
            "SUCCEEDED" => return Ok(step.done(&execution, &found)),
            "FAILED" | "TIMED_OUT" | "ABORTED" => {
                return Err(ActionError::permanent(format!(
                    "state machine `{}` {} (execution `{execution}`)",
                    step.name(),
                    ended(status, &found)
                )));
            }
            _ if watch.again().await => {}
            _ => {
                return Err(ActionError::Pending {
                    reason: format!(
                        "state machine `{}` goes on (execution `{execution}`)",
                        step.name()
                    ),
                    again: pause(found["startDate"].as_f64()),
                    mark: execution,
                });
            }
        }
    }
}

/// How an execution ended; its cause may hold anything that its steps know, so its error alone is told.
fn ended(status: &str, found: &Value) -> String {
    let error = found["error"].as_str().unwrap_or_default();
    match neutral::line(error, 200).as_str() {
        "" => format!("ended as {status}"),
        error => format!("ended as {status} with `{error}`"),
    }
}

/// Starts it, or finds the one that an earlier attempt started: its name is the same at every attempt.
async fn start(aws: &Aws, step: &StepFunctions, attempt: &Attempt) -> Result<String, ActionError> {
    let name = format!("quench-{}", super::derived(attempt));
    let body = json!({
        "stateMachineArn": step.state_machine,
        "name": name,
        "input": step.input.to_string(),
    });
    let operation = "StartExecution";
    // Express ones do not know what was started by the same name.
    let started = aws.json_as::<Value>(Service::StepFunctions, operation, &body, Repeat::Never);
    let error = match started.await {
        Ok(answer) => {
            let execution = answer["executionArn"].as_str();
            return execution.map(str::to_owned).ok_or_else(|| {
                ActionError::unknown("answer of Step Functions does not tell what it started")
            });
        }
        Err(error) => error,
    };
    let execution = step.execution(&name);
    match error.code() {
        Some("ExecutionAlreadyExists") => return Ok(execution),
        Some("ExecutionLimitExceeded") => {
            return Err(ActionError::Transient {
                reason: error.to_string(),
                retry_after: Some(QUEUED),
            });
        }
        _ => {}
    }
    if (error.is_in_doubt() || error.is_done()) && describe(aws, &execution).await.is_ok() {
        return Ok(execution);
    }
    Err(refusal(&error, PERMISSIONS[0], false))
}

async fn describe(aws: &Aws, execution: &str) -> Result<Value, AwsError> {
    let body = json!({ "executionArn": execution });
    aws.json(Service::StepFunctions, "DescribeExecution", &body)
        .await
}

impl StepFunctions {
    /// Without version and alias.
    fn machine(&self) -> String {
        let parts: Vec<&str> = self.state_machine.split(':').take(7).collect();
        parts.join(":")
    }

    fn name(&self) -> &str {
        self.state_machine.split(':').nth(6).unwrap_or_default()
    }

    fn execution(&self, name: &str) -> String {
        let executions = self.machine().replacen(":stateMachine:", ":execution:", 1);
        format!("{executions}:{name}")
    }

    fn policy(&self) -> Value {
        let machine = self.machine();
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": PERMISSIONS[0],
                    "Resource": [machine, format!("{machine}:*")],
                },
                {
                    "Effect": "Allow",
                    "Action": PERMISSIONS[1],
                    "Resource": self.execution("quench-*"),
                },
            ],
        })
    }

    fn done(&self, execution: &str, found: &Value) -> Performed {
        let text = found["output"].as_str().unwrap_or_default();
        let whole = text.len() <= KEPT;
        let json: Option<Value> = serde_json::from_str(text).ok().filter(|_| whole);
        Performed {
            summary: format!("state machine `{}` succeeded", self.name()),
            output: json!({
                "execution": execution,
                "status": found["status"],
                "output": json,
                "whole": whole,
            }),
        }
    }
}
