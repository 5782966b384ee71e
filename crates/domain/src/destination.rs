use std::num::NonZeroU32;
use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{AgencyId, CalendarId, DestinationId, Outage};

/// A binding of an agency to an endpoint, with the limits its owner asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The id; also a metric label.
    pub id: DestinationId,
    /// The agency behind it.
    pub agency: AgencyId,
    /// Where and how to hand deliveries over.
    pub endpoint: Endpoint,
    /// The calendar of its working time.
    pub calendar: CalendarId,
    /// How many deliveries may be in flight at once, at most; at least one.
    pub max_in_flight: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetrySteps,
    /// What else was agreed with its owner.
    pub terms: Terms,
}

/// What was agreed with a destination's owner. The default is that of one that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether a repeat under the same id has no second effect. Where it has one, the outcome of an
    /// attempt without an answer is unknown, and the delivery is not sent again for that.
    pub idempotent: bool,
    /// Whether it answers what became of a delivery: the `Query` call of its inbox, or GET on the
    /// endpoint's path and the delivery's id.
    pub queryable: bool,
    /// How much it takes in a time, by contract.
    pub rate: Rate,
    /// When it is away by announcement.
    pub outages: Vec<Outage>,
    /// Whether it takes deliveries in its office hours only.
    pub office_hours_only: bool,
    /// How to ask whether it works, without a delivery.
    pub canary: Option<Canary>,
    /// The rules by which its replies are read, by name; `None`: the built-in ones.
    pub replies: Option<String>,
    /// Where its endpoint may lie: `host:port`, `*.suffix:port` or `a.b.c.d/bits:port`. Empty: only
    /// where the endpoint itself says.
    pub allow: Vec<String>,
    /// What a delivery is wrapped in, where the endpoint is an HTTP one.
    pub envelope: Envelope,
}

/// How many deliveries may begin in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// In a second.
    pub per_second: Option<NonZeroU32>,
    /// In an hour of its working time.
    pub per_working_hour: Option<NonZeroU32>,
}

/// A question that has no effect and shows whether a destination works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// GET on this path of an HTTP endpoint; any 2xx is health.
    Get(String),
    /// The standard gRPC health check.
    Health,
}

/// What a delivery is wrapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// A CloudEvent in binary mode.
    #[default]
    CloudEvent,
    /// A SOAP message made from a template.
    Soap {
        /// The `SOAPAction` header.
        action: String,
        /// The message, with placeholders.
        template: String,
    },
}

/// The waits after failed attempts, before the budget hurries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySteps {
    /// The wait after each failed attempt; the last one repeats. Never empty.
    pub steps: Vec<Duration>,
    /// After this many attempts the delivery is a dead letter.
    pub max_attempts: u32,
}

/// How an agency takes deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endpoint {
    /// `grpc://host:port` or `grpcs://host:port`: one bidirectional stream of the `Inbox` service.
    GrpcStream(Peer),
    /// `grpc+unary://host:port` or `grpcs+unary://host:port`: one call of the `Inbox` service per
    /// delivery.
    GrpcUnary(Peer),
    /// `http://host:port/path` or `https://host:port/path`: one POST per delivery.
    Http(Peer),
    /// `pull:`: the agency cannot be called; it fetches its deliveries.
    Pull,
    /// `kafka:TOPIC`: a topic of its own on the pipeline's brokers.
    Topic(String),
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Whether the connection is encrypted and the peer's name verified.
    pub tls: bool,
    /// `host:port`.
    pub authority: String,
    /// What stands behind the authority, with its `/`; empty for gRPC.
    pub path: String,
}

/// The text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "endpoint must be `grpc://host:port`, `grpc+unary://host:port` or `http://host:port/path` (with TLS `grpcs`, \
     `grpcs+unary`, `https`), `pull:` or `kafka:TOPIC`, got `{0}`"
)]
pub struct InvalidEndpoint(String);

// === impl Terms ===

impl Default for Terms {
    fn default() -> Self {
        Self {
            idempotent: true,
            queryable: false,
            rate: Rate::default(),
            outages: Vec::new(),
            office_hours_only: false,
            canary: None,
            replies: None,
            allow: Vec::new(),
            envelope: Envelope::default(),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The same way of delivery at another `host:port`.
    #[must_use]
    pub fn at(&self, authority: &str) -> Self {
        let moved = |peer: &Peer| Peer {
            authority: authority.to_owned(),
            ..peer.clone()
        };
        match self {
            Self::GrpcStream(peer) => Self::GrpcStream(moved(peer)),
            Self::GrpcUnary(peer) => Self::GrpcUnary(moved(peer)),
            Self::Http(peer) => Self::Http(moved(peer)),
            Self::Pull | Self::Topic(_) => self.clone(),
        }
    }

    /// Whom the courier calls, if it calls anybody.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::GrpcStream(peer) | Self::GrpcUnary(peer) | Self::Http(peer) => Some(peer),
            Self::Pull | Self::Topic(_) => None,
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.chars().take(128).collect());
        if text == "pull:" {
            return Ok(Self::Pull);
        }
        if let Some(topic) = text.strip_prefix("kafka:") {
            let topic = is_topic(topic).then(|| topic.to_owned());
            return topic.map(Self::Topic).ok_or_else(invalid);
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let (tls, way) = match scheme.split_once('s') {
            Some((before, after)) => (true, format!("{before}{after}")),
            None => (false, scheme.to_owned()),
        };
        let peer = Peer::read(rest, tls).ok_or_else(invalid)?;
        match way.as_str() {
            "grpc" if peer.path.is_empty() => Ok(Self::GrpcStream(peer)),
            "grpc+unary" if peer.path.is_empty() => Ok(Self::GrpcUnary(peer)),
            "http" => Ok(Self::Http(peer)),
            _ => Err(invalid()),
        }
    }
}

/// A topic's name by Kafka's own rule.
fn is_topic(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(is_legal) && name != "." && name != ".."
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |peer: &Peer| if peer.tls { "s" } else { "" };
        match self {
            Self::GrpcStream(peer) => write!(f, "grpc{}://{peer}", s(peer)),
            Self::GrpcUnary(peer) => write!(f, "grpc{}+unary://{peer}", s(peer)),
            Self::Http(peer) => write!(f, "http{}://{peer}", s(peer)),
            Self::Pull => f.write_str("pull:"),
            Self::Topic(topic) => write!(f, "kafka:{topic}"),
        }
    }
}

// === impl Peer ===

impl Peer {
    fn read(text: &str, tls: bool) -> Option<Self> {
        let end = text.find('/').unwrap_or(text.len());
        let (authority, path) = text.split_at(end);
        let (host, port) = authority.rsplit_once(':')?;
        let is_peer = !host.is_empty()
            && !host.contains('@')
            && port.parse::<u16>().is_ok()
            && !text.contains(char::is_whitespace);
        is_peer.then(|| Self {
            tls,
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_moves_and_keeps_its_way() {
        let moved = |text: &str| text.parse::<Endpoint>().unwrap().at("b:2").to_string();
        assert_eq!(moved("grpc+unary://a:1"), "grpc+unary://b:2");
        assert_eq!(moved("https://a:1/inbox/x"), "https://b:2/inbox/x");
        assert_eq!(moved("pull:"), "pull:");
    }

    #[test]
    fn endpoints_go_round() {
        for text in [
            "grpc://127.0.0.1:7001",
            "grpcs://justice.example:443",
            "grpc+unary://justice:7001",
            "grpcs+unary://justice:7001",
            "http://[::1]:80/inbox",
            "https://justice.example:443/inbox",
            "pull:",
            "kafka:justice.deliveries-1",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "justice",
            "ftp://a:1",
            "grpc://a",
            "grpc://a:1/path",
            "grpcss://a:1",
            "http://a:99999/",
            "http://user@a:1/",
            "pull:x",
            "kafka:",
            "kafka:a b",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
