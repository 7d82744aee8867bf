//! Takes an RDS instance off the internet.

use super::api::{Api, form};
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use super::{Desired, SETTLED};
use crate::aws::Service;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

/// States in which nobody can modify an instance and that it does not leave by itself.
const RESTING: [&str; 7] = [
    "stopped",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
];

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let form = form([("DBInstanceIdentifier", &api.target.id)]);
    let answer = api.query(Service::Rds, "DescribeDBInstances", form).await?;
    let instance = answer
        .items("DescribeDBInstancesResult/DBInstances")
        .next()
        .ok_or_else(|| Fault::missing(api.target, "it is not listed"))?;
    let text = |name: &str| instance.text_at(name).ok_or_else(|| Fault::lacks(name));
    let status = text("DBInstanceStatus")?;
    if status == "deleting" {
        return Err(Fault::missing(api.target, "it is being deleted"));
    }
    Ok(json!({
        "PubliclyAccessible": text("PubliclyAccessible")? == "true",
        "status": status,
        SETTLED: matches!(status, "available" | "storage-optimization") || RESTING.contains(&status),
    }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    _: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    if state["PubliclyAccessible"] == false {
        let why = "it is not publicly accessible".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let status = state["status"].as_str().unwrap_or_default();
    if RESTING.contains(&status) {
        return Err(Fault::Guard(format!(
            "{} is `{status}`, in which RDS changes nothing; bring it to `available`",
            api.target
        )));
    }
    let mut after = state.clone();
    after["PubliclyAccessible"] = false.into();
    let warnings = vec!["clients outside its VPC lose their connections".to_owned()];
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let public = to["PubliclyAccessible"].to_string();
    // Whatever else is pending stays so: this setting is applied at once in any case.
    let form = form([
        ("DBInstanceIdentifier", &api.target.id),
        ("PubliclyAccessible", &public),
        ("ApplyImmediately", "false"),
    ]);
    api.query(Service::Rds, "ModifyDBInstance", form).await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "PubliclyAccessible": state["PubliclyAccessible"] })
}
