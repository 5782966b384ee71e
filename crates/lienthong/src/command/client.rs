//! Connections to a running system.

use anyhow::Context;
use tonic::transport::{Channel, Endpoint};

use crate::exit::Failure;

/// Connects to a service at `host:port`.
///
/// # Errors
/// The address is none, or nobody listens there.
pub async fn connect(service: &str, address: &str) -> Result<Channel, Failure> {
    let uri = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(uri)
        .with_context(|| format!("`{address}` is no address, expected `host:port`"))
        .map_err(Failure::Usage)?;
    endpoint
        .connect()
        .await
        .with_context(|| format!("the {service} at {address} cannot be reached; is it running?"))
        .map_err(Failure::Unreachable)
}
