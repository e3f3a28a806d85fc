//! Fail points: the points between two writes. A process that dies at such a point leaves the second write undone.
//!
//! A test installs a hook and ends the process at one of these points. Other builds have no hook, and passing a point
//! costs nothing: the feature `fail-points` is only for tests.

use serde::{Deserialize, Serialize};

/// A point between two writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailPoint {
    /// Client: new jobs are committed, Redis does not know them yet.
    EnqueueCommitted,
    /// Client: revived jobs are in the line, Redis does not know them yet.
    ReviveCommitted,
    /// Worker: a blocking take has moved a hint, and the hint has no lease yet.
    HintTaken,
    /// Worker: hints are leased in Redis, their jobs are not claimed yet.
    HintsLeased,
    /// Worker: jobs are claimed, no handler has begun.
    JobsClaimed,
    /// Worker: a handler has ended, its result is not sent yet.
    RunEnded,
    /// Worker: results are written, Redis still holds the leases.
    SettleCommitted,
    /// Reaper: due jobs are in the line, Redis does not know them yet.
    PromoteCommitted,
    /// Reaper: children of ended jobs are in the line, Redis does not know them yet.
    ChildrenTold,
    /// Reaper: the jobs of due schedules are in the line, Redis does not know them yet.
    SchedulesFired,
    /// Reaper: expired runs are ended, Redis still holds their leases.
    ExpireCommitted,
    /// Reaper: it knows which workers to tell about a cancel, and has told none of them.
    CancelsRead,
    /// Reaper: hints without a lease got a short lease, which has not run out yet.
    HintsAdopted,
    /// Reaper: it has read the state of leases that ran out in Redis, and has changed nothing yet.
    LeasesRead,
    /// Reaper: the front of a line is read, the head is not filled yet.
    LineRead,
    /// Reaper: it knows where the stores disagree, and has repaired nothing yet.
    DriftRead,
}

#[cfg(feature = "fail-points")]
static HOOK: std::sync::OnceLock<fn(FailPoint)> = std::sync::OnceLock::new();

/// Calls `hook` at every point from now on. Only the first hook that is installed counts.
#[cfg(feature = "fail-points")]
pub fn on_fail_points(hook: fn(FailPoint)) {
    let _ = HOOK.set(hook);
}

/// The process reached this point.
#[cfg(feature = "fail-points")]
pub fn pass(point: FailPoint) {
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}

/// The process reached this point. Nothing happens, because this build is not for tests.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn pass(_point: FailPoint) {}
