//! Keeps a KMS key that is about to be deleted.

use super::Desired;
use super::api::Api;
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Cancelling is one call, enabling another.
pub(super) const DEPTH: usize = 1;

/// Shortest and longest time before a deletion, in days (API reference of KMS, `ScheduleKeyDeletion`).
const SHORTEST: i64 = 7;
const LONGEST: i64 = 30;

#[derive(Deserialize)]
struct Told {
    enable: bool,
}

pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let key = json!({ "KeyId": api.target.id });
    let found = api.json(Service::Kms, "DescribeKey", &key).await?;
    let key = &found["KeyMetadata"];
    let state = key["KeyState"]
        .as_str()
        .ok_or_else(|| Fault::lacks("KeyState"))?;
    // Seconds, with a fraction.
    let deletion = key["DeletionDate"].as_f64();
    let deletion = deletion.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    Ok(json!({
        "deleted": matches!(state, "PendingDeletion" | "PendingReplicaDeletion"),
        "enabled": state == "Enabled",
        "state": state,
        "deletion": deletion.map(|date| date.to_string()),
    }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    if state["deleted"] == false {
        let why = "its deletion is not scheduled".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    if state["state"] == "PendingReplicaDeletion" {
        return Err(Fault::Unsupported(format!(
            "{} waits for its replicas to be deleted; cancel the deletion of one of them",
            api.target
        )));
    }
    let mut after = state.clone();
    after["deleted"] = false.into();
    after["enabled"] = told.enable.into();
    after["state"] = if told.enable { "Enabled" } else { "Disabled" }.into();
    after["deletion"] = Value::Null;
    let warnings = vec![format!(
        "undoing it schedules the deletion again, for the same day but not before {SHORTEST} days have passed"
    )];
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    now: Timestamp,
) -> Result<(), Fault> {
    let body = json!({ "KeyId": api.target.id });
    if to["deleted"] == true {
        let days = days(to["deletion"].as_str(), now);
        let body = json!({ "KeyId": api.target.id, "PendingWindowInDays": days });
        api.json(Service::Kms, "ScheduleKeyDeletion", &body).await?;
        return Ok(());
    }
    if from["deleted"] == true {
        api.json(Service::Kms, "CancelKeyDeletion", &body).await?;
    }
    if to["enabled"] == true && from["enabled"] == false {
        api.json(Service::Kms, "EnableKey", &body).await?;
    }
    Ok(())
}

/// The days to a deletion, never fewer than there were.
fn days(deletion: Option<&str>, now: Timestamp) -> i64 {
    let deletion = deletion.and_then(|date| date.parse::<Timestamp>().ok());
    let left = deletion.map_or(LONGEST, |date| {
        let hours = date.duration_since(now).as_hours();
        // Up to an hour is the time between two calls.
        (hours + 22).div_euclid(24)
    });
    left.clamp(SHORTEST, LONGEST)
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "deleted": state["deleted"], "enabled": state["enabled"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_comes_no_earlier_than_it_was_to() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (deletion, expected) in [
            (Some("2026-01-31T00:00:00Z"), 30),
            (Some("2026-01-30T23:59:00Z"), 30),
            (Some("2026-01-11T12:00:00Z"), 11),
            (Some("2026-01-02T00:00:00Z"), 7),
            (Some("2025-01-02T00:00:00Z"), 7),
            (None, 30),
        ] {
            assert_eq!(days(deletion, now), expected, "{deletion:?}");
        }
    }
}
