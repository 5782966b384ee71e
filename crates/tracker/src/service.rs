use std::{net::SocketAddr, sync::Arc, time::Duration};

use consumer::{Consumer, Start};
use log::Log;
use proto::v1::{GetSummaryResponse, tracker_server::TrackerServer};
use runtime::{Clock, Health, Readiness, Tasks};
use store::{ReadError, Store};
use tokio::{net::TcpListener, time::interval};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::{
    Clocks, Config, Error, GROUP, Lag, LagError, api::Api, fold::Fold, lag, shared::Shared,
    tables::SCHEMA, telemetry,
};

/// The tracker.
pub struct Service;

/// A running tracker. Its tasks end with the [`Tasks`] that own them, not with the handle.
#[derive(Clone)]
pub struct Handle {
    address: SocketAddr,
    api: Api,
    log: Log,
}

const SHOW_EVERY: Duration = Duration::from_secs(5);

// === impl Service ===

impl Service {
    /// Takes its address and its group, and starts to work. Waits for a store that is away, at most until
    /// the stop.
    ///
    /// # Errors
    /// A calendar is missing, the address is taken, or the store refuses for good.
    pub async fn start(
        config: Config,
        log: Log,
        store: Store,
        clock: Clock,
        tasks: &Tasks,
        health: &Health,
    ) -> Result<Handle, Error> {
        health.set(GROUP, Readiness::Starting);
        let clocks = Clocks::new(&config.calendars, &config.destinations, &config.routes)?;
        let listener = listen(&config).await?;
        let bind = |source| Error::Bind {
            address: config.listen,
            source,
        };
        let address = listener.local_addr().map_err(bind)?;

        let start = Start::new(GROUP, health.clone(), tasks.stop_token());
        start
            .migrate(&store, &[&consumer::SCHEMA, &SCHEMA])
            .await
            .map_err(Error::Migrate)?;
        let epoch = start
            .take_over(&store, GROUP)
            .await
            .map_err(Error::TakeOver)?;
        let shared = Arc::new(Shared::new());
        let mut fold = Fold::new(clocks, Arc::clone(&shared));
        load(&start, &mut fold, &store).await.map_err(Error::Load)?;

        let api = Api {
            store: store.clone(),
            shared,
            clock: clock.clone(),
            stop: tasks.stop_token(),
        };
        let told = api.clone();
        health.register(GROUP, move || told.status());
        let (serving, showing) = (api.clone(), api.clone());
        let (lag_log, lag_store, lag_clock) = (log.clone(), store.clone(), clock.clone());
        let handle = Handle {
            address,
            api,
            log: log.clone(),
        };
        let consumer = Consumer::new(
            fold,
            log,
            store,
            epoch,
            clock,
            health.clone(),
            config.options,
        );
        tasks.spawn("tracker", |stop| async move {
            Ok::<_, Error>(consumer.run(stop).await?)
        });
        tasks.spawn("tracker-queries", |stop| serve(serving, listener, stop));
        tasks.spawn_sure("tracker-lag", |stop| {
            lag::show(lag_log, lag_store, lag_clock, stop)
        });
        tasks.spawn_sure("tracker-figures", |stop| show(showing, stop));
        Ok(handle)
    }
}

async fn load(start: &Start, fold: &mut Fold, store: &Store) -> Result<(), ReadError> {
    let mut tries = start.tries();
    loop {
        let tried = fold.load(store).await;
        if let Some(()) = tries.settle(tried, ReadError::is_transient).await? {
            return Ok(());
        }
    }
}

async fn listen(config: &Config) -> Result<TcpListener, Error> {
    let address = config.listen;
    if !address.ip().is_loopback() && !config.allow_plaintext {
        return Err(Error::Plaintext(address));
    }
    let bind = |source| Error::Bind { address, source };
    TcpListener::bind(address).await.map_err(bind)
}

async fn serve(api: Api, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(Error::Reflection)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<TrackerServer<Api>>().await;
    Server::builder()
        // Connections of dead peers end.
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_concurrent_streams(128)
        .tcp_nodelay(true)
        .add_service(TrackerServer::new(api))
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await
        .map_err(Error::Serve)
}

/// Shows the figures on a slow tick: deadlines pass without any event.
async fn show(api: Api, stop: CancellationToken) {
    let mut ticks = interval(SHOW_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = api.clock.now();
        let shared = &api.shared;
        shared.read(|totals, live| telemetry::figures(&shared.labels, totals, live, now));
    }
}

// === impl Handle ===

impl Handle {
    /// Where it answers queries.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counts as of the last commit, as `GetSummary` gives them.
    ///
    /// # Errors
    /// The store cannot be read now.
    pub async fn summary(&self) -> Result<GetSummaryResponse, store::ReadError> {
        self.api.summary().await
    }

    /// How far every group is behind.
    ///
    /// # Errors
    /// The store or the log cannot be read now.
    pub async fn lag(&self) -> Result<Vec<Lag>, LagError> {
        lag::lag(&self.log, &self.api.store).await
    }
}

#[cfg(test)]
mod tests;
