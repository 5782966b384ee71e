use std::{net::SocketAddr, time::Duration};

/// How the gateway listens, and how much it takes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Whether plaintext may be spoken off the loopback interface, for networks that encrypt below.
    pub allow_plaintext: bool,
    /// How much it takes.
    pub limits: Limits,
}

/// How much the gateway takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest event, envelope included, in bytes.
    pub event_bytes: usize,
    /// How far an event's time may lie in the future: clocks differ.
    pub clock_skew: Duration,
    /// Events a second per source, on average.
    pub rate: u32,
    /// Events a source may send at once after a pause.
    pub burst: u32,
    /// How many connections may be open; further ones wait to be taken.
    pub connections: usize,
    /// How many calls one connection may have open.
    pub calls_per_connection: usize,
    /// Bytes of events that wait for the log, over all connections.
    pub bytes_in_flight: usize,
    /// How long the log may take before the answer is unknown.
    pub answer_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 1 << 20,
            clock_skew: Duration::from_secs(300),
            rate: 20_000,
            burst: 40_000,
            connections: 1_024,
            calls_per_connection: 64,
            bytes_in_flight: 32 << 20,
            answer_within: Duration::from_secs(8),
        }
    }
}
