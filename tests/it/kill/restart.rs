//! A database that is stopped and started again under load.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lienthong::pipeline::Role;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::absence::{BUSY, RECOVERY};
use super::{Home, Load, Numbers, Victim};
use crate::harness::{Backend, House, PATIENCE, alone, eventually, free_port, listed, quick, say};

/// A PostgreSQL server of the test's own. It ends with the test.
struct Server {
    dir: TempDir,
    port: u16,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Sessions are broken off with a word.
    Fast,
    /// Nobody hears a word, and the next start recovers as after a crash.
    Immediate,
}

/// Where the server's own user may enter.
const SCRATCH: &str = "/var/tmp";
const TIMES: usize = 3;
const RATE: u32 = 50;

/// S9: stopped and started, each way several times, while dossiers come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_a_database_that_restarts_is_waited_for() {
    let test = "kill::restart::s9_a_database_that_restarts_is_waited_for";
    let Some(Backend::Real { brokers, .. }) = Backend::real(test) else {
        return;
    };
    let _alone = alone().await;
    let server = Server::new();
    let postgres = server.start().await;
    let backend = Backend::Real { brokers, postgres };
    let house = House::with(backend, |_| quick()).await;
    let roles = [Role::Gateway, Role::Router, Role::Courier, Role::Tracker];
    let mut all = Victim::new(Home::Process, roles.to_vec());
    all.start(&house.site);
    all.ready().await;

    let load = Load::start(&house, RATE);
    let mut longest = Duration::ZERO;
    for end in [End::Fast, End::Immediate].repeat(TIMES) {
        let taken = house.taken();
        server.end(end).await;
        eventually("the roles say that they cannot work", async || {
            (!house.is_ready().await).then_some(())
        })
        .await;
        server.start().await;
        let started = Instant::now();
        eventually("the roles are ready, and deliver", async || {
            (house.is_ready().await && house.taken() > taken).then_some(())
        })
        .await;
        longest = longest.max(started.elapsed());
        all.check(&house.site).await;
    }
    load.until(&house, Numbers::read(1).events / 10).await;
    let violations = house.violations(PATIENCE).await;
    let record = house.world.history.record();
    say(format_args!(
        "{} restarts of the database, {} events, at work again at most {} ms after a start",
        2 * TIMES,
        record.sent.len(),
        longest.as_millis(),
    ));
    all.check(&house.site).await;
    assert!(all.died.is_empty(), "{:?}", all.died);
    all.end().await;
    assert!(violations.is_empty(), "{}", listed(&violations));
    assert!(longest <= RECOVERY + BUSY, "{longest:?}");
}

// === impl Server ===

impl Server {
    fn new() -> Self {
        let dir = TempDir::with_prefix_in("lienthong-", SCRATCH).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let port = free_port().port();
        Self { dir, port }
    }

    /// Starts it, and waits until it answers; tells its address.
    async fn start(&self) -> String {
        run(self.script("start")).await.trim().to_owned()
    }

    async fn end(&self, end: End) {
        match end {
            End::Fast => _ = run(self.script("stop")).await,
            End::Immediate => {
                let noted = self.dir.path().join("data/postmaster.pid");
                let noted = fs::read_to_string(noted).unwrap();
                let pid = noted.lines().next().unwrap();
                let mut kill = Command::new("kill");
                kill.args(["-QUIT", pid]);
                run(kill).await;
                // One that has ended and that nobody has collected yet has no command line.
                let command = Path::new("/proc").join(pid).join("cmdline");
                eventually("the server has ended", async || {
                    let runs = fs::read(&command).is_ok_and(|line| !line.is_empty());
                    (!runs).then_some(())
                })
                .await;
            }
        }
    }

    fn script(&self, action: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = Command::new("bash");
        command
            .arg(root.join("deploy/local/postgres"))
            .arg(action)
            .arg("--dir")
            .arg(self.dir.path())
            .args(["--port", &self.port.to_string()]);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.script("reset").output();
    }
}

/// What it prints, once it has ended well.
async fn run(mut command: Command) -> String {
    let output = spawn_blocking(move || (format!("{command:?}"), command.output()));
    let (command, output) = output.await.unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
