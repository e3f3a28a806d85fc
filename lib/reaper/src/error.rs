//! Why a step could not do its work.

use std::time::Duration;

/// Which store failed, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store that the error names did not do what was asked.
    #[error("{store}: {0}", store = .0.store)]
    Store(#[from] leasehold_ports::Error),
    /// PostgreSQL did not answer at the start of the tick, so it was not asked again.
    #[error("PostgreSQL is away")]
    StoreAway,
    /// Redis did not answer at the start of the tick, so it was not asked again.
    #[error("Redis is away")]
    HandoffAway,
    /// The first survey is still under way; the ticks go on.
    #[error(transparent)]
    NotSurveyed(leasehold_line::Error),
    /// A call that hung, or a flood.
    #[error("not done within {} s; the next tick goes on", .0.as_secs())]
    TookTooLong(Duration),
}

impl From<leasehold_line::Error> for Error {
    fn from(error: leasehold_line::Error) -> Self {
        match error {
            leasehold_line::Error::Store(error) => Self::Store(error),
            error @ leasehold_line::Error::NotSurveyed => Self::NotSurveyed(error),
        }
    }
}
