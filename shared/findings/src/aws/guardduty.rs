//! GuardDuty: findings as EventBridge sends them (`camelCase`) and as its API returns them (`PascalCase`).

pub(super) mod coverage;
mod resources;
pub(super) mod scan;

use serde_json::Value;

use crate::{
    Finding, Kind, Severity, Source, Status,
    event::{Decodings, Event, is_sample_title},
    fields::{Fields, describe, member},
    refusal::Refusal,
    resource_id, severity,
};

use super::{account, adopt, each, locate, moment};

/// Decodes a finding, in or out of an envelope; or the list that `GetFindings` returns, pasted into one.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    each(event, "findings", finding)
}

/// Says whether a bare object is a finding: by its ARN, or by what its `service` section holds.
pub(super) fn is_finding(detail: &Value) -> bool {
    let by_arn = member(detail, "arn")
        .and_then(Value::as_str)
        .is_some_and(|arn| arn.starts_with("arn:") && arn.contains(":guardduty:"));
    by_arn
        || member(detail, "type").is_some()
            && member(detail, "service").is_some_and(|service| {
                ["detectorId", "eventFirstSeen", "resourceRole"]
                    .iter()
                    .any(|name| member(service, name).is_some())
                    || member(service, "serviceName").and_then(Value::as_str) == Some("guardduty")
            })
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let arn = fields.text("arn")?;
    let id = match (fields.text("id")?, arn) {
        (Some(id), _) => id,
        (None, Some(arn)) => resource_id::last_part(arn),
        (None, None) => fields.require_text("id")?,
    };
    let finding_type = fields.require_text("type")?;
    let title = fields.text("title")?.unwrap_or(finding_type);
    let mut finding = event.finding(
        Source::Guardduty,
        Kind::Alert,
        id,
        title,
        severity_of(fields)?,
    );
    finding.finding_type = Some(finding_type.to_owned());
    finding.description = fields.text("description")?.map(str::to_owned);
    let (arn_account, arn_region) = arn.and_then(resource_id::arn).unwrap_or_default();
    locate(
        &mut finding,
        account(fields, "accountId")?
            .or_else(|| arn_account.map(str::to_owned))
            .or_else(|| event.account.map(str::to_owned)),
        fields.text("region")?.or(arn_region).or(event.region),
    );
    finding.resources = resources::read(fields)?;
    adopt(&mut finding);
    finding.first_seen = moment::first_time(fields, &["service.eventFirstSeen", "createdAt"])?;
    finding.last_seen = moment::first_time(fields, &["service.eventLastSeen", "updatedAt"])?;
    finding.updated = moment::time(fields, "updatedAt")?;
    finding.status = fields.boolean("service.archived")?.map(|archived| {
        if archived {
            Status::Dismissed
        } else {
            Status::New
        }
    });
    finding.sample = is_sample_title(title) || is_marked_as_sample(fields);
    Ok(finding)
}

/// The number, or one of the words that stand for its bands.
fn severity_of(fields: &Fields<'_>) -> Result<Severity, Refusal> {
    let Some(value) = fields.get("severity") else {
        return Err(fields.refuse("severity", "a number is required, and there is none"));
    };
    if let Some(known) = value.as_str().and_then(severity::of_word) {
        return Ok(known);
    }
    fields
        .number("severity")?
        .and_then(severity::of_guardduty)
        .ok_or_else(|| {
            let found = describe(value);
            fields.refuse(
                "severity",
                format!("expected a number from 0 to 10, found {found}"),
            )
        })
}

/// `additionalInfo.sample`; the API packs it as JSON into `AdditionalInfo.Value`.
fn is_marked_as_sample(fields: &Fields<'_>) -> bool {
    let is_true = |value: Option<&Value>| match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    };
    is_true(fields.get("service.additionalInfo.sample"))
        || fields
            .get("service.additionalInfo.value")
            .and_then(Value::as_str)
            .and_then(|packed| serde_json::from_str::<Value>(packed).ok())
            .is_some_and(|info| is_true(member(&info, "sample")))
}
