//! Revokes the rules by which a security group lets everybody in at risky ports.

use super::Desired;
use super::api::Api;
use super::facts::{
    Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat, undoes,
};
use super::fault::Fault;
use super::parameters::{self, Network, Parameters, ports};
use super::plan::Plan;
use super::rules::{self, Direction};
use super::target::Kind;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) const FACTS: Facts = Facts {
    name: "revoke-open-ingress",
    title: "Revoke the rules of a security group that let everybody in at risky ports",
    risk: Risk::Medium,
    permissions: &[
        reads("ec2:DescribeSecurityGroups").of_everything(),
        reads("ec2:DescribeSecurityGroupRules").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:RevokeSecurityGroupIngress").beside(RULES),
        undoes("ec2:AuthorizeSecurityGroupIngress").beside(RULES),
        undoes("ec2:CreateTags").beside(RULES),
    ],
    fits: &[
        control("EC2.13"),
        control("EC2.14"),
        control("EC2.19"),
        control("EC2.53"),
        control("EC2.54"),
        rule("restricted-ssh"),
        rule("restricted-common-ports"),
        rule("vpc-sg-port-restriction-check"),
        threat("Recon:EC2/PortProbeUnprotectedPort"),
        threat("UnauthorizedAccess:EC2/SSHBruteForce"),
        threat("UnauthorizedAccess:EC2/RDPBruteForce"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_all_ports"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_3389"),
    ],
    parameters: &[
        Parameter {
            name: "ports",
            about: "The ports that nobody may reach from everywhere; those of control EC2.19 where none are given.",
            takes: Takes::Ports(RISKY),
        },
        Parameter {
            name: "exempt_ports",
            about: "Ports that stay open; a rule that covers one of them is left alone.",
            takes: Takes::Ports(&[]),
        },
        Parameter {
            name: "exempt_networks",
            about: "Networks that stay let in, such as `::/0`.",
            takes: Takes::Networks(&[]),
        },
    ],
    accepts: &[Kind::SecurityGroup],
};

pub(super) const RULES: &[&str] = &["arn:{partition}:ec2:{region}:{account}:security-group-rule/*"];

/// The rules are revoked and authorised one by one, or a few at a time.
pub(super) const DEPTH: usize = 2;

/// Source: user guide of Security Hub, control EC2.19, "Security groups should not allow unrestricted access to ports
/// with high risk".
const RISKY: &[&str] = &[
    "20-23",
    "25",
    "110",
    "135",
    "143",
    "445",
    "1433-1434",
    "3000",
    "3306",
    "3389",
    "4333",
    "5000",
    "5432",
    "5500",
    "5601",
    "8080",
    "8088",
    "8888",
    "9200",
    "9300",
];

#[derive(Deserialize)]
struct Told {
    ports: Vec<Port>,
    exempt_ports: Vec<Port>,
    exempt_networks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    One(u16),
    Some(String),
}

impl Port {
    fn range(&self) -> (u16, u16) {
        match self {
            Self::One(port) => (*port, *port),
            Self::Some(text) => ports(text).unwrap_or((0, u16::MAX)),
        }
    }
}

/// The rules of ingress that let everybody in, at whatever ports.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let group = &api.target.id;
    let (_, rules) = tokio::try_join!(rules::group(api, group), rules::read(api, group))?;
    let open: Map<String, Value> = rules["ingress"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, rule)| network(rule).is_some_and(|network| network.is_everything()))
        .map(|(name, rule)| (name.clone(), rule.clone()))
        .collect();
    Ok(json!({ "ingress": open }))
}

fn network(rule: &Value) -> Option<Network> {
    let text = rule["ipv4"].as_str().or_else(|| rule["ipv6"].as_str());
    Network::read(text?)
}

pub(super) fn desire(
    _: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let empty = Map::new();
    let open = state["ingress"].as_object().unwrap_or(&empty);
    let (mut kept, mut warnings) = (Map::new(), Vec::new());
    for (name, rule) in open {
        match judge(rule, &told) {
            Judgement::Goes => continue,
            Judgement::Stays => {}
            Judgement::CoversExempt(port) => warnings.push(format!(
                "rule `{name}` stays, as it covers the exempt port {port} beside risky ones; split it"
            )),
        }
        kept.insert(name.clone(), rule.clone());
    }
    if kept.len() == open.len() {
        let why = match warnings.len() {
            0 => "it lets nobody in from everywhere at these ports",
            _ => "no rule can go without an exempt port",
        };
        return Ok(Desired::Nothing(why.to_owned(), warnings));
    }
    let after = json!({ "ingress": kept });
    Ok(Desired::State { after, warnings })
}

enum Judgement {
    Goes,
    Stays,
    CoversExempt(u16),
}

fn judge(rule: &Value, told: &Told) -> Judgement {
    let protocol = rule["protocol"].as_str().unwrap_or_default();
    if !matches!(protocol, "tcp" | "udp" | "-1" | "6" | "17") {
        return Judgement::Stays;
    }
    let is_exempt = network(rule).is_some_and(|network| {
        let exempt = told.exempt_networks.iter();
        exempt
            .filter_map(|text| Network::read(text))
            .any(|exempt| exempt.is(&network))
    });
    if is_exempt {
        return Judgement::Stays;
    }
    let port = |name: &str| {
        rule[name]
            .as_i64()
            .and_then(|port| u16::try_from(port).ok())
    };
    // All protocols means all ports.
    let (first, last) = match protocol {
        "-1" => (0, u16::MAX),
        _ => (port("from").unwrap_or(0), port("to").unwrap_or(u16::MAX)),
    };
    let covers = |ranges: &[Port], port: u16| {
        let mut ranges = ranges.iter().map(Port::range);
        ranges.any(|(first, last)| (first..=last).contains(&port))
    };
    let is_risky =
        (first..=last).any(|port| covers(&told.ports, port) && !covers(&told.exempt_ports, port));
    if !is_risky {
        return Judgement::Stays;
    }
    match (first..=last).find(|&port| covers(&told.exempt_ports, port)) {
        Some(port) => Judgement::CoversExempt(port),
        None => Judgement::Goes,
    }
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    rules::write(api, &api.target.id, Direction::Ingress, (from, to)).await
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "ingress": rules::compared(&state["ingress"]) })
}
