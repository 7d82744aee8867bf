//! Lets every new EBS volume of a region be encrypted.

use super::Desired;
use super::api::{Api, form};
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let answer = api.ec2("GetEbsEncryptionByDefault", form([])).await?;
    let is_on = answer.text_at("ebsEncryptionByDefault");
    let is_on = is_on.ok_or_else(|| Fault::lacks("ebsEncryptionByDefault"))?;
    Ok(json!({ "encrypted": is_on == "true" }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    _: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    if state["encrypted"] == true {
        let why = "new volumes are encrypted".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    Ok(Desired::State {
        after: json!({ "encrypted": true }),
        warnings: vec![format!(
            "it holds for new volumes of region `{}`; those that are there stay as they are",
            api.target.region
        )],
    })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let operation = match to["encrypted"] == true {
        true => "EnableEbsEncryptionByDefault",
        false => "DisableEbsEncryptionByDefault",
    };
    api.ec2(operation, form([])).await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    state.clone()
}
