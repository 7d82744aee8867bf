//! IAM Access Analyzer: access from outside, access from within that matters, and access that nobody uses.

use serde_json::Value;

use crate::{
    Finding, Kind, Severity, Source, Status,
    event::{Decodings, Event},
    fields::{Fields, member, scalar},
    refusal::Refusal,
    resource_id,
};

use super::{account, locate, moment, one, resource};

const STATUSES: &[(&str, Status)] = &[
    ("ACTIVE", Status::Unhealthy),
    ("ARCHIVED", Status::Suppressed),
    ("RESOLVED", Status::Healthy),
];

/// Decodes a finding: of any of the three events, or as the API returns it.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

/// Says whether a bare object is a finding of Access Analyzer.
pub(super) fn is_finding(detail: &Value) -> bool {
    let has = |name| member(detail, name).is_some();
    has("resource")
        && (has("id") || has("findingId"))
        && (has("analyzedAt") || has("isPublic") || has("findingDetails"))
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    External,
    Internal,
    Unused,
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let id = fields.require_first_text(&["id", "findingId"])?;
    let target = fields.require_text("resource")?;
    let resource_type = fields.text("resourceType")?;
    let finding_type = fields.text("findingType")?;
    let access = match (finding_type, event.detail_type) {
        (Some(word), _) if word.starts_with("Unused") => Access::Unused,
        (Some(word), _) if word.starts_with("Internal") => Access::Internal,
        (None, Some(word)) if word.starts_with("Unused") => Access::Unused,
        (None, Some(word)) if word.starts_with("Internal") => Access::Internal,
        _ => Access::External,
    };
    let granted = granted(fields)?;
    let is_public = granted.boolean("isPublic")? == Some(true);
    let principal = principal(&granted);
    let error = fields.text("error")?;
    let name = resource_id::last_part(target);
    let title = match (error, access) {
        (Some(error), _) => format!("Access Analyzer cannot analyze {name}: {error}"),
        (None, Access::External) if is_public => format!("{name} allows public access"),
        (None, Access::External) => match &principal {
            Some(principal) => format!("{name} allows access to {principal}"),
            None => format!("{name} allows access from outside"),
        },
        (None, Access::Internal) => match &principal {
            Some(principal) => format!("{name} can be accessed from within by {principal}"),
            None => format!("{name} can be accessed from within"),
        },
        (None, Access::Unused) => format!("{name} has {}", unused(finding_type)),
    };
    // Security Hub labels what Access Analyzer sends it the same way; its events carry no severity.
    let severity = match access {
        Access::External if is_public => Severity::High,
        _ => Severity::Low,
    };
    let mut finding = event.finding(
        Source::AccessAnalyzer,
        Kind::Recommendation,
        id,
        title,
        severity,
    );
    finding.finding_type = Some(match (finding_type, access) {
        (Some(word), _) => word.to_owned(),
        (None, Access::External) => "ExternalAccess".to_owned(),
        (None, Access::Internal) => "InternalAccess".to_owned(),
        (None, Access::Unused) => "UnusedAccess".to_owned(),
    });
    let actions = granted.texts("action")?;
    finding.description =
        (!actions.is_empty()).then(|| format!("Allowed actions: {}", actions.join(", ")));
    finding.status = fields.word("status", STATUSES)?;
    // A finding that still stood when its analyzer was deleted is followed up by nobody.
    if fields.boolean("isDeleted")? == Some(true) && finding.status == Some(Status::Unhealthy) {
        finding.status = Some(Status::NotApplicable);
    }
    let mut found = resource(target, resource_type);
    let owner = match account(fields, "accountId")? {
        Some(owner) => Some(owner),
        None => account(fields, "resourceOwnerAccount")?,
    }
    .or_else(|| found.account.clone())
    .or_else(|| event.account.map(str::to_owned));
    let region = fields
        .text("region")?
        .map(str::to_owned)
        .or_else(|| found.region.clone())
        .or_else(|| event.region.map(str::to_owned));
    if found.account.is_none() {
        found.account.clone_from(&owner);
    }
    finding.resources = vec![found];
    locate(&mut finding, owner, region.as_deref());
    finding.first_seen = moment::time(fields, "createdAt")?;
    finding.last_seen = moment::time(fields, "analyzedAt")?;
    finding.updated = moment::first_time(fields, &["updatedAt", "analyzedAt"])?;
    Ok(finding)
}

/// Where it is told who may do what: the finding itself, or the details that the newer API keeps apart.
fn granted<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, Refusal> {
    for details in fields.sections("findingDetails")? {
        for name in ["externalAccessDetails", "internalAccessDetails"] {
            if let Some(told) = details.section(name)? {
                return Ok(told);
            }
        }
    }
    Ok(fields.clone())
}

/// Who has access, such as `999988887777` of `{"AWS": "999988887777"}`.
fn principal(granted: &Fields<'_>) -> Option<String> {
    let (kind, who) = granted.get("principal")?.as_object()?.iter().next()?;
    let who = scalar(who).filter(|who| !who.is_empty())?;
    Some(match kind.as_str() {
        "AWS" => who,
        kind => format!("{kind} {who}"),
    })
}

fn unused(finding_type: Option<&str>) -> &'static str {
    match finding_type {
        Some("UnusedIAMRole") => "not been used for long",
        Some("UnusedPermission") => "permissions that are not used",
        Some("UnusedIAMUserAccessKey") => "an access key that is not used",
        Some("UnusedIAMUserPassword") => "a password that is not used",
        _ => "access that is not used",
    }
}
