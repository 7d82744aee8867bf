//! Stops an instance of EC2.

use super::api::{Api, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::{Desired, SETTLED, instance};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

#[derive(Deserialize)]
struct Told {
    even_in_group: bool,
}

/// On the way to a state counts as that state, not yet settled.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let found = instance::read(api).await?;
    let state = found
        .text_at("instanceState/name")
        .ok_or_else(|| Fault::lacks("instanceState"))?;
    let (state, settled) = match state {
        "pending" => ("running", false),
        "stopping" => ("stopped", false),
        other => (other, true),
    };
    Ok(json!({
        "state": state,
        SETTLED: settled,
        "root": found.text_at("rootDeviceType"),
        "lifecycle": found.text_at("instanceLifecycle"),
        "group": instance::tag(&found, "aws:autoscaling:groupName"),
        "address": found.text_at("ipAddress"),
    }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let target = api.target;
    if state["state"] == "stopped" {
        let why = "it is stopped".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    if state["root"] == "instance-store" {
        return Err(Fault::Unsupported(format!(
            "{target} has its root on the host and cannot be stopped, only terminated"
        )));
    }
    if state["lifecycle"] == "spot" {
        return Err(Fault::Unsupported(format!(
            "{target} is a spot instance, which its request would put another in place of; cancel the request"
        )));
    }
    let mut warnings = vec![
        "what it holds in memory and on disks of the host is lost, also for forensics".to_owned(),
    ];
    if let Some(group) = state["group"].as_str() {
        if !told.even_in_group {
            return Err(Fault::Guard(format!(
                "{target} is of the Auto Scaling group `{group}`, which would terminate it and so make this impossible to undo; detach it, or set `even_in_group`"
            )));
        }
        warnings.push(format!(
            "the group `{group}` terminates it and starts another"
        ));
    }
    if state["address"].is_string() {
        let warning = "its public address is another one after a start, unless it is an Elastic IP";
        warnings.push(warning.to_owned());
    }
    let mut after = state.clone();
    after["state"] = "stopped".into();
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let operation = match to["state"].as_str() {
        Some("stopped") => "StopInstances",
        _ => "StartInstances",
    };
    api.ec2(operation, form([("InstanceId.1", &api.target.id)]))
        .await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "state": state["state"] })
}
