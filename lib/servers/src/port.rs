//! Free ports on 127.0.0.1.

use crate::error::Error;
use std::{
    fs,
    io::{self, Read},
    net::{Ipv4Addr, TcpListener},
};

/// The lowest port that is tried.
const LOWEST: u16 = 10_000;
/// The first port of the kernel's usual range for outgoing connections.
const EPHEMERAL_USUAL: u16 = 32_768;

/// A port on which no process listens at the moment.
///
/// The port is below the range for outgoing connections. Otherwise a server that is stopped for a while and started
/// again on its port could find the port in use. In the worst case a client that tries to connect to the port gets this
/// very port as its own and connects to itself.
pub(crate) fn free() -> Result<u16, Error> {
    let highest = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|lowest_ephemeral| *lowest_ephemeral > LOWEST + 1_000)
        .unwrap_or(EPHEMERAL_USUAL);
    for _ in 0..200 {
        let random = u16::from_ne_bytes(random_bytes::<2>()?);
        let port = LOWEST + random % (highest - LOWEST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    let source = io::Error::other(format!("200 ports from {LOWEST} to {highest} are all in use"));
    Err(Error::Run { doing: "looking for a free port of 127.0.0.1".into(), source })
}

/// Unpredictable bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(Error::file("reading", "/dev/urandom"))?;
    Ok(bytes)
}
