//! Connections to a running system.

use anyhow::Context;
use proto::v1::courier_client::CourierClient;
use tonic::transport::{Channel, Endpoint};

use crate::{cli::CourierArgs, exit::Failure, settings::Settings};

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

/// Connects to the courier where the command line says, or the settings.
///
/// # Errors
/// The address is none, or nobody listens there.
pub async fn courier(
    at: CourierArgs,
    settings: &Settings,
) -> Result<CourierClient<Channel>, Failure> {
    let listen = || settings.courier.listen.to_string();
    let address = at.courier.unwrap_or_else(listen);
    Ok(CourierClient::new(connect("courier", &address).await?))
}
