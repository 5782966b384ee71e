use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, error, info_span};

use crate::ErrorChain;

/// Owns every task of the process. The first one to end stops the others: a role that died must not
/// leave the rest running as if nothing had happened.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    first_down: Arc<OnceLock<&'static str>>,
    /// Set once a stop was asked for: tasks that end afterwards end as they should.
    asked: CancellationToken,
}

/// The tasks did not end as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UncleanStop {
    /// Some still ran when the grace period was over.
    #[error("{still_running} task(s) still ran after the grace period of {grace:?}")]
    TimedOut {
        /// How many.
        still_running: usize,
        /// The grace period.
        grace: Duration,
    },
    /// A task ended before a stop was asked for.
    #[error("task `{0}` ended on its own and stopped the process")]
    TaskEnded(&'static str),
}

struct StopSiblings {
    name: &'static str,
    tasks: Tasks,
}

// === impl Tasks ===

impl Tasks {
    /// Starts a supervised task that must run until the stop; when it ends earlier, all others stop.
    pub fn spawn<F, Fut, E>(&self, name: &'static str, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let work = task(self.stop.clone());
        let guard = StopSiblings {
            name,
            tasks: self.clone(),
        };
        self.tracker.spawn(
            async move {
                let _guard = guard;
                if let Err(error) = work.await {
                    error!(error = %ErrorChain(&error), "task failed, stopping the process");
                }
            }
            .instrument(info_span!("task", name)),
        );
    }

    /// Starts a supervised task that may end before the others, such as one connection.
    pub fn spawn_brief<Fut>(&self, work: Fut) -> JoinHandle<Fut::Output>
    where
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tracker.spawn(work)
    }

    /// Starts a supervised task that cannot fail.
    pub fn spawn_sure<F, Fut>(&self, name: &'static str, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, |stop| {
            let work = task(stop);
            async move {
                work.await;
                Ok::<(), Infallible>(())
            }
        });
    }

    /// A token that is cancelled when the tasks must stop.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until a task ended on its own or a stop was asked for.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Asks every task to finish and waits for them, at most for the grace period.
    pub async fn drain(self, grace: Duration) -> Result<(), UncleanStop> {
        self.asked.cancel();
        self.stop.cancel();
        self.tracker.close();
        if time::timeout(grace, self.tracker.wait()).await.is_err() {
            return Err(UncleanStop::TimedOut {
                still_running: self.tracker.len(),
                grace,
            });
        }
        match self.first_down.get() {
            Some(name) => Err(UncleanStop::TaskEnded(name)),
            None => Ok(()),
        }
    }
}

impl Drop for StopSiblings {
    fn drop(&mut self) {
        if !self.tasks.asked.is_cancelled() {
            let _ = self.tasks.first_down.set(self.name);
        }
        self.tasks.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn drain_gives_up_after_the_grace_period() {
        let tasks = Tasks::default();
        tasks.spawn("stuck", |_stop| pending::<Result<(), Infallible>>());

        let stop = tasks.drain(GRACE).await;

        assert_eq!(
            stop,
            Err(UncleanStop::TimedOut {
                still_running: 1,
                grace: GRACE
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_task_to_end_stops_the_others_and_is_named() {
        let tasks = Tasks::default();
        tasks.spawn_sure("patient", |stop| async move { stop.cancelled().await });
        tasks.spawn("hasty", |_stop| async {
            Err(std::io::Error::other("disk full"))
        });

        tasks.stopping().await;

        assert_eq!(
            tasks.drain(GRACE).await,
            Err(UncleanStop::TaskEnded("hasty"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_stop_is_clean() {
        let tasks = Tasks::default();
        tasks.spawn_sure("patient", |stop| async move { stop.cancelled().await });
        assert_eq!(tasks.drain(GRACE).await, Ok(()));
    }
}
