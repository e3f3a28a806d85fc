//! The address where a worker or a reaper serves its health.

use crate::Error;
use leasehold_api::Listener;
use std::net::SocketAddr;

/// Binds the address, if there is one. A process whose address is taken fails before it takes work.
pub(crate) async fn bind(address: Option<SocketAddr>) -> Result<Option<Listener>, Error> {
    let Some(address) = address else { return Ok(None) };
    let listener = Listener::bind(address).await;
    listener.map(Some).map_err(|leasehold_api::Error::Bind { address, source }| Error::Listen { address, source })
}
