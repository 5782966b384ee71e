use std::{net::SocketAddr, time::Duration};

use log::Log;
use proto::v1::gateway_server::{GatewayServer, SERVICE_NAME as GATEWAY};
use runtime::{Clock, Health, Readiness, Tasks};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    connections::Connections,
    service::{ROLE, Service},
    stack, telemetry,
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

/// How long callers may take to hang up at the stop, behind the longest answer.
const HANG_UP: Duration = Duration::from_secs(2);

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
            .with_service_name(GATEWAY)
            .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
            .build_v1()
            .map_err(Error::Reflection)?;
        let (reporter, health_service) = tonic_health::server::health_reporter();
        reporter.set_serving::<GatewayServer<Service>>().await;
        health.set(ROLE, Readiness::Ready);
        let connections = Connections::new(self.listener, limits.connections);
        let asked = stop.clone();
        let serve = stack::server(&limits)
            .add_service(service)
            .add_service(health_service)
            .add_service(reflection)
            .serve_with_incoming_shutdown(connections, async move {
                asked.cancelled().await;
                health.set(ROLE, Readiness::NotReady("stopping".to_owned()));
                reporter.set_not_serving::<GatewayServer<Service>>().await;
            });
        let patience = async {
            stop.cancelled().await;
            sleep(limits.answer_within + HANG_UP).await;
        };
        tokio::select! {
            biased;
            served = serve => served.map_err(Error::Serve),
            () = patience => {
                telemetry::cut_off();
                Ok(())
            }
        }
    }
}
