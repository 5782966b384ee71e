use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use domain::DeliveryId;
use jiff::Timestamp;
use tokio::time::Instant;

/// What was sent over a stream and is not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    open: HashMap<DeliveryId, Since>,
    /// In the order of sending, which is the order of giving up; answered ones stay until they come
    /// to the front.
    order: VecDeque<(Instant, DeliveryId)>,
}

/// When an attempt began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) instant: Instant,
    pub(crate) at: Timestamp,
}

// === impl Sent ===

impl Sent {
    pub(crate) fn add(&mut self, id: DeliveryId, since: Since) {
        self.open.insert(id, since);
        self.order.push_back((since.instant, id));
    }

    /// An answer has come; `None` for one that was given up before.
    pub(crate) fn take(&mut self, id: DeliveryId) -> Option<Since> {
        let since = self.open.remove(&id);
        self.drop_answered();
        since
    }

    /// When the oldest one was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.order.front().map(|(instant, _)| *instant)
    }

    /// Those that have waited for too long.
    pub(crate) fn expire(&mut self, now: Instant, patience: Duration) -> Vec<(DeliveryId, Since)> {
        let mut expired = Vec::new();
        while let Some((instant, id)) = self.order.front().copied() {
            if now.duration_since(instant) < patience {
                break;
            }
            self.order.pop_front();
            if let Some(since) = self.open.remove(&id) {
                expired.push((id, since));
            }
            self.drop_answered();
        }
        expired
    }

    /// All of them: the stream is gone.
    pub(crate) fn take_all(&mut self) -> Vec<(DeliveryId, Since)> {
        self.order.clear();
        self.open.drain().collect()
    }

    fn drop_answered(&mut self) {
        while let Some((instant, id)) = self.order.front() {
            if self
                .open
                .get(id)
                .is_some_and(|since| since.instant == *instant)
            {
                return;
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> DeliveryId {
        DeliveryId::from([n; 16])
    }

    #[test]
    fn the_oldest_unanswered_one_is_given_up_first() {
        let start = Instant::now();
        let since = |seconds| Since {
            instant: start + Duration::from_secs(seconds),
            at: Timestamp::UNIX_EPOCH,
        };
        let mut sent = Sent::default();
        for n in 0..4 {
            sent.add(id(n), since(n.into()));
        }
        assert_eq!(sent.take(id(0)), Some(since(0)));
        assert_eq!(sent.oldest(), Some(since(1).instant));
        assert_eq!(sent.take(id(2)), Some(since(2)));
        let expired = sent.expire(since(13).instant, Duration::from_secs(11));
        assert_eq!(expired, [(id(1), since(1))]);
        assert_eq!(sent.take(id(1)), None, "a late answer is no answer");
        sent.add(id(1), since(20));
        assert_eq!(sent.oldest(), Some(since(3).instant));
        assert_eq!(sent.take_all().len(), 2);
        assert!(sent.take_all().is_empty() && sent.oldest().is_none());
    }
}
