//! Malware Protection for S3: the result of scanning one object.

use crate::{
    Finding, Kind, Severity, Source, Status,
    aws::{adopt, locate, one, partition, resource},
    event::{Decodings, Event},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

/// Decodes a scan result that found a threat; any other is no finding and is refused with what it says.
pub(in crate::aws) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let verdict = fields.require_text("scanResultDetails.scanResultStatus")?;
    if !["THREATS_FOUND", "THREAT_FOUND"]
        .iter()
        .any(|found| found.eq_ignore_ascii_case(verdict))
    {
        return Err(fields.refuse(
            "scanResultDetails.scanResultStatus",
            format!("the scan found no threat (`{verdict}`), so there is no finding"),
        ));
    }
    let object = fields.require_section("s3ObjectDetails")?;
    let bucket = object.require_text("bucketName")?;
    let key = object.require_text("objectKey")?;
    let version = object.text("versionId")?;
    let threats = fields
        .sections("scanResultDetails.threats")?
        .iter()
        .map(|threat| threat.text("name"))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ");

    // An object ARN and its version: a scan has no id of its own, and each version is scanned once.
    let arn = format!("arn:{}:s3:::{bucket}/{key}", partition(event.region));
    let id = match version {
        Some(version) => format!("{arn}?versionId={version}"),
        None => arn.clone(),
    };
    let title = format!("Malware was found in the S3 object {bucket}/{key}");
    // GuardDuty gives its own finding about this, `Object:S3/MaliciousFile`, the severity high.
    let mut finding = event.finding(Source::Guardduty, Kind::Alert, id, title, Severity::High);
    finding.finding_type = Some("Object:S3/MaliciousFile".to_owned());
    finding.description = Some(threats)
        .filter(|names| !names.is_empty())
        .map(|names| format!("Threats: {names}"));
    finding.status = Some(Status::New);
    let plan = event
        .resources
        .iter()
        .find_map(|plan| resource_id::arn(plan));
    let (account, region) = plan.unwrap_or_default();
    let account = event.account.or(account);
    locate(
        &mut finding,
        account.map(str::to_owned),
        event.region.or(region),
    );
    let mut found = resource(&arn, Some("S3Object"));
    found.name = Some(key.to_owned());
    finding.resources = vec![
        found,
        resource(
            &format!("arn:{}:s3:::{bucket}", partition(event.region)),
            Some("S3Bucket"),
        ),
    ];
    adopt(&mut finding);
    finding.first_seen = event.time;
    finding.last_seen = event.time;
    finding.updated = event.time;
    Ok(finding)
}
