use std::{error::Error, mem, time::Duration};

use runtime::{ErrorChain, Health, Readiness};
use store::{CommitError, MigrateError, Schema, Store};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// Takes the first steps of a role, each again while its fault is one that passes.
///
/// A fault passes if its error's own `is_transient` says so: store or log are away for a moment, or an
/// answer was lost. Until the step succeeds the role is [`Readiness::NotReady`] with the reason; each
/// repeat is counted and logged, and the pause before it doubles from 50 ms to 5 s. Any other error ends
/// the start at once, and so does the stop, with the fault that held it up: a step in hand is not cut
/// off, for store and log bound their own waiting.
pub struct Start {
    group: &'static str,
    health: Health,
    stop: CancellationToken,
}

/// The tries of one step, or of one after the other.
///
/// ```text
/// let epoch = loop {
///     let tried = store.take_over(GROUP).await;
///     if let Some(epoch) = tries.settle(tried, CommitError::is_transient).await? {
///         break epoch;
///     }
/// };
/// ```
pub struct Tries<'a> {
    start: &'a Start,
    pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

// === impl Start ===

impl Start {
    /// The start of a role that is known by its group.
    pub fn new(group: &'static str, health: Health, stop: CancellationToken) -> Self {
        Self {
            group,
            health,
            stop,
        }
    }

    /// Brings the tables up to date.
    ///
    /// # Errors
    /// The fault does not pass, or the stop came first.
    pub async fn migrate(
        &self,
        store: &Store,
        schemas: &[&'static Schema],
    ) -> Result<(), MigrateError> {
        let mut was_unclear = false;
        let mut tries = self.tries();
        loop {
            let tried = store.migrate(schemas).await;
            let passes = |error: &MigrateError| migration_passes(error, &mut was_unclear);
            if let Some(()) = tries.settle(tried, passes).await? {
                return Ok(());
            }
        }
    }

    /// Makes the caller the owner of a group. Each try raises the epoch, also one whose answer is lost:
    /// the answered one is the newest, and it alone counts.
    ///
    /// # Errors
    /// The fault does not pass, or the stop came first.
    pub async fn take_over(&self, store: &Store, group: &'static str) -> Result<i64, CommitError> {
        let mut tries = self.tries();
        loop {
            let tried = store.take_over(group).await;
            if let Some(epoch) = tries.settle(tried, CommitError::is_transient).await? {
                return Ok(epoch);
            }
        }
    }

    /// Tells that the role works, where no [`Consumer`](crate::Consumer) does.
    pub fn ready(&self) {
        self.health.set(self.group, Readiness::Ready);
    }

    /// The tries of a step that may be taken anew after half of it was done.
    pub fn tries(&self) -> Tries<'_> {
        Tries {
            start: self,
            pause: FIRST_PAUSE,
        }
    }
}

// === impl Tries ===

impl Tries<'_> {
    /// What became of a try: `None` says to try again, and comes after the pause.
    ///
    /// # Errors
    /// The fault does not pass, or the stop came first.
    pub async fn settle<T, E: Error>(
        &mut self,
        tried: Result<T, E>,
        passes: impl FnOnce(&E) -> bool,
    ) -> Result<Option<T>, E> {
        let Start {
            group,
            health,
            stop,
        } = self.start;
        let error = match tried {
            Ok(done) => {
                if mem::replace(&mut self.pause, FIRST_PAUSE) > FIRST_PAUSE {
                    health.set(group, Readiness::Starting);
                }
                return Ok(Some(done));
            }
            Err(error) if passes(&error) => error,
            Err(error) => return Err(error),
        };
        telemetry::retrying(group, "start", &error);
        let reason = ErrorChain(&error).to_string();
        health.set(group, Readiness::NotReady(reason));
        if stop.run_until_cancelled(sleep(self.pause)).await.is_none() {
            return Err(error);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(None)
    }
}

/// A connection that breaks in a migration shows as one that failed, or as a version that cannot be
/// read, and the store does not tell this from a lasting fault; both were rolled back. So such a one is
/// tried once more: a store that is away then says so, and the same answer again is for good.
fn migration_passes(error: &MigrateError, was_unclear: &mut bool) -> bool {
    match error {
        MigrateError::Commit(error) => {
            *was_unclear = false;
            error.is_transient()
        }
        MigrateError::Newer { .. } => false,
        MigrateError::Failed { source, .. } | MigrateError::Version { source, .. } => {
            match source.downcast_ref::<CommitError>() {
                Some(error) => error.is_transient(),
                None => !mem::replace(was_unclear, true),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use tokio::time::Instant;

    use super::*;

    const GROUP: &str = "sample";

    fn start() -> Start {
        Start::new(GROUP, Health::default(), CancellationToken::new())
    }

    fn away() -> CommitError {
        CommitError::Transient {
            unknown: false,
            source: Arc::new(io::Error::other("away")),
        }
    }

    fn fatal() -> CommitError {
        CommitError::Fatal(Arc::new(io::Error::other("disk gone")))
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_five_seconds_and_health_says_why() {
        let start = start();
        let reason = "not ready: the store cannot commit now: away".to_owned();
        let (mut tries, mut pauses) = (start.tries(), Vec::new());
        for _ in 0..9 {
            let begun = Instant::now();
            let tried = tries.settle(Err::<(), _>(away()), CommitError::is_transient);
            assert!(matches!(tried.await, Ok(None)));
            pauses.push(begun.elapsed().as_millis());
            assert_eq!(start.health.not_ready(), [(GROUP, reason.clone())]);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        let tried = tries.settle(Ok(7), CommitError::is_transient).await;
        assert!(matches!(tried, Ok(Some(7))));
        assert_eq!(tries.pause, FIRST_PAUSE);
        let starting = Readiness::Starting.to_string();
        assert_eq!(start.health.not_ready(), [(GROUP, starting)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_ends_the_start_at_once() {
        let (start, begun) = (start(), Instant::now());
        let tried = Err::<(), _>(fatal());
        let ended = start.tries().settle(tried, CommitError::is_transient).await;
        assert!(matches!(ended, Err(CommitError::Fatal(_))), "{ended:?}");
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn the_stop_ends_the_start_with_what_held_it_up() {
        let start = start();
        start.stop.cancel();
        let tried = Err::<(), _>(away());
        let ended = start.tries().settle(tried, CommitError::is_transient).await;
        assert!(ended.is_err_and(|error| error.is_transient()));
    }

    #[track_caller]
    fn check(errors: &[MigrateError], expected: &[bool]) {
        let mut was_unclear = false;
        let passes = errors
            .iter()
            .map(|error| migration_passes(error, &mut was_unclear));
        assert_eq!(passes.collect::<Vec<_>>(), expected, "{errors:?}");
    }

    #[test]
    fn an_unclear_fault_of_a_migration_is_tried_once_more() {
        let failed = |source| MigrateError::Failed {
            role: GROUP,
            version: 1,
            source,
        };
        let unclear = || failed(Arc::new(io::Error::other("connection closed")));
        let newer = MigrateError::Newer {
            role: GROUP,
            found: 2,
            known: 1,
        };
        let is_away = || MigrateError::Commit(away());
        check(&[unclear(), unclear()], &[true, false]);
        check(&[unclear(), is_away(), unclear()], &[true, true, true]);
        check(&[is_away(), is_away()], &[true, true]);
        check(&[MigrateError::Commit(fatal())], &[false]);
        check(&[failed(Arc::new(fatal()))], &[false]);
        check(&[newer], &[false]);
    }
}
