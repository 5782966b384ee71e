//! The layers around the service; each says why it is there.

use std::time::Duration;

use tonic::transport::Server;

use crate::Limits;

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A server whose every default that is open is closed.
pub(crate) fn server(limits: &Limits) -> Server {
    Server::builder()
        // The gateway's own, shorter deadline answers first, with *unknown*.
        .timeout(limits.answer_within + Duration::from_secs(2))
        // One connection cannot take all the work.
        .concurrency_limit_per_connection(limits.calls_per_connection)
        .max_concurrent_streams(128)
        // A batch of 1 KiB events fits into one window, so that appends group.
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Connections of dead peers end; living ones are re-balanced.
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_connection_age(Duration::from_secs(30 * 60))
        .max_connection_age_grace(Duration::from_secs(30))
        .http2_max_header_list_size(16 << 10)
}
