//! Takes what everybody may copy, snapshots and machine images, away from them.

use super::Desired;
use super::api::{Api, Form, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::target::Kind;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) const DEPTH: usize = 2;

const EVERYBODY: &str = "all";

#[derive(Deserialize)]
struct Told {
    even_accounts: bool,
}

/// Operations and names of RDS, which has the same for snapshots of instances and of clusters.
struct Rds {
    describe: &'static str,
    modify: &'static str,
    id: &'static str,
    list: &'static str,
}

fn rds(kind: Kind) -> Option<Rds> {
    match kind {
        Kind::DbSnapshot => Some(Rds {
            describe: "DescribeDBSnapshotAttributes",
            modify: "ModifyDBSnapshotAttribute",
            id: "DBSnapshotIdentifier",
            list: "DBSnapshotAttributesResult/DBSnapshotAttributes",
        }),
        Kind::DbClusterSnapshot => Some(Rds {
            describe: "DescribeDBClusterSnapshotAttributes",
            modify: "ModifyDBClusterSnapshotAttribute",
            id: "DBClusterSnapshotIdentifier",
            list: "DBClusterSnapshotAttributesResult/DBClusterSnapshotAttributes",
        }),
        _ => None,
    }
}

/// Operations and names of EC2, which has nearly the same for snapshots and images.
struct Ec2 {
    describe: &'static str,
    modify: &'static str,
    id: &'static str,
    attribute: &'static str,
}

fn ec2(kind: Kind) -> Ec2 {
    match kind {
        Kind::Image => Ec2 {
            describe: "DescribeImageAttribute",
            modify: "ModifyImageAttribute",
            id: "ImageId",
            attribute: "launchPermission",
        },
        _ => Ec2 {
            describe: "DescribeSnapshotAttribute",
            modify: "ModifySnapshotAttribute",
            id: "SnapshotId",
            attribute: "createVolumePermission",
        },
    }
}

/// `shared_with` holds `all` for everybody, and accounts and organizations by their ids and ARNs.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let id = &api.target.id;
    let mut shared = Map::new();
    if let Some(rds) = rds(api.target.kind) {
        let answer = api
            .query(Service::Rds, rds.describe, form([(rds.id, id)]))
            .await?;
        let path = format!("{}Result/{}", rds.describe, rds.list);
        let restore = answer
            .items(&path)
            .find(|attribute| attribute.text_at("AttributeName") == Some("restore"));
        let values = restore
            .into_iter()
            .flat_map(|attribute| attribute.items("AttributeValues"));
        shared.extend(values.map(|value| (value.text.clone(), true.into())));
    } else {
        let ec2 = ec2(api.target.kind);
        let form = form([(ec2.id, id), ("Attribute", ec2.attribute)]);
        let answer = api.ec2(ec2.describe, form).await?;
        for item in answer.items(ec2.attribute) {
            let grantee = [
                "group",
                "userId",
                "organizationArn",
                "organizationalUnitArn",
            ]
            .into_iter()
            .find_map(|name| item.text_at(name));
            let grantee = grantee.ok_or_else(|| Fault::lacks("userId"))?;
            shared.insert(grantee.to_owned(), true.into());
        }
    }
    Ok(json!({ "shared_with": shared }))
}

pub(super) fn desire(
    _: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let mut shared = state["shared_with"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let before = shared.len();
    shared.retain(|grantee, _| grantee != EVERYBODY && !told.even_accounts);
    if shared.len() == before {
        let why = match before {
            0 => "it is shared with nobody",
            _ => "it is shared with named accounts alone",
        };
        return Ok(Desired::Nothing(why.to_owned(), Vec::new()));
    }
    Ok(Desired::State {
        after: json!({ "shared_with": shared }),
        warnings: vec!["copies that others made of it are theirs".to_owned()],
    })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let empty = Map::new();
    let [from, to] = [from, to].map(|state| state["shared_with"].as_object().unwrap_or(&empty));
    let beyond = |these: &Map<String, Value>, those: &Map<String, Value>| -> Vec<String> {
        let names = these.keys().filter(|name| !those.contains_key(*name));
        names.cloned().collect()
    };
    let (added, removed) = (beyond(to, from), beyond(from, to));
    if let Some(rds) = rds(api.target.kind) {
        let mut form = form([(rds.id, &api.target.id), ("AttributeName", "restore")]);
        for (list, names) in [("ValuesToAdd", added), ("ValuesToRemove", removed)] {
            for (place, name) in names.into_iter().enumerate() {
                form.push((format!("{list}.AttributeValue.{}", place + 1), name));
            }
        }
        api.query(Service::Rds, rds.modify, form).await?;
        return Ok(());
    }
    let ec2 = ec2(api.target.kind);
    for (verb, names) in [("add", added), ("remove", removed)] {
        if names.is_empty() {
            continue;
        }
        let mut form = form([
            (ec2.id, api.target.id.as_str()),
            ("Attribute", ec2.attribute),
            ("OperationType", verb),
        ]);
        form.extend(grants(&names));
        api.ec2(ec2.modify, form).await?;
    }
    Ok(())
}

/// Each list of grantees is numbered for itself.
fn grants(names: &[String]) -> Form {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut form = Form::new();
    for name in names {
        let list = match name.as_str() {
            EVERYBODY => "UserGroup",
            arn if arn.contains(":organization/") => "OrganizationArn",
            arn if arn.contains(":ou/") => "OrganizationalUnitArn",
            _ => "UserId",
        };
        let count = counts.entry(list).or_default();
        *count += 1;
        form.push((format!("{list}.{count}"), name.clone()));
    }
    form
}

pub(super) fn compared(state: &Value) -> Value {
    state.clone()
}
