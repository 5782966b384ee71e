//! A courier in a runtime of its own, on a store and a log that others have open too: killing it drops all
//! its tasks wherever they wait, and stopping it stops its only thread, as SIGSTOP would.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use calendar::Calendars;
use courier::{Config, Handle, Service};
use domain::Destination;
use log::Log;
use proto::v1::{self, courier_server::Courier as _};
use runtime::{Clock, Health, Tasks};
use store::Store;
use tokio::runtime::{Builder, Runtime};

use crate::harness::*;

/// A courier as a process of its own would be.
pub(crate) struct Process {
    pub(crate) handle: Handle,
    runtime: OwnRuntime,
    tasks: Tasks,
}

/// Ends at once when it is dropped, wherever its tasks wait.
pub(crate) struct OwnRuntime(Option<Runtime>);

/// A process that is stopped; it goes on when this is dropped.
pub(crate) struct Stopped(#[expect(dead_code, reason = "its end is what counts")] mpsc::Sender<()>);

/// Longer than a busy machine keeps a process from its turn.
const LEASE: Duration = Duration::from_secs(5);

/// Settings that tests can wait for.
pub(crate) fn brisk(name: &str, lease: Duration, destinations: Vec<Destination>) -> Config {
    Config {
        name: name.to_owned(),
        lease,
        first_rest: Duration::from_millis(20),
        longest_rest: Duration::from_millis(100),
        ..Config::new(destinations, Arc::new(Calendars::built_in().unwrap()))
    }
}

// === impl Process ===

impl Process {
    /// On a connection of its own to the world's store.
    pub(crate) async fn start(world: &World, name: &str, destinations: Vec<Destination>) -> Self {
        let store = world.store_config();
        let open = async move { Store::open(store).await.unwrap() };
        let config = brisk(name, LEASE, destinations);
        Self::start_with(config, world.log.clone(), world.clock.clone(), open).await
    }

    /// On a store that is open.
    pub(crate) async fn start_on(
        store: Store,
        world: &World,
        name: &str,
        destinations: Vec<Destination>,
    ) -> Self {
        let config = brisk(name, LEASE, destinations);
        Self::start_with(config, world.log.clone(), world.clock.clone(), ready(store)).await
    }

    /// The store is opened in the runtime of the process.
    pub(crate) async fn start_with(
        config: Config,
        log: Log,
        clock: Clock,
        open: impl Future<Output = Store> + Send + 'static,
    ) -> Self {
        let (runtime, tasks) = (OwnRuntime::new(), Tasks::default());
        let own = tasks.clone();
        let started = runtime.get().spawn(async move {
            let store = open.await;
            Service::start(config, log, store, clock, &own, Health::default()).await
        });
        Self {
            handle: started.await.unwrap().unwrap(),
            runtime,
            tasks,
        }
    }

    pub(crate) fn kill(self) {}

    pub(crate) async fn stop(&self) -> Stopped {
        let (sender, receiver) = mpsc::channel::<()>();
        let (stopped, stops) = tokio::sync::oneshot::channel();
        self.runtime.get().spawn(async move {
            let _ = stopped.send(());
            let _ = receiver.recv();
        });
        stops.await.unwrap();
        Stopped(sender)
    }

    pub(crate) async fn end(self) {
        let tasks = self.tasks.clone();
        let drained = self.runtime.get().spawn(tasks.drain(PATIENCE));
        assert_eq!(drained.await.unwrap(), Ok(()));
    }

    /// The lanes that are at work here, and those that others have.
    pub(crate) async fn lanes(&self) -> BTreeMap<bool, Vec<v1::Lane>> {
        let request = tonic::Request::new(v1::ListLanesRequest {});
        let answer = self.handle.api().list_lanes(request).await.unwrap();
        let mut lanes: BTreeMap<bool, Vec<v1::Lane>> = BTreeMap::new();
        for lane in answer.into_inner().lanes {
            let is_here = lane.hold_word != "elsewhere";
            lanes.entry(is_here).or_default().push(lane);
        }
        lanes
    }

    pub(crate) async fn delivery(&self, id: &str) -> v1::GetDeliveryResponse {
        let delivery = id.to_owned();
        let request = tonic::Request::new(v1::GetDeliveryRequest { delivery });
        let answer = self.handle.api().get_delivery(request).await;
        answer.unwrap().into_inner()
    }

    pub(crate) async fn holds(&self) -> usize {
        self.lanes().await.get(&true).map_or(0, Vec::len)
    }
}

// === impl OwnRuntime ===

impl OwnRuntime {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self(Some(runtime))
    }

    pub(crate) fn get(&self) -> &Runtime {
        self.0.as_ref().unwrap()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
