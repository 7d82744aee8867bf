//! Whether GuardDuty can watch over a resource at all: runtime coverage, and plans of Malware Protection for S3.

use crate::{
    Finding, Kind, Severity, Source, Status,
    aws::{account, adopt, locate, moment, one, partition, resource},
    event::{Decodings, Event},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

/// Decodes `GuardDuty Runtime Protection Healthy` and `… Unhealthy`.
pub(in crate::aws) fn decode_runtime(event: &Event<'_>) -> Decodings {
    one(event, runtime)
}

/// Decodes `GuardDuty Malware Protection Resource Status Active`, `… Warning` and `… Error`.
pub(in crate::aws) fn decode_malware_plan(event: &Event<'_>) -> Decodings {
    one(event, malware_plan)
}

fn runtime(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let status = match fields.word(
        "currentStatus",
        &[
            ("HEALTHY", Status::Healthy),
            ("UNHEALTHY", Status::Unhealthy),
        ],
    ) {
        Ok(Some(status)) => status,
        // The type of the event says the same; the guide's own sample writes `string` into the field.
        Ok(None) | Err(_) => last_word(event),
    };
    let details = fields.require_section("resourceDetails")?;
    let resource_type = details.text("resourceType")?;
    let id = details.require_first_text(&[
        "ec2InstanceDetails.instanceId",
        "eksClusterDetails.clusterName",
        "ecsClusterDetails.clusterName",
    ])?;
    let owner = account(fields, "resourceAccountId")?.or(event.account.map(str::to_owned));
    // Nothing in the event names the coverage: account, region, kind and name of the resource do.
    let key = [owner.as_deref(), event.region, resource_type, Some(id)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("/");
    let title = if status == Status::Healthy {
        format!("GuardDuty Runtime Monitoring covers {id}")
    } else {
        format!("GuardDuty Runtime Monitoring does not cover {id}")
    };
    let mut finding = event.finding(
        Source::Guardduty,
        Kind::Recommendation,
        format!("runtime-coverage/{key}"),
        title,
        severity_of(status),
    );
    finding.finding_type = Some("RuntimeCoverage".to_owned());
    finding.description = fields
        .text("issue")?
        .or(details
            .text("ecsClusterDetails.fargateDetails.issues")
            .ok()
            .flatten())
        .map(str::to_owned);
    finding.status = Some(status);
    locate(&mut finding, owner, event.region);
    finding.resources = vec![resource(id, resource_type)];
    adopt(&mut finding);
    finding.updated = moment::time(fields, "lastUpdatedAt")?.or(event.time);
    finding.last_seen = finding.updated;
    Ok(finding)
}

fn malware_plan(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let status = match fields.word(
        "resourceStatus",
        &[
            ("ACTIVE", Status::Healthy),
            ("WARNING", Status::Unhealthy),
            ("ERROR", Status::Unhealthy),
        ],
    )? {
        Some(status) => status,
        None => last_word(event),
    };
    let bucket = fields.require_text("s3BucketDetails.bucketName")?;
    let plan = event
        .resources
        .iter()
        .find(|arn| arn.contains(":malware-protection-plan/"));
    let id = plan.map_or_else(
        || format!("malware-protection-plan/{bucket}"),
        |plan| (*plan).to_owned(),
    );
    let title = if status == Status::Healthy {
        format!("Malware Protection watches the bucket {bucket}")
    } else {
        format!("Malware Protection of the bucket {bucket} needs attention")
    };
    let mut finding = event.finding(
        Source::Guardduty,
        Kind::Recommendation,
        id,
        title,
        severity_of(status),
    );
    finding.finding_type = Some("MalwareProtectionPlan".to_owned());
    let reasons = fields
        .sections("statusReasons")?
        .iter()
        .map(|reason| reason.text("code"))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ");
    finding.description = Some(reasons).filter(|reasons| !reasons.is_empty());
    finding.status = Some(status);
    let (plan_account, plan_region) = plan
        .and_then(|plan| resource_id::arn(plan))
        .unwrap_or_default();
    let account = event.account.or(plan_account).map(str::to_owned);
    locate(&mut finding, account, event.region.or(plan_region));
    finding.resources = vec![resource(
        &format!("arn:{}:s3:::{bucket}", partition(event.region)),
        Some("S3Bucket"),
    )];
    adopt(&mut finding);
    finding.updated = moment::time(fields, "eventTime")?.or(event.time);
    finding.last_seen = finding.updated;
    Ok(finding)
}

/// The status that the type of an event ends with.
fn last_word(event: &Event<'_>) -> Status {
    let detail_type = event.detail_type.unwrap_or_default();
    let is_good = ["Healthy", "Active"].iter().any(|word| {
        detail_type
            .rsplit(' ')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case(word))
    });
    if is_good {
        Status::Healthy
    } else {
        Status::Unhealthy
    }
}

/// Coverage has no severity at its source: a gap in it is medium, no gap is informational.
fn severity_of(status: Status) -> Severity {
    if status == Status::Healthy {
        Severity::Informational
    } else {
        Severity::Medium
    }
}
