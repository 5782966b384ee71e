use std::{collections::BTreeMap, net::SocketAddr};

use runtime::{Clock, Tasks};
use simulator::{
    Agency, AgencyOptions, Arrival, History, Protocol, Publisher, PublisherOptions, Script,
};

use super::free_port;

/// Everybody outside a pipeline, and what they saw.
pub(crate) struct World {
    pub(crate) history: History,
    /// Publishes what desks accept.
    pub(crate) desk: Publisher,
    agencies: BTreeMap<&'static str, Agency>,
    tasks: Tasks,
}

/// The agencies: role, protocol, and how the endpoint is written.
const AGENCIES: [(&str, Protocol, &str, &str); 4] = [
    ("justice", Protocol::Grpc, "grpc://", ""),
    ("police", Protocol::Grpc, "grpc+unary://", ""),
    ("social-insurance", Protocol::Http, "http://", "/deliveries"),
    ("province", Protocol::Grpc, "grpc://", ""),
];

/// An address per agency, and the endpoints as destinations name them.
pub(crate) fn addresses() -> (Vec<SocketAddr>, Vec<(&'static str, String)>) {
    let pairs = AGENCIES.map(|(role, _, scheme, path)| {
        let address = free_port();
        (address, (role, format!("{scheme}{address}{path}")))
    });
    pairs.into_iter().unzip()
}

// === impl World ===

impl World {
    /// Agencies that behave as `script` says of each, and answer through the gateway.
    pub(crate) async fn start(
        addresses: Vec<SocketAddr>,
        gateway: SocketAddr,
        clock: &Clock,
        seed: u64,
        script: impl Fn(&str) -> Script,
    ) -> Self {
        let (history, tasks) = (History::default(), Tasks::default());
        let publisher = || {
            let options = PublisherOptions {
                history: Some(history.clone()),
                ..PublisherOptions::default()
            };
            Publisher::connect(&gateway.to_string(), options, &tasks).unwrap()
        };
        let mut agencies = BTreeMap::new();
        for ((role, protocol, _, _), listen) in AGENCIES.into_iter().zip(addresses) {
            let options = AgencyOptions {
                id: format!("test-{role}").parse().unwrap(),
                listen,
                protocol,
                script: script(role),
                seed,
            };
            let (clock, history) = (clock.clone(), history.clone());
            let agency = Agency::start(options, clock, history, Some(publisher()), &tasks).await;
            agencies.insert(role, agency.unwrap());
        }
        Self {
            desk: publisher(),
            history,
            agencies,
            tasks,
        }
    }

    pub(crate) fn agency(&self, role: &str) -> &Agency {
        &self.agencies[role]
    }

    pub(crate) fn agencies(&self) -> impl Iterator<Item = &Agency> {
        self.agencies.values()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// What an agency saw, in its order.
    pub(crate) fn arrivals(&self, role: &str) -> Vec<Arrival> {
        let id = self.agency(role).id().clone();
        let all = self.history.record().arrivals;
        all.into_iter()
            .filter(|arrival| arrival.receiver == id)
            .collect()
    }
}
