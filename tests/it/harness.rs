//! A whole house per test: a pipeline on one of the back ends, and the world around it.
//!
//! [`Site`] is where a pipeline lives: directories or topics, ports, files, the clock. [`World`] is
//! everybody outside. [`House`] is both, with the roles running in this process; [`child`] runs roles
//! in processes of their own, which can be killed.

mod backend;
pub(crate) mod child;
mod events;
mod house;
mod outage;
mod ports;
mod roles;
mod site;
mod world;

pub(crate) use backend::Backend;
pub(crate) use child::{Child, Launch};
pub(crate) use events::{accepted, json, status_of_step};
pub(crate) use house::{Found, House, listed, quick};
pub(crate) use outage::{AwayLog, Door};
pub(crate) use ports::free_port;
pub(crate) use roles::Roles;
pub(crate) use site::{LEASE, Site};
pub(crate) use world::World;

use std::{
    fmt::Display,
    io::Write as _,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

/// How long a condition may take to become true before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Makes one test per scenario and back end.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::harness::Backend::Embedded).await;
            })+
        }

        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                if let Some(backend) = crate::harness::Backend::real(stringify!($scenario)) {
                    super::$scenario(backend).await;
                }
            })+
        }
    };
}
pub(crate) use scenarios;

/// Kill runs need both cores: one at a time. Keep what it answers.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    within(PATIENCE, what, look)
}

/// The same with a bound of one's own.
pub(crate) async fn within<T>(
    bound: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < bound, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A setting of the test run.
#[expect(
    clippy::disallowed_methods,
    reason = "what a test run is given beside its settings"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says something whether or not the test passes: past the capture of the test harness.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
