//! TERM and INT: the first asks for a graceful stop, the second for an immediate one.

use crate::failure::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the signals of this process ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Stop when the work at hand is done.
    pub(crate) soon: CancellationToken,
    /// Stop now.
    pub(crate) now: CancellationToken,
}

/// Listens for signals from here on.
pub(crate) fn listen() -> Result<Stop, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        for token in [asked.soon, asked.now] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(stop)
}
