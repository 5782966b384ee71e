use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backoff::{InvalidPlan, RetryPlan};
use calendar::Calendars;
use domain::{CalendarId, Destination, DestinationId};
use replies::RuleSets;

use crate::answer::Reader;
use crate::boundary::Boundary;
use crate::lane::{BreakerRules, Setup};
use crate::leases::INTAKE;
use crate::link::{InvalidWay, Way};

/// How the courier works.
#[derive(Clone, Debug)]
pub struct Config {
    /// The destinations it hands deliveries to.
    pub destinations: Vec<Destination>,
    /// The calendars by which it counts working time.
    pub calendars: Arc<Calendars>,
    /// A lane rests after so many attempts in a row that blame the destination.
    pub rest_after: u32,
    /// The wait before the first probe of a resting lane; it doubles with each failed probe.
    pub first_rest: Duration,
    /// The longest wait between two probes.
    pub longest_rest: Duration,
    /// Payloads of waiting deliveries that are kept in memory, in bytes over all lanes; the others
    /// are read from the store again when their turn comes.
    pub cached_bytes: usize,
    /// Where one courier has the store: a payload that is in memory and in the log, but not in the store, is
    /// stored after this time, at most twice as long. The log must keep records for longer.
    pub stored_after: Duration,
    /// No attempt is given up earlier than this in real time, however fast the clock runs.
    pub shortest_timeout: Duration,
    /// How long, in real time, a stop waits for the answers to attempts in flight.
    pub last_answers: Duration,
    /// What this courier is called beside others on the same store.
    pub name: String,
    /// How long, in real time, a courier that is not heard of keeps its lanes before others take them;
    /// of no effect on a store of one process.
    pub lease: Duration,
    /// What a dead letter is asked before it is sent again.
    pub boundary: Boundary,
    /// How the deliveries topic is read.
    pub consumer: consumer::Options,
    /// Who vouches for the servers of encrypted endpoints; without them their lanes hold.
    pub roots: Option<dial::Roots>,
    /// The rules for replies that destinations name.
    pub replies: RuleSets,
}

/// The settings cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Two destinations have the same id.
    #[error("destination `{0}` is there twice")]
    SameDestination(DestinationId),
    /// A destination names a calendar that is not there.
    #[error("destination `{destination}` names calendar `{calendar}`, which is not there")]
    NoCalendar {
        /// The destination.
        destination: DestinationId,
        /// The calendar.
        calendar: CalendarId,
    },
    /// A destination's retry steps make no plan.
    #[error("the retry steps of destination `{destination}` make no plan")]
    Plan {
        /// The destination.
        destination: DestinationId,
        /// Why.
        #[source]
        source: InvalidPlan,
    },
    /// A destination cannot be reached in the way that it says.
    #[error("destination `{destination}` cannot be reached as its file says")]
    Way {
        /// The destination.
        destination: DestinationId,
        /// Why.
        #[source]
        source: InvalidWay,
    },
    /// A destination has a name that the courier needs for itself.
    #[error("destination `{0}` has an id that the courier uses itself: call it something else")]
    Reserved(DestinationId),
    /// A destination names rules for its replies that are not there.
    #[error(
        "destination `{destination}` names the reply rules `{replies}`, which are not there; there {known}"
    )]
    NoReplies {
        /// The destination.
        destination: DestinationId,
        /// The rules.
        replies: String,
        /// Those that are there, in words.
        known: String,
    },
    /// A number is zero that must not be.
    #[error("`{setting}`{} must not be zero", .destination.as_ref().map(|id| format!(" of destination `{id}`")).unwrap_or_default())]
    Zero {
        /// The setting.
        setting: &'static str,
        /// The destination, if it is one of its settings.
        destination: Option<DestinationId>,
    },
}

/// A destination with everything its lane needs.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) destination: Destination,
    pub(crate) setup: Setup,
    pub(crate) way: Way,
    pub(crate) reader: Reader,
}

// === impl Config ===

impl Config {
    /// The usual settings for these destinations.
    pub fn new(destinations: Vec<Destination>, calendars: Arc<Calendars>) -> Self {
        Self {
            destinations,
            calendars,
            rest_after: 5,
            first_rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(60),
            cached_bytes: 32 << 20,
            stored_after: Duration::from_secs(10),
            shortest_timeout: Duration::from_millis(200),
            last_answers: Duration::from_secs(5),
            name: "courier".to_owned(),
            lease: Duration::from_secs(6),
            boundary: Boundary::default(),
            consumer: consumer::Options::default(),
            roots: None,
            replies: RuleSets::default(),
        }
    }

    /// Checks the settings and binds each destination to its calendar and plan.
    pub(crate) fn bind(&self) -> Result<Vec<Bound>, ConfigError> {
        let zero = |setting| ConfigError::Zero {
            setting,
            destination: None,
        };
        if self.rest_after == 0 {
            return Err(zero("rest_after"));
        }
        if self.first_rest.is_zero() {
            return Err(zero("first_rest"));
        }
        if self.lease.is_zero() {
            return Err(zero("lease"));
        }
        let mut ids = BTreeSet::new();
        let bound = self.destinations.iter().map(|destination| {
            if !ids.insert(&destination.id) {
                return Err(ConfigError::SameDestination(destination.id.clone()));
            }
            if destination.id.as_str() == INTAKE {
                return Err(ConfigError::Reserved(destination.id.clone()));
            }
            self.bind_one(destination)
        });
        bound.collect()
    }

    fn bind_one(&self, destination: &Destination) -> Result<Bound, ConfigError> {
        let id = || destination.id.clone();
        let zero = |setting| ConfigError::Zero {
            setting,
            destination: Some(id()),
        };
        if destination.max_in_flight == 0 {
            return Err(zero("max_in_flight"));
        }
        if destination.timeout.is_zero() {
            return Err(zero("timeout"));
        }
        let calendar = self.calendars.get(destination.calendar.as_str());
        let calendar = calendar.ok_or_else(|| ConfigError::NoCalendar {
            destination: id(),
            calendar: destination.calendar.clone(),
        })?;
        let retry = &destination.retry;
        let plan = RetryPlan::new(retry.steps.clone(), retry.max_attempts).map_err(|source| {
            ConfigError::Plan {
                destination: id(),
                source,
            }
        })?;
        let way = Way::of(destination, self.roots.as_ref());
        let way = way.map_err(|source| ConfigError::Way {
            destination: id(),
            source,
        })?;
        let reader = self.reader(destination)?;
        let terms = &destination.terms;
        let is_called = destination.endpoint.peer().is_some();
        let setup = Setup {
            calendar: calendar.clone(),
            plan,
            timeout: destination.timeout,
            max_in_flight: usize::try_from(destination.max_in_flight).unwrap_or(usize::MAX),
            breaker: is_called.then(|| self.breaker_rules()),
            rate: terms.rate,
            outages: terms.outages.clone(),
            office_hours_only: terms.office_hours_only,
            idempotent: terms.idempotent,
            queryable: terms.queryable && is_called,
            canary: terms.canary.is_some() && is_called,
        };
        Ok(Bound {
            destination: destination.clone(),
            setup,
            way,
            reader,
        })
    }

    fn reader(&self, destination: &Destination) -> Result<Reader, ConfigError> {
        let Some(name) = &destination.terms.replies else {
            return Ok(Reader::default());
        };
        let rules = self.replies.rules(name).cloned();
        let rules = rules.ok_or_else(|| ConfigError::NoReplies {
            destination: destination.id.clone(),
            replies: name.clone(),
            known: known(&self.replies),
        })?;
        Ok(Reader::new(Some(rules)))
    }

    fn breaker_rules(&self) -> BreakerRules {
        BreakerRules {
            in_a_row: self.rest_after,
            failed_in_a_row: self.rest_after.saturating_mul(2),
            window: Duration::from_secs(60),
            minimum: 20,
            failed_percent: 50,
            silent_percent: 30,
            first_probe: self.first_rest,
            longest_probe: self.longest_rest,
        }
    }
}

fn known(sets: &RuleSets) -> String {
    let names: Vec<_> = sets.names().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "are none".to_owned()
    } else {
        format!("are {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use domain::{RetrySteps, Terms};

    use super::*;

    fn destination(id: &str) -> Destination {
        Destination {
            id: id.parse().unwrap(),
            agency: "justice".parse().unwrap(),
            endpoint: "grpc://127.0.0.1:7101".parse().unwrap(),
            calendar: "national-office".parse().unwrap(),
            max_in_flight: 8,
            timeout: Duration::from_secs(10),
            retry: RetrySteps {
                steps: vec![Duration::from_secs(60)],
                max_attempts: 5,
            },
            terms: Terms::default(),
        }
    }

    #[track_caller]
    fn check(destinations: Vec<Destination>, expected: &str) {
        let calendars = Arc::new(Calendars::built_in().unwrap());
        let error = Config::new(destinations, calendars).bind().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_mistake_is_named_with_its_destination() {
        check(
            vec![destination("a"), destination("a")],
            "destination `a` is there twice",
        );
        check(
            vec![destination(INTAKE)],
            "destination `courier--intake` has an id that the courier uses itself: call it something else",
        );
        let calendar = "moon".parse().unwrap();
        check(
            vec![Destination {
                calendar,
                ..destination("a")
            }],
            "destination `a` names calendar `moon`, which is not there",
        );
        check(
            vec![Destination {
                max_in_flight: 0,
                ..destination("a")
            }],
            "`max_in_flight` of destination `a` must not be zero",
        );
        let retry = RetrySteps {
            steps: vec![],
            max_attempts: 5,
        };
        check(
            vec![Destination {
                retry,
                ..destination("a")
            }],
            "the retry steps of destination `a` make no plan",
        );
    }

    #[test]
    fn rules_for_replies_must_be_there() {
        let named = Destination {
            terms: Terms {
                replies: Some("one-stop".to_owned()),
                ..Terms::default()
            },
            ..destination("a")
        };
        let names = "destination `a` names the reply rules `one-stop`, which are not there; there";
        check(vec![named.clone()], &format!("{names} are none"));
        let calendars = Arc::new(Calendars::built_in().unwrap());
        let mut config = Config::new(vec![named], calendars);
        config.replies = RuleSets::built_in().unwrap();
        let known = "are `cloudevents-default`, `ministry-adapter`, `one-stop-soap`";
        let error = config.bind().unwrap_err().to_string();
        assert_eq!(error, format!("{names} {known}"));
        config.destinations[0].terms.replies = Some("one-stop-soap".to_owned());
        config.bind().unwrap();
    }

    #[test]
    fn a_rest_needs_a_length() {
        let calendars = Arc::new(Calendars::built_in().unwrap());
        let config = Config {
            first_rest: Duration::ZERO,
            ..Config::new(vec![], calendars)
        };
        assert_eq!(
            config.bind().unwrap_err().to_string(),
            "`first_rest` must not be zero"
        );
    }
}
