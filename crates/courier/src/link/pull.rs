//! For agencies that cannot be called: deliveries lie on a shelf until the agency takes them on a lease.
//!
//! ```text
//! lane ─▶ offered ─take─▶ leased ─confirm─▶ answered
//!            ▲              ├─────expire──▶ answered: time-out, and the lane offers it again
//!            └───release────┘
//! ```

mod offers;
#[cfg(test)]
mod properties;
mod shelf;
mod telemetry;

use tokio_util::sync::CancellationToken;

use super::Link;

pub(crate) use offers::{Bound, NotLeased};
pub(crate) use shelf::{Closed, Held, Shelf, Shelves};
pub(crate) use telemetry::describe_metrics;

const BATCHES: usize = 64;

/// Offers jobs until no more can come; then nobody can take or confirm any more. After the stop only
/// leases that are held keep it at work: what is merely offered has no attempt to wait for.
pub(crate) async fn run(shelf: &Shelf, stop: &CancellationToken, mut link: Link) {
    let _open = shelf.open(link.answers.clone());
    let mut batches = Vec::new();
    loop {
        let stopping = stop.is_cancelled();
        if stopping && shelf.next_expiry().is_none() {
            return;
        }
        tokio::select! {
            received = link.jobs.recv_many(&mut batches, BATCHES) => {
                if received == 0 {
                    return;
                }
                shelf.offer(batches.drain(..).flatten());
            }
            () = shelf.leases_changed() => shelf.expire(),
            () = stop.cancelled(), if !stopping => {}
        }
    }
}
