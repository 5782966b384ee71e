use std::time::Duration;

use consumer::{Consumer, Outbox};
use log::Log;
use runtime::{Clock, Health, Readiness};
use store::Store;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, Plan,
    fold::RouterFold,
    recheck::recheck,
    tables::SCHEMA,
    telemetry::{self, Tally},
};

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

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
        let outbox = Outbox::new(GROUP, store.clone(), log.clone(), health.clone());
        let mut outbox = outbox.until(stop.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let now = clock.now().as_millisecond();
            match begin(&config.plan, &store, &mut outbox, epoch, now).await {
                Ok(()) => break,
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => telemetry::trying_again(&error),
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let fold = RouterFold {
            plan: config.plan,
            tally: Tally::default(),
        };
        Consumer::new(fold, log, store, epoch, clock, health, config.options)
            .run(stop)
            .await?;
        Ok(())
    }
}

/// Publishes what an earlier run left, and tries what waits against the plan of this one.
async fn begin(
    plan: &Plan,
    store: &Store,
    outbox: &mut Outbox,
    epoch: i64,
    now: i64,
) -> Result<(), Error> {
    outbox.recover().await?;
    recheck(plan, store, outbox, epoch, now).await?;
    Ok(outbox.settle().await?)
}
