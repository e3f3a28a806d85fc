//! The times of a run's events, in ms on the clock of this machine, which processes and servers here share.

use serde::Serialize;
use uuid::Uuid;

/// The kill of a worker.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Kill {
    pub(crate) pid: u32,
    pub(crate) at_ms: i64,
    /// If the worker was killed to leave hints behind: the finished jobs whose hints it still held.
    pub(crate) hints: Vec<Uuid>,
    /// When the last of these hints was gone.
    pub(crate) hints_gone_ms: Option<i64>,
}

impl Kill {
    /// A kill of a worker, whatever it held.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, at_ms: now_ms(), ..Self::default() }
    }
}

/// The times of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Moments {
    /// The fleet is warm.
    pub(crate) steady: i64,
    /// The fault begins.
    pub(crate) fault: i64,
    /// Single fault injections, for faults that consist of several: recovery is measured from each one.
    pub(crate) injections: Vec<i64>,
    /// The fault ends.
    pub(crate) healed: i64,
    /// The load stops.
    pub(crate) load_stopped: i64,
    pub(crate) kills: Vec<Kill>,
    /// The process ids of workers that were frozen.
    pub(crate) frozen: Vec<u32>,
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
