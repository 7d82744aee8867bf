use crate::contract::{Case, keeps, told};
use crate::proxy::Trouble;
use crate::world::{ACCOUNT, Peer, World, whole};
use quench_actions::aws::{Element, Service};
use quench_actions::remediate::{Effect, Entry, Fault, Plan};
use quench_emulator::REGION;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static NAMES: AtomicU32 = AtomicU32::new(0);

async fn ec2(world: &World, operation: &str, form: &[(&str, &str)]) -> Element {
    world.query(Service::Ec2, operation, form).await
}

async fn instance(world: &World) -> String {
    // Moto tells only what was said; AWS tells everything.
    let form = [
        ("ImageId", "ami-12345678"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("MetadataOptions.HttpTokens", "optional"),
        ("MetadataOptions.HttpEndpoint", "enabled"),
        ("MetadataOptions.HttpPutResponseHopLimit", "2"),
    ];
    let made = ec2(world, "RunInstances", &form).await;
    let instance = made.items("instancesSet").next().unwrap();
    instance.text_at("instanceId").unwrap().to_owned()
}

async fn look_at_instance(world: &World, id: &str) -> Element {
    let answer = ec2(world, "DescribeInstances", &[("InstanceId.1", id)]).await;
    let reservation = answer.items("reservationSet").next().unwrap();
    reservation.items("instancesSet").next().unwrap().clone()
}

#[tokio::test]
async fn a_token_is_required_for_metadata() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &["ec2:ModifyInstanceMetadataOptions"],
        undoes: &["ec2:ModifyInstanceMetadataOptions"],
        missing: Some("i-0123456789abcdef0"),
        ..Case::new(&world, "ec2-imdsv2")
    };
    // AWS keeps what a change does not name; moto forgets it.
    let look = async |id: &str| {
        let mut instance = look_at_instance(&world, id).await;
        for name in ["httpProtocolIpv6", "instanceMetadataTags"] {
            without(&mut instance, name);
        }
        whole(&instance)
    };
    let (planned, id) = keeps(&case, async || instance(&world).await, look).await;
    insta::assert_snapshot!("instance_without_token", told(&planned, &[(&id, "i-1")]));
    ec2(&world, "TerminateInstances", &[("InstanceId.1", &id)]).await;
    let gone = case.apply(&planned, Entry::First).await;
    assert!(matches!(gone, Err(Fault::Missing { .. })), "{gone:?}");
}

#[tokio::test]
async fn an_instance_is_stopped() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &["ec2:StopInstances"],
        undoes: &["ec2:StartInstances"],
        missing: Some("i-0123456789abcdef0"),
        ..Case::new(&world, "stop-ec2-instance")
    };
    // An instance that was stopped tells why, and has another public address.
    let look = async |id: &str| {
        let mut instance = look_at_instance(&world, id).await;
        for name in [
            "reason",
            "stateReason",
            "ipAddress",
            "dnsName",
            "launchTime",
            "networkInterfaceSet",
        ] {
            without(&mut instance, name);
        }
        whole(&instance)
    };
    let (planned, id) = keeps(&case, async || instance(&world).await, look).await;
    insta::assert_snapshot!("instance_that_runs", told(&planned, &[(&id, "i-1")]));
}

#[tokio::test]
async fn new_volumes_are_encrypted() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &["ec2:EnableEbsEncryptionByDefault"],
        undoes: &["ec2:DisableEbsEncryptionByDefault"],
        ..Case::new(&world, "ebs-encryption-by-default")
    };
    let make = async || {
        ec2(&world, "DisableEbsEncryptionByDefault", &[]).await;
        format!("AWS::::Account:{ACCOUNT}")
    };
    let look = async |_: &str| whole(&ec2(&world, "GetEbsEncryptionByDefault", &[]).await);
    let (planned, _) = keeps(&case, make, look).await;
    insta::assert_snapshot!("region_without_encryption", told(&planned, &[]));
}

#[tokio::test]
async fn a_database_is_taken_off_the_internet() {
    let world = World::new(Peer::Moto).await;
    let missing = format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:nowhere");
    let case = Case {
        applies: &["rds:ModifyDBInstance"],
        undoes: &["rds:ModifyDBInstance"],
        missing: Some(&missing),
        ..Case::new(&world, "rds-not-public")
    };
    let (planned, arn) = keeps(
        &case,
        async || database(&world).await,
        async |arn: &str| {
            let id = arn.rsplit(':').next().unwrap();
            let form = [("DBInstanceIdentifier", id)];
            let mut answer = world
                .query(Service::Rds, "DescribeDBInstances", &form)
                .await;
            without(&mut answer, "LatestRestorableTime");
            whole(&answer)
        },
    )
    .await;
    let id = arn.rsplit(':').next().unwrap();
    insta::assert_snapshot!("public_database", told(&planned, &[(id, "orders")]));
    world
        .query(
            Service::Rds,
            "StopDBInstance",
            &[("DBInstanceIdentifier", id)],
        )
        .await;
    let stopped = case.apply(&planned, Entry::First).await;
    assert!(matches!(stopped, Err(Fault::Guard(_))), "{stopped:?}");
}

/// Takes away what changes by itself.
fn without(element: &mut Element, name: &str) {
    element.children.retain(|child| child.name != name);
    for child in &mut element.children {
        without(child, name);
    }
}

async fn database(world: &World) -> String {
    let id = format!("orders-{}", NAMES.fetch_add(1, Ordering::Relaxed));
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

async fn share(world: &World, id: &str, grantee: (&str, &str)) {
    let form = [
        ("SnapshotId", id),
        ("Attribute", "createVolumePermission"),
        ("OperationType", "add"),
        grantee,
    ];
    ec2(world, "ModifySnapshotAttribute", &form).await;
}

#[tokio::test]
async fn snapshots_and_images_are_shared_with_named_accounts_alone() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &["ec2:ModifySnapshotAttribute"],
        undoes: &["ec2:ModifySnapshotAttribute"],
        missing: Some("snap-0123456789abcdef0"),
        ..Case::new(&world, "make-snapshot-private")
    };
    let zone = format!("{REGION}a");
    let snapshot = async || {
        let volume = ec2(
            &world,
            "CreateVolume",
            &[("Size", "1"), ("AvailabilityZone", &zone)],
        )
        .await;
        let volume = volume.text_at("volumeId").unwrap().to_owned();
        let made = ec2(&world, "CreateSnapshot", &[("VolumeId", &volume)]).await;
        let id = made.text_at("snapshotId").unwrap().to_owned();
        share(&world, &id, ("UserGroup.1", "all")).await;
        share(&world, &id, ("UserId.1", "444455556666")).await;
        id
    };
    let look = async |id: &str| {
        let form = [("SnapshotId", id), ("Attribute", "createVolumePermission")];
        whole(&ec2(&world, "DescribeSnapshotAttribute", &form).await)
    };
    let (planned, id) = keeps(&case, snapshot, look).await;
    insta::assert_snapshot!("public_snapshot", told(&planned, &[(&id, "snap-1")]));
    let planned = case.plan(&id).await.unwrap();
    share(&world, &id, ("UserId.1", "222233334444")).await;
    for changed in [
        case.apply(&planned, Entry::First).await,
        case.undo(&planned).await,
    ] {
        assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    }

    let case = Case {
        applies: &["ec2:ModifyImageAttribute"],
        undoes: &["ec2:ModifyImageAttribute"],
        // Moto breaks on an image that is not there.
        missing: None,
        parameters: json!({ "even_accounts": true }),
        ..case
    };
    let image = async || {
        let instance = instance(&world).await;
        let name = format!("image-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let made = ec2(
            &world,
            "CreateImage",
            &[("InstanceId", &instance), ("Name", &name)],
        )
        .await;
        let id = made.text_at("imageId").unwrap().to_owned();
        let form = [
            ("ImageId", id.as_str()),
            ("LaunchPermission.Add.1.Group", "all"),
            ("LaunchPermission.Add.2.UserId", "444455556666"),
        ];
        ec2(&world, "ModifyImageAttribute", &form).await;
        id
    };
    let look = async |id: &str| {
        let form = [("ImageId", id), ("Attribute", "launchPermission")];
        let answer = ec2(&world, "DescribeImageAttribute", &form).await;
        let mut shared: Vec<String> = answer.items("launchPermission").map(whole).collect();
        shared.sort();
        shared.concat()
    };
    keeps(&case, image, look).await;
}

#[tokio::test]
async fn database_snapshots_are_shared_with_named_accounts_alone() {
    let world = World::new(Peer::Moto).await;
    let missing = format!("arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:nowhere");
    let case = Case {
        applies: &["rds:ModifyDBSnapshotAttribute"],
        undoes: &["rds:ModifyDBSnapshotAttribute"],
        missing: Some(&missing),
        ..Case::new(&world, "make-snapshot-private")
    };
    let make = async || {
        let database = database(&world).await;
        let id = format!("copy-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let form = [
            ("DBSnapshotIdentifier", id.as_str()),
            ("DBInstanceIdentifier", database.rsplit(':').next().unwrap()),
        ];
        world.query(Service::Rds, "CreateDBSnapshot", &form).await;
        let form = [
            ("DBSnapshotIdentifier", id.as_str()),
            ("AttributeName", "restore"),
            ("ValuesToAdd.AttributeValue.1", "all"),
            ("ValuesToAdd.AttributeValue.2", "444455556666"),
        ];
        world
            .query(Service::Rds, "ModifyDBSnapshotAttribute", &form)
            .await;
        format!("arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:{id}")
    };
    let look = async |arn: &str| {
        let form = [("DBSnapshotIdentifier", arn.rsplit(':').next().unwrap())];
        let answer = world
            .query(Service::Rds, "DescribeDBSnapshotAttributes", &form)
            .await;
        let list =
            "DescribeDBSnapshotAttributesResult/DBSnapshotAttributesResult/DBSnapshotAttributes";
        let mut values: Vec<String> = answer
            .items(list)
            .flat_map(|attribute| attribute.items("AttributeValues"))
            .map(|value| value.text.clone())
            .collect();
        values.sort();
        // For moto a grant that is made twice is two.
        values.dedup();
        values.concat()
    };
    let (_, arn) = keeps(&case, make, look).await;
    let forced = Case {
        parameters: json!({ "even_accounts": true }),
        ..case
    };
    let planned = forced.plan(&arn).await.unwrap();
    assert_eq!(forced.apply(&planned, Entry::First).await, Ok(Effect::Done));
    assert_eq!(look(&arn).await, "");
}

#[tokio::test]
async fn cluster_snapshots_are_shared_with_named_accounts_alone() {
    let world = World::new(Peer::Moto).await;
    let missing = format!("arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:nowhere");
    let case = Case {
        applies: &["rds:ModifyDBClusterSnapshotAttribute"],
        undoes: &["rds:ModifyDBClusterSnapshotAttribute"],
        missing: Some(&missing),
        ..Case::new(&world, "make-snapshot-private")
    };
    let make = async || {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let (cluster, id) = (format!("cluster-{number}"), format!("copy-{number}"));
        let form = [
            ("DBClusterIdentifier", cluster.as_str()),
            ("Engine", "aurora-postgresql"),
            ("MasterUsername", "quench"),
            ("MasterUserPassword", "not-a-secret-1"),
        ];
        world.query(Service::Rds, "CreateDBCluster", &form).await;
        let form = [
            ("DBClusterSnapshotIdentifier", id.as_str()),
            ("DBClusterIdentifier", &cluster),
        ];
        world
            .query(Service::Rds, "CreateDBClusterSnapshot", &form)
            .await;
        let form = [
            ("DBClusterSnapshotIdentifier", id.as_str()),
            ("AttributeName", "restore"),
            ("ValuesToAdd.AttributeValue.1", "all"),
            ("ValuesToAdd.AttributeValue.2", "444455556666"),
        ];
        world
            .query(Service::Rds, "ModifyDBClusterSnapshotAttribute", &form)
            .await;
        format!("arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{id}")
    };
    let look = async |arn: &str| {
        let form = [(
            "DBClusterSnapshotIdentifier",
            arn.rsplit(':').next().unwrap(),
        )];
        let operation = "DescribeDBClusterSnapshotAttributes";
        let answer = world.query(Service::Rds, operation, &form).await;
        let list = "DescribeDBClusterSnapshotAttributesResult/DBClusterSnapshotAttributesResult/DBClusterSnapshotAttributes";
        let mut values: Vec<String> = answer
            .items(list)
            .flat_map(|attribute| attribute.items("AttributeValues"))
            .map(|value| value.text.clone())
            .collect();
        values.sort();
        // For moto a grant that is made twice is two.
        values.dedup();
        values.concat()
    };
    let (planned, _) = keeps(&case, make, look).await;
    assert_eq!(planned.changes.len(), 1);
}

/// An instance in a VPC of its own, with two network interfaces.
async fn infected(world: &World) -> String {
    let vpc = ec2(world, "CreateVpc", &[("CidrBlock", "10.8.0.0/16")]).await;
    let vpc = vpc.text_at("vpc/vpcId").unwrap().to_owned();
    let subnet = ec2(
        world,
        "CreateSubnet",
        &[("VpcId", &vpc), ("CidrBlock", "10.8.1.0/24")],
    )
    .await;
    let subnet = subnet.text_at("subnet/subnetId").unwrap().to_owned();
    let mut groups = Vec::new();
    for name in ["web", "database"] {
        let form = [
            ("GroupName", name),
            ("GroupDescription", name),
            ("VpcId", &vpc),
        ];
        let made = ec2(world, "CreateSecurityGroup", &form).await;
        groups.push(made.text_at("groupId").unwrap().to_owned());
    }
    // For moto an interface has the groups of its instance as well; in AWS these are those of the first interface.
    let first = interface(world, &subnet, &[&groups[0], &groups[1]]).await;
    let form = [
        ("ImageId", "ami-12345678"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.NetworkInterfaceId", &first),
    ];
    let made = ec2(world, "RunInstances", &form).await;
    let instance = made.items("instancesSet").next().unwrap();
    let instance = instance.text_at("instanceId").unwrap().to_owned();
    let second = interface(world, &subnet, &[&groups[1]]).await;
    let form = [
        ("NetworkInterfaceId", second.as_str()),
        ("InstanceId", &instance),
        ("DeviceIndex", "1"),
    ];
    ec2(world, "AttachNetworkInterface", &form).await;
    instance
}

async fn interface(world: &World, subnet: &str, groups: &[&str]) -> String {
    let names: Vec<String> = (1..)
        .take(groups.len())
        .map(|place| format!("SecurityGroupId.{place}"))
        .collect();
    let mut form = vec![("SubnetId", subnet)];
    form.extend(names.iter().map(String::as_str).zip(groups.iter().copied()));
    let made = ec2(world, "CreateNetworkInterface", &form).await;
    let id = made.text_at("networkInterface/networkInterfaceId").unwrap();
    id.to_owned()
}

#[tokio::test]
async fn an_instance_is_isolated() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &[
            "ec2:CreateSnapshots",
            "ec2:CreateSecurityGroup",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:ModifyNetworkInterfaceAttribute",
        ],
        undoes: &[
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:ModifyNetworkInterfaceAttribute",
        ],
        missing: Some("i-0123456789abcdef0"),
        ..Case::new(&world, "quarantine-ec2-instance")
    };
    let look = async |id: &str| {
        let form = [
            ("Filter.1.Name", "attachment.instance-id"),
            ("Filter.1.Value.1", id),
        ];
        whole(&ec2(&world, "DescribeNetworkInterfaces", &form).await)
    };
    let (planned, id) = keeps(&case, async || infected(&world).await, look).await;
    assert_eq!(planned.changes.len(), 3, "{:?}", planned.changes);
    let snapshots = async |plan: &Plan| {
        let time = plan.after["forensic_snapshots"]["planned"].as_str();
        let token = format!("{}@{}", plan.hash, time.unwrap());
        let form = [
            ("Filter.1.Name", "tag:quench:forensic"),
            ("Filter.1.Value.1", &token),
        ];
        ec2(&world, "DescribeSnapshots", &form)
            .await
            .items("snapshotSet")
            .count()
    };
    let volumes = planned.before["volumes"].as_array().unwrap().len();
    assert!(volumes > 0, "{:?}", planned.before);
    assert_eq!(snapshots(&planned).await, volumes);
    // A second time it finds what it made the first time.
    world.proxy.calls();
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    assert_eq!(
        world.proxy.writes(),
        ["ec2:ModifyNetworkInterfaceAttribute"; 2]
    );
    assert_eq!(snapshots(&planned).await, volumes);
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));

    // It happens again a month later: what was kept of the first time is no evidence of the second.
    let later = Case {
        at: case.at + Duration::from_secs(30 * 24 * 60 * 60),
        ..Case::new(&world, "quarantine-ec2-instance")
    };
    let second = later.plan(&id).await.unwrap();
    assert_eq!(second.hash, planned.hash);
    assert_eq!(snapshots(&second).await, 0);
    world.proxy.calls();
    // The answer is lost: the snapshots are there, and nobody was told.
    world.proxy.fail(Trouble::CutAfter, 0);
    let unknown = later.apply(&second, Entry::First).await;
    world.proxy.mend();
    assert!(matches!(unknown, Err(Fault::Unknown { .. })), "{unknown:?}");
    assert_eq!(world.proxy.writes(), ["ec2:CreateSnapshots"]);
    assert_eq!(later.apply(&second, Entry::Again).await, Ok(Effect::Done));
    assert_eq!(
        world.proxy.writes(),
        ["ec2:ModifyNetworkInterfaceAttribute"; 2]
    );
    assert_eq!(snapshots(&second).await, volumes);
    assert_eq!(snapshots(&planned).await, volumes);
    let described = ec2(
        &world,
        "DescribeSecurityGroups",
        &[
            ("Filter.1.Name", "group-name"),
            ("Filter.1.Value.1", "quench-isolation"),
            ("Filter.2.Name", "vpc-id"),
            ("Filter.2.Value.1", planned.before["vpc"].as_str().unwrap()),
        ],
    )
    .await;
    let isolation = described.items("securityGroupInfo").next().unwrap();
    let isolation = isolation.text_at("groupId").unwrap();
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));

    // Somebody puts a rule into the group that is to isolate.
    let form = [
        ("GroupId", isolation),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    ec2(&world, "AuthorizeSecurityGroupIngress", &form).await;
    let refused = case.apply(&planned, Entry::First).await;
    assert!(matches!(refused, Err(Fault::Guard(_))), "{refused:?}");
    let interface = planned.before["interfaces"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap();
    let default = ec2(
        &world,
        "DescribeSecurityGroups",
        &[
            ("Filter.1.Name", "group-name"),
            ("Filter.1.Value.1", "default"),
            ("Filter.2.Name", "vpc-id"),
            ("Filter.2.Value.1", planned.before["vpc"].as_str().unwrap()),
        ],
    )
    .await;
    let default = default.items("securityGroupInfo").next().unwrap();
    let default = default.text_at("groupId").unwrap();
    let form = [
        ("NetworkInterfaceId", interface.as_str()),
        ("SecurityGroupId.1", default),
    ];
    ec2(&world, "ModifyNetworkInterfaceAttribute", &form).await;
    for changed in [
        case.apply(&planned, Entry::First).await,
        case.undo(&planned).await,
    ] {
        assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    }

    // What is terminated is not taken for isolated.
    ec2(&world, "TerminateInstances", &[("InstanceId.1", &id)]).await;
    let gone = [
        case.plan(&id).await.map(|_| Effect::Done),
        case.apply(&planned, Entry::First).await,
        case.undo(&planned).await,
    ];
    for gone in gone {
        let gone = gone.unwrap_err();
        assert!(matches!(gone, Fault::Missing { .. }), "{gone:?}");
        assert!(gone.to_string().ends_with("it is terminated"), "{gone}");
    }
}
