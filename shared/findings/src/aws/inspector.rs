//! Inspector: findings of today's service, the counts of its scans, and findings of the classic one.

use serde_json::Value;

use crate::{
    Finding, Kind, Link, Remediation, Resource, Severity, Source, Status,
    event::{Decodings, Event},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

use super::{account, adopt, each, ecr, locate, moment, one, resource, tagged_name};

/// At most so many of the pages that a vulnerability names.
const LINKS: usize = 10;

/// Decodes a finding, in or out of an envelope.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    each(event, "findings", finding)
}

/// Decodes the counts that a completed scan ends with.
pub(super) fn decode_scan(event: &Event<'_>) -> Decodings {
    one(event, |event, fields| {
        ecr::counted(event, fields, Source::Inspector)
    })
}

/// Decodes a finding of Inspector Classic, as its API describes it.
pub(super) fn decode_classic(event: &Event<'_>) -> Decodings {
    one(event, classic)
}

/// Refuses a change of coverage: it says whether a resource is scanned, which instances do as they start and stop.
pub(super) fn refuse_coverage(event: &Event<'_>) -> Decodings {
    vec![Err(Refusal::new(
        event.base.clone(),
        "tells which resources are scanned, not what was found in them",
    ))]
}

/// The status that Inspector itself gives.
pub(super) fn status_of(word: &str) -> Option<Status> {
    STATUSES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|(_, status)| *status)
}

const STATUSES: &[(&str, Status)] = &[
    ("ACTIVE", Status::Unhealthy),
    ("SUPPRESSED", Status::Suppressed),
    ("CLOSED", Status::Healthy),
];

/// `UNTRIAGED` is a vulnerability that nobody has rated yet.
const SEVERITIES: &[(&str, Severity)] = &[
    ("INFORMATIONAL", Severity::Informational),
    ("LOW", Severity::Low),
    ("MEDIUM", Severity::Medium),
    ("HIGH", Severity::High),
    ("CRITICAL", Severity::Critical),
    ("UNTRIAGED", Severity::Informational),
    ("UNDEFINED", Severity::Informational),
    ("NONE", Severity::Informational),
];

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let arn = fields.require_text("findingArn")?;
    let finding_type = fields.text("type")?;
    let vulnerability = fields.text("packageVulnerabilityDetails.vulnerabilityId")?;
    let title = match fields.text("title")?.or(vulnerability).or(finding_type) {
        Some(title) => title,
        None => fields.require_text("title")?,
    };
    let severity = fields
        .word("severity", SEVERITIES)?
        .ok_or_else(|| fields.refuse("severity", "a text is required, and there is none"))?;
    let mut finding = event.finding(
        Source::Inspector,
        Kind::Recommendation,
        arn,
        title,
        severity,
    );
    finding.finding_type = finding_type.map(str::to_owned);
    finding.description = fields.text("description")?.map(str::to_owned);
    finding.status = fields.word("status", STATUSES)?;
    finding.resources = resources(fields)?;
    let (arn_account, arn_region) = resource_id::arn(arn).unwrap_or_default();
    let region = finding
        .resources
        .first()
        .and_then(|main| main.region.clone());
    locate(
        &mut finding,
        account(fields, "awsAccountId")?
            .or_else(|| arn_account.map(str::to_owned))
            .or_else(|| event.account.map(str::to_owned)),
        region.as_deref().or(arn_region).or(event.region),
    );
    adopt(&mut finding);
    finding.first_seen = moment::time(fields, "firstObservedAt")?;
    finding.last_seen = moment::time(fields, "lastObservedAt")?;
    finding.updated = moment::first_time(fields, &["updatedAt", "lastObservedAt"])?;
    finding.remediation = remediation(fields)?;
    finding.links = links(fields)?;
    Ok(finding)
}

fn resources(fields: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut resources = Vec::new();
    for told in fields.sections("resources")? {
        let resource_type = told.text("type")?;
        let Some(id) = told.text("id")?.or(resource_type) else {
            continue;
        };
        let mut found = resource(id, resource_type);
        found.region = told.text("region")?.map(str::to_owned).or(found.region);
        found.tags = told.tags("tags")?;
        let own = told.first_text(&[
            "details.awsLambdaFunction.functionName",
            "details.awsEcrContainerImage.repositoryName",
        ])?;
        found.name = own
            .map(str::to_owned)
            .or_else(|| tagged_name(&found.tags))
            .or(found.name);
        resources.push(found);
    }
    Ok(resources)
}

/// The advice, unless it is `None Provided`.
fn remediation(fields: &Fields<'_>) -> Result<Option<Remediation>, Refusal> {
    let text = fields
        .text("remediation.recommendation.text")?
        .filter(|text| !text.eq_ignore_ascii_case("None Provided"));
    let url = fields.text("remediation.recommendation.url")?;
    Ok((text.is_some() || url.is_some()).then(|| Remediation {
        text: text.map(str::to_owned),
        url: url.map(str::to_owned),
    }))
}

fn links(fields: &Fields<'_>) -> Result<Vec<Link>, Refusal> {
    let Some(details) = fields.section("packageVulnerabilityDetails")? else {
        return Ok(Vec::new());
    };
    let name = details.text("vulnerabilityId")?.unwrap_or("Vulnerability");
    let mut urls: Vec<&str> = details.text("sourceUrl")?.into_iter().collect();
    for url in details.texts("referenceUrls")? {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    Ok(urls
        .into_iter()
        .filter(|url| url.starts_with("http"))
        .take(LINKS)
        .map(|url| Link {
            title: name.to_owned(),
            url: url.to_owned(),
        })
        .collect())
}

fn classic(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let arn = fields.require_text("arn")?;
    let title = fields.require_text("title")?;
    let severity = fields
        .word("severity", SEVERITIES)?
        .ok_or_else(|| fields.refuse("severity", "a text is required, and there is none"))?;
    let mut finding = event.finding(
        Source::Inspector,
        Kind::Recommendation,
        arn,
        title,
        severity,
    );
    finding.finding_type = fields.text("id")?.map(str::to_owned);
    finding.description = fields.text("description")?.map(str::to_owned);
    let (account, region) = resource_id::arn(arn).unwrap_or_default();
    let account = account.or(event.account).map(str::to_owned);
    locate(&mut finding, account, region.or(event.region));
    if let Some(id) = fields.text("assetAttributes.agentId")? {
        let mut found = resource(id, fields.text("assetType")?);
        found.account.clone_from(&finding.account);
        found.region.clone_from(&finding.region);
        found.tags = fields.tags("assetAttributes.tags")?;
        found.name = fields
            .text("assetAttributes.hostname")?
            .map(str::to_owned)
            .or_else(|| tagged_name(&found.tags));
        finding.resources.push(found);
    }
    finding.first_seen = moment::time(fields, "createdAt")?;
    finding.updated = moment::time(fields, "updatedAt")?;
    finding.last_seen = finding.updated;
    finding.remediation = match fields.get("recommendation") {
        Some(Value::String(text)) => Some(Remediation {
            text: Some(text.trim().to_owned()),
            url: None,
        }),
        _ => None,
    };
    Ok(finding)
}
