use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use crate::address::Never;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It must not be made: a matter of configuration, and of no use to try again.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The name has no address, so nothing is dialled.
    #[error("the name `{host}` cannot be resolved; check its spelling and the DNS server")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Refused, reset or without a way there.
    #[error("cannot connect to `{host}` at {address}; check the server there and the firewalls")]
    Unreachable {
        /// The host as configured.
        host: String,
        /// The address that was dialled last.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The time for all of it was used up.
    #[error(
        "no connection to `{host}` within {} ms while {stage}; check the network and the firewalls",
        limit.as_millis()
    )]
    TimedOut {
        /// The host as configured.
        host: String,
        /// How far it came.
        stage: Stage,
        /// The time that there was.
        limit: Duration,
    },
    /// The server is not who it should be, or does not speak TLS. Nothing was sent in plain text.
    #[error(
        "no TLS with `{host}` at {address}; check the server's certificate and the trusted roots"
    )]
    Tls {
        /// The host as configured.
        host: String,
        /// The address that was dialled.
        address: SocketAddr,
        /// What the handshake says.
        source: io::Error,
    },
}

/// A connection that must not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The host as configured.
    pub host: String,
    /// The address it answered with; `None` when it was not even asked.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// What forbids it.
    pub reason: Reason,
}

/// What forbids a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The allowlist names neither the host nor the address with that port.
    #[error(
        "no allowlist entry names it with that port; add one if the agency confirms the address"
    )]
    NotListed,
    /// This machine itself.
    #[error("it is this machine, which only an entry naming `localhost` or its address allows")]
    Loopback,
    /// An address that no list can allow.
    #[error(
        "the address is {0}, which no allowlist can allow; correct the endpoint or its DNS entry"
    )]
    Never(Never),
    /// A host in a spelling that resolvers read in ways of their own.
    #[error("the host must be written as a plain name, `a.b.c.d` or `[IPv6]`")]
    Host,
    /// Neither http nor https.
    #[error("the scheme must be http or https")]
    Scheme,
    /// https, and nobody to trust.
    #[error("https needs trusted roots and none are set; name a PEM file with their certificates")]
    NoRoots,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Asking for the name's addresses.
    Resolving,
    /// Dialling this address.
    Connecting(SocketAddr),
    /// The TLS handshake with this address.
    Securing(SocketAddr),
}

const LONGEST_HOST: usize = 128;

// === impl Blocked ===

impl Blocked {
    pub(crate) fn new(host: &str, address: Option<IpAddr>, port: u16, reason: Reason) -> Self {
        let visible = |c: &char| !c.is_control();
        Self {
            host: host.chars().filter(visible).take(LONGEST_HOST).collect(),
            address,
            port,
            reason,
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, port, reason, ..
        } = self;
        match self.address {
            Some(address) => write!(
                f,
                "connecting to `{host}` at {} is blocked: {reason}",
                SocketAddr::new(address, *port)
            ),
            None => write!(f, "connecting to `{host}` port {port} is blocked: {reason}"),
        }
    }
}

impl std::error::Error for Blocked {}

// === impl Stage ===

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving => f.write_str("resolving the name"),
            Self::Connecting(address) => write!(f, "dialling {address}"),
            Self::Securing(address) => write!(f, "waiting for TLS with {address}"),
        }
    }
}
