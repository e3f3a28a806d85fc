//! TERM, INT and HUP: the first asks for a graceful stop, the second for an immediate one.

use crate::failure::Failure;
use nix::libc::SIGHUP;
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two signals within this time count as one: `timeout` and similar programs signal a process and then its group.
const SAME_REQUEST: Duration = Duration::from_millis(200);

/// The stop that the signals of this process ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Stop when the current work is done.
    pub(crate) soon: CancellationToken,
    /// Stop now.
    pub(crate) now: CancellationToken,
}

/// Listens for signals from now on.
pub(crate) fn listen() -> Result<Stop, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // A terminal sends HUP when it closes. A user who started this process with `nohup` wants it to continue.
    let mut hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        let mut heard = async || {
            let hung_up = async {
                match &mut hang_up {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hung_up => {}
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

/// Whether this process was started with HUP ignored, as `nohup` does. Read from `/proc`, since `sigaction` needs `unsafe`;
/// `false` where there is no `/proc`.
fn hang_up_is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP))
}

/// Whether `SigIgn` in `/proc/PID/status` contains the signal.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hang_up_is_noticed() {
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n", SIGHUP));
        assert!(!ignores("Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", SIGHUP));
        assert!(!ignores("", SIGHUP));
    }
}
