use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::index::hash;

/// A block of IP addresses: those that share the leading `prefix` bits of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a bare address; the message of an error says what to write instead.
    pub(crate) fn of_text(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!(
                "`{text}` is not an IP network; write one such as `10.0.0.0/8` or `2001:db8::/32`"
            )
        })?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| format!("network `{text}` has no valid prefix; write a number from 0 to {bits} after `/`"))?,
        };
        let written = Self { address, prefix };
        let first = Self {
            address: written.first(),
            prefix,
        };
        if first != written {
            return Err(format!(
                "network `{text}` has bits set beyond its prefix; did you mean `{}/{prefix}`?",
                first.address
            ));
        }
        Ok(written.canonical())
    }

    /// The lowest address of the block.
    fn first(self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask4(self.prefix))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask6(self.prefix))),
        }
    }

    /// The same block as an IPv4 one, if it lies within the IPv4-mapped addresses.
    fn canonical(self) -> Self {
        match self.address.to_canonical() {
            address @ IpAddr::V4(_) if self.address.is_ipv6() && self.prefix >= 96 => Self {
                address,
                prefix: self.prefix - 96,
            },
            _ => self,
        }
    }

    /// Whether the block is of IPv6, and the bits its addresses share.
    pub(crate) fn block(self) -> (bool, u8) {
        (self.address.is_ipv6(), self.prefix)
    }

    /// A hash of the block.
    pub(crate) fn block_hash(self) -> u64 {
        let bits = match self.address {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        hash_of(self.address.is_ipv6(), self.prefix, bits)
    }

    /// The hash of the block with such a prefix around an address; nothing if the address is of the other family.
    pub(crate) fn block_hash_around(address: IpAddr, v6: bool, prefix: u8) -> Option<u64> {
        match (address.to_canonical(), v6) {
            (IpAddr::V4(address), false) => Some(hash_of(
                false,
                prefix,
                (address.to_bits() & mask4(prefix)).into(),
            )),
            (IpAddr::V6(address), true) => {
                Some(hash_of(true, prefix, address.to_bits() & mask6(prefix)))
            }
            _ => None,
        }
    }

    /// Whether an address lies in the block; an IPv4-mapped address counts as the IPv4 address it maps.
    pub(crate) fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                address.to_bits() & mask4(self.prefix) == network.to_bits()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                address.to_bits() & mask6(self.prefix) == network.to_bits()
            }
            _ => false,
        }
    }
}

fn hash_of(v6: bool, prefix: u8, bits: u128) -> u64 {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&bits.to_le_bytes());
    bytes[16] = prefix;
    bytes[17] = v6.into();
    // Letters would count regardless of case, so each byte is split into two that are none.
    let mut halves = [0; 36];
    for (pair, byte) in halves.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [byte >> 4, byte & 15];
    }
    hash::text(&halves)
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let address = address.parse().expect("an address");
        Network::of_text(network).expect("a network").holds(address)
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_not_their_neighbours() {
        assert!(holds("192.0.2.128/25", "192.0.2.128"));
        assert!(holds("192.0.2.128/25", "192.0.2.255"));
        assert!(!holds("192.0.2.128/25", "192.0.2.127"));
        assert!(!holds("192.0.2.128/25", "192.0.3.0"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff:ffff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::"));
        assert!(holds("192.0.2.1", "192.0.2.1"));
        assert!(!holds("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn the_widest_networks_hold_their_family_only() {
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("::/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn mapped_addresses_are_the_ipv4_addresses_they_map() {
        assert!(holds("203.0.113.0/24", "::ffff:203.0.113.9"));
        assert!(holds("::ffff:203.0.113.0/120", "203.0.113.9"));
        assert!(!holds("::/0", "::ffff:203.0.113.9"));
    }

    #[test]
    fn a_network_with_host_bits_is_refused_with_the_right_one() {
        let error = Network::of_text("10.1.2.3/8").expect_err("host bits");
        assert!(error.contains("did you mean `10.0.0.0/8`"), "{error}");
        for wrong in [
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "",
            "::/129",
            "example.com",
            "10.0.0.0/8/8",
        ] {
            assert!(Network::of_text(wrong).is_err(), "{wrong}");
        }
    }
}
