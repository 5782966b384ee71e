//! What an address is, and which other addresses hide in it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that no allowlist can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Where a cloud tells machines their secrets.
    Metadata,
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// TEST-NET-1 to -3, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// Held back by IANA: benchmarks, protocol assignments, discard, future use.
    Reserved,
}

/// An address, taken apart for judgement.
#[derive(Debug)]
pub(crate) struct Judged {
    whole: IpAddr,
    inside: Vec<IpAddr>,
    /// Whether the prefix is a place of its own, which must be permitted besides what is inside.
    has_own_place: bool,
}

/// Metadata services outside the link-local ranges: Alibaba Cloud, Azure.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// AWS, Google Cloud.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

// === impl Judged ===

impl Judged {
    pub(crate) fn new(whole: IpAddr) -> Self {
        let (inside, has_own_place) = match whole {
            IpAddr::V4(_) => (Vec::new(), true),
            IpAddr::V6(v6) => inside(v6),
        };
        Self {
            whole,
            inside: inside.into_iter().map(IpAddr::V4).collect(),
            has_own_place,
        }
    }

    /// Why it can never be allowed, if so: by itself, or by what is inside.
    pub(crate) fn never(&self) -> Option<Never> {
        let mut all = self.inside.iter().chain([&self.whole]);
        all.find_map(|address| never(*address))
    }

    /// The addresses that must be permitted, each of them.
    pub(crate) fn targets(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let whole = self.has_own_place.then_some(self.whole);
        whole.into_iter().chain(self.inside.iter().copied())
    }
}

/// The IPv4 addresses in an IPv6 address, and whether the prefix around them is a place of its own.
fn inside(v6: Ipv6Addr) -> (Vec<Ipv4Addr>, bool) {
    let bytes = v6.octets();
    let four = |at: [usize; 4]| Ipv4Addr::from(at.map(|index| bytes[index]));
    let last = four([12, 13, 14, 15]);
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => (Vec::new(), true),
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => (vec![last], false),
        [0x64, 0xff9b, 1, ..] => (local_nat64(four), false),
        [0x2002, ..] => (vec![four([2, 3, 4, 5])], false),
        // Teredo: the server, and the client's address with its bits turned over.
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::from(!u32::from(last));
            (vec![four([4, 5, 6, 7]), client], false)
        }
        // ISATAP (RFC 5214): under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => (vec![last], true),
        _ => (Vec::new(), true),
    }
}

/// Every reading of 64:ff9b:1::/48 (RFC 8215): it may be cut into prefixes of any length (RFC 6052, 2.2),
/// and a translator ignores what stands behind the address. What reads as 0.x is no reading.
fn local_nat64(four: impl Fn([usize; 4]) -> Ipv4Addr) -> Vec<Ipv4Addr> {
    let last = four([12, 13, 14, 15]);
    let shifted = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]].map(four);
    let mut readings: Vec<_> = shifted.into_iter().chain([last]).collect();
    readings.retain(|address| address.octets()[0] != 0);
    if readings.is_empty() {
        readings.push(last);
    }
    readings
}

fn never(address: IpAddr) -> Option<Never> {
    match address {
        IpAddr::V4(v4) => never_v4(v4),
        IpAddr::V6(v6) => never_v6(v6),
    }
}

fn never_v4(v4: Ipv4Addr) -> Option<Never> {
    match v4.octets() {
        [0, ..] => Some(Never::Unspecified),
        _ if METADATA_V4.contains(&v4) => Some(Never::Metadata),
        [169, 254, 169, 254] => Some(Never::Metadata),
        [169, 254, ..] => Some(Never::LinkLocal),
        [255, 255, 255, 255] => Some(Never::Broadcast),
        [224..=239, ..] => Some(Never::Multicast),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Never::Documentation),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => {
            Some(Never::Reserved)
        }
        _ => None,
    }
}

fn never_v6(v6: Ipv6Addr) -> Option<Never> {
    if METADATA_V6.contains(&v6) {
        return Some(Never::Metadata);
    }
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Never::Unspecified),
        [0xff00..=0xffff, ..] => Some(Never::Multicast),
        [0xfe80..=0xfebf, ..] => Some(Never::LinkLocal),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(Never::Documentation),
        // Site-local was given up (RFC 3879); discard; benchmarks.
        [0xfec0..=0xfeff, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 2, 0, ..] => Some(Never::Reserved),
        _ => None,
    }
}

// === impl Never ===

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkLocal => "link-local",
            Self::Metadata => "a metadata service",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "for documentation only",
            Self::Reserved => "reserved",
        })
    }
}
