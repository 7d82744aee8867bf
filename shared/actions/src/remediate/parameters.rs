use super::facts::{Parameter, Takes};
use super::fault::Fault;
use crate::neutral;
use quench_automations::nearest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// What is said to a remediation, by name.
pub type Parameters = Map<String, Value>;

/// Checks what is said to a remediation, and fills in defaults.
///
/// # Errors
/// [`Fault::Parameters`] with everything that is wrong.
pub(super) fn check(given: &Parameters, known: &[Parameter]) -> Result<Parameters, Fault> {
    let mut faults = Vec::new();
    for name in given.keys() {
        if known.iter().any(|parameter| parameter.name == name) {
            continue;
        }
        let names = known.iter().map(|parameter| parameter.name);
        let name = neutral::line(name, 80);
        faults.push(match nearest(&name, names.clone()) {
            Some(near) => format!("parameter `{name}` is not known; did you mean `{near}`?"),
            None if known.is_empty() => format!("parameter `{name}` is not known; there are none"),
            None => {
                let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                format!(
                    "parameter `{name}` is not known; there are {}",
                    names.join(", ")
                )
            }
        });
    }
    let mut checked = Parameters::new();
    for parameter in known {
        let name = parameter.name;
        let value = match given.get(name) {
            None | Some(Value::Null) => default(parameter.takes),
            Some(value) => match fault(value, parameter.takes) {
                None => value.clone(),
                Some(fault) => {
                    faults.push(format!("parameter `{name}`: {fault}"));
                    continue;
                }
            },
        };
        checked.insert(name.to_owned(), value);
    }
    if faults.is_empty() {
        Ok(checked)
    } else {
        Err(Fault::Parameters(faults))
    }
}

/// Parameters as a remediation reads them.
pub(super) fn read<T: DeserializeOwned>(parameters: &Parameters) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(parameters.clone()))
        .map_err(|error| Fault::Parameters(vec![error.to_string()]))
}

fn default(takes: Takes) -> Value {
    match takes {
        Takes::Flag(on) => on.into(),
        Takes::Number { default, .. } => default.into(),
        Takes::Ports(texts) | Takes::Networks(texts) => texts.into(),
        Takes::Word { default, .. } => default.into(),
    }
}

/// What is wrong with a value, if anything is.
fn fault(value: &Value, takes: Takes) -> Option<String> {
    let shown = || neutral::line(&value.to_string(), 80);
    match takes {
        Takes::Flag(_) => {
            (!value.is_boolean()).then(|| format!("`{}` is not true or false", shown()))
        }
        Takes::Number { least, most, .. } => {
            let fits = value
                .as_u64()
                .is_some_and(|number| (least..=most).contains(&number));
            (!fits).then(|| format!("`{}` is no whole number from {least} to {most}", shown()))
        }
        Takes::Ports(_) => each(value, |item| match item {
            Value::Number(port) => port.as_u64().is_some_and(|port| port <= 65535),
            Value::String(text) => ports(text).is_some(),
            _ => false,
        })
        .map(|item| format!("`{item}` is no port, and no range such as `8000-8010`")),
        Takes::Networks(_) => each(value, |item| {
            item.as_str()
                .is_some_and(|text| Network::read(text).is_some())
        })
        .map(|item| format!("`{item}` is no network such as `203.0.113.0/24`")),
        Takes::Word { of, .. } => {
            let text = value.as_str().unwrap_or_default();
            if of.contains(&text) {
                return None;
            }
            Some(match nearest(text, of.iter().copied()) {
                Some(near) => format!("`{}` is not known; did you mean `{near}`?", shown()),
                None => format!(
                    "`{}` is not known; write one of `{}`",
                    shown(),
                    of.join("`, `")
                ),
            })
        }
    }
}

/// The first item that is not right; the value itself where it is no list.
fn each(value: &Value, is_right: impl Fn(&Value) -> bool) -> Option<String> {
    let wrong = match value {
        Value::Array(items) => items.iter().find(|item| !is_right(item))?,
        other => other,
    };
    Some(neutral::line(&wrong.to_string(), 80))
}

/// Reads a port or a range of ports.
pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    /// Says whether every address is in it.
    pub(super) fn is_everything(&self) -> bool {
        self.bits == 0
    }

    /// Says whether it holds the same addresses.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.bits == other.bits && self.first() == other.first()
    }

    fn first(&self) -> (bool, u128) {
        let (number, width) = match self.address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let kept = number.checked_shr(width - self.bits).unwrap_or(0);
        (self.address.is_ipv4(), kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KNOWN: &[Parameter] = &[
        Parameter {
            name: "ports",
            about: "",
            takes: Takes::Ports(&["22"]),
        },
        Parameter {
            name: "exempt_networks",
            about: "",
            takes: Takes::Networks(&[]),
        },
        Parameter {
            name: "days",
            about: "",
            takes: Takes::Number {
                least: 1,
                most: 90,
                default: None,
            },
        },
        Parameter {
            name: "force",
            about: "",
            takes: Takes::Flag(false),
        },
        Parameter {
            name: "which",
            about: "",
            takes: Takes::Word {
                of: &["all", "none"],
                default: "all",
            },
        },
    ];

    fn checked(given: &Value) -> Result<Value, Fault> {
        check(given.as_object().unwrap(), KNOWN).map(Value::Object)
    }

    #[test]
    fn defaults_stand_where_nothing_is_said() {
        assert_eq!(
            checked(&json!({ "ports": [22, "8000-8010"] })).unwrap(),
            json!({
                "ports": [22, "8000-8010"], "exempt_networks": [], "days": null, "force": false,
                "which": "all",
            })
        );
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let Err(Fault::Parameters(faults)) = checked(&json!({
            "port": 1, "ports": ["80-70"], "exempt_networks": "10.0.0.0/8", "days": 91,
            "force": "yes", "which": "al",
        })) else {
            panic!("nothing is wrong with it");
        };
        assert_eq!(
            faults,
            [
                "parameter `port` is not known; did you mean `ports`?",
                "parameter `ports`: `\"80-70\"` is no port, and no range such as `8000-8010`",
                "parameter `exempt_networks`: `\"10.0.0.0/8\"` is no network such as `203.0.113.0/24`",
                "parameter `days`: `91` is no whole number from 1 to 90",
                "parameter `force`: `\"yes\"` is not true or false",
                "parameter `which`: `\"al\"` is not known; did you mean `all`?",
            ]
        );
    }

    #[test]
    fn networks_are_the_same_whatever_follows_their_bits() {
        let read = |text: &str| Network::read(text).unwrap();
        assert!(read("10.1.2.3/8").is(&read("10.0.0.0/8")));
        assert!(!read("10.0.0.0/8").is(&read("10.0.0.0/9")));
        assert!(!read("0.0.0.0/0").is(&read("::/0")));
        assert!(read("::/0").is_everything() && read("1.2.3.4/0").is_everything());
        assert_eq!(Network::read("10.0.0.0/33"), None);
        assert_eq!(Network::read("10.0.0.0"), None);
    }
}
