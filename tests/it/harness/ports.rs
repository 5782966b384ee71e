use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Ports below those that the system gives to outgoing connections: a caller that tries again while
/// nobody listens would otherwise meet itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 14_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address on the loopback interface that nobody uses.
pub(crate) fn free_port() -> SocketAddr {
    let spread = (std::process::id() % 700) as u16 * 20;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (spread.wrapping_add(step)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
