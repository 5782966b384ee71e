use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Judged;
use crate::entry::{Entry, InvalidEntry};
use crate::error::{Blocked, Reason};
use crate::host::Host;

/// Where one agency's connections may go.
///
/// An address passes if some entry of the allowlist names the host (exactly or as `*.suffix`) or the
/// address (alone or in a range), and the port. An entry by name trusts whoever answers for that name;
/// an entry by address does not: a list of addresses alone pins a destination to them.
///
/// Whatever the list says, link-local, metadata, unspecified, multicast, broadcast, documentation and
/// reserved addresses never pass. Loopback passes only by an entry that names it: `localhost`, or a
/// range within 127.0.0.0/8 or `::1`. An IPv4 address inside an IPv6 address (mapped, compatible,
/// translated, NAT64, 6to4, Teredo, ISATAP) is judged as if it stood alone, and the address around it
/// as well. An empty policy, which is the default, allows nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    entries: Arc<[Entry]>,
}

// === impl Policy ===

impl Policy {
    /// What a list allows: `host`, `*.suffix`, `address`, `first-address/length`, each also with
    /// `:port` (IPv6 then in brackets). Without a port every port is allowed.
    pub fn allowing<S: AsRef<str>>(list: &[S]) -> Result<Self, InvalidEntry> {
        let entries: Result<_, _> = list.iter().map(|text| text.as_ref().parse()).collect();
        Ok(Self { entries: entries? })
    }

    /// One host at one port and nothing else, for who declares no list.
    ///
    /// A name may answer with any public or private unicast address. Loopback is allowed only if the
    /// host is literally a loopback address or `localhost`. A host that is neither a plain name nor a
    /// plain address allows nothing.
    pub fn only(host: &str, port: u16) -> Self {
        let entries = Host::read(host).map(|host| Entry::exactly(&host, port));
        Self {
            entries: entries.unwrap_or_default().into(),
        }
    }

    /// This machine at any port and nothing else: for demonstrations and tests.
    pub fn loopback() -> Self {
        Self::allowing(&["127.0.0.0/8", "::1"]).unwrap_or_default()
    }

    /// Whether `host`, having answered with `address`, may be dialled there.
    pub fn decide(&self, address: IpAddr, port: u16, host: &str) -> Result<(), Blocked> {
        let judged = Judged::new(address);
        let blocked = |reason| Blocked::new(host, Some(address), port, reason);
        let Some(read) = Host::read(host) else {
            return Err(blocked(Reason::Host));
        };
        if let Some(never) = judged.never() {
            return Err(blocked(Reason::Never(never)));
        }
        let name = read.to_string();
        let permits = |target| self.entries.iter().any(|e| e.permits(target, port, &name));
        match judged.targets().find(|target| !permits(*target)) {
            None => Ok(()),
            Some(target) if target.is_loopback() => Err(blocked(Reason::Loopback)),
            Some(_) => Err(blocked(Reason::NotListed)),
        }
    }
}
