//! CloudTrail: calls of the AWS APIs, and people who sign in.

use serde_json::Value;

use crate::{
    Finding, Kind, Resource, Severity, Source,
    event::{Decodings, Event},
    fields::{Fields, member},
    refusal::Refusal,
};

use super::{account, locate, moment, one, partition, resource};

/// How deep and how many ARNs are gathered from what a call was given and gave back.
const DEPTH: usize = 4;
const ARNS: usize = 20;

/// Names in `requestParameters` that identify what a call is about, and the type of that.
const NAMES: &[(&str, &str)] = &[
    ("bucketName", "AWS::S3::Bucket"),
    ("instanceId", "AWS::EC2::Instance"),
    ("imageId", "AWS::EC2::Image"),
    ("volumeId", "AWS::EC2::Volume"),
    ("snapshotId", "AWS::EC2::Snapshot"),
    ("groupId", "AWS::EC2::SecurityGroup"),
    ("vpcId", "AWS::EC2::VPC"),
    ("subnetId", "AWS::EC2::Subnet"),
    ("userName", "AWS::IAM::User"),
    ("roleName", "AWS::IAM::Role"),
    ("groupName", "AWS::IAM::Group"),
    ("instanceProfileName", "AWS::IAM::InstanceProfile"),
    ("functionName", "AWS::Lambda::Function"),
    ("keyId", "AWS::KMS::Key"),
    ("secretId", "AWS::SecretsManager::Secret"),
    ("dBInstanceIdentifier", "AWS::RDS::DBInstance"),
    ("dBClusterIdentifier", "AWS::RDS::DBCluster"),
    ("dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"),
    ("tableName", "AWS::DynamoDB::Table"),
    ("queueUrl", "AWS::SQS::Queue"),
    ("stackName", "AWS::CloudFormation::Stack"),
    ("hostedZoneId", "AWS::Route53::HostedZone"),
    (
        "loadBalancerName",
        "AWS::ElasticLoadBalancing::LoadBalancer",
    ),
    ("autoScalingGroupName", "AWS::AutoScaling::AutoScalingGroup"),
    ("clusterIdentifier", "AWS::Redshift::Cluster"),
    ("cacheClusterId", "AWS::ElastiCache::CacheCluster"),
    ("fileSystemId", "AWS::EFS::FileSystem"),
    ("repositoryName", "AWS::ECR::Repository"),
    ("logGroupName", "AWS::Logs::LogGroup"),
    ("domainName", "domain"),
];

/// Decodes a record, in or out of an envelope; a log file's `Records` are unpacked before.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

/// Says whether a bare object is a record: its services have addresses, while notifications of the same shape come from `aws:s3`
/// and the like.
pub(super) fn is_record(detail: &Value) -> bool {
    let has = |name| member(detail, name).is_some();
    has("eventName")
        && match member(detail, "eventSource") {
            Some(Value::String(service)) => !service.starts_with("aws:"),
            Some(_) => true,
            None => has("recipientAccountId"),
        }
        && ["eventVersion", "eventID", "userIdentity", "eventTime"]
            .iter()
            .any(|name| has(name))
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let name = fields.require_first_text(&["eventName", "insightDetails.eventName"])?;
    let service = fields.require_first_text(&["eventSource", "insightDetails.eventSource"])?;
    let time = moment::time(fields, "eventTime")?.or(event.time);
    let id = match fields.first_text(&["eventID", "sharedEventID", "requestID"])? {
        Some(id) => id.to_owned(),
        None => match (event.id, time) {
            (Some(id), _) => id.to_owned(),
            // A record whose ids were blacked out: what happened where and when is all there is to tell it by.
            (None, Some(time)) => format!("{service}/{name}/{time}"),
            (None, None) => fields.require_text("eventID")?.to_owned(),
        },
    };
    let mut finding = event.finding(
        Source::Cloudtrail,
        Kind::Alert,
        id,
        name,
        Severity::Informational,
    );
    finding.finding_type = Some(format!("{service}/{name}"));
    finding.description = Some(description(fields, service, name)?);
    let owner = match account(fields, "recipientAccountId")? {
        Some(owner) => Some(owner),
        None => account(fields, "userIdentity.accountId")?,
    };
    locate(
        &mut finding,
        owner.or_else(|| event.account.map(str::to_owned)),
        fields.text("awsRegion")?.or(event.region),
    );
    finding.resources = resources(fields, &finding)?;
    finding.first_seen = time;
    finding.last_seen = time;
    finding.updated = time;
    Ok(finding)
}

/// One sentence: who did what from where, and how it failed if it did.
fn description(fields: &Fields<'_>, service: &str, name: &str) -> Result<String, Refusal> {
    let mut text = format!("{name} of {service}");
    if let Some(who) = fields.first_text(&[
        "userIdentity.arn",
        "userIdentity.userName",
        "userIdentity.invokedBy",
        "userIdentity.principalId",
        "userIdentity.type",
    ])? {
        text.push_str(&format!(" by {who}"));
    }
    if let Some(place) = fields.text("sourceIPAddress")? {
        text.push_str(&format!(" from {place}"));
    }
    let outcome = fields.text("errorCode")?.or(member(
        fields.get("responseElements").unwrap_or(&Value::Null),
        "ConsoleLogin",
    )
    .and_then(Value::as_str));
    if let Some(outcome) = outcome {
        text.push_str(&format!(": {outcome}"));
    }
    if let Some(message) = fields.text("errorMessage")? {
        text.push_str(&format!(" ({message})"));
    }
    Ok(text)
}

/// What the call is about: the resources that the record lists, what it was told to act on, and ARNs that it names.
///
/// Where there is none of these, the one id or name among its parameters; of a sign-in, the identity.
fn resources(fields: &Fields<'_>, finding: &Finding) -> Result<Vec<Resource>, Refusal> {
    let mut resources: Vec<Resource> = Vec::new();
    let mut add = |mut found: Resource| {
        if resources.iter().any(|known| known.id == found.id) {
            return;
        }
        if found.account.is_none() {
            found.account.clone_from(&finding.account);
        }
        resources.push(found);
    };
    if matches!(fields.get("resources"), Some(Value::Array(_))) {
        for listed in fields.sections("resources")? {
            if let Some(arn) = listed.text("ARN")? {
                let mut found = resource(arn, listed.text("type")?);
                found.account = account(&listed, "accountId")?.or(found.account);
                add(found);
            }
        }
    }
    let parameters = fields.get("requestParameters");
    let response = fields.get("responseElements");
    for (name, resource_type) in NAMES {
        let told = parameters
            .and_then(|parameters| member(parameters, name))
            .and_then(Value::as_str)
            .map(str::trim);
        if let Some(id) = told.filter(|id| !id.is_empty()) {
            if *name == "bucketName" {
                let arn = format!("arn:{}:s3:::{id}", partition(finding.region.as_deref()));
                add(resource(&arn, Some(resource_type)));
            } else {
                add(resource(id, Some(resource_type)));
            }
        }
    }
    for part in [parameters, response].into_iter().flatten() {
        for id in instances(part) {
            add(resource(id, Some("AWS::EC2::Instance")));
        }
        let mut arns = Vec::new();
        gather(part, DEPTH, &mut arns);
        for arn in arns {
            add(resource(arn, None));
        }
    }
    if resources.is_empty() {
        if let Some(id) = parameters.and_then(only_name) {
            resources.push(resource(id, None));
        } else if fields.text("eventSource")? == Some("signin.amazonaws.com")
            && let Some(who) = fields.first_text(&[
                "userIdentity.arn",
                "userIdentity.userName",
                "userIdentity.principalId",
            ])?
        {
            resources.push(resource(who, fields.text("userIdentity.type")?));
        }
    }
    Ok(resources)
}

/// The one parameter that is an id or a name, if there is just one: which service calls it what is past listing.
fn only_name(parameters: &Value) -> Option<&str> {
    let mut named = parameters
        .as_object()?
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            ["id", "name", "identifier"]
                .iter()
                .any(|end| name.ends_with(end))
        })
        .filter_map(|(_, value)| value.as_str())
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let id = named.next()?;
    named.next().is_none().then_some(id)
}

/// The instances of `instancesSet`, as EC2 lists those it was given or has started.
fn instances(part: &Value) -> Vec<&str> {
    member(part, "instancesSet")
        .and_then(|set| member(set, "items"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| member(item, "instanceId")?.as_str())
        .collect()
}

/// ARNs below names that end in `arn`, in the order of the payload.
fn gather<'a>(part: &'a Value, depth: usize, arns: &mut Vec<&'a str>) {
    if depth == 0 || arns.len() >= ARNS {
        return;
    }
    match part {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text)
                        if name.to_ascii_lowercase().ends_with("arn")
                            && text.starts_with("arn:")
                            && arns.len() < ARNS =>
                    {
                        arns.push(text);
                    }
                    _ => gather(value, depth - 1, arns),
                }
            }
        }
        Value::Array(elements) => {
            for element in elements.iter().take(ARNS) {
                gather(element, depth - 1, arns);
            }
        }
        _ => {}
    }
}
