//! A listener on an address, and serving on it until the process ends.

use crate::{error::Error, vitals::Vitals};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long requests that are under way at the end may take: none is worth waiting for longer.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// An address that is ours, and not served yet: so that a process which cannot have it says so before it begins.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Served as long as this is held.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    serving: JoinHandle<()>,
    _stop: DropGuard,
}

impl Listener {
    /// Takes an address; port 0 is one that is free.
    ///
    /// # Errors
    /// [`Error::Bind`] when it is taken, or not of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bound.await.map_err(|source| Error::Bind { address, source })
    }

    /// Serves what a process says of itself.
    #[must_use]
    pub fn serve(self, vitals: Vitals) -> Served {
        let Self { socket, address } = self;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(socket, vitals.router()).with_graceful_shutdown(stopped).await {
                tracing::error!(%address, %error, "nothing is served any more");
            }
        });
        tracing::info!(%address, "/healthz, /readyz and /metrics are served");
        Served { address, serving, _stop: stop.drop_guard() }
    }
}

impl Served {
    /// Where.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and gives requests that are under way a moment.
    pub async fn stop(self) {
        let Self { mut serving, _stop: stop, .. } = self;
        drop(stop);
        if timeout(LAST_ANSWERS, &mut serving).await.is_err() {
            serving.abort();
        }
    }
}
