use std::error::Error;

use dial::{Connector, InvalidEntry, Policy, Protocol, Roots};
use domain::{AttemptClass, Destination, DestinationId, Endpoint, Peer};

use super::Patience;
use super::http::Envelope;
use super::soap::{InvalidTemplate, Template};
use crate::answer::{Answer, causes};

/// How a destination takes deliveries, with all that its terms say about it.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Stream(Reach),
    Unary(Reach),
    Post(Reach, Envelope),
    Pull(DestinationId),
    Topic(String),
}

/// How connections to one destination are made.
///
/// Where its terms have an allowlist, that list alone counts: the endpoint's own host is allowed if the
/// list says so. Where they have none, exactly the endpoint's own host and port are allowed, at any
/// public or private address that the name answers with, and at loopback only if the host is literally a
/// loopback address or `localhost`.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    peer: Peer,
    policy: Policy,
    roots: Option<Roots>,
    room: usize,
}

/// A destination's terms that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWay {
    /// Its allowlist.
    #[error(transparent)]
    Allow(#[from] InvalidEntry),
    /// Its SOAP message.
    #[error(transparent)]
    Template(#[from] InvalidTemplate),
}

// === impl Way ===

impl Way {
    pub(crate) fn of(destination: &Destination, roots: Option<&Roots>) -> Result<Self, InvalidWay> {
        let reach = |peer| Reach::new(peer, destination, roots);
        Ok(match &destination.endpoint {
            Endpoint::GrpcStream(peer) => Self::Stream(reach(peer)?),
            Endpoint::GrpcUnary(peer) => Self::Unary(reach(peer)?),
            Endpoint::Http(peer) => {
                let envelope = match &destination.terms.envelope {
                    domain::Envelope::CloudEvent => Envelope::CloudEvent,
                    domain::Envelope::Soap { action, template } => {
                        Envelope::Soap(Template::read(action, template)?)
                    }
                };
                Self::Post(reach(peer)?, envelope)
            }
            Endpoint::Pull => Self::Pull(destination.id.clone()),
            Endpoint::Topic(topic) => Self::Topic(topic.clone()),
        })
    }
}

// === impl Reach ===

impl Reach {
    fn new(
        peer: &Peer,
        destination: &Destination,
        roots: Option<&Roots>,
    ) -> Result<Self, InvalidEntry> {
        let allow = &destination.terms.allow;
        let policy = if allow.is_empty() {
            let (host, port) = peer.authority.rsplit_once(':').unwrap_or_default();
            Policy::only(host, port.parse().unwrap_or_default())
        } else {
            Policy::allowing(allow)?
        };
        Ok(Self {
            peer: peer.clone(),
            policy,
            roots: roots.cloned(),
            room: usize::try_from(destination.max_in_flight).unwrap_or(usize::MAX),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.base(), self.path())
    }

    /// The address without its path.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.peer.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.peer.authority)
    }

    pub(crate) fn path(&self) -> &str {
        &self.peer.path
    }

    /// How many connections are worth keeping.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn connector(&self, protocol: Protocol, patience: &Patience) -> Connector {
        // Less than the whole attempt: when only the connection was slow, that nothing was sent is known.
        let limit = patience.real() * 3 / 4;
        let connector = Connector::new(self.policy.clone(), protocol, limit);
        match &self.roots {
            Some(roots) => connector.trusting(roots),
            None => connector,
        }
    }
}

/// The reading of an error that came before there was a connection; `None`: it came later.
pub(crate) fn not_connected(error: &(dyn Error + 'static)) -> Option<Answer> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<dial::Error>() {
            let class = match error {
                dial::Error::Blocked(_) => AttemptClass::Blocked,
                dial::Error::Resolve { .. }
                | dial::Error::Unreachable { .. }
                | dial::Error::TimedOut { .. }
                | dial::Error::Tls { .. } => AttemptClass::Unreachable,
            };
            return Some(Answer::new(class, format!("{error}{}", causes(error))));
        }
        next = error.source();
    }
    None
}
