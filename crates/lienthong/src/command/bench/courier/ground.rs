//! A log and stores that are there for one run only.

use log::{Log, Topic};
use runtime::Clock;
use store::Store;

use crate::{
    cli::BenchCourierArgs,
    command::bench::child::Scratch,
    settings::{LogKind, Settings, StoreKind},
};

/// A fresh log, and as many fresh stores as runs read it.
pub(super) struct Ground {
    pub(super) log: Log,
    settings: Settings,
    run: String,
    stores: Vec<store::Config>,
    scratch: Scratch,
}

/// A fresh store.
pub(super) struct FreshStore {
    pub(super) store: Store,
    pub(super) consumer: consumer::Options,
    /// Where its files lie, if it has any.
    pub(super) files: std::path::PathBuf,
}

/// The settings with the log and the store that the command line names.
pub(super) fn settings(args: &BenchCourierArgs, mut settings: Settings) -> Settings {
    let kafka = args
        .log
        .as_deref()
        .map_or(args.brokers.is_some(), |log| log == "kafka");
    settings.log.kind = if kafka {
        LogKind::Kafka
    } else {
        LogKind::Embedded
    };
    let named = args.store.as_deref().map(|store| store == "postgres");
    let postgres = named.unwrap_or(args.postgres.is_some());
    settings.store.kind = if postgres {
        StoreKind::Postgres
    } else {
        StoreKind::Sqlite
    };
    if let Some(brokers) = &args.brokers {
        settings.log.kafka.brokers.clone_from(brokers);
    }
    if let Some(url) = &args.postgres {
        settings.store.postgres.url.clone_from(url);
    }
    settings
}

/// What a run stands on, in a word.
pub(super) fn name(settings: &Settings) -> &'static str {
    match (settings.log.kind, settings.store.kind) {
        (LogKind::Embedded, StoreKind::Sqlite) => "embedded",
        (LogKind::Embedded, StoreKind::Postgres) => "embedded+postgres",
        (LogKind::Kafka, StoreKind::Sqlite) => "kafka+sqlite",
        (LogKind::Kafka, StoreKind::Postgres) => "kafka+postgres",
    }
}

// === impl Ground ===

impl Ground {
    pub(super) async fn open(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let run = format!("bench_{name}_{}", std::process::id());
        let scratch = Scratch::new(&run)?;
        let mut settings = settings.clone();
        settings.data.dir = scratch.path().to_owned();
        settings.log.kafka.prefix.clone_from(&run);
        let log = Log::open(settings.log_config(&Clock::system())).await?;
        Ok(Self {
            log,
            settings,
            run,
            stores: Vec::new(),
            scratch,
        })
    }

    /// A store that has seen nothing of the log.
    pub(super) async fn store(&mut self) -> anyhow::Result<FreshStore> {
        let number = self.stores.len();
        let mut settings = self.settings.clone();
        let files = self.scratch.path().join(format!("store-{number}"));
        settings.data.dir.clone_from(&files);
        settings.store.postgres.schema = format!("{}_{number}", self.run);
        let config = settings.store_config();
        self.stores.push(config.clone());
        Ok(FreshStore {
            store: Store::open(config).await?,
            consumer: settings.options(),
            files,
        })
    }

    /// The last store once more, as another process would open it.
    pub(super) fn beside(&self) -> Option<store::Config> {
        self.stores.last().cloned()
    }

    /// How its readers read.
    pub(super) fn consumer(&self) -> consumer::Options {
        self.settings.options()
    }

    /// How much a reader takes at once in the product.
    pub(super) fn limit(&self) -> log::Limit {
        self.settings.options().limit
    }

    /// Where the log's files lie, if it has any.
    pub(super) fn log_files(&self) -> std::path::PathBuf {
        self.scratch.path().join("log")
    }

    /// How many outcomes the log holds.
    pub(super) async fn outcomes(&self) -> anyhow::Result<u64> {
        let bounds = self.log.bounds(Topic::Outcomes).await?;
        Ok(bounds.iter().map(|bound| bound.end.unsigned_abs()).sum())
    }

    /// Removes everything again.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        let config = self.settings.log_config(&Clock::system());
        drop(self.log);
        for store in &self.stores {
            Store::discard(store).await?;
        }
        Ok(Log::discard(config).await?)
    }
}
