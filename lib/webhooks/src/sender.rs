//! Sends one message and reads the beginning of the answer.
//!
//! Each message has a new connection, to an address that was checked. So a message follows no redirect, uses no proxy
//! of the environment, and shares no connection with another endpoint.

use crate::{
    networks::Networks,
    resolve::{Resolve, SystemResolver},
    schedule::retry_after,
    secret::Secret,
    target::{Target, TargetHost},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use tokio_util::task::AbortOnDropHandle;

/// How long the name, the connection and the TLS handshake may take together.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long everything may take, with the answer.
pub const SENT_WITHIN: Duration = Duration::from_secs(15);
/// How much of the body of an answer is read.
pub const ANSWER_MAX_BYTES: usize = 16 * 1024;
/// The largest head of an answer.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The id. It is the same each time the message is sent, so that the receiver can drop duplicates.
    pub id: &'a str,
    /// The secrets. Each of them signs the message.
    pub secrets: &'a [Secret],
    /// The body: JSON.
    pub body: &'a str,
}

/// The answer of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// For how long the endpoint wants no message.
    pub retry_after: Option<Duration>,
    /// The first bytes of the body, as far as they came in time.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Every address of the host is refused.
    #[error(
        "{host} is at {address}, which is {why}; the setting webhooks.allow_networks allows networks that are not public"
    )]
    Refused {
        /// The host.
        host: String,
        /// One of its addresses.
        address: std::net::IpAddr,
        /// What the address is.
        why: &'static str,
    },
    /// The name of the host cannot be resolved.
    #[error("the name {0} cannot be resolved: {1}")]
    Resolve(String, io::Error),
    /// No address accepts a connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    /// The other end is not who the URL names, or does not speak TLS.
    #[error("the TLS handshake with {0} failed: {1}")]
    Tls(String, io::Error),
    /// It took too long.
    #[error("{host} did not {what} within {} s", .within.as_secs())]
    Late {
        /// The host.
        host: String,
        /// The step that took too long.
        what: &'static str,
        /// The time that it had.
        within: Duration,
    },
    /// The connection broke, or the other end does not speak HTTP.
    #[error("{0} gave no answer: {1}")]
    NoAnswer(String, String),
}

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    allowed: Arc<Networks>,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    within: Duration,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Sender {
    /// Sends to public addresses and to these networks. Trusts the certificates that the operating system trusts.
    #[must_use]
    pub fn new(allowed: Networks) -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (_, refused) = roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(errors = ?found.errors, refused, "this machine trusts no certificate: webhooks over https will fail");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|config| config.with_root_certificates(roots).with_no_client_auth());
        let config = config.unwrap_or_else(|error| unreachable!("ring knows the default versions of TLS: {error}"));
        Self {
            allowed: Arc::new(allowed),
            resolver: Arc::new(SystemResolver),
            tls: TlsConnector::from(Arc::new(config)),
            within: SENT_WITHIN,
        }
    }

    /// The same with another resolver.
    #[must_use]
    pub fn with_resolver(self, resolver: impl Resolve) -> Self {
        Self { resolver: Arc::new(resolver), ..self }
    }

    /// The same with another time for everything.
    #[must_use]
    pub fn with_timeout(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// The networks that are allowed in addition to the public ones.
    #[must_use]
    pub fn allowed(&self) -> &Networks {
        &self.allowed
    }

    /// Sends one message. Every answer with a status counts as an answer, also a failure or a redirect.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, target: &Target, message: &Message<'_>) -> Result<Answer, SendError> {
        let host = &target.authority;
        let until = Instant::now() + self.within;
        let late = |what, within| SendError::Late { host: host.clone(), what, within };
        let connect_within = CONNECT_WITHIN.min(self.within);
        let stream = timeout(connect_within, self.connect(target)).await;
        let stream = stream.map_err(|_| late("connect", connect_within))??;
        let no_answer = |error: &dyn fmt::Display| SendError::NoAnswer(host.clone(), error.to_string());
        let exchange = async {
            let request = request(target, message).map_err(|error| no_answer(&error))?;
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD_MAX_BYTES);
            let (mut sender, connection) =
                builder.handshake(TokioIo::new(stream)).await.map_err(|error| no_answer(&error))?;
            // The task ends with this call: later data from the other end is not read.
            let connection = AbortOnDropHandle::new(tokio::spawn(connection));
            let response = sender.send_request(request).await.map_err(|error| no_answer(&causes(&error)))?;
            Ok::<_, SendError>((response, connection))
        };
        let answered = timeout_at(until, exchange).await;
        let (response, _connection) = answered.map_err(|_| late("answer", self.within))??;
        Ok(answer(response, until).await)
    }

    /// A connection to an address that may be dialed.
    async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, SendError> {
        let host = &target.authority;
        let addresses = match &target.host {
            TargetHost::Address(address) => vec![SocketAddr::new(*address, target.port)],
            TargetHost::Name(name) => {
                let found = self.resolver.resolve(name, target.port).await;
                found.map_err(|error| SendError::Resolve(name.clone(), error))?
            }
        };
        let (mut refused, mut failed) = (None, None);
        for address in addresses {
            if let Some(why) = self.allowed.refusal(address.ip()) {
                refused = Some(SendError::Refused { host: host.clone(), address: address.ip(), why });
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A message is written in one piece.
                    stream.set_nodelay(true).map_err(|error| SendError::Connect(host.clone(), error))?;
                    return self.secured(target, stream).await;
                }
                Err(error) => failed = Some(SendError::Connect(host.clone(), error)),
            }
        }
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        Err(failed.or(refused).unwrap_or_else(|| SendError::Connect(host.clone(), nothing())))
    }

    async fn secured(&self, target: &Target, stream: TcpStream) -> Result<Box<dyn Stream>, SendError> {
        if !target.is_tls {
            return Ok(Box::new(stream));
        }
        let tls = |error: io::Error| SendError::Tls(target.authority.clone(), error);
        let name = match &target.host {
            TargetHost::Address(address) => ServerName::from(*address),
            TargetHost::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|error| tls(io::Error::other(error)))?
            }
        };
        Ok(Box::new(self.tls.connect(name, stream).await.map_err(tls)?))
    }
}

fn request(target: &Target, message: &Message<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let sign = |secret: &Secret| secret.sign(message.id, timestamp, message.body.as_bytes());
    let signatures: Vec<String> = message.secrets.iter().map(sign).collect();
    Request::post(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("leasehold/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures.join(" "))
        .body(Full::new(Bytes::copy_from_slice(message.body.as_bytes())))
}

/// The status decides. A body that is long, slow or cut off changes nothing.
async fn answer(response: Response<Incoming>, until: Instant) -> Answer {
    let (head, mut body) = response.into_parts();
    let asked = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let mut kept = Vec::new();
    let read = async {
        while kept.len() < ANSWER_MAX_BYTES {
            match body.frame().await {
                Some(Ok(frame)) => kept.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(_)) | None => break,
            }
        }
    };
    // The part that came in time is kept.
    let _ = timeout_at(until, read).await;
    kept.truncate(ANSWER_MAX_BYTES);
    Answer {
        status: head.status.as_u16(),
        retry_after: asked.and_then(|value| retry_after(value, SystemTime::now())),
        body: kept,
    }
}

/// An error with its sources: hyper's own text leaves out what happened to the connection.
fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
