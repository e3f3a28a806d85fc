//! A receiver of webhooks: a server that judges signatures with the crate of the standard, and answers as a test wants.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use leasehold_tests::eventually;
use serde_json::Value;
use standardwebhooks::Webhook;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::member::SOON;

/// What the receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// This status, with these headers, immediately.
    Status(u16, Vec<(&'static str, String)>),
    /// Nothing until the test releases the receiver. Then this status.
    Hold(u16),
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether this secret has signed the message, as the crate of the standard judges.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        Webhook::new(secret).expect("a secret").verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

#[derive(Debug)]
struct Shared {
    reaction: Mutex<Reaction>,
    messages: Mutex<Vec<Message>>,
    let_go: Notify,
}

/// A receiver on a free port of the loopback address.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(status: u16) -> Self {
        Self::serve(status, None).await
    }

    /// The same behind TLS, under the name `localhost`.
    pub(crate) async fn start_tls(status: u16, tls: TlsAcceptor) -> Self {
        Self::serve(status, Some(tls)).await
    }

    async fn serve(status: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = match &tls {
            Some(_) => format!("https://localhost:{}/hooks?a=b", address.port()),
            None => format!("http://{address}/hooks?a=b"),
        };
        let shared = Arc::new(Shared {
            reaction: Mutex::new(Reaction::Status(status, Vec::new())),
            messages: Mutex::default(),
            let_go: Notify::new(),
        });
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (socket, _) = listener.accept().await.expect("a connection");
                    let shared = Arc::clone(&shared);
                    let service = service_fn(move |request| receive(Arc::clone(&shared), request));
                    let tls = tls.clone();
                    tokio::spawn(async move {
                        // The sender may close the connection at any time.
                        let _ = match tls {
                            Some(tls) => match tls.accept(socket).await {
                                Ok(socket) => {
                                    http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
                                }
                                Err(_) => Ok(()),
                            },
                            None => http1::Builder::new().serve_connection(TokioIo::new(socket), service).await,
                        };
                    });
                }
            }
        });
        Self { url, shared, serving }
    }

    pub(crate) fn reacts(&self, reaction: Reaction) {
        *self.shared.reaction.lock().expect("a lock") = reaction;
    }

    /// Answers the requests that are held.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.notify_waiters();
    }

    /// All messages, in the order in which they came.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.shared.messages.lock().expect("a lock").clone()
    }

    /// Waits until so many messages have come.
    pub(crate) async fn until(&self, count: usize) -> Vec<Message> {
        eventually("messages at the receiver", SOON, || async {
            let messages = self.messages();
            if messages.len() >= count { Ok(messages) } else { Err(messages.len()) }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let let_go = shared.let_go.notified();
    let reaction = shared.reaction.lock().expect("a lock").clone();
    shared.messages.lock().expect("a lock").push(Message { path: head.uri.to_string(), headers: head.headers, body });
    let (status, headers) = match reaction {
        Reaction::Status(status, headers) => (status, headers),
        Reaction::Hold(status) => {
            let_go.await;
            (status, Vec::new())
        }
    };
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    Ok(answer.body(Full::new(Bytes::from_static(b"an answer"))).expect("an answer"))
}
