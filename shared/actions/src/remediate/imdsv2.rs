//! Lets the metadata of an instance be read with a token alone.

use super::api::{Api, form};
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use super::{Desired, SETTLED, instance};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let instance = instance::read(api).await?;
    let text = |name: &str| instance.text_at(&format!("metadataOptions/{name}"));
    Ok(json!({
        "HttpTokens": text("httpTokens").ok_or_else(|| Fault::lacks("httpTokens"))?,
        "HttpEndpoint": text("httpEndpoint"),
        "HttpPutResponseHopLimit": text("httpPutResponseHopLimit"),
        SETTLED: text("state") != Some("pending"),
    }))
}

pub(super) fn desire(
    _: &Api<'_>,
    state: &Value,
    _: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    if state["HttpTokens"] == "required" {
        let why = "a token is required".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    if state["HttpEndpoint"] == "disabled" {
        let why = "its metadata cannot be read at all".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let mut after = state.clone();
    after["HttpTokens"] = "required".into();
    let warnings = vec![
        "programs on it that read metadata without a token fail; the metric `MetadataNoToken` tells whether there are any"
            .to_owned(),
    ];
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let tokens = to["HttpTokens"].as_str().unwrap_or_default();
    let mut form = form([("InstanceId", &api.target.id), ("HttpTokens", tokens)]);
    // What is beside it stays as it is now.
    for name in ["HttpEndpoint", "HttpPutResponseHopLimit"] {
        if let Some(value) = from[name].as_str() {
            form.push((name.to_owned(), value.to_owned()));
        }
    }
    api.ec2("ModifyInstanceMetadataOptions", form).await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "HttpTokens": state["HttpTokens"] })
}
