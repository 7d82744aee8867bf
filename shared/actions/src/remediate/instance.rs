//! Instances of EC2 as they are described.

use super::api::{Api, form};
use super::fault::Fault;
use crate::aws::Element;

/// Reads the target, which is an instance; one that is gone for good is missing.
pub(super) async fn read(api: &Api<'_>) -> Result<Element, Fault> {
    let id = &api.target.id;
    let answer = api
        .ec2("DescribeInstances", form([("InstanceId.1", id)]))
        .await?;
    let instance = answer
        .items("reservationSet")
        .flat_map(|reservation| reservation.items("instancesSet"))
        .find(|instance| instance.text_at("instanceId") == Some(id))
        .ok_or_else(|| Fault::missing(api.target, "it is not listed"))?;
    match instance.text_at("instanceState/name") {
        Some("terminated" | "shutting-down") => Err(Fault::missing(api.target, "it is terminated")),
        _ => Ok(instance.clone()),
    }
}

/// The value of one of its tags.
pub(super) fn tag<'a>(instance: &'a Element, key: &str) -> Option<&'a str> {
    let mut tags = instance.items("tagSet");
    let tag = tags.find(|tag| tag.text_at("key") == Some(key))?;
    tag.text_at("value")
}
