//! Trusted Advisor: one item of a check was refreshed.

use crate::{
    Finding, Kind, Severity, Source, Status,
    event::{Decodings, Event},
    fields::{Fields, scalar},
    refusal::Refusal,
};

use super::{locate, one, resource};

/// Every check names its own columns; these are the ones that hold a region.
const REGIONS: &[&str] = &["Region", "Region/AZ", "Region Name", "AWS Region"];

/// Columns that name the resource, for checks that leave `resource_id` empty.
const NAMES: &[&str] = &[
    "Resource ARN",
    "Resource ID",
    "Instance ID",
    "Volume ID",
    "Snapshot ID",
    "Security Group ID",
    "DB Instance Name",
    "Bucket Name",
    "Load Balancer Name",
    "Function ARN",
    "Hosted Zone ID",
    "Access Key ID",
    "IAM User",
    "IP Address",
];

const STATUSES: &[(&str, (Status, Severity))] = &[
    ("OK", (Status::Healthy, Severity::Informational)),
    ("WARN", (Status::Unhealthy, Severity::Medium)),
    ("WARNING", (Status::Unhealthy, Severity::Medium)),
    ("ERROR", (Status::Unhealthy, Severity::High)),
    (
        "NOT_AVAILABLE",
        (Status::NotApplicable, Severity::Informational),
    ),
];

/// Decodes `Trusted Advisor Check Item Refresh Notification`.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let check = fields.require_text("check-name")?;
    let (status, severity) = fields
        .word("status", STATUSES)?
        .ok_or_else(|| fields.refuse("status", "a text is required, and there is none"))?;
    let target = fields.text("resource_id")?;
    let id = match (fields.text("uuid")?, target) {
        (Some(id), _) => id.to_owned(),
        (None, Some(target)) => format!("{check}/{target}"),
        (None, None) => fields.require_text("uuid")?.to_owned(),
    };
    let mut finding = event.finding(
        Source::TrustedAdvisor,
        Kind::Recommendation,
        id,
        check,
        severity,
    );
    finding.finding_type = Some(check.to_owned());
    finding.status = Some(status);
    let item = fields.section("check-item-detail")?;
    let columns: Vec<(&String, String)> = item
        .iter()
        .filter_map(|item| item.value().as_object())
        .flatten()
        .filter_map(|(column, value)| {
            Some((column, scalar(value).filter(|text| !text.is_empty())?))
        })
        .collect();
    let listed: Vec<String> = columns
        .iter()
        .map(|(column, value)| format!("{column}: {value}"))
        .collect();
    finding.description = (!listed.is_empty()).then(|| listed.join("; "));
    let column = |names: &[&str]| {
        names.iter().find_map(|name| {
            let (_, value) = columns
                .iter()
                .find(|(column, _)| column.eq_ignore_ascii_case(name))?;
            Some(value.as_str())
        })
    };
    let found = target
        .or_else(|| column(NAMES))
        .map(|target| resource(target, None));
    // The envelope's region is the one that all Trusted Advisor events come from.
    let region = column(REGIONS)
        .map(|region| without_zone(region).to_owned())
        .or_else(|| found.as_ref().and_then(|found| found.region.clone()));
    locate(
        &mut finding,
        event.account.map(str::to_owned),
        region.as_deref(),
    );
    finding.resources = found
        .into_iter()
        .map(|mut found| {
            if found.account.is_none() {
                found.account.clone_from(&finding.account);
            }
            if found.region.is_none() {
                found.region.clone_from(&finding.region);
            }
            found
        })
        .collect();
    finding.updated = event.time;
    finding.last_seen = event.time;
    Ok(finding)
}

/// The region of an availability zone: `eu-west-1` of `eu-west-1a`.
fn without_zone(name: &str) -> &str {
    match name.strip_suffix(|last: char| last.is_ascii_lowercase()) {
        Some(region) if region.ends_with(|last: char| last.is_ascii_digit()) => region,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_a_zone_is_known() {
        assert_eq!(without_zone("eu-west-1a"), "eu-west-1");
        assert_eq!(without_zone("eu-west-1"), "eu-west-1");
        assert_eq!(without_zone("global"), "global");
        assert_eq!(without_zone(""), "");
    }
}
