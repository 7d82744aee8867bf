//! Decides which addresses outgoing requests may lead to, so that nobody can make Quench talk to internal services.
//!
//! Without an allow list only `https` to public addresses on port 443 passes. Addresses are judged after resolution,
//! all of an answer's, so neither spelling (`0x7f.1`) nor a name that points inside helps; a name's answer is the one
//! that is connected to, so it cannot change in between.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use url::{Host, Url};

const HTTPS: u16 = 443;

/// What may be connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressGuard {
    /// Places that pass whatever their address, over `https` or plain `http`.
    pub allowed: Vec<Allowed>,
    /// Ports that may be used besides 443, at any place.
    pub ports: Vec<u16>,
}

/// One entry of the allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A host by its name, on one port or any.
    Host {
        /// Lower-case name, without a trailing dot.
        name: String,
        /// Its port; absent means any.
        port: Option<u16>,
    },
    /// A network of addresses, on any port.
    Network {
        /// An address in it.
        address: IpAddr,
        /// How many leading bits its addresses have in common.
        prefix: u8,
    },
}

/// Why nothing may be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither `https`, nor `http` to an allowed place.
    #[error("`{scheme}` to `{host}` is refused; use https")]
    Scheme {
        /// The scheme.
        scheme: String,
        /// The host.
        host: String,
    },
    /// There is no host.
    #[error("the address names no host")]
    NoHost,
    /// User or password in the address.
    #[error("the address of `{0}` holds a user or password; put them into a connection")]
    Credentials(String),
    /// A port that is not allowed.
    #[error("port {port} of `{host}` is refused")]
    Port {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// An address that is not public.
    #[error("`{host}` leads to {address}, which is refused: {why}")]
    Address {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is reserved for.
        why: &'static str,
    },
}

/// Why a text is no entry of the allow list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`"
)]
pub struct InvalidAllowed(String);

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let invalid = || InvalidAllowed(text.to_owned());
        if let Some((address, prefix)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| invalid())?;
            let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
            if prefix > width(address) {
                return Err(invalid());
            }
            return Ok(Self::Network { address, prefix });
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Network {
                address,
                prefix: width(address),
            });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        match Host::parse(name).map_err(|_| invalid())? {
            Host::Domain(name) if !name.is_empty() && !name.contains('*') => Ok(Self::Host {
                name: plain_name(&name),
                port,
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port: None } => out.write_str(name),
            Self::Host {
                name,
                port: Some(port),
            } => write!(out, "{name}:{port}"),
            Self::Network { address, prefix } => write!(out, "{address}/{prefix}"),
        }
    }
}

impl AddressGuard {
    /// Reads an allow list of host names, addresses and networks.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn allowing<'a>(
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidAllowed> {
        Ok(Self {
            allowed: entries
                .into_iter()
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            ports: Vec::new(),
        })
    }

    /// Judges all of a URL that can be judged without resolving its name.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host().ok_or(Refused::NoHost)?;
        let shown = || host.to_string();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials(shown()));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let allowed = match &host {
            Host::Domain(name) => {
                if plain_name(name).is_empty() {
                    return Err(Refused::NoHost);
                }
                self.allows_name(name, Some(port))
            }
            Host::Ipv4(address) => self.allows_address(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.allows_address(IpAddr::V6(*address)),
        };
        match url.scheme() {
            "https" => {}
            "http" if allowed => {}
            scheme => {
                return Err(Refused::Scheme {
                    scheme: scheme.to_owned(),
                    host: shown(),
                });
            }
        }
        // A name that is listed for some ports may lead inside on those, and must not on others.
        let elsewhere =
            !allowed && matches!(&host, Host::Domain(name) if self.allows_name(name, None));
        if elsewhere || (!allowed && port != HTTPS && !self.ports.contains(&port)) {
            return Err(Refused::Port {
                host: shown(),
                port,
            });
        }
        match host {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.check_address(&shown(), IpAddr::V4(address)),
            Host::Ipv6(address) => self.check_address(&shown(), IpAddr::V6(address)),
        }
    }

    /// Judges one address that a host has, by itself or by resolution.
    ///
    /// # Errors
    /// Any address that is not public, unless it is in an allowed network or belongs to an allowed name.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        if self.allows_name(host, None) || self.allows_address(address) {
            return Ok(());
        }
        match reserved(address) {
            None => Ok(()),
            Some(why) => Err(Refused::Address {
                host: host.to_owned(),
                address,
                why,
            }),
        }
    }

    /// Without a port, any entry of that name counts: the port has been judged before the name is resolved.
    fn allows_name(&self, host: &str, port: Option<u16>) -> bool {
        let host = plain_name(host);
        self.allowed.iter().any(|entry| match entry {
            Allowed::Host { name, port: only } => {
                *name == host && (only.is_none() || port.is_none() || *only == port)
            }
            Allowed::Network { .. } => false,
        })
    }

    fn allows_address(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|entry| match entry {
            Allowed::Host { .. } => false,
            Allowed::Network {
                address: network,
                prefix,
            } => within(address, *network, *prefix),
        })
    }
}

fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let shift = 32 - u32::from(prefix);
            let cut = |ip: Ipv4Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
            cut(address) == cut(network)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let shift = 128 - u32::from(prefix);
            let cut = |ip: Ipv6Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
            cut(address) == cut(network)
        }
        _ => false,
    }
}

/// What an address is set aside for; none if it is a public one.
///
/// After IANA's registries of special-purpose addresses (RFC 6890 and what amends it). Of IPv6 only global unicast,
/// `2000::/3`, can be public at all, which also keeps out every way to write an IPv4 address in IPv6.
#[must_use]
pub fn reserved(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => RESERVED_V4
            .iter()
            .find(|(network, prefix, _)| {
                within(
                    address.into(),
                    IpAddr::V4(Ipv4Addr::from(*network)),
                    *prefix,
                )
            })
            .map(|(_, _, why)| *why),
        IpAddr::V6(address) => {
            if !within(address.into(), IpAddr::V6(Ipv6Addr::from(GLOBAL_V6)), 3) {
                return Some("not global unicast");
            }
            RESERVED_V6
                .iter()
                .find(|(network, prefix, _)| {
                    within(
                        address.into(),
                        IpAddr::V6(Ipv6Addr::from(*network)),
                        *prefix,
                    )
                })
                .map(|(_, _, why)| *why)
        }
    }
}

const RESERVED_V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private use"),
    ([100, 64, 0, 0], 10, "shared address space"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "platform service of Azure"),
    ([169, 254, 0, 0], 16, "link local, metadata services"),
    ([172, 16, 0, 0], 12, "private use"),
    ([192, 0, 0, 0], 24, "protocol assignments"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 31, 196, 0], 24, "name service sink"),
    ([192, 52, 193, 0], 24, "multicast tunnels"),
    ([192, 88, 99, 0], 24, "6to4 relays"),
    ([192, 168, 0, 0], 16, "private use"),
    ([192, 175, 48, 0], 24, "name service sink"),
    ([198, 18, 0, 0], 15, "benchmarks"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

const GLOBAL_V6: [u16; 8] = [0x2000, 0, 0, 0, 0, 0, 0, 0];

const RESERVED_V6: &[([u16; 8], u8, &str)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignments"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    (
        [0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0],
        48,
        "name service sink",
    ),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, "returned test network"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
];

#[cfg(test)]
mod tests;
