use super::facts::{Parameter, Takes};
use super::shown;
use crate::bind::listed;
use crate::nearest::nearest;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// What is said to a remediation, by name.
pub type Parameters = Map<String, Value>;

/// Checks what is said to a remediation, and fills in defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn check(given: &Parameters, known: &[Parameter]) -> Result<Parameters, Vec<String>> {
    let mut faults = Vec::new();
    for name in given.keys() {
        if known.iter().any(|parameter| parameter.name == name) {
            continue;
        }
        let help = unknown(name, known);
        faults.push(format!("parameter `{}` is not known; {help}", shown(name)));
    }
    let mut checked = Parameters::new();
    for parameter in known {
        let name = parameter.name;
        let value = match given.get(name) {
            None | Some(Value::Null) => default(parameter.takes),
            Some(value) => match unfit(value, parameter.takes) {
                None => value.clone(),
                Some((reason, help)) => {
                    faults.push(match help {
                        Some(help) => format!("parameter `{name}`: {reason}; {help}"),
                        None => format!("parameter `{name}`: {reason}"),
                    });
                    continue;
                }
            },
        };
        checked.insert(name.to_owned(), value);
    }
    if faults.is_empty() {
        Ok(checked)
    } else {
        Err(faults)
    }
}

fn default(takes: Takes) -> Value {
    match takes {
        Takes::Flag(on) => on.into(),
        Takes::Number { default, .. } => default.into(),
        Takes::Ports(texts) | Takes::Networks(texts) => texts.into(),
        Takes::Word { default, .. } => default.into(),
    }
}

/// What to write in place of the name of a parameter that there is not.
pub(crate) fn unknown(name: &str, known: &[Parameter]) -> String {
    let names = known.iter().map(|parameter| parameter.name);
    match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it, for there are none".to_owned(),
        None => format!("there are {}", listed(&names.collect::<Vec<_>>())),
    }
}

/// What is wrong with a value, if anything is, and how to mend it where that can be told.
pub(crate) fn unfit(value: &Value, takes: Takes) -> Option<(String, Option<String>)> {
    let given = || shown(&value.to_string());
    // What was meant, where it is only the quotes that are wrong.
    let text = value.as_str().map(str::trim).unwrap_or_default();
    let unquoted = |fits: bool| fits.then(|| format!("drop the quotes: `{text}`"));
    match takes {
        Takes::Flag(_) => {
            let help = unquoted(matches!(text, "true" | "false"));
            (!value.is_boolean()).then(|| (format!("`{}` is not true or false", given()), help))
        }
        Takes::Number { least, most, .. } => {
            let fits = |number: u64| (least..=most).contains(&number);
            let help = unquoted(text.parse().is_ok_and(fits));
            (!value.as_u64().is_some_and(fits)).then(|| {
                let reason = format!("`{}` is no whole number from {least} to {most}", given());
                (reason, help)
            })
        }
        Takes::Ports(_) => each(value, is_port, "port, and no range such as `8000-8010`"),
        Takes::Networks(_) => each(value, is_network, "network such as `203.0.113.0/24`"),
        Takes::Word { of, .. } => {
            if of.contains(&value.as_str().unwrap_or_default()) {
                return None;
            }
            let help = match nearest(text, of.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", listed(of)),
            };
            Some((format!("`{}` is not known", given()), Some(help)))
        }
    }
}

fn is_port(item: &Value) -> bool {
    match item {
        Value::Number(port) => port.as_u64().is_some_and(|port| port <= 65535),
        Value::String(text) => ports(text).is_some(),
        _ => false,
    }
}

fn is_network(item: &Value) -> bool {
    item.as_str()
        .is_some_and(|text| Network::read(text).is_some())
}

/// The first item that is not right; what stands for a list of one is none.
fn each(
    value: &Value,
    is_right: impl Fn(&Value) -> bool,
    what: &str,
) -> Option<(String, Option<String>)> {
    let Value::Array(items) = value else {
        let given = shown(&value.to_string());
        let help = is_right(value).then(|| format!("write `[{given}]`"));
        return Some((format!("`{given}` is no list"), help));
    };
    let wrong = items.iter().find(|item| !is_right(item))?;
    Some((
        format!("`{}` is no {what}", shown(&wrong.to_string())),
        None,
    ))
}

/// Reads a port or a range of ports.
#[must_use]
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads one as `203.0.113.0/24` or `2001:db8::/32`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    /// Says whether every address is in it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.bits == 0
    }

    /// Says whether it holds the same addresses.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
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

    fn checked(given: &Value) -> Result<Value, Vec<String>> {
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
        let Err(faults) = checked(&json!({
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
                "parameter `exempt_networks`: `\"10.0.0.0/8\"` is no list; write `[\"10.0.0.0/8\"]`",
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
