//! The reconcilers: each puts right what others left, takes no hints, and can be run twice, by anyone.

use leasehold_handoff::Handoff;
use leasehold_store::Store;
use serde::Serialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How a reaper behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two ticks.
    pub tick: Duration,
    /// Hints in the head of one queue.
    pub head_max: u32,
    /// The lease given to a hint that lies in `claimed` without one, and the one a hand-off gets.
    pub handoff_lease: Duration,
    /// The lease of the fleet: how long nothing is expired after an outage of PostgreSQL.
    pub lease: Duration,
    /// How long finished jobs are kept.
    pub keep_finished: Duration,
}

/// What one step found and changed.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step: expire, promote, cancel, fill, adopt, leases, retain.
    pub step: &'static str,
    /// What it looked at.
    pub found: u64,
    /// What it changed.
    pub changed: u64,
    /// Milliseconds it took.
    pub took_ms: f64,
    /// Why it could not do its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The reaper.
pub struct Reaper { /* store, handoff, settings */ }

impl Reaper {
    /// A reaper; any number may run at once.
    #[must_use] pub fn new(store: Store, handoff: Handoff, settings: Settings) -> Self { todo!() }
    /// All steps once.
    pub async fn tick(&mut self) -> Vec<StepReport> { todo!() }
    /// Ticks until `stop`.
    pub async fn run(self, stop: CancellationToken) { todo!() }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub check: String,
    /// Where it was seen: `postgres`, `redis` or `both`.
    pub store: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do, if a person must.
    pub advice: String,
}

/// What doctor looked at and found.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// Every check that was made, with how many things it looked at.
    pub checks: Vec<(String, &'static str, u64)>,
    /// What is wrong; empty on a healthy system.
    pub findings: Vec<Finding>,
}

/// Checks every invariant that can be seen on a live system, in both stores. What moves while it looks is looked at
/// again before it is called wrong.
pub async fn examine(store: &Store, handoff: &Handoff) -> Result<Examination, Box<dyn std::error::Error + Send + Sync>> { todo!() }
