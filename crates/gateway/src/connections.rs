//! At most so many connections at a time: beyond, callers wait in the system's queue.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::telemetry;

type Accepting = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

/// The connections of a listener.
pub(crate) struct Connections {
    listener: Arc<TcpListener>,
    room: Arc<Semaphore>,
    accepting: Accepting,
}

/// A connection that gives its place back when it is closed.
pub(crate) struct Connection {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

const PAUSE: Duration = Duration::from_millis(50);

// === impl Connections ===

impl Connections {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        let (listener, room) = (Arc::new(listener), Arc::new(Semaphore::new(most.max(1))));
        let accepting = accept(Arc::clone(&listener), Arc::clone(&room));
        Self {
            listener,
            room,
            accepting,
        }
    }
}

fn accept(listener: Arc<TcpListener>, room: Arc<Semaphore>) -> Accepting {
    Box::pin(async move {
        let place = room.acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Answers are small and must not wait for one another. tonic sets this on its own
                    // listeners only; where it fails, the caller is gone.
                    let _ = stream.set_nodelay(true);
                    return Ok(Connection {
                        stream,
                        _place: place,
                    });
                }
                // A caller that is gone again, or too many open files: others shall be served on.
                Err(error) => telemetry::not_connected(&error),
            }
            sleep(PAUSE).await;
        }
    })
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accepting.as_mut().poll(context));
        self.accepting = accept(Arc::clone(&self.listener), Arc::clone(&self.room));
        Poll::Ready(Some(accepted))
    }
}

// === impl Connection ===

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}
