//! The errors before the first request.

use std::{io, net::SocketAddr};

/// The reason why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address on which the process should listen.
        address: SocketAddr,
        /// Why the process cannot listen there.
        source: io::Error,
    },
}
