use std::{net::SocketAddr, sync::Arc, time::Duration};

use proto::v1::inbox_server::InboxServer;
use runtime::ErrorChain;
use tokio::{net::TcpListener, time};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::{debug, warn};

use super::{
    BindError, Protocol,
    cuttable::{Cuttable, CuttableListener, Cutter},
    grpc::GrpcInbox,
    http::{self, Wording},
    reception::Reception,
    strict::Strict,
};
use crate::instant_inbox::wide;

/// An agency's port, which is closed while the agency is away.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

// === impl Listener ===

impl Listener {
    const PARTING: Duration = Duration::from_millis(500);
    const BEFORE_REBIND: Duration = Duration::from_millis(20);

    pub(super) async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves while the agency is there, until the stop.
    pub(super) async fn serve(
        self,
        protocol: Protocol,
        reception: Arc<Reception>,
        stop: CancellationToken,
    ) {
        let address = self.address;
        let mut open = Some(self.socket);
        let visits = async {
            loop {
                // Nobody is there: the port must refuse connections.
                drop(open.take_if(|_| !reception.is_at_home()));
                reception.at_home().await;
                let socket = match open.take() {
                    Some(socket) => socket,
                    None => rebind(address).await,
                };
                visit(protocol, &reception, socket, &stop).await;
                debug!(agency = %reception.id(), "went away");
            }
        };
        stop.run_until_cancelled(visits).await;
    }
}

/// Serves from the opening of the port until the agency leaves.
async fn visit(
    protocol: Protocol,
    reception: &Arc<Reception>,
    socket: TcpListener,
    stop: &CancellationToken,
) {
    let closing = stop.child_token();
    let close = closing.clone().cancelled_owned();
    let over = stop.child_token();
    let _cut_at_last = over.clone().drop_guard();
    let socket = CuttableListener { socket, over };
    let serving = async {
        let served = match protocol {
            Protocol::Grpc => grpc(reception, socket, closing.clone()).await,
            Protocol::Http => posts(reception, Wording::Json, socket, close).await,
            Protocol::Soap => posts(reception, Wording::Soap, socket, close).await,
        };
        if let Err(error) = served {
            warn!(agency = %reception.id(), error, "the inbox failed");
        }
    };
    let leaving = async {
        reception.leaving().await;
        closing.cancel();
        time::sleep(Listener::PARTING).await;
    };
    tokio::select! {
        () = serving => {}
        () = leaving => {}
    }
}

async fn grpc(
    reception: &Arc<Reception>,
    listener: CuttableListener,
    closing: CancellationToken,
) -> Result<(), String> {
    let inbox = GrpcInbox {
        reception: Arc::clone(reception),
        closing: closing.clone(),
    };
    let CuttableListener { socket, over } = listener;
    let accepted = TcpListenerStream::new(socket);
    let incoming = accepted.map(move |io| io.map(|io| Cuttable::new(io, &over)));
    let inbox = Strict {
        inbox: InboxServer::new(inbox),
        is_on: !reception.script().manners.ignores_unknown,
    };
    wide(Server::builder())
        .add_service(inbox)
        .serve_with_incoming_shutdown(incoming, closing.cancelled_owned())
        .await
        .map_err(|error| ErrorChain(&error).to_string())
}

async fn posts(
    reception: &Arc<Reception>,
    wording: Wording,
    listener: CuttableListener,
    close: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let router = http::router(Arc::clone(reception), wording);
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Cutter>(),
    )
    .with_graceful_shutdown(close)
    .await
    .map_err(|error| error.to_string())
}

/// Takes the port again; somebody may hold it for a moment.
async fn rebind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(socket) => return socket,
            Err(error) => {
                debug!(%address, %error, "the port is not free yet");
                time::sleep(Listener::BEFORE_REBIND).await;
            }
        }
    }
}
