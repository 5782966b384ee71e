//! Agencies behind TLS, with certificates good and bad.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::agency::{self, Reply};
use crate::harness::*;

type Root = CertifiedIssuer<'static, KeyPair>;
/// What the door shows to the next caller.
type Shown = Arc<Mutex<TlsAcceptor>>;

fn root() -> Root {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(root: &Root, last_year: i32) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, root).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Takes TLS off what comes and hands it on.
async fn door(world: &World, shown: Shown, behind: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = world.tasks.clone();
    world.tasks.spawn_sure("door", |_| async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = shown.lock().unwrap().clone();
            drop(tasks.spawn_brief(async move {
                let mut outside = acceptor.accept(tcp).await?;
                let mut inside = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            }));
        }
    });
    port
}

async fn http_agency(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async || "taken");
    world.tasks.spawn("http agency", |stop| async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    address
}

/// D4: with a bad certificate nothing is handed over and the reason is shown; with a good one everything
/// that has waited goes out, on every way.
#[tokio::test]
async fn d4_a_bad_certificate_holds_until_it_is_replaced_on_every_way() {
    let world = World::new().await;
    let root = root();
    let roots = dial::Roots::from_pem(root.pem().as_bytes()).unwrap();
    let shown = Arc::new(Mutex::new(acceptor(&root, 2021)));
    let (grpc_agency, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let grpc_port = door(&world, shown.clone(), grpc_agency).await;
    let http_port = door(&world, shown.clone(), http_agency(&world).await).await;
    let ways = [
        ("stream", format!("grpcs://localhost:{grpc_port}")),
        ("unary", format!("grpcs+unary://localhost:{grpc_port}")),
        ("http", format!("https://localhost:{http_port}/")),
    ];
    let destinations = ways.iter().map(|(id, endpoint)| destination(id, endpoint));
    let courier = world
        .courier_trusting(Some(roots), world.store.clone(), destinations.collect())
        .await;
    world
        .append(ways.each_ref().map(|(id, _)| delivery("d-1", id, id)))
        .await;

    for (id, _) in &ways {
        let lane = eventually(|| async {
            let lane = courier.lane(id).await;
            let is_shown = lane.resting.contains("unreachable") && lane.resting.contains("expired");
            is_shown.then_some(lane)
        })
        .await;
        assert_eq!(lane.dead, 0, "{id}");
    }
    assert!(seen.all().is_empty());

    *shown.lock().unwrap() = acceptor(&root, 4000);
    world.outcomes_with(ways.len(), delivered).await;
    assert_eq!(seen.all().len(), 2);
    courier.stop().await;
}
