//! Cuts an instance of EC2 off from the network, and keeps what is on its disks.

use super::api::{Api, Form, Pages, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::rules::{self, Direction};
use super::{Desired, instance};
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The network interfaces are changed one by one.
pub(super) const DEPTH: usize = 2;

/// The name of the group without rules that every VPC has one of, and what stands for its id.
const ISOLATION: &str = "quench-isolation";
/// The tag by which snapshots tell the plan that they were made for.
const FORENSIC: &str = "quench:forensic";

#[derive(Deserialize)]
struct Told {
    snapshot: bool,
    even_in_group: bool,
}

/// `interfaces` holds the security groups of each.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let found = instance::read(api).await?;
    let vpc = found
        .text_at("vpcId")
        .ok_or_else(|| Fault::lacks("vpcId"))?;
    let isolation = isolation(api, vpc).await?;
    let of = form([
        ("Filter.1.Name", "attachment.instance-id"),
        ("Filter.1.Value.1", &api.target.id),
    ]);
    let list = ("networkInterfaceSet", Pages::Token);
    let attached = api
        .list(Service::Ec2, "DescribeNetworkInterfaces", of, list)
        .await?;
    let mut interfaces = Map::new();
    for interface in &attached {
        let id = interface.text_at("networkInterfaceId");
        let id = id.ok_or_else(|| Fault::lacks("networkInterfaceId"))?;
        let groups: Vec<&str> = interface
            .items("groupSet")
            .filter_map(|group| group.text_at("groupId"))
            .map(|group| match Some(group) == isolation.as_deref() {
                true => ISOLATION,
                false => group,
            })
            .collect();
        interfaces.insert(id.to_owned(), groups.into());
    }
    let volumes: Vec<&str> = found
        .items("blockDeviceMapping")
        .filter_map(|device| device.text_at("ebs/volumeId"))
        .collect();
    Ok(json!({
        "interfaces": interfaces,
        "vpc": vpc,
        "volumes": volumes,
        "forensic_snapshots": [],
        "group": instance::tag(&found, "aws:autoscaling:groupName"),
    }))
}

/// The id of the group without rules, if the VPC has it already.
async fn isolation(api: &Api<'_>, vpc: &str) -> Result<Option<String>, Fault> {
    let form = form([
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc),
        ("Filter.2.Name", "group-name"),
        ("Filter.2.Value.1", ISOLATION),
    ]);
    let answer = api.ec2("DescribeSecurityGroups", form).await?;
    let group = answer.items("securityGroupInfo").next();
    Ok(group
        .and_then(|group| group.text_at("groupId"))
        .map(str::to_owned))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let mut after = state.clone();
    let Some(interfaces) = after["interfaces"].as_object_mut() else {
        return Err(Fault::lacks("networkInterfaceSet"));
    };
    for groups in interfaces.values_mut() {
        *groups = json!([ISOLATION]);
    }
    if after == *state {
        let why = "it is isolated".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let mut warnings = vec![
        "connections that stand already may go on until they end".to_owned(),
        format!("the security group `{ISOLATION}` stays when it is undone"),
    ];
    if let Some(group) = state["group"].as_str() {
        if !told.even_in_group {
            return Err(Fault::Guard(format!(
                "{} is of the Auto Scaling group `{group}`, which would take it for broken and terminate it; detach it, or set `even_in_group`",
                api.target
            )));
        }
        warnings.push(format!(
            "the group `{group}` may take it for broken and terminate it"
        ));
    }
    if told.snapshot {
        after["forensic_snapshots"] = state["volumes"].clone();
        warnings.push("the snapshots cost money until somebody deletes them".to_owned());
    }
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    plan: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    // The snapshots first: what comes after may be seen by whoever is on the instance.
    if to["forensic_snapshots"]
        .as_array()
        .is_some_and(|volumes| !volumes.is_empty())
    {
        snapshot(api, plan).await?;
    }
    let vpc = to["vpc"].as_str().unwrap_or_default();
    let mut isolation = None;
    for (interface, groups) in to["interfaces"].as_object().into_iter().flatten() {
        if from["interfaces"][interface] == *groups {
            continue;
        }
        let mut form = form([("NetworkInterfaceId", interface)]);
        for (place, group) in groups.as_array().into_iter().flatten().enumerate() {
            let id = match group.as_str() {
                Some(ISOLATION) => match &isolation {
                    Some(id) => String::clone(id),
                    None => isolation.insert(made(api, vpc).await?).clone(),
                },
                other => other.unwrap_or_default().to_owned(),
            };
            form.push((format!("SecurityGroupId.{}", place + 1), id));
        }
        api.ec2("ModifyNetworkInterfaceAttribute", form).await?;
    }
    Ok(())
}

/// Makes snapshots of all disks, at one point in time, unless they were made for this plan already.
async fn snapshot(api: &Api<'_>, plan: &Plan) -> Result<(), Fault> {
    let token = &plan.hash;
    let filter = format!("tag:{FORENSIC}");
    let asked = form([
        ("Owner.1", "self"),
        ("Filter.1.Name", &filter),
        ("Filter.1.Value.1", token),
    ]);
    let list = ("snapshotSet", Pages::Token);
    let made = api
        .list(Service::Ec2, "DescribeSnapshots", asked, list)
        .await?;
    if !made.is_empty() {
        return Ok(());
    }
    let id = &api.target.id;
    let form = form([
        ("InstanceSpecification.InstanceId", id),
        ("Description", &format!("evidence of instance {id}")),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", FORENSIC),
        ("TagSpecification.1.Tag.1.Value", token),
    ]);
    api.query_once(Service::Ec2, "CreateSnapshots", form)
        .await?;
    Ok(())
}

/// The group without rules; it is made where there is none.
async fn made(api: &Api<'_>, vpc: &str) -> Result<String, Fault> {
    let id = match isolation(api, vpc).await? {
        Some(id) => id,
        None => {
            let form: Form = form([
                ("GroupName", ISOLATION),
                ("GroupDescription", "No rules: isolates instances"),
                ("VpcId", vpc),
                ("TagSpecification.1.ResourceType", "security-group"),
                ("TagSpecification.1.Tag.1.Key", "quench:isolation"),
                ("TagSpecification.1.Tag.1.Value", "true"),
            ]);
            let answer = api
                .query_once(Service::Ec2, "CreateSecurityGroup", form)
                .await?;
            let id = answer.text_at("groupId");
            id.ok_or_else(|| Fault::lacks("groupId"))?.to_owned()
        }
    };
    let rules = rules::read(api, &id).await?;
    let names = |list: &str| -> Vec<String> {
        let rules = rules[list].as_object();
        rules.into_iter().flat_map(Map::keys).cloned().collect()
    };
    // A new group lets everything out.
    let is_new = |name: &String| matches!(name.as_str(), "all with 0.0.0.0/0" | "all with ::/0");
    if !names("ingress").is_empty() || !names("egress").iter().all(is_new) {
        return Err(Fault::Guard(format!(
            "security group `{id}` is called `{ISOLATION}` and has rules, so it isolates nothing; remove them"
        )));
    }
    let none = json!({ "egress": {} });
    rules::write(api, &id, Direction::Egress, (&rules, &none)).await?;
    Ok(id)
}

pub(super) fn compared(state: &Value) -> Value {
    let mut interfaces = state["interfaces"].clone();
    for groups in interfaces
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        if let Some(groups) = groups.as_array_mut() {
            groups.sort_by_key(Value::to_string);
        }
    }
    json!({ "interfaces": interfaces })
}
