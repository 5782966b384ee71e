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

use super::Link;

pub(crate) use offers::{Bound, NotLeased};
pub(crate) use shelf::{Closed, Held, Shelf, Shelves};
pub(crate) use telemetry::describe_metrics;

const BATCHES: usize = 64;

/// Offers jobs until no more can come; then nobody can take or confirm any more.
pub(crate) async fn run(shelf: &Shelf, mut link: Link) {
    let _open = shelf.open(link.answers.clone());
    let mut batches = Vec::new();
    loop {
        tokio::select! {
            received = link.jobs.recv_many(&mut batches, BATCHES) => {
                if received == 0 {
                    return;
                }
                shelf.offer(batches.drain(..).flatten());
            }
            () = shelf.next_expiry() => shelf.expire(),
        }
    }
}
