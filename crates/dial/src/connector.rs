use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::error::{Blocked, Error, Reason, Stage};
use crate::host::Host;
use crate::policy::Policy;
use crate::resolve::{Resolve, SystemResolver};
use crate::stream::Stream;
use crate::tls::Roots;

/// Makes connections that its policy allows, for hyper-util's `Client` and tonic's `Endpoint`.
///
/// `http` is plain, `https` is TLS to a server that proves its name, and neither ever becomes the other.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

/// What is spoken over a connection; TLS agrees on it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: gRPC.
    Http2,
}

#[derive(Clone)]
struct Shared {
    policy: Policy,
    protocol: Protocol,
    limit: Duration,
    resolver: Arc<dyn Resolve>,
    tls: Option<TlsConnector>,
}

/// Where a connection is asked for.
struct Target {
    host: Host,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Of a name's addresses no more are dialled; a name that has more than this is up to something.
const MOST_ADDRESSES: usize = 8;

type Connecting = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send>>;

// === impl Connector ===

impl Connector {
    /// A connector with one time limit over resolving, dialling and TLS together. It trusts nobody yet,
    /// so that `https` is blocked.
    pub fn new(policy: Policy, protocol: Protocol, limit: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                policy,
                protocol,
                limit,
                resolver: Arc::new(SystemResolver),
                tls: None,
            }),
        }
    }

    /// Trusts servers that these roots vouch for.
    #[must_use]
    pub fn trusting(mut self, roots: &Roots) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.tls = Some(roots.connector(shared.protocol));
        self
    }

    /// Opens one connection to what the address names, and sends nothing but what TLS needs.
    pub async fn open(&self, uri: &Uri) -> Result<Stream, Error> {
        self.shared.connect(uri).await
    }

    /// Asks another resolver for names.
    #[must_use]
    pub fn resolving_with(mut self, resolver: Arc<dyn Resolve>) -> Self {
        Arc::make_mut(&mut self.shared).resolver = resolver;
        self
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let shared = self.shared.clone();
        Box::pin(async move { shared.connect(&uri).await })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("policy", &self.shared.policy)
            .field("protocol", &self.shared.protocol)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<Stream, Error> {
        let deadline = Instant::now() + self.limit;
        let target = self.target(uri)?;
        let found = self.addresses(&target.host, deadline).await?;
        let allowed = self.allowed(&target, found)?;
        let (tcp, address) = self.dial(&target.host, &allowed, deadline).await?;
        let Some((tls, name)) = target.tls else {
            return Ok(Stream::plain(tcp));
        };
        match timeout_at(deadline, tls.connect(name, tcp)).await {
            Ok(Ok(secure)) => Ok(Stream::secure(secure)),
            Ok(Err(source)) => Err(Error::Tls {
                host: target.host.to_string(),
                address,
                source,
            }),
            Err(_) => Err(self.timed_out(&target.host, Stage::Securing(address))),
        }
    }

    fn target(&self, uri: &Uri) -> Result<Target, Blocked> {
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let text = uri.host().unwrap_or_default();
        let blocked = |reason| Blocked::new(text, None, port, reason);
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = Host::read(text)
            .filter(|_| !authority.contains('@'))
            .ok_or_else(|| blocked(Reason::Host))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let tls = self.tls.clone().ok_or_else(|| blocked(Reason::NoRoots))?;
                let name = host.server_name().ok_or_else(|| blocked(Reason::Host))?;
                Some((tls, name))
            }
            _ => return Err(blocked(Reason::Scheme)),
        };
        Ok(Target { host, port, tls })
    }

    async fn addresses(&self, host: &Host, deadline: Instant) -> Result<Vec<IpAddr>, Error> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let failed = |source| Error::Resolve {
            host: name.clone(),
            source,
        };
        match timeout_at(deadline, self.resolver.resolve(name)).await {
            Ok(Ok(found)) if found.is_empty() => Err(failed(io::Error::other("it has no address"))),
            Ok(found) => found.map_err(failed),
            Err(_) => Err(self.timed_out(host, Stage::Resolving)),
        }
    }

    fn allowed(&self, target: &Target, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, Blocked> {
        let host = target.host.to_string();
        let (mut allowed, mut refusal) = (Vec::new(), None);
        for address in found {
            match self.policy.decide(address, target.port, &host) {
                Ok(()) => allowed.push(SocketAddr::new(address, target.port)),
                Err(blocked) => refusal = refusal.or(Some(blocked)),
            }
        }
        allowed.truncate(MOST_ADDRESSES);
        match refusal {
            Some(blocked) if allowed.is_empty() => Err(blocked),
            _ => Ok(allowed),
        }
    }

    /// One address after the other; each gets its share of the time that is left.
    async fn dial(
        &self,
        host: &Host,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), Error> {
        let mut last = self.timed_out(host, Stage::Resolving);
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let now = Instant::now();
            let share = now + deadline.saturating_duration_since(now) / others;
            let dialled = timeout_at(share, TcpStream::connect(address)).await;
            last = match dialled.map(|tcp| tcp.and_then(without_delay)) {
                Ok(Ok(tcp)) => return Ok((tcp, *address)),
                Ok(Err(source)) => Error::Unreachable {
                    host: host.to_string(),
                    address: *address,
                    source,
                },
                Err(_) => self.timed_out(host, Stage::Connecting(*address)),
            };
        }
        Err(last)
    }

    fn timed_out(&self, host: &Host, stage: Stage) -> Error {
        Error::TimedOut {
            host: host.to_string(),
            stage,
            limit: self.limit,
        }
    }
}

fn without_delay(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

// === impl Protocol ===

impl Protocol {
    pub(crate) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

// === impl Host ===

impl Host {
    fn server_name(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Address(address) => Some(ServerName::from(*address)),
            Self::Name(name) => ServerName::try_from(name.clone()).ok(),
        }
    }
}
