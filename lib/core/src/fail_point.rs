//! The places between two writes at which a process that dies leaves something behind.
//!
//! A test installs a hook and ends the process at one of them. In any other build there is no hook, and passing a
//! place costs nothing: the feature `fail-points` is for tests alone.

use serde::{Deserialize, Serialize};

/// A place between two writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailPoint {
    /// Client: new jobs are committed, Redis knows nothing of them.
    EnqueueCommitted,
    /// Client: finished jobs are back in the line, Redis knows nothing of it.
    ReviveCommitted,
    /// Worker: a blocking take has got a hint, no lease covers it.
    HintTaken,
    /// Worker: hints are leased in Redis, their jobs not claimed.
    HintsLeased,
    /// Worker: jobs are claimed, no handler has begun.
    JobsClaimed,
    /// Worker: a handler has ended, its result is not sent.
    RunEnded,
    /// Worker: results are written, Redis still holds the leases.
    SettleCommitted,
    /// Reaper: due jobs are in the line, Redis knows nothing of it.
    PromoteCommitted,
    /// Reaper: expired runs are ended, Redis still holds their leases.
    ExpireCommitted,
    /// Reaper: it knows who is to be told of a cancel, and has told nobody.
    CancelsRead,
    /// Reaper: hints that nobody had leased have a short lease, and wait for it to run out.
    HintsAdopted,
    /// Reaper: it knows what became of leases that ran out in Redis, and has done nothing about it.
    LeasesRead,
    /// Reaper: the front of a line is read, the head not filled.
    LineRead,
    /// Reaper: it knows what disagrees between the stores, and has mended nothing.
    DriftRead,
}

#[cfg(feature = "fail-points")]
static HOOK: std::sync::OnceLock<fn(FailPoint)> = std::sync::OnceLock::new();

/// Has `hook` called at every place that is passed from now on. The first one that is installed stays.
#[cfg(feature = "fail-points")]
pub fn on_fail_points(hook: fn(FailPoint)) {
    let _ = HOOK.set(hook);
}

/// The process is at this place.
#[cfg(feature = "fail-points")]
pub fn pass(point: FailPoint) {
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}

/// The process is at this place: nothing happens, since this build is not for tests.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn pass(_point: FailPoint) {}
