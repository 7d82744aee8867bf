//! Macie: sensitive data in buckets, and buckets whose policies expose them.

use serde_json::Value;

use crate::{
    Finding, Kind, Resource, Severity, Source, Status,
    event::{Decodings, Event, is_sample_title},
    fields::{Fields, member},
    refusal::Refusal,
    severity,
};

use super::{account, each, locate, moment, resource};

/// Decodes a finding, in or out of an envelope.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    each(event, "findings", finding)
}

/// Says whether a bare object is a finding of Macie.
pub(super) fn is_finding(detail: &Value) -> bool {
    let has = |name| member(detail, name).is_some();
    has("resourcesAffected")
        || has("category") && (has("classificationDetails") || has("policyDetails"))
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_text("id")?;
    let finding_type = fields.text("type")?;
    let title = match fields.text("title")?.or(finding_type) {
        Some(title) => title,
        None => fields.require_text("title")?,
    };
    let mut finding = event.finding(Source::Macie, Kind::Alert, id, title, severity_of(fields)?);
    finding.finding_type = finding_type.map(str::to_owned);
    finding.description = fields.text("description")?.map(str::to_owned);
    locate(
        &mut finding,
        account(fields, "accountId")?.or_else(|| event.account.map(str::to_owned)),
        fields.text("region")?.or(event.region),
    );
    finding.status = fields.boolean("archived")?.map(|archived| {
        if archived {
            Status::Dismissed
        } else {
            Status::New
        }
    });
    finding.resources = resources(fields, &finding)?;
    finding.first_seen = moment::time(fields, "createdAt")?;
    finding.updated = moment::time(fields, "updatedAt")?;
    finding.last_seen = finding.updated;
    finding.sample = is_sample_title(title) || fields.boolean("sample")? == Some(true);
    Ok(finding)
}

/// The word, else the score from 1 to 3.
fn severity_of(fields: &Fields<'_>) -> Result<Severity, Refusal> {
    let told = match fields.get("severity") {
        Some(Value::String(word)) if severity::of_word(word).is_some() => {
            return Ok(severity::of_word(word).unwrap_or(Severity::Medium));
        }
        _ => fields.require_section("severity")?,
    };
    if let Some(word) = told.word("description", severity::WORDS)? {
        return Ok(word);
    }
    match told.integer("score")? {
        Some(1) => Ok(Severity::Low),
        Some(2) => Ok(Severity::Medium),
        Some(3) => Ok(Severity::High),
        Some(other) => Err(told.refuse("score", format!("`{other}` is not within 1 to 3"))),
        None => Err(told.refuse("description", "a text is required, and there is none")),
    }
}

fn resources(fields: &Fields<'_>, finding: &Finding) -> Result<Vec<Resource>, Refusal> {
    let mut resources = Vec::new();
    let mut add = |mut found: Resource| {
        found.account.clone_from(&finding.account);
        found.region.clone_from(&finding.region);
        resources.push(found);
    };
    if let Some(bucket) = fields.section("resourcesAffected.s3Bucket")?
        && let Some(id) = bucket.first_text(&["arn", "name"])?
    {
        let mut found = resource(id, Some("S3Bucket"));
        found.name = bucket.text("name")?.map(str::to_owned).or(found.name);
        found.tags = bucket.tags("tags")?;
        add(found);
    }
    if let Some(object) = fields.section("resourcesAffected.s3Object")? {
        let key = object.text("key")?;
        let arn = match (object.text("bucketArn")?, key) {
            (Some(bucket), Some(key)) => Some(format!("{bucket}/{key}")),
            _ => None,
        };
        let path = object.text("path")?.or(key).map(str::to_owned);
        if let Some(id) = arn.or(path) {
            let mut found = resource(&id, Some("S3Object"));
            found.name = key.map(str::to_owned);
            found.tags = object.tags("tags")?;
            add(found);
        }
    }
    Ok(resources)
}
