use crate::contract::{Case, keeps, told};
use crate::world::{Peer, World, whole};
use quench_actions::aws::{Element, Service};
use quench_actions::remediate::{Effect, Entry, Fault};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

static GROUPS: AtomicU32 = AtomicU32::new(0);

async fn ec2(world: &World, operation: &str, form: &[(&str, &str)]) -> Element {
    world.query(Service::Ec2, operation, form).await
}

async fn vpc(world: &World) -> String {
    let made = ec2(world, "CreateVpc", &[("CidrBlock", "10.7.0.0/16")]).await;
    made.text_at("vpc/vpcId").unwrap().to_owned()
}

pub(crate) async fn group(world: &World) -> String {
    let name = format!("web-{}", GROUPS.fetch_add(1, Ordering::Relaxed));
    let vpc = vpc(world).await;
    let form = [
        ("GroupName", name.as_str()),
        ("GroupDescription", "web"),
        ("VpcId", &vpc),
    ];
    let made = ec2(world, "CreateSecurityGroup", &form).await;
    made.text_at("groupId").unwrap().to_owned()
}

pub(crate) async fn allow(
    world: &World,
    group: &str,
    ports: (&str, &str),
    network: &str,
    description: &str,
) {
    let (list, name) = match network.contains(':') {
        true => ("Ipv6Ranges", "CidrIpv6"),
        false => ("IpRanges", "CidrIp"),
    };
    let network_name = format!("IpPermissions.1.{list}.1.{name}");
    let description_name = format!("IpPermissions.1.{list}.1.Description");
    let form = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", ports.0),
        ("IpPermissions.1.ToPort", ports.1),
        (network_name.as_str(), network),
        (description_name.as_str(), description),
    ];
    ec2(world, "AuthorizeSecurityGroupIngress", &form).await;
}

/// All rules of a group, but for the ids that AWS gives anew.
pub(crate) async fn look(world: &World, group: &str) -> String {
    let form = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)];
    let answer = ec2(world, "DescribeSecurityGroupRules", &form).await;
    let mut rules: Vec<String> = answer
        .items("securityGroupRuleSet")
        .map(|rule| {
            let mut rule = rule.clone();
            let ids = ["securityGroupRuleId", "securityGroupRuleArn"];
            rule.children
                .retain(|child| !ids.contains(&child.name.as_str()));
            whole(&rule)
        })
        .collect();
    rules.sort();
    rules.concat()
}

/// A group with 20 rules, of which three let everybody in.
async fn open_group(world: &World) -> String {
    let group = group(world).await;
    for number in 0..17 {
        let network = format!("10.{number}.0.0/16");
        let port = (1000 + number).to_string();
        let ports = [("22", "22"), (port.as_str(), "9999")][number % 2];
        allow(world, &group, ports, &network, &format!("office {number}")).await;
    }
    allow(
        world,
        &group,
        ("22", "22"),
        "0.0.0.0/0",
        "jump host, for now",
    )
    .await;
    allow(world, &group, ("3380", "3390"), "::/0", "remote desktop").await;
    allow(
        world,
        &group,
        ("8080", "8080"),
        "0.0.0.0/0",
        "health checks",
    )
    .await;
    group
}

async fn exactly_two_of_twenty_rules_go_and_come_back(peer: Peer) {
    let world = World::new(peer).await;
    let case = Case {
        parameters: json!({ "exempt_ports": [8080] }),
        applies: &["ec2:RevokeSecurityGroupIngress"],
        undoes: &["ec2:AuthorizeSecurityGroupIngress"],
        missing: Some("sg-0123456789abcdef0"),
        ..Case::new(&world, "revoke-open-ingress")
    };
    let look = async |group: &str| look(&world, group).await;
    let (planned, group) = keeps(&case, async || open_group(&world).await, look).await;
    assert_eq!(planned.changes.len(), 2);
    let mut ids: Vec<&str> = planned
        .changes
        .iter()
        .map(|change| change.before["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let told = told(
        &planned,
        &[(&group, "sg-1"), (ids[0], "sgr-1"), (ids[1], "sgr-1")],
    );
    insta::allow_duplicates! { insta::assert_snapshot!("open_group", told) };

    let before = look(&group).await;
    let planned = case.plan(&group).await.unwrap();
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    let closed = look(&group).await;
    assert!(!closed.contains("for now") && !closed.contains("remote desktop"));
    assert!(closed.contains("health checks") && closed.matches("office").count() == 17);
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    assert_eq!(look(&group).await, before);

    let planned = case.plan(&group).await.unwrap();
    allow(&world, &group, ("5432", "5432"), "0.0.0.0/0", "new").await;
    let changed = case.apply(&planned, Entry::First).await.unwrap_err();
    assert!(matches!(changed, Fault::Changed { .. }), "{changed:?}");
    assert!(
        changed
            .to_string()
            .contains("ingress.tcp 5432 with 0.0.0.0/0"),
        "{changed}"
    );
    let undone = case.undo(&planned).await;
    assert!(matches!(undone, Err(Fault::Changed { .. })), "{undone:?}");
}

#[tokio::test]
async fn exactly_two_of_twenty_rules_go_and_come_back_on_moto() {
    exactly_two_of_twenty_rules_go_and_come_back(Peer::Moto).await;
}

#[tokio::test]
async fn exactly_two_of_twenty_rules_go_and_come_back_on_the_emulator() {
    exactly_two_of_twenty_rules_go_and_come_back(Peer::Emulator).await;
}

#[tokio::test]
async fn a_rule_over_an_exempt_port_stays_and_is_told() {
    let world = World::new(Peer::Moto).await;
    let group = group(&world).await;
    allow(&world, &group, ("0", "65535"), "0.0.0.0/0", "all").await;
    let mut case = Case::new(&world, "revoke-open-ingress");
    case.parameters = json!({ "exempt_ports": [443] });
    let planned = case.plan(&group).await.unwrap();
    assert!(planned.nothing_to_do.is_some());
    assert_eq!(planned.warnings.len(), 1, "{:?}", planned.warnings);
    case.parameters = json!({ "exempt_networks": ["0.0.0.0/0"] });
    assert!(case.plan(&group).await.unwrap().changes.is_empty());
    case.parameters = json!({ "ports": ["30000-30001"] });
    assert_eq!(case.plan(&group).await.unwrap().changes.len(), 1);
    case.parameters = json!({ "port": 22 });
    let wrong = case.plan(&group).await.unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "parameter `port` is not known; did you mean `ports`?"
    );
}

#[tokio::test]
async fn the_tags_of_a_rule_come_back() {
    let world = World::new(Peer::Moto).await;
    let group = group(&world).await;
    allow(&world, &group, ("22", "22"), "0.0.0.0/0", "jump host").await;
    allow(&world, &group, ("3389", "3389"), "0.0.0.0/0", "desktop").await;
    let case = Case::new(&world, "revoke-open-ingress");
    let untagged = case.plan(&group).await.unwrap();
    let id = untagged.changes[0].before["id"].as_str().unwrap();
    let tag = [
        ("ResourceId.1", id),
        ("Tag.1.Key", "owner"),
        ("Tag.1.Value", "ops & co"),
    ];
    ec2(&world, "CreateTags", &tag).await;
    let before = look(&world, &group).await;
    assert!(before.contains("ops & co"), "{before}");
    let changed = case.apply(&untagged, Entry::First).await;
    assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    let planned = case.plan(&group).await.unwrap();
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    world.proxy.calls();
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    // The tags of a call are those of all its rules.
    assert_eq!(
        world.proxy.writes(),
        ["ec2:AuthorizeSecurityGroupIngress"; 2]
    );
    assert_eq!(look(&world, &group).await, before);
}

async fn default_group(world: &World) -> String {
    let vpc = vpc(world).await;
    let form = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc.as_str()),
        ("Filter.2.Name", "group-name"),
        ("Filter.2.Value.1", "default"),
    ];
    let answer = ec2(world, "DescribeSecurityGroups", &form).await;
    let group = answer.items("securityGroupInfo").next().unwrap();
    let group = group.text_at("groupId").unwrap().to_owned();
    allow(world, &group, ("443", "443"), "10.0.0.0/8", "inside").await;
    let form = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "udp"),
        ("IpPermissions.1.FromPort", "53"),
        ("IpPermissions.1.ToPort", "53"),
        ("IpPermissions.1.Groups.1.GroupId", &group),
        ("IpPermissions.1.Groups.1.Description", "names"),
    ];
    ec2(world, "AuthorizeSecurityGroupIngress", &form).await;
    group
}

#[tokio::test]
async fn the_default_group_is_emptied() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &[
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
        ],
        undoes: &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
        ],
        missing: Some("sg-0123456789abcdef0"),
        ..Case::new(&world, "empty-default-security-group")
    };
    let look = async |group: &str| look(&world, group).await;
    let (planned, id) = keeps(&case, async || default_group(&world).await, look).await;
    assert_eq!(planned.changes.len(), 3, "{:?}", planned.changes);

    let other = group(&world).await;
    let refused = case.plan(&other).await;
    assert!(matches!(refused, Err(Fault::Unsupported(_))), "{refused:?}");

    let planned = case.plan(&id).await.unwrap();
    let vpc = ec2(&world, "DescribeSecurityGroups", &[("GroupId.1", &id)]).await;
    let vpc = vpc
        .items("securityGroupInfo")
        .next()
        .unwrap()
        .text_at("vpcId")
        .unwrap()
        .to_owned();
    let subnet = ec2(
        &world,
        "CreateSubnet",
        &[("VpcId", &vpc), ("CidrBlock", "10.7.1.0/24")],
    )
    .await;
    let subnet = subnet.text_at("subnet/subnetId").unwrap().to_owned();
    let form = [("SubnetId", subnet.as_str()), ("SecurityGroupId.1", &id)];
    ec2(&world, "CreateNetworkInterface", &form).await;
    // Somebody began to use it after it was planned.
    let refused = case.apply(&planned, Entry::First).await.unwrap_err();
    assert!(
        matches!(&refused, Fault::Guard(reason) if reason.contains("1 network interfaces")),
        "{refused:?}"
    );
    let forced = Case {
        parameters: json!({ "even_in_use": true }),
        ..case
    };
    let planned = forced.plan(&id).await.unwrap();
    assert_eq!(forced.apply(&planned, Entry::First).await, Ok(Effect::Done));
    assert_eq!(forced.undo(&planned).await, Ok(Effect::Done));
}
