//! When what happened, in ms on this machine's clock, which processes and servers here share.

use serde::Serialize;

/// A worker that was killed, and when.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Kill {
    pub(crate) pid: u32,
    pub(crate) at_ms: i64,
}

/// The moments of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Moments {
    /// The fleet is warm.
    pub(crate) steady: i64,
    /// The fault begins.
    pub(crate) fault: i64,
    /// The fault is over.
    pub(crate) healed: i64,
    /// The load stops.
    pub(crate) load_stopped: i64,
    pub(crate) kills: Vec<Kill>,
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
