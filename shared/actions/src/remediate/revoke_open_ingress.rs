//! Revokes the rules by which a security group lets everybody in at risky ports.

use super::Desired;
use super::api::Api;
use super::fault::Fault;
use super::parameters::{self, Network, Parameters, ports};
use super::plan::Plan;
use super::rules::{self, Direction};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The rules are revoked and authorised one by one, or a few at a time.
pub(super) const DEPTH: usize = 2;

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
