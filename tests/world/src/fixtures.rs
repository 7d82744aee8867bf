//! A resource for each remediation that wants it, and all that AWS tells of it.

use crate::world::{ACCOUNT, Peer, World, whole};
use quench_actions::aws::{Element, Service};
use quench_actions::remediate::Remediation;
use quench_emulator::REGION;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

static NAMES: AtomicU32 = AtomicU32::new(0);

/// A name that no other resource has.
pub fn name(of: &str) -> String {
    format!("{of}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// The emulator that has all that a remediation calls.
pub fn peer(remediation: Remediation) -> Peer {
    match remediation {
        Remediation::S3BlockPublicAccess
        | Remediation::S3TlsOnly
        | Remediation::CloudtrailLogging
        | Remediation::KmsKeyRotation
        | Remediation::KmsCancelDeletion => Peer::Emulator,
        _ => Peer::Moto,
    }
}

/// What has to be said to a remediation for its resource.
pub fn parameters(remediation: Remediation) -> Value {
    match remediation {
        Remediation::RevokeOpenIngress => json!({ "exempt_ports": [8080] }),
        _ => json!({}),
    }
}

/// Makes a resource that wants a remediation; yields its ARN or id.
pub async fn make(world: &World, remediation: Remediation) -> String {
    match remediation {
        Remediation::S3BlockPublicAccess | Remediation::S3TlsOnly => bucket(world).await,
        Remediation::RevokeOpenIngress => open_group(world).await,
        Remediation::DeactivateAccessKey => access_key(world).await,
        Remediation::RdsNotPublic => database(world).await,
        Remediation::CloudtrailLogging => trail(world).await,
        Remediation::KmsKeyRotation => key(world).await,
        Remediation::KmsCancelDeletion => dying_key(world).await,
        Remediation::MakePrivate => snapshot(world).await,
        Remediation::EmptyDefaultGroup => default_group(world).await,
        Remediation::Imdsv2 | Remediation::StopInstance => instance(world).await,
        Remediation::QuarantineInstance => infected(world).await,
        Remediation::EbsEncryption => {
            let operation = "DisableEbsEncryptionByDefault";
            world.query(Service::Ec2, operation, &[]).await;
            format!("AWS::::Account:{ACCOUNT}")
        }
        Remediation::ContainPrincipal => user(world).await,
        Remediation::PasswordPolicy => {
            let operation = "DeleteAccountPasswordPolicy";
            // There may be none.
            let _ = world.owner.query(Service::Iam, operation, &[]).await;
            format!("AWS::::Account:{ACCOUNT}")
        }
    }
}

/// All that AWS tells of a resource that a remediation has to do with, without what changes by itself.
pub async fn look(world: &World, remediation: Remediation, resource: &str) -> String {
    let id = resource.rsplit([':', '/']).next().unwrap_or_default();
    match remediation {
        Remediation::S3BlockPublicAccess | Remediation::S3TlsOnly => {
            let mut seen = String::new();
            for part in ["publicAccessBlock", "policy", "website", "acl"] {
                let answer = world.s3(Method::GET, id, part, "").await;
                seen.push_str(&format!("{part}: {answer:?}\n"));
            }
            seen
        }
        Remediation::RevokeOpenIngress | Remediation::EmptyDefaultGroup => rules(world, id).await,
        Remediation::DeactivateAccessKey => {
            let used = [("AccessKeyId", id)];
            let used = world
                .query(Service::Iam, "GetAccessKeyLastUsed", &used)
                .await;
            let user = text(&used, "GetAccessKeyLastUsedResult/UserName");
            let user = [("UserName", user.as_str())];
            whole(&world.query(Service::Iam, "ListAccessKeys", &user).await)
        }
        Remediation::RdsNotPublic => {
            let form = [("DBInstanceIdentifier", id)];
            let answer = world.query(Service::Rds, "DescribeDBInstances", &form);
            without(answer.await, &["LatestRestorableTime"])
        }
        Remediation::CloudtrailLogging => {
            let name = json!({ "Name": resource });
            let trail = world.json(Service::CloudTrail, "GetTrail", &name).await;
            let status = world.json(Service::CloudTrail, "GetTrailStatus", &name);
            format!("{trail} {}", status.await["IsLogging"])
        }
        Remediation::KmsKeyRotation | Remediation::KmsCancelDeletion => {
            let id = json!({ "KeyId": resource });
            let mut key = world.json(Service::Kms, "DescribeKey", &id).await;
            // A key is deleted so many days after it was asked for.
            if let Some(fields) = key["KeyMetadata"].as_object_mut() {
                fields.remove("DeletionDate");
            }
            let rotation = world.json(Service::Kms, "GetKeyRotationStatus", &id).await;
            // The emulator tells a period of a key that is not rotated; AWS tells none.
            let rotation = match rotation["KeyRotationEnabled"] == true {
                true => rotation.to_string(),
                false => "none".to_owned(),
            };
            format!("{key} {rotation}")
        }
        Remediation::MakePrivate => {
            let form = [("SnapshotId", id), ("Attribute", "createVolumePermission")];
            let answer = world.query(Service::Ec2, "DescribeSnapshotAttribute", &form);
            whole(&answer.await)
        }
        // AWS keeps what a change does not name; moto forgets it.
        Remediation::Imdsv2 => {
            let instance = look_at_instance(world, id).await;
            without(instance, &["httpProtocolIpv6", "instanceMetadataTags"])
        }
        // An instance that was stopped tells why, and has another public address.
        Remediation::StopInstance => {
            let changing = [
                "reason",
                "stateReason",
                "ipAddress",
                "dnsName",
                "launchTime",
                "networkInterfaceSet",
            ];
            without(look_at_instance(world, id).await, &changing)
        }
        Remediation::QuarantineInstance => {
            let form = [
                ("Filter.1.Name", "attachment.instance-id"),
                ("Filter.1.Value.1", id),
            ];
            let answer = world.query(Service::Ec2, "DescribeNetworkInterfaces", &form);
            whole(&answer.await)
        }
        Remediation::EbsEncryption => {
            let answer = world.query(Service::Ec2, "GetEbsEncryptionByDefault", &[]);
            whole(&answer.await)
        }
        Remediation::ContainPrincipal => {
            let form = [("UserName", id)];
            let listed = world.query(Service::Iam, "ListUserPolicies", &form).await;
            let mut seen = whole(&listed);
            for policy in listed.items("ListUserPoliciesResult/PolicyNames") {
                let form = [("UserName", id), ("PolicyName", &policy.text)];
                seen.push_str(&whole(
                    &world.query(Service::Iam, "GetUserPolicy", &form).await,
                ));
            }
            seen
        }
        Remediation::PasswordPolicy => {
            let operation = "GetAccountPasswordPolicy";
            match world.owner.query(Service::Iam, operation, &[]).await {
                Ok(answer) => whole(&answer),
                Err(error) => error.code().unwrap_or_default().to_owned(),
            }
        }
    }
}

fn text(element: &Element, path: &str) -> String {
    element.text_at(path).unwrap().to_owned()
}

/// All but what changes by itself.
fn without(mut element: Element, changing: &[&str]) -> String {
    fn strip(element: &mut Element, changing: &[&str]) {
        element
            .children
            .retain(|child| !changing.contains(&child.name.as_str()));
        for child in &mut element.children {
            strip(child, changing);
        }
    }
    strip(&mut element, changing);
    whole(&element)
}

/// A bucket that blocks nothing and has no policy; yields its ARN.
pub async fn bucket(world: &World) -> String {
    let name = name("mended");
    make_bucket(world, &name).await;
    // The emulator may have made one.
    let _ = world
        .s3(Method::DELETE, &name, "publicAccessBlock", "")
        .await;
    format!("arn:aws:s3:::{name}")
}

async fn make_bucket(world: &World, name: &str) {
    let place = format!("<LocationConstraint>{REGION}</LocationConstraint>");
    let place = format!("<CreateBucketConfiguration>{place}</CreateBucketConfiguration>");
    world.s3(Method::PUT, name, "", &place).await.unwrap();
}

/// Has a bucket bear a tag.
pub async fn tag_bucket(world: &World, arn: &str, key: &str, value: &str) {
    let name = arn.rsplit(':').next().unwrap_or_default();
    let tag = format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let tags = format!("<Tagging><TagSet>{tag}</TagSet></Tagging>");
    world.s3(Method::PUT, name, "tagging", &tags).await.unwrap();
}

/// Has a bucket block some of what may be blocked, as somebody else would.
pub async fn block_half(world: &World, arn: &str) {
    let name = arn.rsplit(':').next().unwrap_or_default();
    let flags = "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls>\
                 <BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>";
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    let block = format!(
        "<PublicAccessBlockConfiguration xmlns=\"{namespace}\">{flags}</PublicAccessBlockConfiguration>"
    );
    world
        .s3(Method::PUT, name, "publicAccessBlock", &block)
        .await
        .unwrap();
}

async fn vpc(world: &World, network: &str) -> String {
    let made = world
        .query(Service::Ec2, "CreateVpc", &[("CidrBlock", network)])
        .await;
    text(&made, "vpc/vpcId")
}

async fn group(world: &World, vpc: &str) -> String {
    let name = name("web");
    let form = [
        ("GroupName", name.as_str()),
        ("GroupDescription", "web"),
        ("VpcId", vpc),
    ];
    let made = world.query(Service::Ec2, "CreateSecurityGroup", &form);
    text(&made.await, "groupId")
}

/// Lets a network in at a port.
pub async fn allow(world: &World, group: &str, port: &str, network: &str, description: &str) {
    let (list, name) = match network.contains(':') {
        true => ("Ipv6Ranges", "CidrIpv6"),
        false => ("IpRanges", "CidrIp"),
    };
    let network_name = format!("IpPermissions.1.{list}.1.{name}");
    let description_name = format!("IpPermissions.1.{list}.1.Description");
    let form = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", port),
        ("IpPermissions.1.ToPort", port),
        (network_name.as_str(), network),
        (description_name.as_str(), description),
    ];
    world
        .query(Service::Ec2, "AuthorizeSecurityGroupIngress", &form)
        .await;
}

/// A group with six rules, of which three let everybody in, one of them at a port that is exempt.
pub async fn open_group(world: &World) -> String {
    let vpc = vpc(world, "10.7.0.0/16").await;
    let group = group(world, &vpc).await;
    for number in 0..3 {
        let network = format!("10.{number}.0.0/16");
        allow(world, &group, "22", &network, &format!("office {number}")).await;
    }
    allow(world, &group, "22", "0.0.0.0/0", "jump host, for now").await;
    allow(world, &group, "3389", "::/0", "remote desktop").await;
    allow(world, &group, "8080", "0.0.0.0/0", "health checks").await;
    group
}

async fn default_group(world: &World) -> String {
    let vpc = vpc(world, "10.9.0.0/16").await;
    let form = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc.as_str()),
        ("Filter.2.Name", "group-name"),
        ("Filter.2.Value.1", "default"),
    ];
    let answer = world.query(Service::Ec2, "DescribeSecurityGroups", &form);
    let answer = answer.await;
    let group = answer.items("securityGroupInfo").next().unwrap();
    let group = text(group, "groupId");
    allow(world, &group, "443", "10.0.0.0/8", "inside").await;
    group
}

/// All rules of a group, but for the ids that AWS gives anew.
async fn rules(world: &World, group: &str) -> String {
    let form = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)];
    let answer = world.query(Service::Ec2, "DescribeSecurityGroupRules", &form);
    let answer = answer.await;
    let ids = ["securityGroupRuleId", "securityGroupRuleArn"];
    let mut rules: Vec<String> = answer
        .items("securityGroupRuleSet")
        .map(|rule| without(rule.clone(), &ids))
        .collect();
    rules.sort();
    rules.concat()
}

async fn access_key(world: &World) -> String {
    let user = name("eve");
    let form = [("UserName", user.as_str())];
    world.query(Service::Iam, "CreateUser", &form).await;
    let made = world.query(Service::Iam, "CreateAccessKey", &form).await;
    text(&made, "CreateAccessKeyResult/AccessKey/AccessKeyId")
}

async fn user(world: &World) -> String {
    let user = name("mallory");
    let form = [("UserName", user.as_str())];
    world.query(Service::Iam, "CreateUser", &form).await;
    format!("arn:aws:iam::{ACCOUNT}:user/{user}")
}

async fn database(world: &World) -> String {
    let id = name("orders");
    let form = [
        ("DBInstanceIdentifier", id.as_str()),
        ("DBInstanceClass", "db.t3.micro"),
        ("Engine", "postgres"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", "quench"),
        ("MasterUserPassword", "not-a-secret-1"),
        ("PubliclyAccessible", "true"),
    ];
    world.query(Service::Rds, "CreateDBInstance", &form).await;
    format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:{id}")
}

async fn trail(world: &World) -> String {
    let name = name("trail");
    make_bucket(world, &name).await;
    let body = json!({ "Name": name, "S3BucketName": name });
    let made = world.json(Service::CloudTrail, "CreateTrail", &body).await;
    // AWS makes trails that do not log yet.
    let stop = json!({ "Name": name });
    world.json(Service::CloudTrail, "StopLogging", &stop).await;
    made["TrailARN"].as_str().unwrap().to_owned()
}

async fn key(world: &World) -> String {
    let made = world.json(Service::Kms, "CreateKey", &json!({})).await;
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

async fn dying_key(world: &World) -> String {
    let arn = key(world).await;
    let body = json!({ "KeyId": arn, "PendingWindowInDays": 10 });
    world.json(Service::Kms, "ScheduleKeyDeletion", &body).await;
    arn
}

async fn snapshot(world: &World) -> String {
    let zone = format!("{REGION}a");
    let form = [("Size", "1"), ("AvailabilityZone", zone.as_str())];
    let volume = world.query(Service::Ec2, "CreateVolume", &form).await;
    let volume = text(&volume, "volumeId");
    let form = [("VolumeId", volume.as_str())];
    let made = world.query(Service::Ec2, "CreateSnapshot", &form).await;
    let id = text(&made, "snapshotId");
    for grantee in [("UserGroup.1", "all"), ("UserId.1", "444455556666")] {
        let form = [
            ("SnapshotId", id.as_str()),
            ("Attribute", "createVolumePermission"),
            ("OperationType", "add"),
            grantee,
        ];
        let operation = "ModifySnapshotAttribute";
        world.query(Service::Ec2, operation, &form).await;
    }
    id
}

async fn run(world: &World, more: &[(&str, &str)]) -> String {
    let mut form = vec![
        ("ImageId", "ami-12345678"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    form.extend(more);
    let made = world.query(Service::Ec2, "RunInstances", &form).await;
    text(made.items("instancesSet").next().unwrap(), "instanceId")
}

async fn instance(world: &World) -> String {
    // Moto tells only what was said; AWS tells everything.
    let said = [
        ("MetadataOptions.HttpTokens", "optional"),
        ("MetadataOptions.HttpEndpoint", "enabled"),
        ("MetadataOptions.HttpPutResponseHopLimit", "2"),
    ];
    run(world, &said).await
}

async fn look_at_instance(world: &World, id: &str) -> Element {
    let form = [("InstanceId.1", id)];
    let answer = world.query(Service::Ec2, "DescribeInstances", &form).await;
    let reservation = answer.items("reservationSet").next().unwrap();
    reservation.items("instancesSet").next().unwrap().clone()
}

/// An instance in a VPC of its own, with two network interfaces.
async fn infected(world: &World) -> String {
    let vpc = vpc(world, "10.8.0.0/16").await;
    let form = [("VpcId", vpc.as_str()), ("CidrBlock", "10.8.1.0/24")];
    let subnet = world.query(Service::Ec2, "CreateSubnet", &form).await;
    let subnet = text(&subnet, "subnet/subnetId");
    let groups = [group(world, &vpc).await, group(world, &vpc).await];
    // For moto an interface has the groups of its instance as well; in AWS these are those of the first interface.
    let first = interface(world, &subnet, &[&groups[0], &groups[1]]).await;
    let said = [
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.NetworkInterfaceId", first.as_str()),
    ];
    let instance = run(world, &said).await;
    let second = interface(world, &subnet, &[&groups[1]]).await;
    let form = [
        ("NetworkInterfaceId", second.as_str()),
        ("InstanceId", &instance),
        ("DeviceIndex", "1"),
    ];
    let operation = "AttachNetworkInterface";
    world.query(Service::Ec2, operation, &form).await;
    instance
}

async fn interface(world: &World, subnet: &str, groups: &[&str]) -> String {
    let names: Vec<String> = (1..)
        .take(groups.len())
        .map(|place| format!("SecurityGroupId.{place}"))
        .collect();
    let mut form = vec![("SubnetId", subnet)];
    form.extend(names.iter().map(String::as_str).zip(groups.iter().copied()));
    let made = world.query(Service::Ec2, "CreateNetworkInterface", &form);
    text(&made.await, "networkInterface/networkInterfaceId")
}
