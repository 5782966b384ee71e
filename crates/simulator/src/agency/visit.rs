use std::sync::Arc;

use domain::DeliveryId;

use super::{
    case::Case,
    reception::{Answer, Reception},
};

/// One push from its first byte to its answer. Dropped earlier, the caller cut it.
pub(super) struct Visit {
    reception: Arc<Reception>,
    /// How many were at the reception when it came, itself among them.
    at_once: usize,
    delivery: Option<DeliveryId>,
    is_answered: bool,
}

// === impl Visit ===

impl Visit {
    /// A push begins.
    pub(super) fn begin(reception: &Arc<Reception>) -> Self {
        Self {
            at_once: reception.enter(),
            reception: Arc::clone(reception),
            delivery: None,
            is_answered: false,
        }
    }

    /// The delivery that it is about, known before it has arrived as a whole.
    pub(super) fn about(&mut self, delivery: Option<DeliveryId>) {
        self.delivery = delivery.or(self.delivery);
    }

    /// Takes the delivery in, and waits until the answer is due.
    pub(super) async fn receive(&mut self, case: Case) -> Answer {
        self.about(Some(case.delivery));
        let answer = self.reception.receive(case, self.at_once);
        if !answer.delay.is_zero() {
            self.reception.clock().sleep(answer.delay).await;
        }
        answer
    }

    /// The answer is on its way.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.reception.leave();
        if let Some(delivery) = self.delivery.filter(|_| !self.is_answered) {
            self.reception.cut(delivery);
        }
    }
}
