use consumer::{Consumer, Outbox, Start};
use log::Log;
use runtime::{Clock, Health, Readiness};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, fold::RouterFold, recheck::recheck, tables::SCHEMA, telemetry::Tally};

/// The router's consumer group, store group and metric label.
pub const GROUP: &str = "router";

/// The router, ready to run.
pub struct Service {
    config: Config,
    log: Log,
    store: Store,
    clock: Clock,
    health: Health,
}

// === impl Service ===

impl Service {
    /// A router over a log and a store.
    pub fn new(config: Config, log: Log, store: Store, clock: Clock, health: Health) -> Self {
        health.set(GROUP, Readiness::Starting);
        Self {
            config,
            log,
            store,
            clock,
            health,
        }
    }

    /// Takes over the group and works until the stop.
    ///
    /// # Errors
    /// Another instance took over, or the log or the store failed for good.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let epoch = match self.begin(&stop).await {
            Ok(epoch) => epoch,
            // The stop came while store or log were away: what waits there waits for the next start.
            Err(error) if stop.is_cancelled() && error.is_transient() => return Ok(()),
            Err(error) => return Err(error),
        };
        let Self {
            config,
            log,
            store,
            clock,
            health,
        } = self;
        let fold = RouterFold {
            plan: config.plan,
            tally: Tally::default(),
        };
        Consumer::new(fold, log, store, epoch, clock, health, config.options)
            .run(stop)
            .await?;
        Ok(())
    }

    /// Takes over, publishes what an earlier run left, and tries what waits against the plan of this one.
    async fn begin(&self, stop: &CancellationToken) -> Result<i64, Error> {
        let (store, log, health) = (self.store.clone(), self.log.clone(), self.health.clone());
        let start = Start::new(GROUP, health.clone(), stop.clone());
        start
            .migrate(&store, &[&consumer::SCHEMA, &SCHEMA])
            .await
            .map_err(Error::Migrate)?;
        let epoch = start
            .take_over(&store, GROUP)
            .await
            .map_err(Error::TakeOver)?;
        let mut outbox = Outbox::new(GROUP, store, log, health).until(stop.clone());
        let mut tries = start.tries();
        loop {
            let tried = self.release(&mut outbox, epoch).await;
            if let Some(()) = tries.settle(tried, Error::is_transient).await? {
                return Ok(epoch);
            }
        }
    }

    /// One step, for a commit whose answer was lost is published by the recovery of the next try.
    async fn release(&self, outbox: &mut Outbox, epoch: i64) -> Result<(), Error> {
        let now = self.clock.now().as_millisecond();
        outbox.settle().await?;
        outbox.recover().await?;
        recheck(&self.config.plan, &self.store, outbox, epoch, now).await?;
        Ok(outbox.settle().await?)
    }
}
