//! The host of an address as it is written: a plain name, a plain address, or refused.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    /// Lower case, without a full stop at the end.
    Name(String),
}

const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

// === impl Host ===

impl Host {
    /// `None`: the text is something that resolvers read in ways of their own, such as `0x7f.1`,
    /// `2130706433` or `[fe80::1%eth0]`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        is_name(&name).then_some(Self::Name(name))
    }
}

fn is_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= LONGEST_NAME && name.split('.').all(is_label) && !reads_as_number(last)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A host whose last label is a number is an IPv4 address to `inet_aton`, and no top-level domain is one.
fn reads_as_number(label: &str) -> bool {
    let is_hex = label.strip_prefix("0x");
    label.bytes().all(|byte| byte.is_ascii_digit())
        || is_hex.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_plain_name_or_a_plain_address() {
        let read = |text: &str| Host::read(text).map(|host| host.to_string());
        for (text, expected) in [
            ("Tax.Example.", "tax.example"),
            ("localhost", "localhost"),
            ("1password.example", "1password.example"),
            ("a_b-c.example", "a_b-c.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        let long = "a".repeat(64);
        for text in [
            "",
            ".",
            "a..b",
            "..",
            "-a",
            "a-",
            "*.a",
            "a b",
            "a%2eb",
            "tên.example",
            &long,
            "[::1",
            "[10.0.0.1]",
            "[::1%25lo]",
            "0x7f.1",
            "0X7F000001",
            "2130706433",
            "127.1",
            "127.1.",
            "0177.0.0.1",
            "1.2.3.4.5",
            "a.0x",
            "good@10.0.0.1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
