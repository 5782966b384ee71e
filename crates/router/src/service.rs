use consumer::{Consumer, Outbox};
use log::Log;
use runtime::{Clock, Health, Readiness};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, fold::RouterFold, recheck::recheck, tables::SCHEMA};

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
        let Self {
            config,
            log,
            store,
            clock,
            health,
        } = self;
        store
            .migrate(&[&consumer::SCHEMA, &SCHEMA])
            .await
            .map_err(Error::Migrate)?;
        let epoch = store.take_over(GROUP).await.map_err(Error::TakeOver)?;
        let mut outbox = Outbox::new(GROUP, store.clone(), log.clone(), health.clone());
        outbox.recover().await?;
        let now = clock.now().as_millisecond();
        recheck(&config.plan, &store, &mut outbox, epoch, now).await?;
        outbox.settle().await?;
        let fold = RouterFold { plan: config.plan };
        Consumer::new(fold, log, store, epoch, clock, health, config.options)
            .run(stop)
            .await?;
        Ok(())
    }
}
