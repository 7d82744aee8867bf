//! The resources that a GuardDuty finding is about: one section for each kind of them.

use serde_json::Value;

use crate::{
    Resource,
    aws::{resource, tagged_name},
    fields::Fields,
    refusal::Refusal,
};

/// Where a kind of resource is told of, and by which names.
struct Section {
    /// Dotted name below `resource`: an object or a list of them.
    name: &'static str,
    /// What `resourceType` says where this is the main resource; the first is the type that is given to it elsewhere.
    types: &'static [&'static str],
    /// Names of its identifier, the best first: the ARN where the payload has it, else the id as GuardDuty gives it.
    ids: &'static [&'static str],
    /// Names of its name for people.
    names: &'static [&'static str],
}

const SECTIONS: &[Section] = &[
    Section {
        name: "instanceDetails",
        types: &["Instance"],
        ids: &["instanceId"],
        names: &[],
    },
    Section {
        name: "accessKeyDetails",
        types: &["AccessKey"],
        ids: &["accessKeyId", "principalId", "userName"],
        names: &["userName"],
    },
    Section {
        name: "s3BucketDetails",
        types: &["S3Bucket", "S3Object"],
        ids: &["arn", "name"],
        names: &["name"],
    },
    Section {
        name: "eksClusterDetails",
        types: &["EKSCluster", "KubernetesCluster"],
        ids: &["arn", "name"],
        names: &["name"],
    },
    Section {
        name: "kubernetesDetails.kubernetesWorkloadDetails",
        types: &["KubernetesWorkload"],
        ids: &["uid", "name"],
        names: &["name"],
    },
    Section {
        name: "ecsClusterDetails",
        types: &["ECSCluster"],
        ids: &["arn", "name"],
        names: &["name"],
    },
    Section {
        name: "containerDetails",
        types: &["Container"],
        ids: &["id", "name"],
        names: &["name"],
    },
    Section {
        name: "lambdaDetails",
        types: &["Lambda"],
        ids: &["functionArn", "functionName"],
        names: &["functionName"],
    },
    Section {
        name: "rdsDbInstanceDetails",
        types: &["RDSDBInstance"],
        ids: &["dbInstanceArn", "dbInstanceIdentifier"],
        names: &["dbInstanceIdentifier"],
    },
    Section {
        name: "rdsLimitlessDbDetails",
        types: &["RDSLimitlessDB"],
        ids: &["dbShardGroupArn", "dbShardGroupIdentifier"],
        names: &["dbShardGroupIdentifier"],
    },
    Section {
        name: "ebsVolumeDetails.scannedVolumeDetails",
        types: &["EBSVolume"],
        ids: &["volumeArn"],
        names: &[],
    },
    Section {
        name: "ebsSnapshotDetails",
        types: &["EBSSnapshot"],
        ids: &["snapshotArn"],
        names: &[],
    },
    Section {
        name: "ec2ImageDetails",
        types: &["EC2Image"],
        ids: &["imageArn"],
        names: &[],
    },
    Section {
        name: "recoveryPointDetails",
        types: &["BackupRecoveryPoint"],
        ids: &["recoveryPointArn"],
        names: &[],
    },
];

/// Reads all resources, the one that `resourceType` names first; of an attack sequence, those it went through.
pub(super) fn read(finding: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut resources = Vec::new();
    if let Some(told) = finding.section("resource")? {
        let main = told.text("resourceType")?;
        for section in SECTIONS {
            let is_main = main.is_some_and(|main| {
                section
                    .types
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(main))
            });
            let resource_type = if is_main {
                main
            } else {
                section.types.first().copied()
            };
            for fields in objects(&told, section.name)? {
                if let Some(found) = described(&fields, section, resource_type)? {
                    resources.push((is_main, found));
                }
                for object in objects(&fields, "s3ObjectDetails")? {
                    if let Some(arn) = object.text("objectArn")? {
                        resources.push((main == Some("S3Object"), resource(arn, Some("S3Object"))));
                    }
                }
            }
        }
    }
    resources.sort_by_key(|(is_main, _)| !is_main);
    let mut resources: Vec<Resource> = resources.into_iter().map(|(_, found)| found).collect();
    // What an API call acted on, by its type: told of even where `resource` names only who called.
    if let Some(Value::Object(affected)) =
        finding.get("service.action.awsApiCallAction.affectedResources")
    {
        for (resource_type, id) in affected {
            if let Some(id) = id.as_str().map(str::trim).filter(|id| !id.is_empty())
                && !resources.iter().any(|known| known.id == id)
            {
                resources.push(resource(id, Some(resource_type)));
            }
        }
    }
    for fields in objects(finding, "service.detection.sequence.resources")? {
        if let Some(uid) = fields.first_text(&["uid", "name"])? {
            let mut found = resource(uid, fields.text("type")?);
            found.name = fields.text("name")?.map(str::to_owned).or(found.name);
            found.account = fields.label("accountId")?.or(found.account);
            found.region = fields.text("region")?.map(str::to_owned).or(found.region);
            found.tags = fields.tags("tags")?;
            resources.push(found);
        }
    }
    Ok(resources)
}

fn described(
    fields: &Fields<'_>,
    section: &Section,
    resource_type: Option<&str>,
) -> Result<Option<Resource>, Refusal> {
    let Some(id) = fields.first_text(section.ids)? else {
        return Ok(None);
    };
    let mut found = resource(id, resource_type);
    found.tags = fields.tags("tags")?;
    found.name = fields
        .first_text(section.names)?
        .map(str::to_owned)
        .or_else(|| tagged_name(&found.tags))
        .or(found.name);
    Ok(Some(found))
}

/// The objects at a name, whether one stands alone or several in a list.
fn objects<'a>(fields: &Fields<'a>, name: &str) -> Result<Vec<Fields<'a>>, Refusal> {
    match fields.get(name) {
        // As most are.
        None => Ok(Vec::new()),
        Some(Value::Object(_)) => Ok(fields.section(name)?.into_iter().collect()),
        _ => fields.sections(name),
    }
}
