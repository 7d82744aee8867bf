//! Cuts an instance of EC2 off from the network, and keeps what is on its disks.

use super::api::{Api, Form, Pages, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::rules::{self, Direction};
use super::target::Target;
use super::{Desired, instance};
use crate::aws::{Element, Service};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The network interfaces are changed one by one.
pub(super) const DEPTH: usize = 2;

/// The name of the group without rules that every VPC has one of, and what stands for its id.
const ISOLATION: &str = "quench-isolation";
/// The tag by which snapshots tell the plan that they were made for, and when it was made.
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
    let interfaces = interfaces(api.target, &found, &attached, isolation.as_deref())?;
    let volumes: Vec<&str> = found
        .items("blockDeviceMapping")
        .filter_map(|device| device.text_at("ebs/volumeId"))
        .collect();
    Ok(json!({
        "interfaces": interfaces,
        "vpc": vpc,
        "volumes": volumes,
        "forensic_snapshots": null,
        "group": instance::tag(&found, "aws:autoscaling:groupName"),
    }))
}

/// The security groups of each interface; one that is not listed could be open to anybody.
fn interfaces(
    target: &Target,
    instance: &Element,
    attached: &[Element],
    isolation: Option<&str>,
) -> Result<Map<String, Value>, Fault> {
    let mut interfaces = Map::new();
    for interface in attached {
        let id = interface.text_at("networkInterfaceId");
        let id = id.ok_or_else(|| Fault::lacks("networkInterfaceId"))?;
        let groups: Vec<&str> = interface
            .items("groupSet")
            .filter_map(|group| group.text_at("groupId"))
            .map(|group| match Some(group) == isolation {
                true => ISOLATION,
                false => group,
            })
            .collect();
        interfaces.insert(id.to_owned(), groups.into());
    }
    let unlisted = instance
        .items("networkInterfaceSet")
        .filter_map(|interface| interface.text_at("networkInterfaceId"))
        .find(|id| !interfaces.contains_key(*id));
    if let Some(id) = unlisted {
        return Err(Fault::Guard(format!(
            "network interface `{id}` of {target} is not listed, so nobody can tell whether it is isolated; look whether it is being attached or detached, and plan again"
        )));
    }
    if interfaces.is_empty() {
        return Err(Fault::Guard(format!(
            "no network interface of {target} is listed, so nobody can tell whether it is isolated; look at its state and its interfaces, and plan again"
        )));
    }
    Ok(interfaces)
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
    now: Timestamp,
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
    let has_disks = state["volumes"]
        .as_array()
        .is_some_and(|volumes| !volumes.is_empty());
    if told.snapshot && has_disks {
        // Snapshots that an earlier plan upon the same state had made are no evidence of what happened since.
        after["forensic_snapshots"] = json!({
            "volumes": state["volumes"],
            "planned": now.to_string(),
        });
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
    if let Some(token) = token(&plan.hash, to)? {
        snapshot(api, &token, &from["volumes"]).await?;
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

/// What the snapshots for a state are known by: the hash of the plan, which is the same for every plan upon the same
/// state, and when it was made. Nothing where there are to be none.
fn token(hash: &str, to: &Value) -> Result<Option<String>, Fault> {
    let wanted = &to["forensic_snapshots"];
    if wanted.is_null() {
        return Ok(None);
    }
    let planned = wanted["planned"].as_str().ok_or(Fault::Altered)?;
    Ok(Some(format!("{hash}@{planned}")))
}

/// Makes snapshots of all disks, at one point in time, unless they were made for this plan already.
async fn snapshot(api: &Api<'_>, token: &str, volumes: &Value) -> Result<(), Fault> {
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
    if are_kept(&made, volumes) {
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

/// Says whether there are snapshots, and one of each disk, that are whole or about to be.
fn are_kept(snapshots: &[Element], volumes: &Value) -> bool {
    let kept: BTreeSet<&str> = snapshots
        .iter()
        .filter(|snapshot| matches!(snapshot.text_at("status"), Some("pending" | "completed")))
        .filter_map(|snapshot| snapshot.text_at("volumeId"))
        .collect();
    let mut volumes = volumes.as_array().into_iter().flatten();
    !kept.is_empty() && volumes.all(|id| id.as_str().is_some_and(|id| kept.contains(id)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remediate::Kind;

    const PLANNED: &str = "2026-01-02T03:04:05Z";

    fn target() -> Target {
        let (id, account) = ("i-0123456789abcdef0", "111122223333");
        Target::read(id, &[Kind::Instance], account, "eu-central-1").unwrap()
    }

    /// An instance that names these interfaces as its own.
    fn instance(interfaces: &[&str]) -> Element {
        let items: String = interfaces
            .iter()
            .map(|id| format!("<item><networkInterfaceId>{id}</networkInterfaceId></item>"))
            .collect();
        let set = format!("<i><networkInterfaceSet>{items}</networkInterfaceSet></i>");
        Element::read(&set).unwrap()
    }

    fn interface(id: &str, group: &str) -> Element {
        let groups = format!("<groupSet><item><groupId>{group}</groupId></item></groupSet>");
        let id = format!("<networkInterfaceId>{id}</networkInterfaceId>");
        Element::read(&format!("<item>{id}{groups}</item>")).unwrap()
    }

    fn snapshot(volume: &str, status: &str) -> Element {
        let inside = format!("<volumeId>{volume}</volumeId><status>{status}</status>");
        Element::read(&format!("<item>{inside}</item>")).unwrap()
    }

    #[test]
    fn the_group_that_isolates_is_known_by_its_name() {
        let attached = [interface("eni-1", "sg-1"), interface("eni-2", "sg-2")];
        let named = instance(&["eni-1", "eni-2"]);
        let read = interfaces(&target(), &named, &attached, Some("sg-2")).unwrap();
        assert_eq!(
            Value::Object(read),
            json!({ "eni-1": ["sg-1"], "eni-2": [ISOLATION] })
        );
    }

    #[test]
    fn an_instance_is_not_isolated_for_want_of_listed_interfaces() {
        for (named, attached, expected) in [
            (vec![], vec![], "no network interface of"),
            (vec!["eni-1"], vec![], "network interface `eni-1` of"),
            (
                vec!["eni-1", "eni-2"],
                vec![interface("eni-1", "sg-1")],
                "network interface `eni-2` of",
            ),
        ] {
            match interfaces(&target(), &instance(&named), &attached, Some("sg-1")) {
                Err(Fault::Guard(reason)) => assert!(reason.starts_with(expected), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        // One that came after the instance was looked at is isolated as well.
        let attached = [interface("eni-1", "sg-1"), interface("eni-2", "sg-1")];
        let read = interfaces(&target(), &instance(&["eni-1"]), &attached, None).unwrap();
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn snapshots_count_that_hold_what_is_on_every_disk() {
        let both = json!(["vol-1", "vol-2"]);
        let one = |status| snapshot("vol-1", status);
        let two = |status| snapshot("vol-2", status);
        for (made, expected) in [
            (vec![], false),
            (vec![one("pending"), two("pending")], true),
            (vec![one("completed"), two("pending")], true),
            (vec![one("completed")], false),
            (vec![one("error"), two("error")], false),
            (vec![one("completed"), two("error")], false),
            (vec![one("completed"), two("recoverable")], false),
            (
                vec![one("error"), two("error"), one("pending"), two("pending")],
                true,
            ),
        ] {
            assert_eq!(are_kept(&made, &both), expected, "{made:?}");
        }
        // A disk that was taken off since cannot be kept again.
        assert!(are_kept(
            &[one("completed"), two("completed")],
            &json!(["vol-1"])
        ));
        assert!(!are_kept(&[], &json!([])));
    }

    #[test]
    fn snapshots_are_known_by_the_plan_and_its_time() {
        let wanted = |planned: &str| {
            let planned = json!({ "volumes": ["vol-1"], "planned": planned });
            token("1f", &json!({ "forensic_snapshots": planned }))
        };
        assert_eq!(wanted(PLANNED), Ok(Some(format!("1f@{PLANNED}"))));
        assert_ne!(wanted(PLANNED), wanted("2026-02-02T03:04:05Z"));
        assert_eq!(
            token("1f", &json!({ "forensic_snapshots": null })),
            Ok(None)
        );
        // Without its time nobody can tell which are its own.
        let untimed = json!({ "forensic_snapshots": ["vol-1"] });
        assert_eq!(token("1f", &untimed), Err(Fault::Altered));
    }
}
