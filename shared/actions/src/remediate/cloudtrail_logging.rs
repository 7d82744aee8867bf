//! Lets a trail log, and its log files be validated.

use super::Desired;
use super::api::Api;
use super::facts::{
    Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat, undoes,
};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::target::Kind;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const FACTS: Facts = Facts {
    name: "cloudtrail-logging",
    title: "Turn on the logging of a trail and the validation of its log files",
    risk: Risk::Low,
    permissions: &[
        reads("cloudtrail:GetTrail"),
        reads("cloudtrail:GetTrailStatus"),
        reads("cloudtrail:ListTags"),
        applies("cloudtrail:UpdateTrail"),
        applies("cloudtrail:StartLogging"),
        undoes("cloudtrail:StopLogging"),
    ],
    fits: &[
        control("CloudTrail.1"),
        control("CloudTrail.3"),
        control("CloudTrail.4"),
        rule("cloudtrail-enabled"),
        rule("cloud-trail-log-file-validation-enabled"),
        rule("multi-region-cloudtrail-enabled"),
        threat("Stealth:IAMUser/CloudTrailLoggingDisabled"),
        check("cloudtrail_log_file_validation_enabled"),
        check("cloudtrail_multi_region_enabled"),
    ],
    parameters: &[Parameter {
        name: "multi_region",
        about: "Whether the trail is made one of all regions as well, with the events of global services.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::Trail],
};

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
