//! The ways to a destination: one long gRPC stream, one gRPC call each, one HTTP POST each, a shelf from
//! which it pulls, or a topic of its own.
//!
//! A link takes jobs and gives answers. It decides nothing: order, room, retries and rests are the
//! lane's.

mod ask;
mod calls;
mod codec;
mod http;
pub(crate) mod pull;
mod sent;
mod soap;
mod stream;
mod topic;
mod unary;
mod way;

use std::time::Duration;

use bytes::Bytes;
use domain::DeliveryId;
use jiff::Timestamp;
use log::Log;
use runtime::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use soap::InvalidTemplate;
pub use way::InvalidWay;
pub(crate) use way::Way;

use crate::answer::{Answer, Reader};

pub(crate) use ask::{Asker, Known, Trial};

/// One delivery to hand over.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: DeliveryId,
    /// The encoded `Delivery` message.
    pub(crate) body: Bytes,
}

/// The end of one attempt.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) id: DeliveryId,
    pub(crate) started_at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) answer: Answer,
}

/// What every way needs.
pub(crate) struct Link {
    pub(crate) jobs: mpsc::UnboundedReceiver<Vec<Job>>,
    pub(crate) answers: mpsc::UnboundedSender<Vec<Answered>>,
    pub(crate) clock: Clock,
    pub(crate) patience: Patience,
    pub(crate) reader: Reader,
}

/// What some ways need of the rest of the process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) shelves: pull::Shelves,
    pub(crate) log: Log,
    pub(crate) stop: CancellationToken,
}

/// How long an attempt may take.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) clock: Clock,
    pub(crate) timeout: Duration,
    pub(crate) shortest: Duration,
}

/// Hands over jobs until no more can come.
pub(crate) async fn run(way: Way, ways: &Ways, link: Link) {
    match way {
        Way::Stream(reach) => stream::run(reach, link).await,
        Way::Unary(reach) => calls::run(unary::Unary::new(&reach, &link), link).await,
        Way::Post(reach, envelope) => {
            calls::run(http::Post::new(&reach, envelope, &link), link).await;
        }
        Way::Pull(destination) => {
            let shelf = ways.shelves.get(destination.as_str());
            let shelf = shelf.expect("each destination that pulls has its shelf");
            pull::run(shelf, &ways.stop, link).await;
        }
        Way::Topic(topic) => {
            let append = topic::Append::new(&topic, ways.log.clone());
            calls::run(append, link).await;
        }
    }
}

// === impl Patience ===

impl Patience {
    /// In real time.
    pub(crate) fn real(&self) -> Duration {
        self.clock.real(self.timeout).max(self.shortest)
    }
}

// === impl Link ===

impl Link {
    /// Reports answers; nobody listens any more only when the lane has ended.
    pub(crate) fn report(&self, answered: Vec<Answered>) {
        if !answered.is_empty() {
            let _ = self.answers.send(answered);
        }
    }
}
