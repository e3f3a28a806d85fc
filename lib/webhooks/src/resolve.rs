//! Turns the name of a host into addresses.

use async_trait::async_trait;
use std::{io, net::SocketAddr};

/// Turns the name of a host into addresses. The sender judges each address and dials the address that it has judged, so an
/// attacker gains nothing by changing the name between two look-ups.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name.
    ///
    /// # Errors
    /// The name has no address, or no name server can be asked.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        tokio::net::lookup_host((name, port)).await.map(Iterator::collect)
    }
}
