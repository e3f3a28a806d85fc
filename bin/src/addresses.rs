//! Addresses of `--listen` flags.

use std::net::SocketAddr;

/// Reads where to listen: an IP address and a port. A host name may have several addresses, so it is refused.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080 for all addresses"
            .to_owned()
    })
}
