mod books;
mod case;
mod cuttable;
mod grpc;
mod http;
mod office;
mod reception;
mod server;
mod strict;
#[cfg(test)]
mod tests;
mod visit;
mod words;

use std::{net::SocketAddr, sync::Arc};

use domain::{AgencyId, DeliveryId};
use runtime::{Clock, Tasks};
use tokio::sync::mpsc;

use crate::{History, Publisher, Script};
#[cfg(test)]
pub(crate) use case::Case;
use case::Planned;
use reception::Reception;
use server::Listener;

/// A scripted agency: takes deliveries through its own inbox, drops repeats by their id, works in its
/// office hours and answers by events. Notes every arrival in a [`History`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Agency {
    address: SocketAddr,
    reception: Arc<Reception>,
}

/// What makes one agency.
#[derive(Clone, Debug)]
pub struct AgencyOptions {
    /// Its name: the source of its events.
    pub id: AgencyId,
    /// Where it listens; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// What its inbox speaks.
    pub protocol: Protocol,
    /// How it behaves.
    pub script: Script,
    /// Where its chances come from.
    pub seed: u64,
}

/// What an agency's inbox speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The `Inbox` service, calls and streams.
    Grpc,
    /// CloudEvents in binary mode, one POST each, on any path. A GET of `…/{id}` asks for a delivery.
    Http,
    /// The same, with the answers of an old SOAP service: envelopes, and faults under status 500.
    Soap,
}

/// An address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for a simulated agency; is another process using the port?")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

// === impl Agency ===

impl Agency {
    /// Opens the inbox. With a publisher the agency answers by events through it; without one it takes
    /// deliveries and stays silent until [`Agency::answer_through`].
    pub async fn start(
        options: AgencyOptions,
        clock: Clock,
        history: History,
        publisher: Option<Publisher>,
        tasks: &Tasks,
    ) -> Result<Self, BindError> {
        let listener = Listener::bind(options.listen).await?;
        let address = listener.address();
        let (planned, to_send) = mpsc::unbounded_channel();
        let protocol = options.protocol;
        let reception = Arc::new(Reception::new(options, clock, history, planned, to_send));
        let serving = Arc::clone(&reception);
        tasks.spawn_sure("agency", |stop| listener.serve(protocol, serving, stop));
        let agency = Self { address, reception };
        if let Some(publisher) = publisher {
            agency.answer_through(publisher, tasks);
        }
        Ok(agency)
    }

    /// From now on the agency answers by events through this publisher; what it owes is sent first.
    /// Works once.
    pub fn answer_through(&self, publisher: Publisher, tasks: &Tasks) {
        let Some(to_send) = self.reception.take_to_send() else {
            return;
        };
        let reception = Arc::clone(&self.reception);
        tasks.spawn_sure("agency-office", |stop| async move {
            let work = office::run(&reception, to_send, publisher);
            stop.run_until_cancelled(work).await;
        });
    }

    /// Its name.
    pub fn id(&self) -> &AgencyId {
        self.reception.id()
    }

    /// The address of its inbox.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many deliveries it has taken.
    pub fn taken(&self) -> usize {
        self.reception.taken()
    }

    /// Whether it has taken a delivery.
    pub fn has(&self, delivery: DeliveryId) -> bool {
        self.reception.has(delivery)
    }

    /// How often deliveries had their effect: more often than [`Agency::taken`] is one effect too many.
    pub fn effects(&self) -> u64 {
        self.reception.effects()
    }

    /// From now on the agency plans no events; it takes deliveries and stays silent.
    pub fn stay_silent(&self) {
        drop(self.reception.take_to_send());
    }

    /// How many events it still has to send.
    pub fn owed(&self) -> usize {
        self.reception.owed()
    }

    /// Sends it away, its port closed, or has it back. Announced outages of the script hold besides.
    pub fn set_away(&self, away: bool) {
        self.reception.set_away(away);
    }

    /// Has the next pushes fail, whatever the script says.
    pub fn fail_next(&self, pushes: u32) {
        self.reception.fail_next(pushes);
    }
}

/// An event that an agency owes.
type ToSend = mpsc::UnboundedReceiver<Planned>;
