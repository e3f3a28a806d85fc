//! Why a step could not do its work.

use std::time::Duration;

/// Which store failed, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL did.
    #[error("PostgreSQL: {0}")]
    Store(#[from] leasehold_store::Error),
    /// Redis did.
    #[error("Redis: {0}")]
    Handoff(#[from] leasehold_handoff::Error),
    /// PostgreSQL did not answer at the start of the tick, so it was not asked again.
    #[error("PostgreSQL is away")]
    StoreAway,
    /// Redis did not answer at the start of the tick, so it was not asked again.
    #[error("Redis is away")]
    HandoffAway,
    /// PostgreSQL is at it; the ticks go on.
    #[error("it is not known yet where the lines begin; PostgreSQL is looking through dead rows for that")]
    NotSurveyed,
    /// A call that hung, or a flood.
    #[error("not done within {} s; the next tick goes on", .0.as_secs())]
    TookTooLong(Duration),
}
