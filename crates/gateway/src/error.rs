use std::net::SocketAddr;

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would speak plaintext on a network.
    #[error(
        "refusing to listen on {0} without TLS: use a loopback address, or set \
         `gateway.allow_plaintext = true` where the network below encrypts"
    )]
    Plaintext(SocketAddr),
    /// The address cannot be had.
    #[error(
        "cannot listen on {address} for events; is another process using the port? choose another with `gateway.listen`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Reflection could not be set up.
    #[error("cannot describe the services")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// Serving ended with an error.
    #[error("serving events failed")]
    Serve(#[source] tonic::transport::Error),
}
