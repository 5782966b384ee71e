use std::error::Error as _;
use std::sync::Arc;

use dial::{Connector, Error, InvalidRoots, Policy, Protocol, Roots, Stage, Stream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::names::{LIMIT, Names, connect, found};

const HOST: &str = "tax.example";

struct Pki {
    root: CertifiedIssuer<'static, KeyPair>,
}

/// What a server shows.
struct Shown {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { root }
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.root.pem().as_bytes()).unwrap()
    }

    fn shows(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.root).unwrap();
        Shown { certificate, key }
    }
}

fn self_signed(host: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Shown { certificate, key }
}

fn acceptor(shown: &Shown, protocol: &[u8]) -> TlsAcceptor {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(roots: &Roots) -> Connector {
    Connector::new(Policy::loopback(), Protocol::Http1, LIMIT)
        .resolving_with(Names::answering([found(&["127.0.0.1"])]))
        .trusting(roots)
}

/// One handshake with a server that shows this.
async fn handshake(roots: &Roots, shown: &Shown) -> Result<Stream, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{HOST}:{}/", listener.local_addr().unwrap().port());
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor(shown, b"http/1.1").accept(tcp).await
    };
    let connector = trusting(roots);
    let (_, outcome) = tokio::join!(server, connect(&connector, &uri));
    outcome
}

#[track_caller]
fn fails_closed(outcome: Result<Stream, Error>, because: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    let text = format!("{error}: {}", error.source().unwrap());
    for part in [HOST, "127.0.0.1", because] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[tokio::test]
async fn d4_bad_certificates_fail_closed_with_their_reason_and_a_good_one_succeeds() {
    let pki = Pki::new();
    let roots = pki.roots();
    let expired = pki.shows(HOST, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let early = pki.shows(HOST, |params| params.not_before = date_time_ymd(4000, 1, 1));
    let of_another = pki.shows("other.example", |_| {});
    let of_a_stranger = Pki::new().shows(HOST, |_| {});

    fails_closed(handshake(&roots, &expired).await, "expired");
    fails_closed(handshake(&roots, &early).await, "not valid yet");
    fails_closed(handshake(&roots, &of_another).await, "not valid for name");
    fails_closed(
        handshake(&roots, &self_signed(HOST)).await,
        "invalid peer certificate",
    );
    fails_closed(
        handshake(&roots, &of_a_stranger).await,
        "invalid peer certificate",
    );

    let good = pki.shows(HOST, |_| {});
    assert!(handshake(&roots, &good).await.unwrap().is_secure());
}

#[tokio::test]
async fn d4_a_server_without_tls_gets_no_plain_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{HOST}:{}/", listener.local_addr().unwrap().port());
    let server = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut first = [0; 3];
        tcp.read_exact(&mut first).await.unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
        (first, rest)
    };
    let connector = trusting(&Pki::new().roots());
    let ((first, rest), outcome) = tokio::join!(server, connect(&connector, &uri));
    fails_closed(outcome, "InvalidContentType");
    assert_eq!(first[..2], [0x16, 0x03], "a TLS handshake record");
    assert!(!rest.windows(4).any(|part| part == b"HTTP"));
}

#[tokio::test]
async fn d5_a_server_that_is_silent_in_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = std::time::Duration::from_millis(50);
    let connector =
        Connector::new(Policy::loopback(), Protocol::Http1, limit).trusting(&Pki::new().roots());
    let silent = connect(&connector, &format!("https://{address}/")).await;
    let Err(Error::TimedOut { stage, .. }) = silent else {
        panic!("{silent:?}")
    };
    assert_eq!(stage, Stage::Securing(address));
}

#[tokio::test]
async fn d4_a_server_that_speaks_another_protocol_is_refused() {
    let pki = Pki::new();
    let good = pki.shows(HOST, |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{HOST}:{}/", listener.local_addr().unwrap().port());
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor(&good, b"h2").accept(tcp).await
    };
    let connector = trusting(&pki.roots());
    let (_, outcome) = tokio::join!(server, connect(&connector, &uri));
    fails_closed(outcome, "NoApplicationProtocol");
}

#[test]
fn roots_are_pem_certificates() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(Roots::from_pem(b""), Err(InvalidRoots::Empty)));
    assert!(matches!(
        Roots::from_pem(b"roots"),
        Err(InvalidRoots::Empty)
    ));
    assert!(matches!(
        Roots::from_pem(key.as_bytes()),
        Err(InvalidRoots::Empty)
    ));
    let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(matches!(Roots::from_pem(cut), Err(InvalidRoots::Pem(_))));
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let refused = Roots::from_pem(nonsense);
    assert!(
        matches!(refused, Err(InvalidRoots::Certificate { number: 1, .. })),
        "{refused:?}"
    );
}
