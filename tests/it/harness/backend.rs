use super::{say, variable};

/// Where log and store lie.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// In a directory of the test.
    Embedded,
    /// On services that the test run was given.
    Real {
        /// Kafka.
        brokers: String,
        /// PostgreSQL.
        postgres: String,
    },
}

// === impl Backend ===

impl Backend {
    /// The services of `LIENTHONG_TEST_BROKERS` and `LIENTHONG_TEST_POSTGRES`; says so without them.
    pub(crate) fn real(test: &str) -> Option<Self> {
        let brokers = variable("LIENTHONG_TEST_BROKERS");
        let postgres = variable("LIENTHONG_TEST_POSTGRES");
        let (Some(brokers), Some(postgres)) = (brokers, postgres) else {
            say(format_args!(
                "SKIPPED: {test} on Kafka and PostgreSQL: LIENTHONG_TEST_BROKERS or \
                 LIENTHONG_TEST_POSTGRES is not set"
            ));
            return None;
        };
        Some(Self::Real { brokers, postgres })
    }
}
