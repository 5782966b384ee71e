use std::net::SocketAddr;

use crate::UnknownCalendar;

/// Why the tracker cannot start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A calendar is not there.
    #[error("cannot count deadlines")]
    Calendar(#[from] UnknownCalendar),
    /// It would speak plaintext on a network.
    #[error(
        "refusing to listen on {0} without TLS: use a loopback address, or set \
         `tracker.allow_plaintext = true` where the network below encrypts"
    )]
    Plaintext(SocketAddr),
    /// The address cannot be had.
    #[error(
        "cannot listen on {address} for queries; is another process using the port? choose another with `tracker.listen`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Its tables cannot be made or brought up to date.
    #[error("cannot prepare the tracker's tables")]
    Migrate(#[source] store::MigrateError),
    /// It cannot become the owner of its group.
    #[error("cannot take over the tracker's work")]
    TakeOver(#[source] store::CommitError),
    /// The figures cannot be read out of its tables.
    #[error("cannot read the tracker's figures")]
    Load(#[source] store::ReadError),
    /// Reflection could not be set up.
    #[error("cannot describe the services")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The consumer stopped.
    #[error("the tracker stopped")]
    Consumer(#[from] consumer::Error),
    /// Serving ended with an error.
    #[error("serving queries failed")]
    Serve(#[source] tonic::transport::Error),
}
