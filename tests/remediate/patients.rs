//! A resource for each remediation that is as it should not be, and how it looks to its owner.

use std::sync::atomic::{AtomicU32, Ordering};

use quench_emulator::REGION;
use quench_tests::aws::Aws;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, Peer};

/// A kind of resource that a remediation is tried on.
#[derive(Clone, Copy)]
pub(crate) struct Patient {
    pub(crate) remediation: &'static str,
    pub(crate) peer: Peer,
    /// Makes one that is as it should not be, and yields how it is named.
    pub(crate) make: fn(&Aws) -> String,
    /// How it looks, but for what AWS gives anew or changes by itself.
    pub(crate) look: fn(&Aws, &str) -> Value,
}

/// One for each remediation.
pub(crate) const ALL: [Patient; 16] = [
    BUCKET,
    GROUP,
    Patient {
        remediation: "deactivate-access-key",
        peer: Peer::Moto,
        make: access_key,
        look: look_at_access_key,
    },
    Patient {
        remediation: "rds-not-public",
        peer: Peer::Moto,
        make: database,
        look: look_at_database,
    },
    Patient {
        remediation: "s3-tls-only",
        peer: Peer::Emulator,
        make: bucket,
        look: look_at_bucket,
    },
    Patient {
        remediation: "cloudtrail-logging",
        peer: Peer::Emulator,
        make: trail,
        look: look_at_trail,
    },
    Patient {
        remediation: "kms-key-rotation",
        peer: Peer::Emulator,
        make: key,
        look: look_at_key,
    },
    Patient {
        remediation: "kms-cancel-key-deletion",
        peer: Peer::Emulator,
        make: key_to_be_deleted,
        look: look_at_key,
    },
    Patient {
        remediation: "make-snapshot-private",
        peer: Peer::Moto,
        make: snapshot,
        look: look_at_snapshot,
    },
    DEFAULT_GROUP,
    Patient {
        remediation: "ec2-imdsv2",
        peer: Peer::Moto,
        make: instance,
        look: look_at_instance,
    },
    Patient {
        remediation: "quarantine-ec2-instance",
        peer: Peer::Moto,
        make: infected,
        look: look_at_interfaces,
    },
    Patient {
        remediation: "stop-ec2-instance",
        peer: Peer::Moto,
        make: instance,
        look: look_at_instance,
    },
    Patient {
        remediation: "ebs-encryption-by-default",
        peer: Peer::Moto,
        make: region,
        look: look_at_region,
    },
    Patient {
        remediation: "contain-iam-principal",
        peer: Peer::Moto,
        make: user,
        look: look_at_user,
    },
    Patient {
        remediation: "iam-password-policy",
        peer: Peer::Moto,
        make: account,
        look: look_at_account,
    },
];

pub(crate) const BUCKET: Patient = Patient {
    remediation: "s3-block-public-access",
    peer: Peer::Emulator,
    make: bucket,
    look: look_at_bucket,
};

pub(crate) const GROUP: Patient = Patient {
    remediation: "revoke-open-ingress",
    peer: Peer::Moto,
    make: group,
    look: look_at_group,
};

pub(crate) const DEFAULT_GROUP: Patient = Patient {
    remediation: "empty-default-security-group",
    peer: Peer::Moto,
    make: default_group,
    look: look_at_group,
};

/// A name that no other resource has.
fn name(of: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("{of}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn last(resource: &str) -> &str {
    resource.rsplit([':', '/']).next().unwrap()
}

/// An answer, or the code of the refusal, without what changes by itself.
fn seen(aws: &Aws, service: &str, operation: &str, parameters: &Value, changing: &[&str]) -> Value {
    match aws.call(service, operation, parameters) {
        Ok(mut answer) => {
            strip(&mut answer, changing);
            answer
        }
        Err(refused) => json!(refused.code),
    }
}

fn strip(value: &mut Value, changing: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields
                .retain(|name, _| name != "ResponseMetadata" && !changing.contains(&name.as_str()));
            fields.values_mut().for_each(|value| strip(value, changing));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| strip(value, changing)),
        _ => {}
    }
}

/// A list in an order that does not depend on when its items were made.
fn sorted(list: &mut Value) {
    if let Some(items) = list.as_array_mut() {
        items.sort_by_key(Value::to_string);
    }
}

fn bucket(aws: &Aws) -> String {
    let name = name("logs");
    let place = json!({"LocationConstraint": REGION});
    let bucket = json!({"Bucket": name, "CreateBucketConfiguration": place});
    aws.ok("s3", "create_bucket", &bucket);
    let _ = aws.call("s3", "delete_public_access_block", &json!({"Bucket": name}));
    format!("arn:aws:s3:::{name}")
}

fn look_at_bucket(aws: &Aws, arn: &str) -> Value {
    let bucket = json!({"Bucket": last(arn)});
    let look = |operation| seen(aws, "s3", operation, &bucket, &[]);
    json!([look("get_public_access_block"), look("get_bucket_policy")])
}

fn vpc(aws: &Aws) -> String {
    let made = aws.ok("ec2", "create_vpc", &json!({"CidrBlock": "10.7.0.0/16"}));
    text(&made["Vpc"]["VpcId"])
}

fn security_group(aws: &Aws, vpc: &str) -> String {
    let name = name("web");
    let group = json!({"GroupName": name, "Description": "web", "VpcId": vpc});
    text(&aws.ok("ec2", "create_security_group", &group)["GroupId"])
}

fn allow(aws: &Aws, group: &str, port: u16, network: &str, about: &str) {
    let range = match network.contains(':') {
        true => json!({"Ipv6Ranges": [{"CidrIpv6": network, "Description": about}]}),
        false => json!({"IpRanges": [{"CidrIp": network, "Description": about}]}),
    };
    let mut permission = json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port});
    permission
        .as_object_mut()
        .unwrap()
        .extend(range.as_object().unwrap().clone());
    let rule = json!({"GroupId": group, "IpPermissions": [permission]});
    aws.ok("ec2", "authorize_security_group_ingress", &rule);
}

/// A group with 20 rules, of which two let everybody in at risky ports and one does where that is fine.
fn group(aws: &Aws) -> String {
    let group = security_group(aws, &vpc(aws));
    allow(aws, &group, 22, "0.0.0.0/0", "left open");
    allow(aws, &group, 3389, "::/0", "left open as well");
    allow(aws, &group, 443, "0.0.0.0/0", "the web");
    for number in 0..16 {
        allow(aws, &group, 8000 + number, "203.0.113.0/24", "the office");
    }
    allow(aws, &group, 5432, "10.7.0.0/16", "the database");
    format!("arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{group}")
}

/// The default group of a VPC, with rules in both directions.
fn default_group(aws: &Aws) -> String {
    let vpc = vpc(aws);
    let filters = json!([
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "group-name", "Values": ["default"]},
    ]);
    let found = aws.ok(
        "ec2",
        "describe_security_groups",
        &json!({"Filters": filters}),
    );
    let group = text(&found["SecurityGroups"][0]["GroupId"]);
    allow(aws, &group, 22, "0.0.0.0/0", "left open");
    format!("arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{group}")
}

fn look_at_group(aws: &Aws, arn: &str) -> Value {
    let filters = json!([{"Name": "group-id", "Values": [last(arn)]}]);
    let changing = ["SecurityGroupRuleId", "SecurityGroupRuleArn"];
    let parameters = json!({"Filters": filters});
    let operation = "describe_security_group_rules";
    let mut rules = seen(aws, "ec2", operation, &parameters, &changing);
    let mut rules = rules["SecurityGroupRules"].take();
    sorted(&mut rules);
    rules
}

fn made_user(aws: &Aws) -> String {
    let name = name("eve");
    aws.ok("iam", "create_user", &json!({"UserName": name}));
    name
}

fn access_key(aws: &Aws) -> String {
    let user = made_user(aws);
    let made = aws.ok("iam", "create_access_key", &json!({"UserName": user}));
    text(&made["AccessKey"]["AccessKeyId"])
}

fn look_at_access_key(aws: &Aws, key: &str) -> Value {
    let parameters = json!({"AccessKeyId": key});
    let used = aws.ok("iam", "get_access_key_last_used", &parameters);
    let user = json!({"UserName": used["UserName"]});
    seen(aws, "iam", "list_access_keys", &user, &[])
}

fn database(aws: &Aws) -> String {
    let name = name("orders");
    let database = json!({
        "DBInstanceIdentifier": name, "DBInstanceClass": "db.t3.micro", "Engine": "postgres",
        "AllocatedStorage": 20, "MasterUsername": "quench", "MasterUserPassword": "not-a-secret-1",
        "PubliclyAccessible": true,
    });
    aws.ok("rds", "create_db_instance", &database);
    format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}")
}

fn look_at_database(aws: &Aws, arn: &str) -> Value {
    let parameters = json!({"DBInstanceIdentifier": last(arn)});
    let changing = ["LatestRestorableTime"];
    seen(aws, "rds", "describe_db_instances", &parameters, &changing)
}

fn trail(aws: &Aws) -> String {
    let bucket = bucket(aws);
    let name = name("trail");
    let trail = json!({"Name": name, "S3BucketName": last(&bucket)});
    let made = aws.ok("cloudtrail", "create_trail", &trail);
    aws.ok("cloudtrail", "stop_logging", &json!({"Name": name}));
    text(&made["TrailARN"])
}

fn look_at_trail(aws: &Aws, arn: &str) -> Value {
    let trail = json!({"Name": arn});
    let status = aws.ok("cloudtrail", "get_trail_status", &trail);
    json!([
        seen(aws, "cloudtrail", "get_trail", &trail, &[]),
        status["IsLogging"]
    ])
}

fn key(aws: &Aws) -> String {
    text(&aws.ok("kms", "create_key", &json!({}))["KeyMetadata"]["Arn"])
}

fn key_to_be_deleted(aws: &Aws) -> String {
    let arn = key(aws);
    let deletion = json!({"KeyId": arn, "PendingWindowInDays": 10});
    aws.ok("kms", "schedule_key_deletion", &deletion);
    arn
}

fn look_at_key(aws: &Aws, arn: &str) -> Value {
    let key = json!({"KeyId": arn});
    // Scheduled anew for as many days, it is for another second.
    let state = seen(aws, "kms", "describe_key", &key, &["DeletionDate"]);
    let rotation = seen(aws, "kms", "get_key_rotation_status", &key, &[]);
    // The emulator tells a period of a key that is not rotated; AWS tells none.
    json!([state, rotation["KeyRotationEnabled"]])
}

fn snapshot(aws: &Aws) -> String {
    let volume = json!({"Size": 1, "AvailabilityZone": format!("{REGION}a")});
    let volume = text(&aws.ok("ec2", "create_volume", &volume)["VolumeId"]);
    let made = aws.ok("ec2", "create_snapshot", &json!({"VolumeId": volume}));
    let id = text(&made["SnapshotId"]);
    for grantee in [
        json!({"GroupNames": ["all"]}),
        json!({"UserIds": ["444455556666"]}),
    ] {
        let mut grant = json!({
            "SnapshotId": id, "Attribute": "createVolumePermission", "OperationType": "add",
        });
        grant
            .as_object_mut()
            .unwrap()
            .extend(grantee.as_object().unwrap().clone());
        aws.ok("ec2", "modify_snapshot_attribute", &grant);
    }
    id
}

fn look_at_snapshot(aws: &Aws, id: &str) -> Value {
    let asked = json!({"SnapshotId": id, "Attribute": "createVolumePermission"});
    let mut found = seen(aws, "ec2", "describe_snapshot_attribute", &asked, &[]);
    sorted(&mut found["CreateVolumePermissions"]);
    found
}

fn instance(aws: &Aws) -> String {
    // Moto tells only what was said; AWS tells everything.
    let options = json!({
        "HttpTokens": "optional", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 2,
    });
    let instance = json!({
        "ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "MetadataOptions": options,
    });
    let made = aws.ok("ec2", "run_instances", &instance);
    text(&made["Instances"][0]["InstanceId"])
}

fn look_at_instance(aws: &Aws, id: &str) -> Value {
    let asked = json!({"InstanceIds": [id]});
    // An instance that was stopped tells why, and has another public address. Of the options of metadata AWS keeps what
    // a change does not name; moto forgets it.
    let changing = [
        "HttpProtocolIpv6",
        "InstanceMetadataTags",
        "StateTransitionReason",
        "StateReason",
        "PublicIpAddress",
        "PublicDnsName",
        "LaunchTime",
        "NetworkInterfaces",
    ];
    let mut found = seen(aws, "ec2", "describe_instances", &asked, &changing);
    found["Reservations"][0]["Instances"][0].take()
}

/// An instance in a VPC of its own, with two network interfaces.
fn infected(aws: &Aws) -> String {
    let vpc = vpc(aws);
    let subnet = json!({"VpcId": vpc, "CidrBlock": "10.7.1.0/24"});
    let subnet = text(&aws.ok("ec2", "create_subnet", &subnet)["Subnet"]["SubnetId"]);
    let groups = [security_group(aws, &vpc), security_group(aws, &vpc)];
    let interface = |groups: &[&String]| {
        let interface = json!({"SubnetId": subnet, "Groups": groups});
        let made = aws.ok("ec2", "create_network_interface", &interface);
        text(&made["NetworkInterface"]["NetworkInterfaceId"])
    };
    // For moto an interface has the groups of its instance as well; in AWS these are those of the first interface.
    let first = interface(&[&groups[0], &groups[1]]);
    let instance = json!({
        "ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1,
        "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": first}],
    });
    let made = aws.ok("ec2", "run_instances", &instance);
    let instance = text(&made["Instances"][0]["InstanceId"]);
    let second = interface(&[&groups[1]]);
    let attached = json!({
        "NetworkInterfaceId": second, "InstanceId": instance, "DeviceIndex": 1,
    });
    aws.ok("ec2", "attach_network_interface", &attached);
    instance
}

fn look_at_interfaces(aws: &Aws, id: &str) -> Value {
    let filters = json!([{"Name": "attachment.instance-id", "Values": [id]}]);
    let asked = json!({"Filters": filters});
    let found = seen(aws, "ec2", "describe_network_interfaces", &asked, &[]);
    let mut groups: Value = found["NetworkInterfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interface| {
            let mut groups = interface["Groups"].clone();
            sorted(&mut groups);
            json!([interface["NetworkInterfaceId"], groups])
        })
        .collect();
    sorted(&mut groups);
    groups
}

fn region(aws: &Aws) -> String {
    aws.ok("ec2", "disable_ebs_encryption_by_default", &json!({}));
    ACCOUNT.to_owned()
}

fn look_at_region(aws: &Aws, _: &str) -> Value {
    seen(aws, "ec2", "get_ebs_encryption_by_default", &json!({}), &[])
}

fn user(aws: &Aws) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{}", made_user(aws))
}

fn look_at_user(aws: &Aws, arn: &str) -> Value {
    let user = json!({"UserName": last(arn)});
    seen(aws, "iam", "list_user_policies", &user, &[])
}

fn account(aws: &Aws) -> String {
    let _ = aws.call("iam", "delete_account_password_policy", &json!({}));
    format!("arn:aws:iam::{ACCOUNT}:root")
}

fn look_at_account(aws: &Aws, _: &str) -> Value {
    seen(aws, "iam", "get_account_password_policy", &json!({}), &[])
}
