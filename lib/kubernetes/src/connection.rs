//! Requests to the API server, over one connection that is kept for a while.

use crate::{account::Account, error::Error};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_util::task::AbortOnDropHandle;

/// How long one request may take, with the connection and the answer.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// A connection that is older is replaced: the address may have moved to another API server, and the authority may have changed.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// The largest answer: a page of pods with labels and annotations is a few megabytes.
const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;
/// How much of the reason of a refusal is shown.
const MESSAGE_MAX_CHARS: usize = 300;

/// A request, in words of HTTP.
pub(crate) struct Asked {
    /// The request, for error messages.
    pub(crate) doing: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    /// The type of the body, and the body.
    pub(crate) body: Option<(&'static str, String)>,
}

/// The API server. One request at a time.
pub(crate) struct ApiServer {
    pub(crate) account: Account,
    kept: Mutex<Option<Connection>>,
}

struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    opened_at: Instant,
    is_used: bool,
    /// Ends with this value.
    _driver: AbortOnDropHandle<Result<(), hyper::Error>>,
}

/// The message of the API server when it refuses a request.
#[derive(Deserialize)]
struct Status {
    message: Option<String>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("account", &self.account).finish_non_exhaustive()
    }
}

impl ApiServer {
    pub(crate) fn new(account: Account) -> Self {
        Self { account, kept: Mutex::default() }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// There is no answer in time, or the status is not one of success.
    pub(crate) async fn ask(&self, asked: &Asked) -> Result<Bytes, Error> {
        let (host, port) = self.account.address()?;
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        // A caller that goes away half-way, and a timeout, leave no connection: an answer may still be on it.
        let mut kept = self.kept.lock().await;
        let exchange = async {
            let mut connection = match kept.take().filter(Connection::is_fit) {
                Some(connection) => connection,
                None => self.connect(&authority).await?,
            };
            let response = match connection.send(&self.request(&authority, asked)?).await {
                // The server may close an idle connection at any moment. Both requests may be sent twice.
                Err(_) if connection.is_used => {
                    connection = self.connect(&authority).await?;
                    connection.send(&self.request(&authority, asked)?).await
                }
                answered => answered,
            };
            let (head, body) = response.map_err(|error| Error::NoAnswer(authority.clone(), error))?.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(|error| Error::NoAnswer(authority.clone(), error.to_string()))?.to_bytes();
            connection.is_used = true;
            *kept = Some(connection);
            Ok((head, body))
        };
        let (head, body) =
            timeout(ANSWERED_WITHIN, exchange).await.map_err(|_| Error::Late(authority.clone(), ANSWERED_WITHIN))??;
        if head.status.is_success() {
            return Ok(body);
        }
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Err(Error::Refused {
            doing: asked.doing,
            status: head.status.as_u16(),
            message: message(&body),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    fn request(&self, authority: &str, asked: &Asked) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(asked.method.clone())
            .uri(&asked.path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("leasehold/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, asked.accept)
            .header(AUTHORIZATION, format!("Bearer {}", self.account.token()?));
        let mut body = Bytes::new();
        if let Some((kind, text)) = &asked.body {
            request = request.header(CONTENT_TYPE, *kind);
            body = Bytes::copy_from_slice(text.as_bytes());
        }
        // A token with a line break cannot be a header.
        request.body(Full::new(body)).map_err(|error| Error::NoAnswer(authority.to_owned(), error.to_string()))
    }

    async fn connect(&self, authority: &str) -> Result<Connection, Error> {
        let (host, port) = self.account.address()?;
        let connector = TlsConnector::from(Arc::new(self.account.tls()?));
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| Error::Connect(authority.to_owned(), io::Error::other(error)))?;
        let stream = TcpStream::connect((host, port)).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| Error::Connect(authority.to_owned(), error))?;
        let stream = connector.connect(name, stream).await.map_err(|error| Error::Tls(authority.to_owned(), error))?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::NoAnswer(authority.to_owned(), error.to_string()))?;
        Ok(Connection {
            sender,
            opened_at: Instant::now(),
            is_used: false,
            _driver: AbortOnDropHandle::new(tokio::spawn(driver)),
        })
    }
}

impl Connection {
    fn is_fit(&self) -> bool {
        self.opened_at.elapsed() < CONNECTION_AGE_MAX && !self.sender.is_closed()
    }

    async fn send(&mut self, request: &Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(request.clone()).await
        };
        sent.await.map_err(|error| causes(&error))
    }
}

/// The reason of a refusal. A proxy in between may answer with anything.
fn message(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Status>(body).ok().and_then(|status| status.message);
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "no reason given".to_owned() } else { line.chars().take(MESSAGE_MAX_CHARS).collect() }
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
