//! The `ssm` step: a runbook of Systems Manager Automation.

use super::watch::{QUEUED, Watch, pause};
use crate::action::unrendered;
use crate::aws::{Aws, Service};
use crate::cloud::{Place, chosen, refusal, run_of};
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use quench_automations::{SsmStep, templates};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Most bytes of outputs that are kept.
const OUTPUTS: usize = 64 * 1024;
/// The parameter that names the role a runbook acts as (user guide of Systems Manager, "Setting up Automation").
const ASSUMED: &str = "AutomationAssumeRole";

/// The IAM actions that it needs.
pub const PERMISSIONS: &[&str] = &[
    "ssm:StartAutomationExecution",
    "ssm:GetAutomationExecution",
    "iam:PassRole",
];

/// A runbook to be run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ssm {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Name or ARN of the document.
    pub document: String,
    /// Version of the document; absent means its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Parameters, each a list of texts, as Systems Manager takes them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The run that it belongs to.
    #[serde(skip)]
    pub run: String,
}

/// Renders a step.
///
/// # Errors
/// Templates that cannot be rendered, a document or a role that the finding would choose, what has not the form that
/// Systems Manager takes.
pub fn prepare(step: &SsmStep, context: &Context) -> Result<Ssm, ActionError> {
    let place = Place::read(step.account.as_deref(), step.region.as_deref(), context)?;
    let document = chosen("document", &step.document, context)?;
    if !is_document(&document) {
        return Err(ActionError::permanent(format!(
            "`{}` is no name or ARN of a document",
            neutral::line(&document, 160)
        )));
    }
    let version = step.version.as_deref();
    let version = version.map(|version| chosen("version", version, context));
    let version = version.transpose()?;
    if let Some(version) = version.as_deref().filter(|version| !is_version(version)) {
        return Err(ActionError::permanent(format!(
            "`{}` is no version of a document; write a number, `$DEFAULT` or `$LATEST`",
            neutral::line(version, 40)
        )));
    }
    let mut parameters = Map::new();
    for (name, template) in &step.parameters {
        if name.eq_ignore_ascii_case(ASSUMED) && !context.is_placed(template) {
            return Err(ActionError::permanent(format!(
                "the role in `{ASSUMED}` is chosen by the finding; name it in the playbook or in a parameter"
            )));
        }
        let value = templates::render_json(template, &context.all)
            .map_err(unrendered(&format!("parameters.{name}")))?;
        if let Some(texts) = texts(value) {
            parameters.insert(name.clone(), Value::Array(texts));
        }
    }
    Ok(Ssm {
        place,
        document,
        version,
        parameters,
        run: run_of(context),
    })
}

/// API reference of Systems Manager, `StartAutomationExecution`.
fn is_document(text: &str) -> bool {
    (3..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte))
        && (!text.contains([':', '/']) || text.starts_with("arn:") && text.contains(":document/"))
}

fn is_version(text: &str) -> bool {
    matches!(text, "$DEFAULT" | "$LATEST")
        || !text.starts_with('0') && text.parse::<u64>().is_ok_and(|number| number > 0)
}

/// A parameter as Systems Manager takes it; none where there is no value.
fn texts(value: Value) -> Option<Vec<Value>> {
    let text = |value: Value| match value {
        Value::String(text) => Value::String(text),
        other => Value::String(other.to_string()),
    };
    match value {
        Value::Null => None,
        Value::Array(items) => Some(items.into_iter().map(text).collect()),
        one => Some(vec![text(one)]),
    }
}

/// Starts the runbook, once for all attempts, and tells how it ends.
///
/// # Errors
/// [`ActionError::Pending`] while it goes on; what Systems Manager answers; how it failed.
pub async fn perform(
    ssm: &Ssm,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let mut watch = Watch::begin(attempt);
    let cloud = outside.cloud()?;
    let policy = |partition: &str| ssm.policy(partition);
    let aws = cloud.call(&ssm.place, policy, &ssm.run).await?;
    let execution = match &attempt.mark {
        Some(execution) => execution.clone(),
        None => start(&aws, ssm, attempt).await?,
    };
    loop {
        let found = look(&aws, &execution).await?;
        match standing(&found) {
            Standing::Succeeded => return Ok(ssm.done(&execution, &found)),
            Standing::Failed(reason) => {
                return Err(ActionError::permanent(format!(
                    "runbook `{}` {reason} (execution `{execution}`)",
                    ssm.document
                )));
            }
            Standing::Running(_) if watch.again().await => {}
            Standing::Running(status) => {
                return Err(ActionError::Pending {
                    reason: format!(
                        "runbook `{}` goes on: {status} (execution `{execution}`)",
                        ssm.document
                    ),
                    again: pause(found["ExecutionStartTime"].as_f64()),
                    mark: execution,
                });
            }
        }
    }
}

impl Ssm {
    /// What a session may do in another account: no other runbook, and no other role for it to act as.
    fn policy(&self, partition: &str) -> Value {
        let Place { account, region } = &self.place;
        let name = self.document.rsplit('/').next().unwrap_or(&self.document);
        // Documents of AWS have no account, and shared ones that of their owner.
        let of = |kind: &str| format!("arn:{partition}:ssm:{region}:*:{kind}/{name}");
        let executions = format!("arn:{partition}:ssm:{region}:{account}:automation-execution/*");
        let mut statements = vec![
            json!({
                "Effect": "Allow",
                "Action": "ssm:StartAutomationExecution",
                "Resource": [of("document"), format!("{}:*", of("automation-definition")), executions],
            }),
            json!({
                "Effect": "Allow",
                "Action": "ssm:GetAutomationExecution",
                "Resource": executions,
            }),
        ];
        let roles = self
            .parameters
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(ASSUMED))
            .filter_map(|(_, texts)| texts.as_array())
            .flatten()
            .filter(|role| role.as_str().is_some_and(|role| role.starts_with("arn:")));
        let roles: Vec<&Value> = roles.collect();
        if !roles.is_empty() {
            statements.push(json!({
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": roles,
                "Condition": { "StringEquals": { "iam:PassedToService": "ssm.amazonaws.com" } },
            }));
        }
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    fn done(&self, execution: &str, found: &Value) -> Performed {
        let outputs = found.get("Outputs").cloned().unwrap_or_else(|| json!({}));
        let whole = outputs.to_string().len() <= OUTPUTS;
        Performed {
            summary: format!("runbook `{}` succeeded", self.document),
            output: json!({
                "execution": execution,
                "status": found["AutomationExecutionStatus"],
                "outputs": if whole { outputs } else { json!({}) },
                "whole": whole,
            }),
        }
    }
}

/// Starts it. The token is the same at every attempt, so that one whose answer was lost is found and not started again.
async fn start(aws: &Aws, ssm: &Ssm, attempt: &Attempt) -> Result<String, ActionError> {
    let mut body = json!({
        "DocumentName": ssm.document,
        "Parameters": ssm.parameters,
        "ClientToken": token(attempt),
    });
    if let Some(version) = &ssm.version {
        body["DocumentVersion"] = json!(version);
    }
    let operation = "StartAutomationExecution";
    let started = aws.json(Service::Ssm, operation, &body).await;
    let started = started.map_err(|error| match error.code() {
        Some("AutomationExecutionLimitExceededException" | "AutomationExecutionLimitExceeded") => {
            ActionError::Transient {
                reason: format!("too many runbooks run at once: {error}"),
                retry_after: Some(QUEUED),
            }
        }
        _ => refusal(&error, PERMISSIONS[0], true),
    })?;
    let execution = started["AutomationExecutionId"].as_str();
    execution.map(str::to_owned).ok_or_else(|| {
        ActionError::unknown("answer of SSM does not tell which execution it started")
    })
}

async fn look(aws: &Aws, execution: &str) -> Result<Value, ActionError> {
    let body = json!({ "AutomationExecutionId": execution });
    let operation = "GetAutomationExecution";
    let found = aws.json(Service::Ssm, operation, &body).await;
    let mut found = found.map_err(|error| refusal(&error, PERMISSIONS[1], true))?;
    Ok(found["AutomationExecution"].take())
}

enum Standing {
    Running(String),
    Succeeded,
    Failed(String),
}

/// API reference of Systems Manager, `AutomationExecution`; what is not known there goes on.
fn standing(found: &Value) -> Standing {
    let status = found["AutomationExecutionStatus"]
        .as_str()
        .unwrap_or_default();
    match status {
        "Success" | "CompletedWithSuccess" => Standing::Succeeded,
        "Failed"
        | "TimedOut"
        | "Cancelled"
        | "Rejected"
        | "CompletedWithFailure"
        | "ChangeCalendarOverrideRejected"
        | "Exited" => {
            let why = found["FailureMessage"].as_str().unwrap_or_default();
            let why = neutral::line(why, 400);
            Standing::Failed(match why.as_str() {
                "" => format!("ended as {status}"),
                why => format!("ended as {status}: {why}"),
            })
        }
        other => Standing::Running(neutral::line(other, 40)),
    }
}

/// A UUID made of what names the step, and of the round: one that failed is not found again once the run is set going
/// anew.
fn token(attempt: &Attempt) -> String {
    let hex = super::derived(attempt);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32],
    ];
    parts.join("-")
}
