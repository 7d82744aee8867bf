//! Image scans: how many vulnerabilities of each severity an image, or what else Inspector scans, has.

use crate::{
    Finding, Kind, Severity, Source, Status,
    event::{Decodings, Event},
    fields::Fields,
    refusal::Refusal,
};

use super::{account, locate, moment, one, partition, resource};

/// The counts in order of severity; what is `UNDEFINED` or `UNTRIAGED` has no rating yet.
const COUNTS: &[(&str, Severity)] = &[
    ("CRITICAL", Severity::Critical),
    ("HIGH", Severity::High),
    ("MEDIUM", Severity::Medium),
    ("LOW", Severity::Low),
    ("INFORMATIONAL", Severity::Informational),
    ("UNDEFINED", Severity::Informational),
    ("UNTRIAGED", Severity::Informational),
];

/// Decodes `ECR Image Scan`.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, |event, fields| counted(event, fields, Source::Ecr))
}

/// Decodes what `DescribeImageScanFindings` returns.
pub(super) fn decode_description(event: &Event<'_>) -> Decodings {
    one(event, described)
}

/// The counts of a scan that is complete. One that failed tells nothing of the image and is refused.
pub(super) fn counted(
    event: &Event<'_>,
    fields: &Fields<'_>,
    source: Source,
) -> Result<Finding, Refusal> {
    if let Some(status) = fields.text("scan-status")?
        && !status.to_ascii_uppercase().contains("COMPLETE")
    {
        return Err(fields.refuse(
            "scan-status",
            format!("the scan did not complete (`{status}`), so there is no finding"),
        ));
    }
    let counts = fields.require_section("finding-severity-counts")?;
    let repository = fields.text("repository-name")?;
    let digest = fields.text("image-digest")?;
    // Inspector puts the ARN into the name.
    let name = repository.map(|name| {
        name.rsplit_once(":repository/")
            .map_or(name, |(_, name)| name)
    });
    let scanned = event
        .resources
        .first()
        .copied()
        .or(repository.filter(|name| name.starts_with("arn:")))
        .map(str::to_owned)
        .or_else(|| repository_arn(event.account, event.region, name?))
        .or_else(|| name.map(str::to_owned))
        .or(fields
            .first_text(&["instance-id", "function-name"])?
            .map(str::to_owned))
        .ok_or_else(|| fields.refuse("repository-name", "a text is required, and there is none"))?;
    let tags = fields.texts("image-tags")?;
    let mut finding = image(event, source, &scanned, name, digest, &tags, &counts)?;
    locate(&mut finding, event.account.map(str::to_owned), event.region);
    finding.updated = event.time;
    finding.last_seen = event.time;
    Ok(finding)
}

fn described(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let findings = fields.require_section("imageScanFindings")?;
    let counts = findings.require_section("findingSeverityCounts")?;
    let name = fields.require_text("repositoryName")?;
    let registry = account(fields, "registryId")?;
    let scanned =
        repository_arn(registry.as_deref(), event.region, name).unwrap_or_else(|| name.to_owned());
    let digest = fields.text("imageId.imageDigest")?;
    let tags = fields.texts("imageId.imageTag")?;
    let mut finding = image(
        event,
        Source::Ecr,
        &scanned,
        Some(name),
        digest,
        &tags,
        &counts,
    )?;
    locate(&mut finding, registry, event.region);
    finding.updated = moment::first_time(
        &findings,
        &["imageScanCompletedAt", "vulnerabilitySourceUpdatedAt"],
    )?;
    finding.last_seen = finding.updated;
    Ok(finding)
}

fn image(
    event: &Event<'_>,
    source: Source,
    scanned: &str,
    name: Option<&str>,
    digest: Option<&str>,
    tags: &[&str],
    counts: &Fields<'_>,
) -> Result<Finding, Refusal> {
    let mut worst = None;
    let mut listed = Vec::new();
    for (word, severity) in COUNTS {
        let count = counts.integer(word)?.unwrap_or_default();
        if count > 0 {
            worst = worst.or(Some(*severity));
            listed.push(format!("{count} {}", word.to_ascii_lowercase()));
        }
    }
    // The scan of an image supersedes the one before it: the repository and the digest name both.
    let id = match digest {
        Some(digest) => format!("{scanned}@{digest}"),
        None => scanned.to_owned(),
    };
    let what = match (name, tags.first()) {
        (Some(name), Some(tag)) => format!("the image {name}:{tag}"),
        (Some(name), None) => format!("an image of {name}"),
        (None, _) => scanned.to_owned(),
    };
    let title = if worst.is_some() {
        format!("Vulnerabilities were found in {what}")
    } else {
        format!("No vulnerabilities were found in {what}")
    };
    let mut finding = event.finding(
        source,
        Kind::Recommendation,
        id.clone(),
        title,
        worst.unwrap_or(Severity::Informational),
    );
    finding.finding_type = Some("ImageScan".to_owned());
    finding.description = (!listed.is_empty()).then(|| listed.join(", "));
    finding.status = Some(if worst.is_some() {
        Status::Unhealthy
    } else {
        Status::Healthy
    });
    let mut found = resource(scanned, name.map(|_| "AWS::ECR::Repository"));
    if let Some(name) = name {
        found.name = Some(name.to_owned());
    }
    finding.resources = vec![found];
    if digest.is_some() {
        let mut found = resource(&id, Some("AwsEcrContainerImage"));
        found.name = name.map(|name| match tags.first() {
            Some(tag) => format!("{name}:{tag}"),
            None => name.to_owned(),
        });
        finding.resources.push(found);
    }
    Ok(finding)
}

fn repository_arn(account: Option<&str>, region: Option<&str>, name: &str) -> Option<String> {
    let (account, region) = (account?, region?);
    let partition = partition(Some(region));
    Some(format!(
        "arn:{partition}:ecr:{region}:{account}:repository/{name}"
    ))
}
