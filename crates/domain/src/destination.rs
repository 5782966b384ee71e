use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{AgencyId, CalendarId, DestinationId};

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
    /// How many deliveries may be in flight at once; at least one.
    pub max_in_flight: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetrySteps,
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
    /// `grpc://host:port`: one bidirectional stream of the `Inbox` service.
    GrpcStream(String),
    /// `grpc+unary://host:port`: one call of the `Inbox` service per delivery.
    GrpcUnary(String),
    /// `http://host:port/path`: one POST per delivery, a JSON CloudEvent.
    Http(String),
}

/// The text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "endpoint must be `grpc://host:port`, `grpc+unary://host:port` or `http://host:port/path`, got `{0}`"
)]
pub struct InvalidEndpoint(String);

// === impl Endpoint ===

impl Endpoint {
    /// The same way of delivery at another `host:port`.
    #[must_use]
    pub fn at(&self, authority: &str) -> Self {
        match self {
            Self::GrpcStream(_) => Self::GrpcStream(authority.to_owned()),
            Self::GrpcUnary(_) => Self::GrpcUnary(authority.to_owned()),
            Self::Http(rest) => {
                let path = rest.split_once('/').map_or("", |(_, path)| path);
                Self::Http(format!("{authority}/{path}"))
            }
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.chars().take(128).collect());
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        if host.is_empty() || port.parse::<u16>().is_err() || rest.contains(char::is_whitespace) {
            return Err(invalid());
        }
        match scheme {
            "grpc" if rest == authority => Ok(Self::GrpcStream(rest.to_owned())),
            "grpc+unary" if rest == authority => Ok(Self::GrpcUnary(rest.to_owned())),
            "http" => Ok(Self::Http(rest.to_owned())),
            _ => Err(invalid()),
        }
    }
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
        match self {
            Self::GrpcStream(authority) => write!(f, "grpc://{authority}"),
            Self::GrpcUnary(authority) => write!(f, "grpc+unary://{authority}"),
            Self::Http(rest) => write!(f, "http://{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_moves_and_keeps_its_way() {
        let moved = |text: &str| text.parse::<Endpoint>().unwrap().at("b:2").to_string();
        assert_eq!(moved("grpc+unary://a:1"), "grpc+unary://b:2");
        assert_eq!(moved("http://a:1/inbox/x"), "http://b:2/inbox/x");
    }

    #[test]
    fn endpoints_go_round() {
        for text in [
            "grpc://127.0.0.1:7001",
            "grpc+unary://justice:7001",
            "http://[::1]:80/inbox",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "justice",
            "ftp://a:1",
            "grpc://a",
            "grpc://a:1/path",
            "http://a:99999/",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
