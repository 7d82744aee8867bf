//! Takes every rule out of the default security group of a VPC.

use super::Desired;
use super::api::{Api, Pages, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::rules::{self, Direction};
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) const DEPTH: usize = 2;

#[derive(Deserialize)]
struct Told {
    even_in_use: bool,
}

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let id = &api.target.id;
    let used = form([("Filter.1.Name", "group-id"), ("Filter.1.Value.1", id)]);
    let list = ("networkInterfaceSet", Pages::Token);
    let (group, mut state, used) = tokio::try_join!(
        rules::group(api, id),
        rules::read(api, id),
        api.list(Service::Ec2, "DescribeNetworkInterfaces", used, list)
    )?;
    state["name"] = group.text_at("groupName").unwrap_or_default().into();
    state["used_by"] = used
        .iter()
        .filter_map(|interface| interface.text_at("networkInterfaceId"))
        .collect();
    Ok(state)
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    if state["name"] != "default" {
        return Err(Fault::Unsupported(format!(
            "{} is not the default one of its VPC",
            api.target
        )));
    }
    let rules = |list: &str| state[list].as_object().map_or(0, Map::len);
    if rules("ingress") + rules("egress") == 0 {
        let why = "it has no rules".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let used: Vec<&str> = state["used_by"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut warnings = Vec::new();
    if !used.is_empty() {
        let some = used
            .iter()
            .take(5)
            .copied()
            .collect::<Vec<_>>()
            .join("`, `");
        if !told.even_in_use {
            return Err(Fault::Guard(format!(
                "{} is used by {} network interfaces (`{some}`), which would lose their traffic; move them to another group, or set `even_in_use`",
                api.target,
                used.len()
            )));
        }
        warnings.push(format!(
            "{} network interfaces use it: `{some}`",
            used.len()
        ));
    }
    let mut after = state.clone();
    after["ingress"] = json!({});
    after["egress"] = json!({});
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let id = &api.target.id;
    rules::write(api, id, Direction::Ingress, (from, to)).await?;
    rules::write(api, id, Direction::Egress, (from, to)).await
}

pub(super) fn compared(state: &Value) -> Value {
    json!({
        "ingress": rules::compared(&state["ingress"]),
        "egress": rules::compared(&state["egress"]),
    })
}
