use std::net::SocketAddr;

use log::Log;
use proto::v1::gateway_server::GatewayServer;
use runtime::{Clock, Health, Readiness, Tasks};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::{Health as HealthApi, HealthServer};

use crate::{
    Config, Error,
    service::{ROLE, Service},
    stack,
};

/// The gateway, not yet listening.
pub struct Gateway {
    config: Config,
    log: Log,
    clock: Clock,
    health: Health,
    tasks: Tasks,
}

/// The gateway with its address taken: from here on nothing can be in the way.
pub struct Bound {
    gateway: Gateway,
    listener: TcpListener,
    address: SocketAddr,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway in front of a log.
    pub fn new(config: Config, log: Log, clock: Clock, health: Health, tasks: Tasks) -> Self {
        health.set(ROLE, Readiness::Starting);
        Self {
            config,
            log,
            clock,
            health,
            tasks,
        }
    }

    /// Takes the address.
    ///
    /// # Errors
    /// It would speak plaintext on a network, or the address is taken.
    pub async fn bind(self) -> Result<Bound, Error> {
        let address = self.config.listen;
        if !address.ip().is_loopback() && !self.config.allow_plaintext {
            return Err(Error::Plaintext(address));
        }
        let bind = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Bound {
            gateway: self,
            listener,
            address,
        })
    }
}

// === impl Bound ===

impl Bound {
    /// The address it has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the stop; open streams end once their events in hand are answered.
    ///
    /// # Errors
    /// Serving failed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Gateway {
            config,
            log,
            clock,
            health,
            tasks,
        } = self.gateway;
        let limits = config.limits;
        let service = Service::new(log, clock, health.clone(), tasks, limits);
        let service = GatewayServer::new(service)
            .max_decoding_message_size(limits.event_bytes)
            .max_encoding_message_size(limits.event_bytes);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Error::Reflection)?;
        let health_service = serving().await;
        health.set(ROLE, Readiness::Ready);
        stack::server(&limits)
            .add_service(service)
            .add_service(health_service)
            .add_service(reflection)
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.listener), async move {
                stop.cancelled().await;
                health.set(ROLE, Readiness::NotReady("stopping".to_owned()));
            })
            .await
            .map_err(Error::Serve)
    }
}

async fn serving() -> HealthServer<impl HealthApi> {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_serving::<GatewayServer<Service>>().await;
    service
}
