//! The gRPC server: accepts the connections of KEDA, bounds what each may use, and stops in order.

use super::{proto::external_scaler_server::ExternalScalerServer, service::Scaler, signal::Signals};
use crate::{api::Api, limits::GRACE, server::StartError};
use futures_util::{StreamExt as _, stream};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

/// A call takes at most as long as the statement behind it, and a connection that does not answer is closed.
const CALL_WITHIN: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
const CALLS_OF_A_CONNECTION: usize = 64;
const STREAMS_OF_A_CONNECTION: u32 = 1_000;
/// The largest request: the metadata of a trigger.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// The pause after the machine could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The external scaler for KEDA, bound but not serving yet.
#[derive(Debug)]
pub struct KedaServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl KedaServer {
    /// Binds an address; port 0 is any free port. Any address may be used: the server only shows the demand of queues.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map_err(|source| StartError::Bind { address, source })
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends streams and lets calls end. `now` ends the calls immediately.
    pub async fn run(self, api: Api, stop: CancellationToken, now: CancellationToken) {
        let Self { listener, address } = self;
        tracing::info!(keda_address = %address, "the scaler for KEDA is served");
        let scaler = Scaler::new(Signals::new(api), stop.clone());
        let service = ExternalScalerServer::new(scaler).max_decoding_message_size(MESSAGE_MAX_BYTES);
        let incoming = stream::unfold(listener, |listener| async move { Some((accept(&listener).await, listener)) });
        let serving = Server::builder()
            .timeout(CALL_WITHIN)
            .concurrency_limit_per_connection(CALLS_OF_A_CONNECTION)
            .max_concurrent_streams(STREAMS_OF_A_CONNECTION)
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming.map(Ok::<_, std::io::Error>), stop.clone().cancelled_owned());
        let ended = async {
            tokio::pin!(serving);
            tokio::select! {
                biased;
                ended = &mut serving => Some(ended),
                () = stop.cancelled() => timeout(GRACE, serving).await.ok(),
            }
        };
        tokio::select! {
            biased;
            () = now.cancelled() => {}
            ended = ended => if let Some(Err(error)) = ended {
                tracing::warn!(%error, "the scaler for KEDA has ended");
            },
        }
    }
}

/// The next connection. The server continues even if the machine could not accept a connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a socket option was refused");
                }
                return socket;
            }
            Err(error) => {
                tracing::debug!(%error, "a connection of KEDA cannot be accepted; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
