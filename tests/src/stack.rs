//! Stacks as users deploy them: by a change set, for the first time or again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::aws::Aws;
use crate::hub::wait_for;

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Where it is.
    Url(String),
    /// What it says; no more than 51,200 bytes.
    Body(String),
}

/// What came of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// The changes that were made, as the change set told them.
    pub changes: Vec<Value>,
    /// The outputs of the stack; empty where nothing was to be changed.
    pub outputs: BTreeMap<String, String>,
}

/// Deploys a stack by a change set of this name, for the first time or again.
///
/// # Panics
/// It cannot be made; the message says why.
#[track_caller]
pub fn deploy(
    aws: &Aws,
    stack: &str,
    template: &Template,
    parameters: &[(String, String)],
    set: &str,
) -> Deployed {
    let made = asked(aws, stack, template, parameters, set);
    let set = json!({"StackName": stack, "ChangeSetName": set});
    aws.ok("cloudformation", "create_change_set", &made);
    let seen = wait_for("the change set", || {
        let seen = aws.ok("cloudformation", "describe_change_set", &set);
        let status = seen["Status"].as_str()?;
        (status == "CREATE_COMPLETE" || status == "FAILED").then_some(seen)
    });
    if seen["Status"] == "FAILED" {
        let reason = seen["StatusReason"].as_str().unwrap_or_default();
        assert!(
            reason.contains("didn't contain changes") || reason.contains("No updates"),
            "the change set cannot be made: {seen}"
        );
        aws.ok("cloudformation", "delete_change_set", &set);
        return Deployed {
            changes: Vec::new(),
            outputs: BTreeMap::new(),
        };
    }
    aws.ok("cloudformation", "execute_change_set", &set);
    Deployed {
        changes: seen["Changes"].as_array().cloned().unwrap_or_default(),
        outputs: settled(aws, stack),
    }
}

/// What AWS says to a change set that it does not take.
///
/// # Panics
/// It takes it.
#[track_caller]
pub fn refusal(
    aws: &Aws,
    stack: &str,
    template: &Template,
    parameters: &[(String, String)],
) -> String {
    let asked = asked(aws, stack, template, parameters, "refused");
    match aws.call("cloudformation", "create_change_set", &asked) {
        Ok(_) => {
            let set = json!({"StackName": stack, "ChangeSetName": "refused"});
            let seen = aws.ok("cloudformation", "describe_change_set", &set);
            aws.ok("cloudformation", "delete_change_set", &set);
            assert_eq!(seen["Status"], "FAILED", "{seen}");
            seen["StatusReason"].to_string()
        }
        Err(refused) => refused.message,
    }
}

/// What asks for a change set.
fn asked(
    aws: &Aws,
    stack: &str,
    template: &Template,
    parameters: &[(String, String)],
    set: &str,
) -> Value {
    let described = json!({"StackName": stack});
    let exists = aws.call("cloudformation", "describe_stacks", &described);
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value}))
        .collect();
    let mut asked = json!({
        "StackName": stack,
        "ChangeSetName": set,
        "ChangeSetType": if exists.is_ok() { "UPDATE" } else { "CREATE" },
        "Parameters": parameters,
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    });
    match template {
        Template::Url(url) => asked["TemplateURL"] = json!(url),
        Template::Body(body) => asked["TemplateBody"] = json!(body),
    }
    asked
}

/// Waits until a stack is made or changed, and gives its outputs.
///
/// # Panics
/// It could not be; the message says why.
#[track_caller]
pub fn settled(aws: &Aws, stack: &str) -> BTreeMap<String, String> {
    let seen = wait_for("the stack", || {
        let described = json!({"StackName": stack});
        let seen = aws.ok("cloudformation", "describe_stacks", &described);
        let seen = seen["Stacks"][0].clone();
        let status = seen["StackStatus"].as_str()?;
        (!status.ends_with("_IN_PROGRESS")).then_some(seen)
    });
    let status = seen["StackStatus"].as_str().unwrap_or_default();
    assert!(
        status == "CREATE_COMPLETE" || status == "UPDATE_COMPLETE",
        "{status}: {}",
        failures(aws, stack)
    );
    let outputs = seen["Outputs"].as_array().into_iter().flatten();
    let text = |output: &Value, name: &str| output[name].as_str().unwrap_or_default().to_owned();
    outputs
        .map(|output| (text(output, "OutputKey"), text(output, "OutputValue")))
        .collect()
}

/// What is said of resources that could not be made.
fn failures(aws: &Aws, stack: &str) -> String {
    let asked = json!({"StackName": stack});
    let events = aws.ok("cloudformation", "describe_stack_events", &asked);
    events["StackEvents"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| {
            let status = event["ResourceStatus"].as_str().unwrap_or_default();
            status.ends_with("_FAILED")
        })
        .map(|event| {
            let (resource, reason) = (&event["LogicalResourceId"], &event["ResourceStatusReason"]);
            format!("\n{resource}: {reason}")
        })
        .collect()
}

/// Physical ids of a stack's resources by logical id.
pub fn resources(aws: &Aws, stack: &str) -> BTreeMap<String, String> {
    let asked = json!({"StackName": stack});
    let listed = aws.ok("cloudformation", "describe_stack_resources", &asked);
    let listed = listed["StackResources"].as_array();
    let text =
        |resource: &Value, name: &str| resource[name].as_str().unwrap_or_default().to_owned();
    listed
        .into_iter()
        .flatten()
        .filter(|resource| resource["ResourceStatus"] != "DELETE_COMPLETE")
        .map(|resource| {
            (
                text(resource, "LogicalResourceId"),
                text(resource, "PhysicalResourceId"),
            )
        })
        .collect()
}
