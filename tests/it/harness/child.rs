//! Roles in a process of their own: this test binary started once more.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use lienthong::{
    command::up,
    exit::Failure,
    pipeline::{Pipeline, Role},
    settings::Settings,
};
use runtime::{Background, ErrorChain, Tasks};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{PATIENCE, Site, say, site::clock_since, variable};

/// What to start.
#[derive(Clone, Debug)]
pub(crate) enum Launch {
    /// `lienthong up`: every role, the system's clock, signals.
    Up,
    /// Some roles by the site's clock, until killed.
    Roles(Vec<Role>),
}

/// A process that runs roles. Killed when dropped.
pub(crate) struct Child {
    process: tokio::process::Child,
    output: Lines<BufReader<ChildStdout>>,
    is_ready: bool,
    /// The child ends when this end of the pipe is gone: no orphan survives the test run.
    _leash: Option<ChildStdin>,
}

const LAUNCH: &str = "LIENTHONG_TEST_CHILD";
const CONFIG: &str = "LIENTHONG_TEST_CHILD_CONFIG";
const BEGAN: &str = "LIENTHONG_TEST_CHILD_BEGAN";
const READY: &str = "ready";

// === impl Child ===

impl Child {
    /// Starts a process and does not wait until it is ready.
    pub(crate) fn start(site: &Site, launch: &Launch) -> Self {
        Self::start_with(&site.write(), site.began, launch)
    }

    pub(crate) fn start_with(config: &Path, began: Timestamp, launch: &Launch) -> Self {
        let launch = match launch {
            Launch::Up => "up".to_owned(),
            Launch::Roles(roles) => {
                let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
                names.join(",")
            }
        };
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "harness::child::other_end",
                "--ignored",
                "--nocapture",
            ])
            .env(LAUNCH, launch)
            .env(CONFIG, config)
            .env(BEGAN, began.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _leash: process.stdin.take(),
            process,
            output,
            is_ready: false,
        }
    }

    /// Waits until its roles have started.
    pub(crate) async fn ready(&mut self) {
        if self.is_ready {
            return;
        }
        let ready = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                if line.ends_with(READY) {
                    return true;
                }
            }
            false
        };
        self.is_ready = timeout(PATIENCE, ready)
            .await
            .expect("the child starts in time");
        if !self.is_ready {
            let (code, text) = self.ended().await;
            panic!("the child ended with {code:?} before it was ready: {text}");
        }
    }

    /// SIGKILL. Answers what it had said on standard error.
    pub(crate) async fn kill(mut self) -> String {
        self.process.start_kill().unwrap();
        self.ended().await.1
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Any signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.process.id().expect("it still runs").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$0\"", &pid, name])
            .status()
            .await;
        assert!(sent.unwrap().success());
    }

    /// The bytes of memory that it has.
    pub(crate) fn resident(&self) -> u64 {
        let pid = self.process.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    /// The names of its threads, each with how much it gives way.
    pub(crate) fn threads(&self) -> Vec<(String, i32)> {
        let pid = self.process.id().expect("it still runs");
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let read = |thread: std::io::Result<std::fs::DirEntry>| {
            // One that ended meanwhile is none.
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let nice = rest.split(' ').nth(16)?;
            Some((name.to_owned(), nice.parse().unwrap()))
        };
        threads.filter_map(read).collect()
    }

    /// Whether it ended on its own, with its code and what it said.
    pub(crate) async fn has_ended(&mut self) -> Option<(Option<i32>, String)> {
        self.process.try_wait().unwrap()?;
        Some(self.ended().await)
    }

    /// Waits for the end: its exit code and what it said on standard error.
    pub(crate) async fn ended(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let mut stderr = self.process.stderr.take().expect("taken once");
        let end = async {
            stderr.read_to_string(&mut text).await.unwrap();
            self.process.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, end)
            .await
            .expect("the child ends in time");
        (status.code(), text)
    }
}

#[test]
#[ignore = "the other end of processes that tests start and kill"]
fn other_end() {
    let (Some(launch), Some(config)) = (variable(LAUNCH), variable(CONFIG)) else {
        return;
    };
    let began: Timestamp = variable(BEGAN).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let code = runtime.block_on(run(&launch, config.into(), began));
    std::process::exit(code);
}

async fn run(launch: &str, config: PathBuf, began: Timestamp) -> i32 {
    let settings = match Settings::load(Some(&config)) {
        Ok(settings) => settings,
        Err(error) => {
            say(ErrorChain(&error));
            return 64;
        }
    };
    runtime::init_logs(settings.logs.format, &settings.logs.filter);
    if launch == "up" {
        return up(settings).await;
    }
    let roles: Vec<Role> = Role::ALL
        .into_iter()
        .filter(|role| launch.split(',').any(|name| name == role.name()))
        .collect();
    let tasks = Tasks::default();
    let started = async {
        let pipeline =
            Pipeline::open(settings, &roles, clock_since(began), Background::none()).await?;
        pipeline.start(&roles, &tasks).await?;
        // The site has one such address, and one process with a tracker.
        if roles.contains(&Role::Tracker) {
            pipeline.start_admin(None, &tasks).await?;
        }
        Ok::<_, lienthong::pipeline::StartError>(pipeline)
    };
    match started.await {
        Ok(_pipeline) => {
            print_ready();
            tokio::select! {
                () = leash() => 0,
                () = tasks.stopping() => {
                    // Long enough for the reason to reach the log lines.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    3
                }
            }
        }
        Err(error) => {
            say(ErrorChain(&error));
            4
        }
    }
}

/// The command itself; its exit codes are those of `lienthong::exit`.
async fn up(settings: Settings) -> i32 {
    let running = async {
        tokio::select! {
            ended = up::run(settings.clone(), &Role::ALL) => ended,
            () = leash() => std::process::exit(5),
        }
    };
    let doors = [
        settings.gateway.listen,
        settings.courier.listen,
        settings.tracker.listen,
    ];
    let announced = async {
        for door in doors {
            while tokio::net::TcpStream::connect(door).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        print_ready();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = running => ended,
        () = announced => return 6,
    };
    match ended {
        Ok(()) => 0,
        Err(failure) => {
            say(format_args!("lienthong: {}", failure.text()));
            match failure {
                Failure::Finding(_) => 1,
                Failure::NotFound(_) => 2,
                Failure::Usage(_) => 64,
                Failure::Unreachable(_) => 69,
                Failure::Other(_) => 70,
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the parent waits for")]
fn print_ready() {
    println!("\n{READY}");
}

/// Waits until the parent is gone.
async fn leash() {
    let (gone, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        let _ = gone.send(());
    });
    let _ = wait.await;
}
