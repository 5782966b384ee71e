//! Agencies whose answers are attacks: on memory, on time, on patience.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Attempt, Outcome, OutcomeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::agency::{self, Reply};
use crate::harness::*;

/// What an agency does once it has read a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// A head that never ends, a byte at a time.
    DrippingHead,
    /// Header after header.
    HeaderFlood,
    /// Chunk after chunk.
    EndlessBody,
    /// As much as it says.
    Gigabyte,
    /// A body that never ends, a byte at a time.
    DrippingBody,
    ResetAfterStatus,
}

/// What an agency got rid of.
#[derive(Clone, Default)]
struct Sent {
    bytes: Arc<AtomicUsize>,
    /// Connections that the courier closed.
    closed: Arc<AtomicUsize>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

async fn start(world: &World, attack: Attack) -> (SocketAddr, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sent, tasks) = (Sent::default(), world.tasks.clone());
    let seen = sent.clone();
    world.tasks.spawn_sure("hostile agency", |_| async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let sent = sent.clone();
            drop(tasks.spawn_brief(async move {
                // Ends when the courier closes the connection.
                let _ = attack.carry_out(tcp, &sent).await;
                sent.closed.fetch_add(1, Ordering::SeqCst);
            }));
        }
    });
    (address, seen)
}

// === impl Attack ===

impl Attack {
    const ALL: [(&str, Self); 6] = [
        ("dripping-head", Self::DrippingHead),
        ("header-flood", Self::HeaderFlood),
        ("endless-body", Self::EndlessBody),
        ("gigabyte", Self::Gigabyte),
        ("dripping-body", Self::DrippingBody),
        ("reset", Self::ResetAfterStatus),
    ];

    async fn carry_out(self, mut tcp: TcpStream, sent: &Sent) -> std::io::Result<()> {
        let mut request = [0; 64 << 10];
        let _ = tcp.read(&mut request).await?;
        tcp.write_all(OK).await?;
        let (start, piece, pause): (&[u8], Vec<u8>, _) = match self {
            Self::DrippingHead => (b"x: ", b"x".to_vec(), true),
            Self::HeaderFlood => (b"", b"x: y\r\n".repeat(1 << 10), false),
            Self::EndlessBody => {
                let chunk = [b"8000\r\n".to_vec(), vec![b'x'; 0x8000], b"\r\n".to_vec()].concat();
                (b"transfer-encoding: chunked\r\n\r\n", chunk, false)
            }
            Self::Gigabyte => (
                b"content-length: 1073741824\r\n\r\n",
                vec![b'x'; 0x8000],
                false,
            ),
            Self::DrippingBody => (b"content-length: 1000000\r\n\r\n", b"x".to_vec(), true),
            Self::ResetAfterStatus => {
                tcp.write_all(b"content-length: 10\r\n\r\n").await?;
                return tcp.set_zero_linger();
            }
        };
        tcp.write_all(start).await?;
        loop {
            tcp.write_all(&piece).await?;
            sent.bytes.fetch_add(piece.len(), Ordering::SeqCst);
            if pause {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// The end of the first attempt at a destination: `None` when it delivered.
async fn first(world: &World, id: &str) -> Option<Attempt> {
    let end = |outcome: &Outcome| match &outcome.kind {
        OutcomeKind::Delivered { destination, .. } if destination.as_str() == id => Some(None),
        OutcomeKind::AttemptFailed {
            destination,
            attempt,
            ..
        } if destination.as_str() == id => Some(Some(attempt.clone())),
        _ => None,
    };
    eventually(|| async { world.outcomes().await.iter().find_map(end) }).await
}

/// D5: bounded in time and in bytes; a status that has come counts; nobody else notices.
#[tokio::test]
async fn d5_no_answer_takes_more_than_its_time_and_its_bytes() {
    /// What the system's buffers of one connection may hold besides what the courier reads.
    const BUFFERS: usize = 32 << 20;

    let world = World::new().await;
    let (healthy, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let mut destinations = vec![grpc("healthy", healthy)];
    let mut all_sent = Vec::new();
    for (id, attack) in Attack::ALL {
        let (address, sent) = start(&world, attack).await;
        let mut hostile = destination(id, &format!("http://{address}/"));
        hostile.timeout = Duration::from_millis(800);
        destinations.push(hostile);
        all_sent.push((id, sent));
    }
    let courier = world.courier(destinations).await;
    world
        .append(Attack::ALL.map(|(id, _)| delivery("d-1", id, id)))
        .await;
    world
        .append((0..50).map(|n| delivery(&format!("d-{n}"), "a", "healthy")))
        .await;

    seen.at_least(50).await;
    for id in ["endless-body", "gigabyte", "dripping-body", "reset"] {
        assert_eq!(first(&world, id).await, None, "{id}: the status counts");
    }
    let dripping = first(&world, "dripping-head").await.unwrap();
    assert_eq!(dripping.class.as_str(), "timeout");
    assert_eq!(dripping.detail, "no answer within 800 ms");
    let flood = first(&world, "header-flood").await.unwrap();
    assert_eq!(flood.class.as_str(), "timeout");
    assert!(
        flood.detail.contains("message head is too large"),
        "{}",
        flood.detail
    );

    for (id, sent) in all_sent {
        let closed = || async { (sent.closed.load(Ordering::SeqCst) > 0).then_some(()) };
        eventually(closed).await;
        let bytes = sent.bytes.load(Ordering::SeqCst) / sent.closed.load(Ordering::SeqCst);
        assert!(bytes < BUFFERS, "{id} got rid of {bytes} bytes");
    }
    courier.stop().await;
}
