use std::net::IpAddr;
use std::str::FromStr;

use crate::address::Judged;
use crate::host::Host;

/// One line of an allowlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    place: Place,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Name(String),
    /// With the full stop in front: `.gov.example`.
    Suffix(String),
    Range(Range),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    length: u8,
}

/// The text is not an entry of an allowlist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an allowlist entry must be a host name, `*.suffix`, an address or `first-address/length`, with or \
     without `:port` (IPv6 then in brackets), got `{0}`"
)]
pub struct InvalidEntry(String);

const LOCALHOST: &str = "localhost";

// === impl Entry ===

impl Entry {
    /// The entries that allow exactly this host at this port.
    pub(crate) fn exactly(host: &Host, port: u16) -> Vec<Self> {
        let port = Some(port);
        match host {
            Host::Name(name) => vec![Self {
                place: Place::Name(name.clone()),
                port,
            }],
            Host::Address(address) => Judged::new(*address)
                .targets()
                .map(|target| Self {
                    place: Place::Range(Range::only(target)),
                    port,
                })
                .collect(),
        }
    }

    pub(crate) fn permits(&self, address: IpAddr, port: u16, host: &str) -> bool {
        let right_port = self.port.is_none_or(|own| own == port);
        let right_place = match &self.place {
            Place::Name(name) => name == host,
            Place::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Place::Range(range) => range.contains(address),
        };
        right_port && right_place && (!address.is_loopback() || self.names_loopback())
    }

    /// Loopback is allowed by name only, never along with a wider range.
    fn names_loopback(&self) -> bool {
        match &self.place {
            Place::Name(name) => name == LOCALHOST,
            Place::Suffix(_) => false,
            Place::Range(range) => range.first.is_loopback() && range.length >= 8,
        }
    }

    fn read(text: &str) -> Option<Self> {
        if let Some(place) = Place::read(text) {
            return Some(Self { place, port: None });
        }
        let (place, port) = text.rsplit_once(':')?;
        let bare = place
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let place = match bare {
            Some(v6) => Place::read(v6).filter(|_| v6.contains(':')),
            None => Place::read(place).filter(|_| !place.contains(':')),
        }?;
        let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = Some(port.parse().ok().filter(|port| is_plain && *port > 0)?);
        Some(Self { place, port })
    }
}

impl FromStr for Entry {
    type Err = InvalidEntry;

    fn from_str(text: &str) -> Result<Self, InvalidEntry> {
        Self::read(text).ok_or_else(|| InvalidEntry(text.chars().take(128).collect()))
    }
}

// === impl Place ===

impl Place {
    fn read(text: &str) -> Option<Self> {
        if let Some(suffix) = text.strip_prefix("*.") {
            return match Host::read(suffix)? {
                Host::Name(name) => Some(Self::Suffix(format!(".{name}"))),
                Host::Address(_) => None,
            };
        }
        if let Some((first, length)) = text.split_once('/') {
            return Some(Self::Range(Range::new(
                first.parse().ok()?,
                length.parse().ok()?,
            )?));
        }
        match Host::read(text)? {
            Host::Name(name) => Some(Self::Name(name)),
            Host::Address(address) => Some(Self::Range(Range::new(address, bits(address))?)),
        }
    }
}

// === impl Range ===

impl Range {
    fn only(address: IpAddr) -> Self {
        Self {
            first: address,
            length: bits(address),
        }
    }

    /// `None` for a first address that is not the first, and for disguised IPv4, which is judged by the
    /// address inside and so would never match.
    fn new(first: IpAddr, length: u8) -> Option<Self> {
        let range = Self { first, length };
        let is_first = length <= bits(first) && range.network(first) == number(first);
        let is_itself = Judged::new(first).targets().any(|target| target == first);
        (is_first && is_itself).then_some(range)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4()
            && self.network(address) == self.network(self.first)
    }

    fn network(&self, address: IpAddr) -> u128 {
        let kept = u128::MAX
            .checked_shl(u32::from(bits(address).saturating_sub(self.length)))
            .unwrap_or(0);
        number(address) & kept
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_names_suffixes_addresses_and_ranges_with_or_without_a_port() {
        let check = |entry: &str, host: &str, address: &str, port: u16, expected: bool| {
            let read: Entry = entry.parse().unwrap();
            let permitted = read.permits(address.parse().unwrap(), port, host);
            assert_eq!(permitted, expected, "{entry}: {host} {address} {port}");
        };
        check("tax.example", "tax.example", "10.0.0.1", 80, true);
        check("Tax.Example.:80", "tax.example", "10.0.0.1", 80, true);
        check("tax.example:81", "tax.example", "10.0.0.1", 80, false);
        check("tax.example", "a.tax.example", "10.0.0.1", 80, false);
        check("*.example", "a.tax.example", "10.0.0.1", 80, true);
        check("*.example:80", "example", "10.0.0.1", 80, false);
        check("*.example", "badexample", "10.0.0.1", 80, false);
        check("10.0.0.0/8", "x", "10.255.0.1", 80, true);
        check("10.0.0.0/8:443", "x", "10.255.0.1", 80, false);
        check("10.0.0.0/8", "x", "11.0.0.1", 80, false);
        check("10.1.2.3", "x", "10.1.2.3", 80, true);
        check("10.1.2.3", "x", "10.1.2.4", 80, false);
        check("fd00::/8", "x", "fd12::1", 80, true);
        check("[fd00::/8]:80", "x", "fd12::1", 80, true);
        check("[fd12::1]:80", "x", "fd12::1", 81, false);
        check("0.0.0.0/0", "x", "10.1.2.3", 80, true);
        check("0.0.0.0/0", "x", "fd12::1", 80, false);
    }

    #[test]
    fn only_an_entry_that_names_loopback_allows_it() {
        let check = |entry: &str, expected: bool| {
            let read: Entry = entry.parse().unwrap();
            let permitted = read.permits([127, 0, 0, 1].into(), 80, "localhost");
            assert_eq!(permitted, expected, "{entry}");
        };
        check("localhost", true);
        check("127.0.0.0/8", true);
        check("127.0.0.1:80", true);
        check("0.0.0.0/0", false);
        check("64.0.0.0/2", false);
    }

    #[test]
    fn anything_else_is_no_entry() {
        for text in [
            "",
            "*",
            "*.",
            "*.1",
            "a*",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "fd00::/129",
            "tax.example:",
            "tax.example:0",
            "tax.example:+80",
            "tax.example:70000",
            "[fd00::1",
            "[tax.example]:80",
            "[10.0.0.1]:80",
            "http://tax.example",
            "a/b",
            "0x7f.1",
            "::ffff:10.0.0.1",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "2002:a00::/24",
        ] {
            assert!(text.parse::<Entry>().is_err(), "{text}");
        }
    }
}
