//! Google Security Command Center: its notifications, with or without their envelope, and what its API lists.

use serde_json::Value;

use crate::{
    Compliance, Finding, Kind, Link, Remediation, Resource, Severity, Source, Status,
    event::{Decoder, Decodings, Event, is_sample_title},
    fields::{Fields, member},
    refusal::Refusal,
    resource_id, severity,
};

const SEVERITIES: &[(&str, Option<Severity>)] = &[
    ("CRITICAL", Some(Severity::Critical)),
    ("HIGH", Some(Severity::High)),
    ("MEDIUM", Some(Severity::Medium)),
    ("LOW", Some(Severity::Low)),
    ("SEVERITY_UNSPECIFIED", None),
];

/// `findingClass`, as the API lists it, and the kind each is.
const CLASSES: &[(&str, Option<Kind>)] = &[
    ("THREAT", Some(Kind::Alert)),
    ("OBSERVATION", Some(Kind::Alert)),
    ("VULNERABILITY", Some(Kind::Recommendation)),
    ("MISCONFIGURATION", Some(Kind::Recommendation)),
    ("POSTURE_VIOLATION", Some(Kind::Recommendation)),
    ("TOXIC_COMBINATION", Some(Kind::Recommendation)),
    ("CHOKEPOINT", Some(Kind::Recommendation)),
    ("SENSITIVE_DATA_RISK", Some(Kind::Recommendation)),
    ("EXTERNAL_EXPOSURE", Some(Kind::Recommendation)),
    ("SECRET", Some(Kind::Recommendation)),
    ("SCC_ERROR", Some(Kind::Recommendation)),
    ("FINDING_CLASS_UNSPECIFIED", None),
];

/// Known by a `finding` with a name and a category, or by being one.
pub(crate) fn for_shape(value: &Value) -> Option<Decoder> {
    match member(value, "finding") {
        Some(finding @ Value::Object(_)) => looks_like_finding(finding),
        Some(_) => false,
        None => looks_like_finding(value),
    }
    .then_some(decode)
}

fn looks_like_finding(value: &Value) -> bool {
    let text = |name| member(value, name).and_then(Value::as_str);
    let is_named = ["name", "canonicalName", "canonical_name"]
        .iter()
        .any(|name| text(name).is_some_and(|name| name.contains("/findings/")));
    let has = |name| member(value, name).is_some();
    is_named || has("category") && has("state") && (has("resourceName") || has("sourceProperties"))
}

fn decode(event: &Event<'_>) -> Decodings {
    let decoded = event
        .fields()
        .and_then(|fields| one(event, &fields))
        .map_err(|refusal| refusal.with_source(Source::Scc.as_str()));
    vec![decoded]
}

fn one(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let own = fields.section("finding")?;
    let finding_fields = own.as_ref().unwrap_or(fields);
    let resource = match fields.section("resource")? {
        Some(resource) => Some(resource),
        None => finding_fields.section("resource")?,
    };
    let kind = kind(finding_fields)?;
    let name = finding_fields.require_first_text(&["name", "canonicalName", "canonical_name"])?;
    let category = finding_fields.require_text("category")?;
    let mut finding = event.finding(
        Source::Scc,
        kind,
        name,
        category,
        read_severity(finding_fields)?,
    );
    finding.finding_type = Some(category.to_owned());
    let description = match finding_fields.text("description")? {
        Some(text) => Some(text),
        None => property(finding_fields, &["Explanation", "explanation"])?,
    };
    finding.description = description.map(str::to_owned);
    finding.status = status(finding_fields, kind)?;
    locate(&mut finding, finding_fields, resource.as_ref())?;
    finding.compliance = compliance(finding_fields)?;
    let event_time = finding_fields.first_time(&["eventTime", "event_time"])?;
    let mute_time = finding_fields.first_time(&["muteUpdateTime", "mute_update_time"])?;
    finding.first_seen = finding_fields.first_time(&["createTime", "create_time"])?;
    finding.last_seen = event_time;
    finding.updated = event_time.max(mute_time);
    let advice = match finding_fields.first_text(&["nextSteps", "next_steps"])? {
        Some(text) => Some(text),
        None => property(finding_fields, &["Recommendation", "recommendation"])?,
    };
    finding.remediation = advice.map(|text| Remediation {
        text: Some(text.to_owned()),
        url: None,
    });
    let address = finding_fields.first_text(&["externalUri", "external_uri"])?;
    finding.links.extend(
        address
            .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
            .map(|url| Link {
                title: "Finding at its source".to_owned(),
                url: url.to_owned(),
            }),
    );
    finding.sample = is_sample_title(category);
    Ok(finding)
}

/// By its class; older findings have none, and are threats where a detector rather than a scanner made them.
fn kind(finding: &Fields<'_>) -> Result<Kind, Refusal> {
    for name in ["findingClass", "finding_class"] {
        if let Some(Some(kind)) = finding.word(name, CLASSES)? {
            return Ok(kind);
        }
    }
    let detected = [
        "detectionCategory",
        "detectionCategory_ruleName",
        "detectionPriority",
    ]
    .iter()
    .any(|name| {
        finding.has(&format!("sourceProperties.{name}"))
            || finding.has(&format!("source_properties.{name}"))
    });
    Ok(if detected {
        Kind::Alert
    } else {
        Kind::Recommendation
    })
}

fn read_severity(finding: &Fields<'_>) -> Result<Severity, Refusal> {
    if let Some(Some(severity)) = finding.word("severity", SEVERITIES)? {
        return Ok(severity);
    }
    for properties in ["sourceProperties", "source_properties"] {
        for name in ["SeverityLevel", "severity_level", "detectionPriority"] {
            let name = format!("{properties}.{name}");
            if let Some(severity) = finding.word(&name, severity::WORDS)? {
                return Ok(severity);
            }
        }
    }
    Ok(Severity::Medium)
}

fn status(finding: &Fields<'_>, kind: Kind) -> Result<Option<Status>, Refusal> {
    let muted = finding
        .word(
            "mute",
            &[
                ("MUTED", true),
                ("UNMUTED", false),
                ("UNDEFINED", false),
                ("MUTE_UNSPECIFIED", false),
            ],
        )?
        .unwrap_or(false);
    let active = finding
        .word(
            "state",
            &[
                ("ACTIVE", Some(true)),
                ("INACTIVE", Some(false)),
                ("STATE_UNSPECIFIED", None),
            ],
        )?
        .flatten();
    Ok(match (active, kind) {
        (Some(true) | None, _) if muted => Some(Status::Suppressed),
        (Some(true), Kind::Alert) => Some(Status::New),
        (Some(false), Kind::Alert) => Some(Status::Resolved),
        (Some(true), _) => Some(Status::Unhealthy),
        (Some(false), _) => Some(Status::Healthy),
        (None, _) => None,
    })
}

/// Account, region, scope and resource.
fn locate(
    finding: &mut Finding,
    fields: &Fields<'_>,
    resource: Option<&Fields<'_>>,
) -> Result<(), Refusal> {
    let of_resource = |names: &[&str]| match resource {
        Some(resource) => resource.first_text(names),
        None => Ok(None),
    };
    let own_name = of_resource(&["name"])?;
    let resource_name = fields
        .first_text(&["resourceName", "resource_name"])?
        .or(own_name);
    let cloud = of_resource(&["cloudProvider", "cloud_provider"])?.unwrap_or_default();
    if cloud.eq_ignore_ascii_case("AMAZON_WEB_SERVICES") {
        let account = of_resource(&["awsMetadata.account.id", "aws_metadata.account.id"])?;
        finding.account = account.map(str::to_owned);
        finding.scope = account.map(|account| format!("aws:{account}"));
    } else if cloud.eq_ignore_ascii_case("MICROSOFT_AZURE") {
        let subscription = of_resource(&[
            "azureMetadata.subscription.id",
            "azure_metadata.subscription.id",
        ])?;
        finding.account = subscription.map(str::to_owned);
        finding.scope = subscription.map(|id| format!("azure:/subscriptions/{id}"));
    } else if let Some(project) = project(fields, resource_name, &of_resource)? {
        finding.scope = Some(format!("gcp:projects/{project}"));
        finding.account = Some(project);
    }
    finding.region = match of_resource(&["location"])? {
        Some(location) => Some(location.to_owned()),
        None => resource_name.and_then(location).map(str::to_owned),
    };
    if let Some(id) = resource_name {
        let name = of_resource(&["displayName", "display_name"])?;
        let kind = of_resource(&["type"])?;
        finding.resources.push(Resource {
            id: id.to_owned(),
            resource_type: kind.map(str::to_owned),
            name: name
                .or_else(|| Some(resource_id::last_part(id)))
                .map(str::to_owned),
            account: finding.account.clone(),
            region: finding.region.clone(),
            ..Resource::default()
        });
    }
    Ok(())
}

/// The project's id where it is said anywhere, else its number.
fn project<'a>(
    fields: &Fields<'a>,
    resource_name: Option<&str>,
    of_resource: &impl Fn(&[&str]) -> Result<Option<&'a str>, Refusal>,
) -> Result<Option<String>, Refusal> {
    let told = property(
        fields,
        &[
            "ProjectId",
            "project_id",
            "properties.project_id",
            "properties.projectId",
            "properties_project_id",
            "properties.network.project",
        ],
    )?;
    let in_name = resource_name.and_then(|name| resource_id::part_after(name, "projects"));
    let is_number = |id: &str| id.bytes().all(|byte| byte.is_ascii_digit());
    let shown = of_resource(&[
        "gcpMetadata.projectDisplayName",
        "gcp_metadata.project_display_name",
        "projectDisplayName",
        "project_display_name",
    ])?;
    let number = of_resource(&[
        "gcpMetadata.project",
        "gcp_metadata.project",
        "project",
        "projectName",
        "project_name",
    ])?
    .and_then(|name| resource_id::part_after(name, "projects"));
    let owner = fields
        .first_text(&["canonicalName", "canonical_name", "name"])?
        .and_then(|name| resource_id::part_after(name, "projects"));
    Ok(told
        .or(in_name.filter(|id| !is_number(id)))
        .or(shown)
        .or(in_name)
        .or(number)
        .or(owner)
        .map(str::to_owned))
}

fn location(name: &str) -> Option<&str> {
    ["locations", "regions", "zones"]
        .iter()
        .find_map(|kind| resource_id::part_after(name, kind))
        .or_else(|| name.contains("/global/").then_some("global"))
}

fn compliance(finding: &Fields<'_>) -> Result<Option<Compliance>, Refusal> {
    let Some(first) = finding.sections("compliances")?.into_iter().next() else {
        return Ok(None);
    };
    let standard = match (first.text("standard")?, first.text("version")?) {
        (Some(standard), Some(version)) => Some(format!("{standard} {version}")),
        (standard, _) => standard.map(str::to_owned),
    };
    let control = first.texts("ids")?.first().map(|id| (*id).to_owned());
    Ok((standard.is_some() || control.is_some()).then_some(Compliance { standard, control }))
}

/// A text among the source's own properties.
fn property<'a>(finding: &Fields<'a>, names: &[&str]) -> Result<Option<&'a str>, Refusal> {
    for properties in ["sourceProperties", "source_properties"] {
        for name in names {
            if let Some(text) = finding.text(&format!("{properties}.{name}"))? {
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}
