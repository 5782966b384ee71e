use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::connector::Protocol;

/// The certificates that vouch for servers.
///
/// They come from a PEM file and from nowhere else: agencies' servers stand in private networks, under
/// roots that no browser knows, and a list of public roots built into the binary would be both wrong
/// and soon out of date. Who needs the public ones names the file of the operating system.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

/// The text holds no certificates that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// No PEM, or damaged.
    #[error("the trusted roots are not PEM text: {0}")]
    Pem(String),
    /// PEM, and no certificate in it.
    #[error("the trusted roots hold no certificate; each stands between BEGIN and END CERTIFICATE")]
    Empty,
    /// A certificate that cannot be a root.
    #[error("certificate {number} of the trusted roots cannot be used: {reason}")]
    Certificate {
        /// Which, counted from one.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl Roots ===

impl Roots {
    /// Reads all certificates of a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidRoots> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let certificate = certificate.map_err(|error| InvalidRoots::Pem(error.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| InvalidRoots::Certificate {
                    number: index + 1,
                    reason: error.to_string(),
                })?;
        }
        if store.is_empty() {
            return Err(InvalidRoots::Empty);
        }
        Ok(Self(Arc::new(store)))
    }

    pub(crate) fn connector(&self, protocol: Protocol) -> TlsConnector {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of TLS 1.2 and 1.3")
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}
