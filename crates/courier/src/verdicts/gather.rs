//! What goes into one commit.

use std::mem;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Batch, Receiver};

/// Takes what lanes report in commits that begin no more often than the pace: a report that comes alone goes
/// at once, those under load wait for one another. One that is awaited waits for nothing.
pub(super) struct Gathering {
    incoming: Receiver,
    pace: Duration,
    gathered: Vec<Batch>,
    /// When the next commit may begin.
    next_at: Instant,
}

const AT_ONCE: usize = 256;

// === impl Gathering ===

impl Gathering {
    pub(super) fn new(incoming: Receiver, pace: Duration) -> Self {
        Self {
            incoming,
            pace,
            gathered: Vec::new(),
            next_at: Instant::now(),
        }
    }

    /// For the next commit; `None` once nobody can report any more. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Vec<Batch>> {
        if self.gathered.is_empty() && self.receive().await == 0 {
            return None;
        }
        while !self.is_due() {
            match timeout_at(self.next_at, self.receive()).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        self.next_at = Instant::now() + self.pace;
        Some(mem::take(&mut self.gathered))
    }

    fn is_due(&self) -> bool {
        self.gathered.len() >= AT_ONCE || self.gathered.iter().any(Batch::is_awaited)
    }

    async fn receive(&mut self) -> usize {
        let room = AT_ONCE - self.gathered.len();
        self.incoming.recv_many(&mut self.gathered, room).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::DestinationId;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::lane::Kept;
    use crate::leases::Lease;
    use crate::verdicts::{Backlog, Report, Sender};

    const PACE: Duration = Duration::from_millis(20);

    struct Lanes {
        sender: Sender,
        destination: DestinationId,
    }

    impl Lanes {
        fn start() -> (Self, Gathering) {
            let (sender, incoming) = mpsc::channel(2 * AT_ONCE);
            let destination = "x".parse().unwrap();
            let lanes = Self {
                sender,
                destination,
            };
            (lanes, Gathering::new(incoming, PACE))
        }

        fn report(&self) {
            self.send(Report::Kept {
                destination: self.destination.clone(),
                kept: Kept::default(),
            });
        }

        fn claim(&self) {
            let (done, _) = oneshot::channel();
            let places = Vec::new();
            self.send(Report::Claimed { places, done });
        }

        fn send(&self, report: Report) {
            let lease = Arc::new(Lease::for_good(self.destination.clone()));
            let batch = Batch::new(lease, vec![report], &Arc::<Backlog>::default());
            self.sender.try_send(batch).unwrap();
        }
    }

    /// How many reports the next commit takes, and how long it waited for them.
    async fn next(gathering: &mut Gathering) -> (usize, Duration) {
        let begun = Instant::now();
        let batches = gathering.next().await.unwrap();
        (batches.len(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_alone_goes_at_once_and_those_under_load_wait_for_one_another() {
        let (lanes, mut gathering) = Lanes::start();
        lanes.report();
        assert_eq!(next(&mut gathering).await, (1, Duration::ZERO));

        let more = async {
            for _ in 0..5 {
                lanes.report();
                tokio::time::sleep(PACE / 10).await;
            }
        };
        let (gathered, ()) = tokio::join!(next(&mut gathering), more);
        assert_eq!(gathered, (5, PACE));

        tokio::time::sleep(PACE).await;
        lanes.report();
        assert_eq!(next(&mut gathering).await, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_awaited_takes_the_others_with_it_at_once() {
        let (lanes, mut gathering) = Lanes::start();
        lanes.report();
        next(&mut gathering).await;

        lanes.report();
        lanes.claim();
        assert_eq!(next(&mut gathering).await, (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_one_commit_takes_do_not_wait() {
        let (lanes, mut gathering) = Lanes::start();
        (0..=2 * AT_ONCE - 1).for_each(|_| lanes.report());
        assert_eq!(next(&mut gathering).await, (AT_ONCE, Duration::ZERO));
        assert_eq!(next(&mut gathering).await, (AT_ONCE, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_gathered_outlives_a_wait_that_is_given_up() {
        let (lanes, mut gathering) = Lanes::start();
        lanes.report();
        next(&mut gathering).await;

        lanes.report();
        let given_up = tokio::time::timeout(PACE / 2, gathering.next()).await;
        assert!(given_up.is_err());
        lanes.report();
        assert_eq!(next(&mut gathering).await, (2, PACE / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_lane_that_ends_ends_the_wait() {
        let (lanes, mut gathering) = Lanes::start();
        lanes.report();
        next(&mut gathering).await;

        lanes.report();
        drop(lanes);
        assert_eq!(next(&mut gathering).await, (1, Duration::ZERO));
        assert!(gathering.next().await.is_none());
    }
}
