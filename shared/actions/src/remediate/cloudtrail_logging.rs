//! Lets a trail log, and its log files be validated.

use super::Desired;
use super::api::Api;
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Logging is one call, all settings are another.
pub(super) const DEPTH: usize = 1;

const SETTINGS: [&str; 3] = [
    "LogFileValidationEnabled",
    "IsMultiRegionTrail",
    "IncludeGlobalServiceEvents",
];

#[derive(Deserialize)]
struct Told {
    multi_region: bool,
}

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let name = json!({ "Name": api.target.arn });
    let (found, status) = tokio::try_join!(
        api.json(Service::CloudTrail, "GetTrail", &name),
        api.json(Service::CloudTrail, "GetTrailStatus", &name)
    )?;
    let trail = &found["Trail"];
    let mut settings = json!({});
    for setting in SETTINGS {
        settings[setting] = trail[setting].as_bool().unwrap_or_default().into();
    }
    let logging = status["IsLogging"]
        .as_bool()
        .ok_or_else(|| Fault::lacks("IsLogging"))?;
    Ok(json!({ "IsLogging": logging, "settings": settings, "home": trail["HomeRegion"] }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let home = state["home"].as_str().unwrap_or(&api.target.region);
    if home != api.target.region {
        return Err(Fault::Unsupported(format!(
            "{} is changed in its home region `{home}` alone; name it there",
            api.target
        )));
    }
    let mut after = state.clone();
    after["IsLogging"] = true.into();
    after["settings"]["LogFileValidationEnabled"] = true.into();
    if told.multi_region {
        after["settings"]["IsMultiRegionTrail"] = true.into();
        // A trail of all regions has them.
        after["settings"]["IncludeGlobalServiceEvents"] = true.into();
    }
    if after == *state {
        let why = "it logs, and its log files are validated".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let more = after["settings"]["IsMultiRegionTrail"] != state["settings"]["IsMultiRegionTrail"];
    let warnings = match more || state["IsLogging"] == false {
        true => vec!["a second trail of the same events costs money".to_owned()],
        false => Vec::new(),
    };
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let arn = &api.target.arn;
    if from["settings"] != to["settings"] {
        let settings = &to["settings"];
        let body = json!({
            "Name": arn,
            "EnableLogFileValidation": settings["LogFileValidationEnabled"],
            "IsMultiRegionTrail": settings["IsMultiRegionTrail"],
            "IncludeGlobalServiceEvents": settings["IncludeGlobalServiceEvents"],
        });
        api.json(Service::CloudTrail, "UpdateTrail", &body).await?;
    }
    if from["IsLogging"] != to["IsLogging"] {
        let operation = match to["IsLogging"] == true {
            true => "StartLogging",
            false => "StopLogging",
        };
        api.json(Service::CloudTrail, operation, &json!({ "Name": arn }))
            .await?;
    }
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "IsLogging": state["IsLogging"], "settings": state["settings"] })
}
