use super::{link, place, resource};
use crate::{
    Finding, Kind, Remediation, Resource, Severity, Source, Status,
    event::{Event, is_sample_title},
    fields::Fields,
    refusal::Refusal,
    resource_id, severity,
};

const STATUSES: &[(&str, Status)] = &[
    ("New", Status::New),
    ("Active", Status::New),
    ("InProgress", Status::InProgress),
    ("In Progress", Status::InProgress),
    ("Resolved", Status::Resolved),
    ("Dismissed", Status::Dismissed),
];

/// The export form: flat.
pub(super) fn flat(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("SystemAlertId")?;
    decode(event, fields, id, id)
}

/// The ARM form: the same below `properties`, the id in `name` too.
pub(super) fn arm(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let properties = fields.require_section("properties")?;
    let own_id = fields.text("id")?;
    let id = match (
        properties.text("systemAlertId")?,
        fields.text("name")?,
        own_id,
    ) {
        (Some(id), ..) | (None, Some(id), _) => id,
        (None, None, Some(id)) => resource_id::last_part(id),
        (None, None, None) => fields.require_text("name")?,
    };
    decode(event, &properties, id, own_id.unwrap_or_default())
}

fn decode(
    event: &Event<'_>,
    fields: &Fields<'_>,
    id: &str,
    own_id: &str,
) -> Result<Finding, Refusal> {
    let title = fields.require_first_text(&[
        "AlertDisplayName",
        "DisplayName",
        "AlertName",
        "AlertType",
    ])?;
    let mut finding = event.finding(
        Source::Defender,
        Kind::Alert,
        id,
        title,
        read_severity(fields)?,
    );
    finding.finding_type = fields
        .first_text(&["AlertType", "AlertName"])?
        .map(str::to_owned);
    finding.description = fields.text("Description")?.map(str::to_owned);
    finding.status = match fields.word("Status", STATUSES)? {
        Some(status) => Some(status),
        None => fields.word("State", STATUSES)?,
    };
    finding.resources = resources(fields)?;
    place(&mut finding, own_id);
    if finding.account.is_none()
        && let Some(subscription) = fields.text("AzureResourceSubscriptionId")?
    {
        finding.account = Some(subscription.to_owned());
        finding.scope = Some(format!("azure:/subscriptions/{subscription}"));
    }
    finding.first_seen = fields.first_time(&["StartTimeUtc", "StartTime", "DetectedTimeUtc"])?;
    finding.last_seen = fields.first_time(&["EndTimeUtc", "EndTime"])?;
    finding.updated = fields.first_time(&[
        "ProcessingEndTime",
        "ProcessingEndTimeUtc",
        "TimeGenerated",
        "TimeGeneratedUtc",
        "ReportedTimeUtc",
    ])?;
    let steps = remediation_steps(fields)?;
    if !steps.is_empty() {
        finding.remediation = Some(Remediation {
            text: Some(steps.join("\n")),
            url: None,
        });
    }
    if let Some(url) = fields.first_text(&["AlertUri", "AlertLink"])? {
        finding.links.extend(link("Alert in the Azure portal", url));
    }
    for extended in fields.sections("ExtendedLinks")? {
        if let Some(url) = extended.text("Href")? {
            let title = extended.text("Label")?.unwrap_or("More about this alert");
            finding.links.extend(link(title, url));
        }
    }
    finding.sample = is_sample_title(&finding.title)
        || finding.description.as_deref().is_some_and(|text| {
            text.get(..22)
                .is_some_and(|start| start.eq_ignore_ascii_case("THIS IS A SAMPLE ALERT"))
        });
    Ok(finding)
}

/// A list; or a text, which Log Analytics fills with a list written as JSON.
fn remediation_steps(fields: &Fields<'_>) -> Result<Vec<String>, Refusal> {
    let steps = fields.texts("RemediationSteps")?;
    if let [text] = steps.as_slice()
        && let Ok(steps) = serde_json::from_str::<Vec<String>>(text)
    {
        return Ok(steps);
    }
    Ok(steps.into_iter().map(str::to_owned).collect())
}

fn read_severity(fields: &Fields<'_>) -> Result<Severity, Refusal> {
    for name in ["Severity", "ReportedSeverity", "AlertSeverity"] {
        if let Some(severity) = fields.word(name, severity::WORDS)? {
            return Ok(severity);
        }
    }
    Err(fields.refuse("Severity", "a severity is required, and there is none"))
}

/// The resource that the alert names first, then the others among its identifiers; else the compromised entity by name.
fn resources(fields: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut ids: Vec<&str> = Vec::new();
    let own = [
        fields.text("AzureResourceId")?,
        fields.text("AssociatedResource")?,
    ];
    let identified = fields
        .sections("ResourceIdentifiers")?
        .iter()
        .map(|identifier| identifier.text("AzureResourceId"))
        .collect::<Result<Vec<_>, _>>()?;
    for id in own.into_iter().chain(identified).flatten() {
        if !ids.iter().any(|known| known.eq_ignore_ascii_case(id)) {
            ids.push(id);
        }
    }
    if ids.is_empty()
        && let Some(entity) = fields.text("CompromisedEntity")?
    {
        return Ok(vec![Resource {
            id: entity.to_owned(),
            name: Some(entity.to_owned()),
            ..Resource::default()
        }]);
    }
    Ok(ids.into_iter().map(resource).collect())
}
