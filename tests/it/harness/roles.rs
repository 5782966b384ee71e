use std::time::{Duration, Instant};

use lienthong::pipeline::{Pipeline, Role};
use runtime::{ErrorChain, Tasks, UncleanStop};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// Roles of this process, in a runtime of their own. Killing it drops all their tasks wherever they
/// wait: no line of theirs runs any more, as after SIGKILL, while log and store live on.
pub(crate) struct Roles {
    runtime: Option<Runtime>,
    tasks: Tasks,
    starting: Option<JoinHandle<Result<(), (Role, String)>>>,
}

// === impl Roles ===

impl Roles {
    /// How long an address may stay taken by tasks that were killed.
    const ADDRESS_WITHIN: Duration = Duration::from_secs(10);

    pub(crate) fn start(pipeline: Pipeline, roles: Vec<Role>) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let tasks = Tasks::default();
        let starting = runtime.spawn(start_each(pipeline, roles, tasks.clone()));
        Self {
            runtime: Some(runtime),
            tasks,
            starting: Some(starting),
        }
    }

    /// Waits until they have started.
    pub(crate) async fn ready(&mut self) {
        let Some(starting) = self.starting.take() else {
            return;
        };
        if let Err((role, chain)) = starting.await.expect("the start does not panic") {
            panic!("the {} cannot start: {chain}", role.name());
        }
    }

    /// Whether they still run.
    pub(crate) fn run(&self) -> bool {
        !self.tasks.stop_token().is_cancelled()
    }

    /// Stops them as an operator does.
    pub(crate) async fn stop(mut self) -> Result<(), UncleanStop> {
        let tasks = std::mem::take(&mut self.tasks);
        tasks.drain(Duration::from_secs(20)).await
    }

    pub(crate) fn kill(self) {}
}

impl Drop for Roles {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Answers the first role that cannot start, with the whole chain of its error.
async fn start_each(
    pipeline: Pipeline,
    roles: Vec<Role>,
    tasks: Tasks,
) -> Result<(), (Role, String)> {
    let begun = Instant::now();
    for role in roles {
        while let Err(error) = pipeline.start(&[role], &tasks).await {
            let chain = ErrorChain(&error).to_string();
            if !chain.contains("in use") || begun.elapsed() > Roles::ADDRESS_WITHIN {
                return Err((role, chain));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}
