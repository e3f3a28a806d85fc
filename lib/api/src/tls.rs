//! TLS of the server: a certificate chain and a key in files, which are read again when they change.
//!
//! Programs that renew certificates write the two files one after the other. A pair that does not match, and a file that cannot
//! be read, are logged once, and the previous pair stays in use.

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// The pause between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the files of api.tls_cert_file and api.tls_key_file cannot be used: {0}")]
pub struct TlsError(String);

/// The TLS of a server.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// The bytes of both files.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The pair that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|error| TlsError(format!("{}: {error}", path.display())));
        Ok(Contents { cert: read(&self.cert)?, key: read(&self.key)? })
    }
}

impl Contents {
    fn pair(&self) -> Result<CertifiedKey, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.map_err(|error| TlsError(format!("the certificate: {error}")))?;
        if chain.is_empty() {
            return Err(TlsError("the certificate: the file has none in the form of PEM".to_owned()));
        }
        // The error does not quote the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError(format!("the key: {error}")))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| TlsError(error.to_string()))
    }
}

/// The cryptography provider of this program. It does not depend on the default that a dependency sets for the process.
fn provider() -> CryptoProvider {
    ring::default_provider()
}

impl Tls {
    /// Reads the certificate chain and the key, both in the form of PEM.
    ///
    /// # Errors
    /// A file cannot be read, or the key does not belong to the certificate.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned() };
        let current = Arc::new(Current(RwLock::new(Arc::new(files.read()?.pair()?))));
        let builder = ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsError(error.to_string()))?.with_no_client_auth();
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, current, config: Arc::new(config) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads the files again whenever they change. Never ends.
    pub(crate) async fn watch(self) {
        // The last pair that was tried, so that a bad pair is logged once.
        let mut tried = self.files.read().ok();
        loop {
            sleep(LOOK).await;
            let read = self.files.read();
            if read.as_ref().ok() == tried.as_ref() {
                continue;
            }
            let pair = read
                .as_ref()
                .map_err(ToString::to_string)
                .and_then(|read| read.pair().map_err(|error| error.to_string()));
            match pair {
                Ok(pair) => {
                    *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                    tracing::info!("new connections get the changed certificate");
                }
                Err(error) => tracing::warn!(%error, "the certificate before stays in use"),
            }
            tried = read.ok();
        }
    }
}
