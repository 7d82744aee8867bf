//! Lets the material of a KMS key be rotated.

use super::Desired;
use super::api::Api;
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

#[derive(Deserialize)]
struct Told {
    period_days: u64,
}

/// A period stands in it only where the key is rotated.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let key = json!({ "KeyId": api.target.id });
    let found = api.json(Service::Kms, "DescribeKey", &key).await?;
    let of_key = &found["KeyMetadata"];
    // Of others the service refuses to tell.
    let is_on = match of_key["KeySpec"] == "SYMMETRIC_DEFAULT" {
        true => {
            let status = api.json(Service::Kms, "GetKeyRotationStatus", &key).await?;
            let is_on = status["KeyRotationEnabled"].as_bool();
            let is_on = is_on.ok_or_else(|| Fault::lacks("KeyRotationEnabled"))?;
            is_on.then(|| status["RotationPeriodInDays"].as_u64().unwrap_or(365))
        }
        false => None,
    };
    let (is_on, period) = (is_on.is_some(), is_on);
    Ok(json!({
        "rotation": { "KeyRotationEnabled": is_on, "RotationPeriodInDays": period },
        "key": {
            "KeyState": of_key["KeyState"],
            "KeySpec": of_key["KeySpec"],
            "Origin": of_key["Origin"],
            "KeyManager": of_key["KeyManager"],
            "replica": of_key["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA",
        },
    }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    if state["rotation"]["KeyRotationEnabled"] == true {
        let why = "it is rotated".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let key = &state["key"];
    let unfit = [
        (
            key["KeyManager"] == "AWS",
            "is managed by AWS, which rotates it by itself",
        ),
        (
            key["replica"] == true,
            "is a replica; rotation is set on its primary key",
        ),
        (
            key["KeySpec"] != "SYMMETRIC_DEFAULT",
            "is not a symmetric one for encryption, and only those are rotated",
        ),
        (
            key["Origin"] != "AWS_KMS",
            "has its material from elsewhere, and KMS rotates only its own",
        ),
        (
            key["KeyState"] != "Enabled",
            "is not enabled, and KMS rotates no other",
        ),
    ];
    if let Some((_, why)) = unfit.into_iter().find(|(holds, _)| *holds) {
        return Err(Fault::Unsupported(format!("{} {why}", api.target)));
    }
    let mut after = state.clone();
    after["rotation"] = json!({
        "KeyRotationEnabled": true,
        "RotationPeriodInDays": told.period_days,
    });
    Ok(Desired::State {
        after,
        warnings: Vec::new(),
    })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let (rotation, id) = (&to["rotation"], &api.target.id);
    if rotation["KeyRotationEnabled"] == true {
        let body = json!({ "KeyId": id, "RotationPeriodInDays": rotation["RotationPeriodInDays"] });
        api.json(Service::Kms, "EnableKeyRotation", &body).await?;
    } else {
        let body = json!({ "KeyId": id });
        api.json(Service::Kms, "DisableKeyRotation", &body).await?;
    }
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "rotation": state["rotation"] })
}
