//! How pullers reach the shelves: over gRPC and over HTTP, with one meaning.

mod bodies;
mod grpc;
mod http;
mod problem;
mod work;

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use runtime::Tasks;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::link::pull::{Bound, Closed, Held, NotLeased, Shelf, Shelves};

pub use grpc::PullApi;
pub(crate) use http::router;

/// What pullers may do. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pulls {
    shelves: Shelves,
    tasks: Tasks,
}

/// What a puller asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    max: usize,
    wait: Duration,
    lease: Option<Duration>,
}

/// Why a puller's request has no answer of its own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No destination of that name pulls.
    #[error("no destination `{0}` pulls here; its endpoint must be `pull:`")]
    NoPull(String),
    /// The lane is not here, or not any more.
    #[error(
        "the lane of destination `{0}` is not at work in this courier, try again or ask another one"
    )]
    Closed(String),
    /// The request makes no sense.
    #[error("`{field}` {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// No more leases, verdicts, extensions or releases in one call.
const MOST: usize = 1_000;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Below what a gRPC client takes by default, and above the largest delivery.
const BYTES: usize = 3 << 20;

// === impl Pulls ===

impl Pulls {
    pub(crate) fn new(shelves: Shelves, tasks: Tasks) -> Self {
        Self { shelves, tasks }
    }

    fn shelf(&self, destination: &str) -> Result<&Arc<Shelf>, Refusal> {
        let shelf = self.shelves.get(destination);
        shelf.ok_or_else(|| Refusal::NoPull(destination.chars().take(64).collect()))
    }

    fn stop(&self) -> CancellationToken {
        self.tasks.stop_token()
    }

    /// Takes what there is, or the first that comes while the puller waits.
    async fn take(&self, destination: &str, ask: Ask) -> Result<Vec<v1::Lease>, Refusal> {
        let shelf = self.shelf(destination)?;
        let stop = self.stop();
        let deadline = Instant::now() + ask.wait;
        loop {
            let arrived = shelf.arrived();
            if stop.is_cancelled() {
                return Ok(Vec::new());
            }
            let leases = shelf.take(Bound::of(ask.max), ask.lease);
            let leases = leases.map_err(|Closed| Refusal::Closed(destination.to_owned()))?;
            if !leases.is_empty() {
                return Ok(leases);
            }
            let come = timeout_at(deadline, stop.run_until_cancelled(arrived)).await;
            if !matches!(come, Ok(Some(()))) {
                return Ok(Vec::new());
            }
        }
    }

    fn confirm(&self, destination: &str, all: Vec<v1::Confirmation>) -> Answers {
        self.each(destination, all, |shelf, confirmation| {
            let answer = Answer::of_verdict(confirmation.verdict);
            let done = shelf.confirm(&confirmation.token, answer);
            answered(confirmation.token, done.map(|done| done.map(|()| None)))
        })
    }

    fn extend(&self, destination: &str, all: Vec<String>, by: Option<Duration>) -> Answers {
        self.each(destination, all, |shelf, token| {
            let done = shelf.extend(&token, by);
            answered(token, done.map(|done| done.map(Some)))
        })
    }

    fn release(&self, destination: &str, all: Vec<String>) -> Answers {
        self.each(destination, all, |shelf, token| {
            let done = shelf.release(&token);
            answered(token, done.map(|done| done.map(|()| None)))
        })
    }

    fn each<T>(
        &self,
        destination: &str,
        all: Vec<T>,
        act: impl Fn(&Shelf, T) -> Result<v1::LeaseAnswer, Closed>,
    ) -> Answers {
        let shelf = self.shelf(destination)?;
        if all.len() > MOST {
            let reason = format!("has {} entries, more than {MOST}", all.len());
            let field = "tokens";
            return Err(Refusal::Invalid { field, reason });
        }
        let answers = all.into_iter().map(|one| act(shelf, one));
        let answers: Result<_, Closed> = answers.collect();
        answers.map_err(|Closed| Refusal::Closed(destination.to_owned()))
    }
}

type Answers = Result<Vec<v1::LeaseAnswer>, Refusal>;

fn answered(token: String, done: Held<Option<jiff::Timestamp>>) -> Result<v1::LeaseAnswer, Closed> {
    let (standing, until) = match done? {
        Ok(until) => (v1::LeaseStanding::Held, until),
        Err(NotLeased::Confirmed) => (v1::LeaseStanding::Confirmed, None),
        Err(NotLeased::Released) => (v1::LeaseStanding::Released, None),
        Err(NotLeased::Expired) => (v1::LeaseStanding::Expired, None),
        Err(NotLeased::Unknown) => (v1::LeaseStanding::Unknown, None),
    };
    Ok(v1::LeaseAnswer {
        token,
        standing: standing.into(),
        until: until.map(proto::timestamp_to_wire),
    })
}

// === impl Ask ===

impl Ask {
    /// Checks what a puller asks for; what is absent has its usual meaning.
    fn new(max: usize, wait: Option<Duration>, lease: Option<Duration>) -> Result<Self, Refusal> {
        let invalid = |field, reason: String| Err(Refusal::Invalid { field, reason });
        let wait = wait.unwrap_or_default();
        if max > MOST {
            return invalid("max", format!("must be 1 to {MOST}, got {max}"));
        }
        if wait > LONGEST_WAIT {
            return invalid(
                "wait",
                format!("must be at most {LONGEST_WAIT:?}, got {wait:?}"),
            );
        }
        Ok(Self {
            max: max.max(1),
            wait,
            lease: not_zero("lease", lease)?,
        })
    }
}

/// A span that is given must not be nothing.
fn not_zero(field: &'static str, span: Option<Duration>) -> Result<Option<Duration>, Refusal> {
    match span {
        Some(Duration::ZERO) => Err(Refusal::Invalid {
            field,
            reason: "must be above zero; leave it out for the destination's time-out".to_owned(),
        }),
        span => Ok(span),
    }
}

// === impl Bound ===

impl Bound {
    fn of(deliveries: usize) -> Self {
        Self {
            deliveries,
            bytes: BYTES,
        }
    }
}
