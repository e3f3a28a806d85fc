//! The data that Kubernetes gives a pod for calls to the API server: an address in two variables, and a folder with
//! three files.

use crate::error::Error;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Where Kubernetes mounts the files.
pub const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How a process in a pod reaches the API server.
#[derive(Clone, Debug)]
pub struct Account {
    /// The host; `None` if the process does not run in a pod.
    pub host: Option<String>,
    /// The port; `None` if the process does not run in a pod.
    pub port: Option<u16>,
    /// The folder with `token`, `ca.crt` and `namespace`.
    pub folder: PathBuf,
}

impl Account {
    /// The account from the variables of this process and the usual folder.
    #[must_use]
    pub fn of_this_pod() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            host: variable("KUBERNETES_SERVICE_HOST"),
            port: variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok()),
            folder: FOLDER.into(),
        }
    }

    pub(crate) fn address(&self) -> Result<(&str, u16), Error> {
        let host = self.host.as_deref().ok_or(Error::NotInPod("KUBERNETES_SERVICE_HOST"))?;
        Ok((host, self.port.ok_or(Error::NotInPod("KUBERNETES_SERVICE_PORT"))?))
    }

    /// The token. Kubernetes replaces the file before the token expires, so the file is read for each request.
    pub(crate) fn token(&self) -> Result<String, Error> {
        self.text("token")
    }

    /// The namespace of the pod.
    pub(crate) fn namespace(&self) -> Result<String, Error> {
        self.text("namespace")
    }

    /// Trusts the authority of the cluster, and no other. Read for each connection: an authority can be replaced too.
    pub(crate) fn tls(&self) -> Result<ClientConfig, Error> {
        let path = self.folder.join("ca.crt");
        let wrong = |reason: String| Error::Account { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("it has no certificate".to_owned()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(error.to_string()))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        let path = self.folder.join(name);
        read(&path).map_err(|reason| Error::Account { path, reason })
    }
}

fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = text.trim();
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}
