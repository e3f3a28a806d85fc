//! TERM and INT: the first asks for a graceful stop, the second for an immediate one.

use crate::failure::Failure;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `timeout`, and others that signal a process and then its group, send theirs twice and mean it once.
const SAME_REQUEST: Duration = Duration::from_millis(200);

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
        let mut heard = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        heard().await;
        asked.soon.cancel();
        let first = Instant::now();
        while first.elapsed() < SAME_REQUEST {
            heard().await;
        }
        asked.now.cancel();
    });
    Ok(stop)
}
