use super::{link, place, resource};
use crate::{
    Finding, Kind, Remediation, Resource, Severity, Source, Status,
    event::{Event, is_sample_title},
    fields::Fields,
    refusal::Refusal,
    resource_id, severity,
};

const CODES: &[(&str, Status)] = &[
    ("Healthy", Status::Healthy),
    ("Unhealthy", Status::Unhealthy),
    ("NotApplicable", Status::NotApplicable),
    ("Not Applicable", Status::NotApplicable),
];

/// A recommendation, about one resource.
pub(super) fn decode(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("id")?;
    let properties = fields.require_section("properties")?;
    let key = key(fields, id)?;
    let title = properties
        .first_text(&["displayName", "metadata.displayName"])?
        .unwrap_or(&key);
    let severity = properties
        .word("metadata.severity", severity::WORDS)?
        .unwrap_or(Severity::Medium);
    let mut finding = event.finding(Source::Defender, Kind::Recommendation, id, title, severity);
    finding.finding_type = Some(key.clone());
    finding.description = properties
        .first_text(&["metadata.description", "description"])?
        .map(str::to_owned);
    finding.status = properties.word("status.code", CODES)?;
    finding.first_seen = properties.time("status.firstEvaluationDate")?;
    finding.updated = properties.time("status.statusChangeDate")?;
    finding.remediation = remediation(
        &properties,
        &["metadata.remediationDescription", "remediation"],
    )?;
    about(&mut finding, fields, &properties, id)?;
    Ok(finding)
}

/// One finding within a recommendation, such as a vulnerability of an image.
pub(super) fn decode_sub(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("id")?;
    let properties = fields.require_section("properties")?;
    let title = properties.require_first_text(&["displayName", "id"])?;
    let severity = properties
        .word("status.severity", severity::WORDS)?
        .unwrap_or(Severity::Medium);
    let mut finding = event.finding(Source::Defender, Kind::Recommendation, id, title, severity);
    finding.finding_type = match properties.text("id")? {
        Some(id) => Some(id.to_owned()),
        None => Some(key(fields, id)?),
    };
    finding.description = properties.text("description")?.map(str::to_owned);
    finding.status = properties.word("status.code", CODES)?;
    finding.updated = properties.time("timeGenerated")?;
    finding.remediation = remediation(&properties, &["remediation"])?;
    finding.parent = parent(id).map(str::to_owned);
    if finding.parent.is_none() {
        return Err(fields.refuse("id", "names no assessment that this is a part of"));
    }
    about(&mut finding, fields, &properties, id)?;
    Ok(finding)
}

/// What both say of the resource and of further pages.
fn about(
    finding: &mut Finding,
    fields: &Fields<'_>,
    properties: &Fields<'_>,
    id: &str,
) -> Result<(), Refusal> {
    finding.resources = resources(properties, id)?;
    finding.region = fields.text("location")?.map(str::to_owned);
    place(finding, id);
    for name in ["links.azurePortal", "links.azurePortalUri"] {
        let found = properties
            .text(name)?
            .and_then(|url| link("Recommendation in the Azure portal", url));
        if let Some(found) = found
            && finding.links.is_empty()
        {
            finding.links.push(found);
        }
    }
    finding.sample = is_sample_title(&finding.title);
    Ok(())
}

/// The key of the kind of assessment: the same for all resources.
fn key(fields: &Fields<'_>, id: &str) -> Result<String, Refusal> {
    let name = fields.text("name")?;
    Ok(name
        .unwrap_or_else(|| resource_id::last_part(id))
        .to_owned())
}

fn parent(id: &str) -> Option<&str> {
    let end = id.to_ascii_lowercase().rfind("/subassessments/")?;
    id.get(..end).filter(|parent| !parent.is_empty())
}

fn remediation(properties: &Fields<'_>, names: &[&str]) -> Result<Option<Remediation>, Refusal> {
    Ok(properties.first_text(names)?.map(|text| Remediation {
        text: Some(text.to_owned()),
        url: None,
    }))
}

/// The resource of `resourceDetails`, in another cloud also by its own id there; else the one that the id extends.
fn resources(properties: &Fields<'_>, id: &str) -> Result<Vec<Resource>, Refusal> {
    let details = properties.section("resourceDetails")?;
    let mut resources = Vec::new();
    if let Some(details) = &details {
        let azure_id = details.text("id")?;
        let native = details.text("nativeResourceId")?;
        if let Some(id) = azure_id
            .or_else(|| resource_id::azure_extended(id))
            .or(native)
        {
            let mut main = resource(id);
            if let Some(name) = details.first_text(&["resourceName", "machineName"])? {
                main.name = Some(name.to_owned());
            }
            // A resource of another cloud is kept below a connector of Defender's own: no type to be read from its id.
            if main.resource_type.is_none() || resource_id::azure_extended(id).is_some() {
                main.resource_type = details.text("resourceType")?.map(str::to_owned);
            }
            resources.push(main);
        }
        if let Some(native) = native
            && !resources
                .iter()
                .any(|main| main.id.eq_ignore_ascii_case(native))
        {
            let arn = resource_id::arn(native);
            resources.push(Resource {
                id: native.to_owned(),
                account: arn.and_then(|(account, _)| account).map(str::to_owned),
                region: arn.and_then(|(_, region)| region).map(str::to_owned),
                ..Resource::default()
            });
        }
    }
    if resources.is_empty() {
        resources.extend(resource_id::azure_extended(id).map(resource));
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_part_is_the_assessment() {
        assert_eq!(
            parent("/subscriptions/s/providers/Microsoft.Security/assessments/a/subassessments/b"),
            Some("/subscriptions/s/providers/Microsoft.Security/assessments/a")
        );
        assert_eq!(parent("/subscriptions/s"), None);
    }
}
