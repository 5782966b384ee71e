use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The process's metrics, rendered for Prometheus.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// The metrics recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("cannot install the metrics recorder")]
pub struct MetricsError(#[source] metrics_exporter_prometheus::BuildError);

/// Sends log lines to standard error; `filter` is a tracing filter such as `info,courier=debug`.
/// A second call changes nothing.
pub fn init_logs(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let _ = match format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_target(false))
            .try_init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .try_init(),
    };
}

// === impl Metrics ===

impl Metrics {
    const FAST: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
    const SLOW: [f64; 10] = [
        0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0, 14_400.0, 86_400.0,
    ];
    const SIZES: [f64; 6] = [256.0, 1_024.0, 4_096.0, 16_384.0, 262_144.0, 1_048_576.0];

    /// Installs the recorder of this process; once.
    pub fn install() -> Result<Self, MetricsError> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &Self::FAST)
            .and_then(|b| {
                b.set_buckets_for_metric(
                    Matcher::Suffix("end_to_end_seconds".to_owned()),
                    &Self::SLOW,
                )
            })
            .and_then(|b| {
                b.set_buckets_for_metric(
                    Matcher::Suffix("step_duration_seconds".to_owned()),
                    &Self::SLOW,
                )
            })
            .and_then(|b| {
                b.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &Self::SIZES)
            })
            .map_err(MetricsError)?;
        builder.install_recorder().map(Self).map_err(MetricsError)
    }

    /// The page in the Prometheus text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds histograms of the past into their buckets; called on a slow tick, so that memory stays flat.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// How often [`Metrics::upkeep`] is due.
    pub const UPKEEP: Duration = Duration::from_secs(5);
}
