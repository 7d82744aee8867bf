use super::{place, resource};
use crate::{
    Finding, Kind, Severity, Source, Status,
    event::{Event, is_sample_title},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

/// A control of the secure score, or the score as a whole, of one subscription.
pub(super) fn decode(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("id")?;
    let properties = fields.require_section("properties")?;
    let title =
        properties.require_first_text(&["displayName", "definition.properties.displayName"])?;
    let mut finding = event.finding(
        Source::Defender,
        Kind::Recommendation,
        id,
        title,
        Severity::Low,
    );
    finding.finding_type = Some(
        fields
            .text("name")?
            .unwrap_or_else(|| resource_id::last_part(id))
            .to_owned(),
    );
    finding.description = properties
        .text("definition.properties.description")?
        .map(str::to_owned);
    finding.status = status(&properties)?;
    finding
        .resources
        .extend(resource_id::azure_extended(id).map(resource));
    place(&mut finding, id);
    finding.sample = is_sample_title(&finding.title);
    Ok(finding)
}

/// By the resources it counts; of the whole score, which counts none, by the points still missing.
fn status(properties: &Fields<'_>) -> Result<Option<Status>, Refusal> {
    let healthy = properties.integer("healthyResourceCount")?;
    let unhealthy = properties.integer("unhealthyResourceCount")?;
    let other = properties.integer("notApplicableResourceCount")?;
    let max = properties.number("score.max")?;
    let current = properties.number("score.current")?;
    Ok(match (unhealthy, healthy, other) {
        (Some(count), ..) if count > 0 => Some(Status::Unhealthy),
        (_, Some(count), _) if count > 0 => Some(Status::Healthy),
        (Some(_), _, _) | (_, Some(_), _) | (_, _, Some(_)) => Some(Status::NotApplicable),
        (None, None, None) => max.zip(current).map(|(max, current)| {
            if current < max {
                Status::Unhealthy
            } else {
                Status::Healthy
            }
        }),
    })
}
