//! AWS Health: issues, planned changes, notices and reports of abuse.

use serde_json::Value;

use crate::{
    Finding, Kind, Resource, Severity, Source, Status,
    event::{Decodings, Event},
    fields::{Fields, member},
    refusal::Refusal,
    resource_id,
};

use super::{account, adopt, locate, moment, one, resource};

const CATEGORIES: &[(&str, Severity)] = &[
    ("issue", Severity::High),
    ("investigation", Severity::Medium),
    ("scheduledChange", Severity::Low),
    ("accountNotification", Severity::Informational),
];

const STATUSES: &[(&str, Status)] = &[
    ("open", Status::New),
    ("upcoming", Status::New),
    ("closed", Status::Resolved),
];

/// Decodes an event as EventBridge sends it, or as `DescribeEvents` and `DescribeEventDetails` return it.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

/// Says whether a bare object is an event of AWS Health.
pub(super) fn is_event(detail: &Value) -> bool {
    let is_plain = |value: &Value| {
        member(value, "eventTypeCode").is_some()
            && ["eventArn", "arn"]
                .iter()
                .any(|name| member(value, name).is_some())
    };
    is_plain(detail) || member(detail, "event").is_some_and(is_plain)
}

fn finding(event: &Event<'_>, outer: &Fields<'_>) -> Result<Finding, Refusal> {
    // The API keeps the event and its description side by side.
    let fields = &outer.section("event")?.unwrap_or_else(|| outer.clone());
    let arn = fields.require_first_text(&["eventArn", "arn"])?;
    let code = fields.require_text("eventTypeCode")?;
    let service = fields.text("service")?;
    let is_abuse = service == Some("ABUSE")
        || code.starts_with("AWS_ABUSE")
        || event.detail_type.is_some_and(|name| name.contains("Abuse"));
    let category = known(fields, "eventTypeCategory", CATEGORIES)?;
    let severity = if is_abuse {
        Severity::High
    } else {
        category.unwrap_or(Severity::Informational)
    };
    let affected = account(fields, "affectedAccount")?;
    // One event may befall many accounts of an organisation, and each hears of it.
    let id = match &affected {
        Some(affected) => format!("{arn}/{affected}"),
        None => arn.to_owned(),
    };
    let mut finding = event.finding(Source::Health, Kind::Alert, id, code, severity);
    finding.finding_type = Some(code.to_owned());
    finding.description = description(fields)?
        .or(description(outer)?)
        .map(str::to_owned);
    finding.status = known(fields, "statusCode", STATUSES)?;
    let (arn_account, arn_region) = resource_id::arn(arn).unwrap_or_default();
    let owner = affected
        .or_else(|| event.account.map(str::to_owned))
        .or_else(|| arn_account.map(str::to_owned));
    // The envelope's region is where the event was delivered.
    let region = fields
        .first_text(&["eventRegion", "region"])?
        .or(arn_region)
        .or(event.region);
    locate(&mut finding, owner, region);
    finding.resources = entities(event, fields)?;
    if finding.resources.is_empty() {
        finding.resources = entities(event, outer)?;
    }
    adopt(&mut finding);
    finding.first_seen = moment::time(fields, "startTime")?;
    finding.last_seen = moment::time(fields, "endTime")?;
    finding.updated = moment::time(fields, "lastUpdatedTime")?.or(event.time);
    Ok(finding)
}

/// A word, if it is known: the service adds categories, and its mock events fill in words of their own.
fn known<T: Copy>(
    fields: &Fields<'_>,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, Refusal> {
    let told = fields.text(name)?;
    Ok(told.and_then(|told| {
        words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(told))
            .map(|(_, meaning)| *meaning)
    }))
}

/// The description in English if there is one, else the first.
fn description<'a>(fields: &Fields<'a>) -> Result<Option<&'a str>, Refusal> {
    let told = match fields.get("eventDescription") {
        Some(Value::String(_)) => return fields.text("eventDescription"),
        Some(Value::Object(_)) => fields.section("eventDescription")?.into_iter().collect(),
        _ => fields.sections("eventDescription")?,
    };
    let mut first = None;
    for text in told {
        let words = text.text("latestDescription")?;
        let is_english = text
            .text("language")?
            .is_some_and(|language| language.starts_with("en"));
        if is_english && words.is_some() {
            return Ok(words);
        }
        first = first.or(words);
    }
    Ok(first)
}

/// What is affected; where no entities are named, what the envelope names.
fn entities(event: &Event<'_>, fields: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut resources: Vec<Resource> = Vec::new();
    for entity in fields.sections("affectedEntities")? {
        let Some(value) = entity.text("entityValue")? else {
            continue;
        };
        if resources.iter().any(|known| known.id == value) {
            continue;
        }
        let mut found = resource(value, None);
        found.account = account(&entity, "awsAccountId")?.or(found.account);
        found.tags = entity.tags("tags")?;
        resources.push(found);
    }
    if resources.is_empty() {
        resources = event
            .resources
            .iter()
            .map(|id| resource(id, None))
            .collect();
    }
    Ok(resources)
}
