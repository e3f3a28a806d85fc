//! Binds an address, and serves on it until the process stops.

use crate::{error::Error, vitals::router};
use leasehold_telemetry::Vitals;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a stop waits for requests in flight.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// An address that is bound and not served yet. A process whose address is taken fails before it takes work.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Serves until dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    serving: JoinHandle<()>,
    _stop: DropGuard,
}

impl Listener {
    /// Binds an address; port 0 is any free port.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address is taken, or not of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bound.await.map_err(|source| Error::Bind { address, source })
    }

    /// Serves `/healthz`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn serve(self, vitals: Vitals) -> Served {
        let Self { socket, address } = self;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(socket, router(vitals)).with_graceful_shutdown(stopped).await {
                tracing::error!(%address, %error, "the HTTP server has failed");
            }
        });
        tracing::info!(%address, "/healthz, /readyz and /metrics are served");
        Served { address, serving, _stop: stop.drop_guard() }
    }
}

impl Served {
    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and waits up to a second for requests in flight.
    pub async fn stop(self) {
        let Self { mut serving, _stop: stop, .. } = self;
        drop(stop);
        if timeout(LAST_ANSWERS, &mut serving).await.is_err() {
            serving.abort();
        }
    }
}
