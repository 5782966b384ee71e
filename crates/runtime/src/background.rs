//! Work that gives way to other work of the same process.

use std::{future::Future, io};

use rustix::process;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinError,
};

/// Where work runs that may wait a moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Background(Place);

#[derive(Clone, Debug)]
enum Place {
    WithTheCaller,
    On(Handle),
}

/// Threads that get a processor after those of the rest: a tenth of its time where both want it. On
/// Linux; elsewhere their system may lower the whole process. Dropped, they end without being waited for.
#[derive(Debug)]
pub struct BackgroundThreads {
    background: Background,
    runtime: Option<Runtime>,
}

/// Added to the niceness, of which each step is about a quarter of the processor's time: see sched(7).
const NICER: i32 = 10;

// === impl Background ===

impl Background {
    /// None: work runs in the runtime of whoever calls [`run`](Self::run), and gives way to nothing.
    pub fn none() -> Self {
        Self(Place::WithTheCaller)
    }

    /// Runs the work there, and with it all tasks and threads that it starts.
    ///
    /// # Errors
    /// The work panicked, or the threads have ended.
    ///
    /// # Panics
    /// With none, outside of a runtime.
    pub async fn run<T>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError>
    where
        T: Send + 'static,
    {
        let work = match &self.0 {
            Place::WithTheCaller => Handle::current().spawn(work),
            Place::On(threads) => threads.spawn(work),
        };
        work.await
    }
}

// === impl BackgroundThreads ===

impl BackgroundThreads {
    /// As many as there are processors, and some for what blocks.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start() -> io::Result<Self> {
        let niceness = process::getpriority_process(None)? + NICER;
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .on_thread_start(move || give_way(niceness))
            .enable_all()
            .build()?;
        Ok(Self {
            background: Background(Place::On(runtime.handle().clone())),
            runtime: Some(runtime),
        })
    }

    /// Runs work on them.
    pub fn background(&self) -> &Background {
        &self.background
    }
}

impl Drop for BackgroundThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn give_way(niceness: i32) {
    if let Err(error) = process::setpriority_process(None, niceness) {
        tracing::warn!(%error, "background work gets as much of the processors as the intake");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        process::getpriority_process(None).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_in_the_background_gives_way_with_all_that_it_starts() {
        let (before, threads) = (niceness(), BackgroundThreads::start().unwrap());
        let everywhere = threads.background().run(async {
            let task = Background::none().run(async { niceness() }).await;
            let blocking = tokio::task::spawn_blocking(niceness);
            let thread = std::thread::spawn(niceness);
            let blocking = blocking.await.unwrap();
            [niceness(), task.unwrap(), blocking, thread.join().unwrap()]
        });
        assert_eq!(everywhere.await.unwrap(), [(before + NICER).min(19); 4]);
        assert_eq!(niceness(), before, "the caller keeps its own");
        let here = Background::none().run(async { niceness() }).await;
        assert_eq!(here.unwrap(), before);
    }

    #[test]
    fn without_a_background_work_ends_with_the_runtime_of_its_caller() {
        let background = Background::none();
        let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let (held, ended) = tokio::sync::oneshot::channel::<()>();
        let started = first.block_on(background.run(async {}));
        started.unwrap();
        let endless = second.block_on(background.run(async {
            Handle::current().spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        }));
        endless.unwrap();
        second.shutdown_background();
        assert!(first.block_on(ended).is_err());
    }

    #[tokio::test]
    async fn what_panics_in_the_background_is_an_error_here() {
        let broken = Background::none().run(async { panic!("on purpose") }).await;
        assert!(broken.is_err_and(|error: JoinError| error.is_panic()));
    }
}
