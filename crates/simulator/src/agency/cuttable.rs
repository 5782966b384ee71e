use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{extract::connect_info, serve};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server;

/// A connection that a handler of its requests can cut.
pub(super) struct Cuttable {
    io: TcpStream,
    cutter: Cutter,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Cuts one connection.
#[derive(Clone, Debug)]
pub(super) struct Cutter(CancellationToken);

/// Accepts connections that can be cut.
pub(super) struct CuttableListener {
    pub(super) socket: TcpListener,
    /// Cuts all of them.
    pub(super) over: CancellationToken,
}

// === impl Cutter ===

impl Cutter {
    /// Cuts the connection: nothing that is still to be written reaches the caller.
    pub(super) fn cut(&self) {
        self.0.cancel();
    }
}

// === impl Cuttable ===

impl Cuttable {
    pub(super) fn new(io: TcpStream, over: &CancellationToken) -> Self {
        let token = over.child_token();
        // Without it small answers wait for the caller's acknowledgement.
        let _ = io.set_nodelay(true);
        Self {
            io,
            cut: Box::pin(token.clone().cancelled_owned()),
            cutter: Cutter(token),
        }
    }

    fn still_there(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.still_there(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.still_there(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl server::Connected for Cuttable {
    type ConnectInfo = Cutter;

    fn connect_info(&self) -> Cutter {
        self.cutter.clone()
    }
}

// === impl CuttableListener ===

impl serve::Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Cuttable, Self::Addr) {
        let (io, address) = serve::Listener::accept(&mut self.socket).await;
        (Cuttable::new(io, &self.over), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.socket.local_addr()
    }
}

impl connect_info::Connected<serve::IncomingStream<'_, CuttableListener>> for Cutter {
    fn connect_info(stream: serve::IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cutter.clone()
    }
}
