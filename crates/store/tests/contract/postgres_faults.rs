//! What can happen between here and a server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{CommitError, Config, Kind, Op, OpenError, PostgresConfig, Store, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::scratch::{LANES, Scratch, execute, fence, lane, lanes, postgres_url, step, write};

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://nobody@127.0.0.1:{port}/nothing");
    let error = Store::open(Config::postgres(url, "contract"))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{port}: start it")),
        "{error}"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let setting = async |url: &str, schema: &str| match Store::open(Config::postgres(url, schema))
        .await
        .unwrap_err()
    {
        OpenError::Setting { setting, .. } => setting,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        setting("postgres://localhost/x", "a; drop schema b").await,
        "schema"
    );
    assert_eq!(setting("dbname=x", "contract").await, "url");
    assert_eq!(setting("://", "contract").await, "url");
}

#[test]
fn the_password_is_not_printed() {
    let config = Config::postgres("postgres://somebody:secret@db.example/x", "contract");
    assert!(!format!("{config:?}").contains("secret"));
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_refusal() {
    let Some(url) = postgres_url() else { return };
    let url = format!("{} dbname=no_such_database", keywords(&url));
    let error = Store::open(Config::postgres(url, "contract"))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
}

/// S9, in small: the server ends every connection; the next write or the one after it succeeds.
#[tokio::test]
async fn connections_that_the_server_ends_are_replaced() {
    let Some(scratch) = Scratch::postgres() else {
        return;
    };
    let (store, epoch) = scratch.start().await;
    let Some(url) = postgres_url() else { return };
    let insert = |n| {
        write(
            epoch,
            vec![Op::Insert {
                table: &LANES,
                rows: vec![lane("a", n, 0)],
            }],
        )
    };
    for n in 0..5 {
        let own = "select pg_backend_pid()";
        let pid = store.query(own, vec![], &[Kind::Int]).await.unwrap()[0]
            .int(0)
            .unwrap();
        execute(&url, &format!("select pg_terminate_backend({pid})")).await;
        let mut attempts = 0;
        while let Err(error) = store.commit(insert(n)).await {
            assert!(error.is_transient(), "{error:?}");
            attempts += 1;
            assert!(attempts < 10, "{error:?}");
        }
    }
    assert_eq!(lanes(&store).await.len(), 5);
    scratch.remove().await;
}

/// S8: the connection is cut after any number of answered bytes, in statements and in `commit`.
/// What the offset says is what the rows say, and no write is there twice.
#[tokio::test]
async fn a_cut_connection_never_leaves_half_a_write() {
    let Some(scratch) = Scratch::postgres() else {
        return;
    };
    let (direct, epoch) = scratch.start().await;
    let proxy = Proxy::start(&scratch).await;
    let store = Store::open(proxy.config(&scratch)).await.unwrap();

    let (mut felt, mut lost_answers) = (0, 0);
    let mut next = 0;
    for cut in (1..240).step_by(3) {
        // Undisturbed, so that the next cut meets a connection that is ready. It may still find
        // the one that was cut before.
        for _ in 0..3 {
            let result = store.commit(numbered(epoch, next)).await;
            next = whole(&direct).await;
            if result.is_ok() {
                break;
            }
        }
        proxy.cut_after(cut);
        match store.commit(numbered(epoch, next)).await {
            Ok(_) => {}
            Err(CommitError::Transient { unknown, .. }) => {
                felt += 1;
                lost_answers += u32::from(unknown);
            }
            Err(error) => panic!("after {cut} bytes: {error:?}"),
        }
        proxy.cut_after(Proxy::NEVER);
        next = whole(&direct).await;
    }
    assert!(felt >= 20, "only {felt} cuts were felt");
    assert!(lost_answers > 0, "no answer to a commit was lost");
    proxy.tasks.close();
    drop(store);
    scratch.remove().await;
}

/// Adds row number `n` and moves the offset past it.
fn numbered(epoch: i64, n: i64) -> Write {
    let rows = vec![lane("land", n, n)];
    let ops = vec![Op::Insert {
        table: &LANES,
        rows,
    }];
    let moves = vec![step("events", 0, n, n + 1)];
    Write {
        ops,
        ..Write::new(fence(epoch, moves), 0)
    }
}

/// The offset, which must be what the rows say. A transaction whose connection was cut may end a
/// moment later; the offsets are locked as long as it lasts, and read in one statement with the rows.
async fn whole(store: &Store) -> i64 {
    let sql =
        "select count(*), (select coalesce(max(next_offset), 0) from store_offsets) from lanes";
    let row = store
        .query(sql, vec![], &[Kind::Int, Kind::Int])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(row.int(0), row.int(1));
    row.int(1).unwrap()
}

/// Passes bytes on, and cuts all connections when a number of answered bytes is reached.
struct Proxy {
    port: u16,
    left: Arc<AtomicU64>,
    tasks: TaskTracker,
}

// === impl Proxy ===

impl Proxy {
    const NEVER: u64 = u64::MAX / 2;

    async fn start(scratch: &Scratch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicU64::new(Self::NEVER));
        let tasks = TaskTracker::new();
        let server = address(scratch);
        let (bytes, tracker) = (Arc::clone(&left), tasks.clone());
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let bytes = Arc::clone(&bytes);
                tracker.spawn(async move {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    // Either direction ending closes both.
                    tokio::select! {
                        _ = forward(from_client, to_server) => {}
                        _ = answer(from_server, to_client, &bytes) => {}
                    }
                });
            }
        });
        Self { port, left, tasks }
    }

    fn cut_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    fn config(&self, scratch: &Scratch) -> Config {
        let Config::Postgres(config) = scratch.config() else {
            panic!("not PostgreSQL")
        };
        let server = address(scratch);
        let url = config
            .url
            .replace(&server, &format!("127.0.0.1:{}", self.port));
        Config::Postgres(PostgresConfig {
            url,
            connections: 1,
            ..config
        })
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<u64> {
    copy(&mut from, &mut to).await
}

/// Passes answers on until the bytes are used up; then the next connection has all it wants.
async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let before = left.fetch_sub(length as u64, Ordering::SeqCst);
        let passed = (length as u64).min(before) as usize;
        to.write_all(&buffer[..passed]).await?;
        if passed < length {
            left.store(Proxy::NEVER, Ordering::SeqCst);
            return Ok(());
        }
    }
}

/// Host and port of the server, as the URL has them.
fn address(scratch: &Scratch) -> String {
    let Config::Postgres(config) = scratch.config() else {
        panic!("not PostgreSQL")
    };
    let rest = config
        .url
        .split_once("://")
        .expect("the tests want a URL")
        .1;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// The URL in the form of keywords, to which more can be added.
fn keywords(url: &str) -> String {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let host = match &config.get_hosts()[0] {
        tokio_postgres::config::Host::Tcp(host) => host.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    };
    let port = config.get_ports()[0];
    let user = config.get_user().unwrap_or("postgres");
    format!("host={host} port={port} user={user}")
}
