use super::{link, place, resource};
use crate::{
    Compliance, Finding, Kind, Severity, Source, Status,
    event::{Event, is_sample_title},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

const STATES: &[(&str, Status)] = &[
    ("Passed", Status::Passed),
    ("Failed", Status::Failed),
    ("Skipped", Status::Skipped),
    ("Unsupported", Status::Unsupported),
];

/// The standing of a subscription against one assessment of a control, or against the control or standard as a whole.
pub(super) fn decode(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("id")?;
    let properties = fields.require_section("properties")?;
    let standard = resource_id::part_after(id, "regulatoryComplianceStandards");
    let control = resource_id::part_after(id, "regulatoryComplianceControls");
    let title = match properties.first_text(&["description", "displayName"])? {
        Some(description) => description,
        None => fields
            .text("name")?
            .unwrap_or_else(|| resource_id::last_part(id)),
    };
    // Defender does not rate its controls.
    let mut finding = event.finding(
        Source::Defender,
        Kind::Compliance,
        id,
        title,
        Severity::Medium,
    );
    finding.finding_type = control.or(fields.text("name")?).map(str::to_owned);
    finding.status = properties.word("state", STATES)?;
    if standard.is_some() || control.is_some() {
        finding.compliance = Some(Compliance {
            standard: standard.map(str::to_owned),
            control: control.map(str::to_owned),
        });
    }
    finding
        .resources
        .extend(resource_id::azure_extended(id).map(resource));
    place(&mut finding, id);
    if let Some(url) = properties.text("assessmentDetailsLink")? {
        finding
            .links
            .extend(link("Details in the Azure portal", url));
    }
    finding.sample = is_sample_title(&finding.title);
    Ok(finding)
}
