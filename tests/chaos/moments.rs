//! When what happened, in ms on this machine's clock, which processes and servers here share.

use serde::Serialize;
use uuid::Uuid;

/// A worker that was killed, and when.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Kill {
    pub(crate) pid: u32,
    pub(crate) at_ms: i64,
    /// Finished jobs whose hints it had not given back, if that is what it was killed for.
    pub(crate) hints: Vec<Uuid>,
    /// When the last of these was gone.
    pub(crate) hints_gone_ms: Option<i64>,
}

impl Kill {
    /// With whatever it held.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, at_ms: now_ms(), ..Self::default() }
    }
}

/// The moments of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Moments {
    /// The fleet is warm.
    pub(crate) steady: i64,
    /// The fault begins.
    pub(crate) fault: i64,
    /// Single blows, where a fault is made of such: recovery is measured from each.
    pub(crate) blows: Vec<i64>,
    /// The fault is over.
    pub(crate) healed: i64,
    /// The load stops.
    pub(crate) load_stopped: i64,
    pub(crate) kills: Vec<Kill>,
    /// Processes of workers that were frozen.
    pub(crate) frozen: Vec<u32>,
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
