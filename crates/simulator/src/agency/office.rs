use std::{cmp::Reverse, collections::BinaryHeap};

use jiff::Timestamp;

use super::{ToSend, case::Planned, reception::Reception};
use crate::Publisher;

/// An owed event, ordered by when it is due and then by when it was planned.
struct Due {
    at: Timestamp,
    sequence: u64,
    planned: Box<Planned>,
}

/// Sends what the agency owes when its time comes.
pub(super) async fn run(reception: &Reception, mut to_send: ToSend, publisher: Publisher) {
    let mut due: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    let mut sequence = 0;
    loop {
        let next = due.peek().map(|Reverse(due)| due.at);
        let wait = async {
            match next {
                Some(at) => reception.clock().sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            planned = to_send.recv() => match planned {
                Some(planned) => {
                    sequence += 1;
                    due.push(Reverse(Due {
                        at: planned.send_at,
                        sequence,
                        planned: Box::new(planned),
                    }));
                    continue;
                }
                None => return,
            },
        }
        let now = reception.clock().now();
        while due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = due.pop() else { break };
            if publisher.send(due.planned.event).await.is_err() {
                return;
            }
            reception.paid();
        }
    }
}

// === impl Due ===

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
