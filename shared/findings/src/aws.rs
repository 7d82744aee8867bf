//! The events of AWS, each by the service that sends it.

mod access_analyzer;
pub(crate) mod asff;
mod cloudtrail;
mod config;
mod ecr;
mod guardduty;
mod health;
mod inspector;
mod macie;
mod moment;
mod trusted_advisor;

pub(crate) use moment::time;

use serde_json::{Map, Value};

use crate::{
    Finding, Resource,
    event::{Decoder, Decodings, Event},
    fields::{Fields, member},
    refusal::Refusal,
    resource_id,
};

/// The decoder for an EventBridge envelope, by its `detail-type`; none for an event that is no finding.
///
/// The source hardly matters: replays, mocks and forwarded events carry one of their own. Security Hub's `Findings Imported V2` is OCSF and is taken before this is asked.
pub(crate) fn for_envelope(source: &str, detail_type: &str) -> Option<Decoder> {
    let detail_type = detail_type.trim();
    if detail_type.ends_with("via CloudTrail") {
        return Some(cloudtrail::decode);
    }
    if detail_type.starts_with("GuardDuty Runtime Protection ") {
        return Some(guardduty::coverage::decode_runtime);
    }
    if detail_type.starts_with("GuardDuty Malware Protection Resource Status ") {
        return Some(guardduty::coverage::decode_malware_plan);
    }
    match detail_type {
        "GuardDuty Finding" => Some(guardduty::decode),
        "GuardDuty Malware Protection Object Scan Result" => Some(guardduty::scan::decode),
        "Security Hub Findings - Imported"
        | "Security Hub Findings - Custom Action"
        | "Security Hub Insight Results" => Some(asff::decode),
        "Config Rules Compliance Change" => Some(config::decode),
        "Config Configuration Item Change" => Some(config::refuse_item_change),
        "Inspector2 Finding" => Some(inspector::decode),
        "Inspector2 Scan" => Some(inspector::decode_scan),
        "Inspector2 Coverage" => Some(inspector::refuse_coverage),
        "Macie Finding" => Some(macie::decode),
        "Access Analyzer Finding"
        | "Unused Access Finding for IAM entities"
        | "Internal Access Finding" => Some(access_analyzer::decode),
        "Trusted Advisor Check Item Refresh Notification" => Some(trusted_advisor::decode),
        "AWS Health Event" | "AWS Health Abuse Event" => Some(health::decode),
        "ECR Image Scan" => Some(ecr::decode),
        _ if source == "aws.securityhub" && detail_type.starts_with("Security Hub Findings") => {
            Some(asff::decode)
        }
        _ => None,
    }
}

/// The decoder for a finding without an envelope, by its shape; none where the shape is not one of AWS.
pub(crate) fn for_shape(detail: &Value) -> Option<Decoder> {
    let has = |name: &str| member(detail, name).is_some();
    let all = |names: &[&str]| names.iter().all(|name| has(name));
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    let shapes: [(bool, Decoder); 15] = [
        (cloudtrail::is_record(detail), cloudtrail::decode),
        (asff::is_finding(detail), asff::decode),
        (all(&["insightArn", "insightResults"]), asff::decode),
        (guardduty::is_finding(detail), guardduty::decode),
        (
            all(&["scanResultDetails", "s3ObjectDetails"]),
            guardduty::scan::decode,
        ),
        (
            any(&["configRuleName", "configRuleARN"]) && has("newEvaluationResult"),
            config::decode,
        ),
        (
            has("configurationItem") && has("messageType"),
            config::refuse_item_change,
        ),
        (has("findingArn"), inspector::decode),
        (macie::is_finding(detail), macie::decode),
        (access_analyzer::is_finding(detail), access_analyzer::decode),
        (
            all(&["check-name", "check-item-detail"]),
            trusted_advisor::decode,
        ),
        (health::is_event(detail), health::decode),
        (
            all(&["finding-severity-counts", "repository-name"]),
            ecr::decode,
        ),
        (
            all(&["imageScanFindings", "repositoryName"]),
            ecr::decode_description,
        ),
        (
            member(detail, "arn")
                .and_then(Value::as_str)
                .is_some_and(|arn| arn.contains(":inspector:"))
                && has("assetAttributes"),
            inspector::decode_classic,
        ),
    ];
    shapes
        .into_iter()
        .find(|(fits, _)| *fits)
        .map(|(_, decoder)| decoder)
}

/// Runs a reader over the one finding of an event.
fn one(
    event: &Event<'_>,
    read: fn(&Event<'_>, &Fields<'_>) -> Result<Finding, Refusal>,
) -> Decodings {
    vec![event.fields().and_then(|fields| read(event, &fields))]
}

/// Runs a reader over the findings of a list in an event, or over the event itself where it has no such list.
fn each(
    event: &Event<'_>,
    list: &str,
    read: fn(&Event<'_>, &Fields<'_>) -> Result<Finding, Refusal>,
) -> Decodings {
    let fields = match event.fields() {
        Ok(fields) => fields,
        Err(refusal) => return vec![Err(refusal)],
    };
    match fields.get(list) {
        None => vec![read(event, &fields)],
        Some(Value::Array(elements)) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| {
                let path = fields.path(&format!("{list}[{index}]"));
                read(event, &Fields::object(element, path)?)
            })
            .collect(),
        // Security Hub's guide shows a lone finding where the list belongs.
        Some(element) => vec![
            Fields::object(element, fields.path(list)).and_then(|finding| read(event, &finding)),
        ],
    }
}

/// Says whose a finding is, and where.
fn locate(finding: &mut Finding, account: Option<String>, region: Option<&str>) {
    finding.scope = account.as_ref().map(|account| format!("aws:{account}"));
    finding.account = account;
    finding.region = region.map(str::to_owned);
}

/// Gives the finding's account to those of its resources that do not tell their own.
fn adopt(finding: &mut Finding) {
    for resource in &mut finding.resources {
        if resource.account.is_none() {
            resource.account.clone_from(&finding.account);
        }
    }
}

/// An account id, with the leading zeros that it loses where a sender leaves it unquoted.
fn account(fields: &Fields<'_>, name: &str) -> Result<Option<String>, Refusal> {
    let account = fields.label(name)?;
    Ok(match fields.get(name) {
        Some(Value::Number(_)) => account.map(|account| format!("{account:0>12}")),
        _ => account,
    })
}

/// A resource; account, region and name are what its ARN says, if it is one.
fn resource(id: &str, resource_type: Option<&str>) -> Resource {
    let arn = resource_id::arn(id);
    let (account, region) = arn.unwrap_or_default();
    Resource {
        id: id.to_owned(),
        resource_type: resource_type.map(str::to_owned),
        name: arn.map(|_| resource_id::last_part(id).to_owned()),
        account: account.map(str::to_owned),
        region: region.map(str::to_owned),
        tags: Map::new(),
    }
}

/// The name that people give a resource in its tags.
fn tagged_name(tags: &Map<String, Value>) -> Option<String> {
    tags.get("Name")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The partition of a region, which ARNs begin with.
fn partition(region: Option<&str>) -> &'static str {
    match region {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
