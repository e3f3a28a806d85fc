//! The HTTP server: accepts connections, bounds what each of them may use, and stops in order.

use crate::{
    api::Api,
    connection::{Connection, Io},
    limits::{CONNECTIONS_MAX, GRACE, IDLE_MAX},
    routes::router,
    tls::Tls,
};
use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use leasehold_telemetry::Vitals;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The pause after the machine could not accept a connection, because it lacks file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The largest head of a request, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not of this machine only, and anybody could use the server.
    #[error(
        "cannot listen on {0}: there are no tokens, so every client may do everything; make a token with `leasehold token create`, \
         or listen on a loopback address such as 127.0.0.1:{port}", port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why it cannot be bound.
        source: io::Error,
    },
}

/// A server that is bound and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Server {
    /// Binds an address; port 0 is any free port.
    ///
    /// # Errors
    /// The address is no loopback address, and there are no tokens; or it cannot be bound.
    pub async fn bind(address: SocketAddr, has_tokens: bool) -> Result<Self, StartError> {
        if !has_tokens && !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, tls: None })
        };
        bound.await.map_err(|source| StartError::Bind { address, source })
    }

    /// Serves with TLS only.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests in flight end. `now` ends them immediately.
    pub async fn run(self, api: Api, vitals: Vitals, stop: CancellationToken, now: CancellationToken) {
        let Self { listener, address, tls } = self;
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                "tokens pass the network unencrypted: set api.tls_cert_file and api.tls_key_file, or put a proxy with TLS before the server"
            );
        }
        tracing::info!(%address, "the HTTP interface is served");
        let (tasks, cut) = (TaskTracker::new(), now.child_token());
        let acceptor = tls.as_ref().map(Tls::acceptor);
        let served = Served {
            router: router(api.clone(), vitals),
            tls: acceptor,
            crowded: Arc::default(),
            stop: stop.clone(),
            cut: cut.clone(),
        };
        let watch = tls.map(|tls| tokio::spawn(tls.watch()));
        accept(&listener, &served, &tasks).await;
        if let Some(watch) = watch {
            watch.abort();
        }
        // No new connections come in, and claims that wait get their empty answer.
        drop(listener);
        api.stop_waiting();
        tasks.close();
        tracing::info!(connections = tasks.len(), "stopping: waiting for the requests in flight");
        tokio::select! {
            biased;
            () = now.cancelled() => {}
            ended = timeout(GRACE, tasks.wait()) => if ended.is_err() {
                tracing::warn!(connections = tasks.len(), "some requests did not end in time; their connections are cut");
            },
        }
        cut.cancel();
        tasks.wait().await;
        api.stop().await;
    }
}

/// The state that all connections share.
#[derive(Clone)]
struct Served {
    router: Router,
    /// `None`: plain HTTP.
    tls: Option<TlsAcceptor>,
    /// There is no room for another connection: idle ones end.
    crowded: Arc<Notify>,
    stop: CancellationToken,
    cut: CancellationToken,
}

async fn accept(listener: &TcpListener, served: &Served, tasks: &TaskTracker) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut fails = false;
    loop {
        let accepted = async {
            if connections.available_permits() == 0 {
                served.crowded.notify_waiters();
            }
            let room = Arc::clone(&connections).acquire_owned().await;
            (room, listener.accept().await)
        };
        let (room, accepted) = tokio::select! {
            biased;
            () = served.stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let Ok(room) = room else { return };
        match accepted {
            Ok((socket, _)) => {
                if std::mem::take(&mut fails) {
                    tracing::info!("connections are accepted again");
                }
                tasks.spawn(serve(socket, served.clone(), room));
            }
            Err(error) => {
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "connections cannot be accepted; idle ones are closed, and then it is tried again");
                }
                served.crowded.notify_waiters();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection.
async fn serve(socket: TcpStream, served: Served, _room: OwnedSemaphorePermit) {
    let Served { router, tls, crowded, stop, cut } = served;
    // An answer is written in one piece: nothing is gained by waiting for more bytes.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket option was refused");
    }
    let (socket, connection) = (Arc::new(socket), Arc::new(Connection::default()));
    let io = Io::new(Arc::clone(&socket), Arc::clone(&connection));
    let was_served = match tls {
        None => serve_requests(TokioIo::new(io), router, &connection, &crowded, &stop, &cut).await,
        Some(tls) => {
            // The head of the first request must come in time, and so must the handshake before it.
            let shaken = tokio::select! {
                biased;
                shaken = tls.accept(io) => shaken,
                () = stop.cancelled() => return,
            };
            match shaken {
                Ok(stream) => serve_requests(TokioIo::new(stream), router, &connection, &crowded, &stop, &cut).await,
                Err(error) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    return;
                }
            }
        }
    };
    // Hyper also ends a connection that is idle for too long, or whose next head is late or malformed. Then the client has had time to
    // read the answers before. An answer that could not be written is a failure of the socket, which the connection has seen.
    let end = connection.end(&socket, was_served);
    tokio::select! {
        biased;
        () = end => {}
        () = cut.cancelled() => {}
    }
}

/// Serves the requests of one connection. Returns whether the server has not cut it.
async fn serve_requests<I: Read + Write + Unpin + 'static>(
    io: I,
    router: Router,
    connection: &Arc<Connection>,
    crowded: &Notify,
    stop: &CancellationToken,
    cut: &CancellationToken,
) -> bool {
    let service = TowerToHyperService::new(router);
    let watched = Arc::clone(connection);
    let service = service_fn(move |mut request: Request<Incoming>| {
        watched.begin_request();
        request.extensions_mut().insert(Arc::clone(&watched));
        let (answer, watched) = (service.call(request), Arc::clone(&watched));
        async move {
            let answer = answer.await;
            watched.end_request();
            answer
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX).max_header_size(HEAD_MAX_BYTES);
    let serving = builder.serve_connection(io, service);
    tokio::pin!(serving);
    let mut ends = false;
    let ended = loop {
        let is_last = tokio::select! {
            biased;
            ended = &mut serving => break Some(ended),
            () = cut.cancelled() => break None,
            () = stop.cancelled(), if !ends => true,
            () = crowded.notified(), if !ends => connection.is_idle(),
        };
        if is_last {
            ends = true;
            serving.as_mut().graceful_shutdown();
        }
    };
    if let Some(Err(error)) = &ended {
        tracing::debug!(%error, "a connection ended early");
    }
    ended.is_some()
}
