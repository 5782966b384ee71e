mod filing;
mod load;
mod mix;
mod plan;

use std::pin::pin;

use domain::Event;
use jiff::Timestamp;
use runtime::Clock;

use crate::{Closed, Publisher};

pub use filing::Filing;
pub use load::Load;
pub use mix::{Mix, Share};
pub use plan::{DeskOptions, DeskPlan, PlanError};

/// The one-stop desks of a province: hand in filings when their time comes.
#[derive(Clone, Debug)]
pub struct Desk {
    publisher: Publisher,
    clock: Clock,
}

// === impl Desk ===

impl Desk {
    /// Desks that publish through this publisher.
    pub fn new(publisher: Publisher, clock: Clock) -> Self {
        Self { publisher, clock }
    }

    /// Hands in all events at their times; `on_event` sees each as it goes out. Events whose time has
    /// passed go out at once.
    pub async fn hand_in(
        &self,
        events: Vec<Event>,
        mut on_event: impl FnMut(&Event),
    ) -> Result<(), Closed> {
        for event in events {
            self.wait_until(event.time).await;
            on_event(&event);
            let pending = self.publisher.send(event).await?;
            drop(pending);
        }
        Ok(())
    }

    async fn wait_until(&self, at: Timestamp) {
        if self.clock.now() < at {
            pin!(self.clock.sleep_until(at)).await;
        }
    }
}
