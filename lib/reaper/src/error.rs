//! Why a step could not do its work.

use std::time::Duration;

/// An error of a step: the store that failed, and the action.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the store failed. The error names the store.
    #[error("{store}: {0}", store = .0.store)]
    Store(#[from] leasehold_ports::Error),
    /// PostgreSQL did not answer at the start of the tick, so the step did not ask again.
    #[error("PostgreSQL is unavailable")]
    StoreAway,
    /// Redis did not answer at the start of the tick, so the step did not ask again.
    #[error("Redis is unavailable")]
    HandoffAway,
    /// A request to the API server of Kubernetes failed.
    #[error("the API server of Kubernetes: {0}")]
    Pods(#[from] leasehold_ports::PodsError),
    /// The first survey has not ended yet. A later tick has its result.
    #[error(transparent)]
    NotSurveyed(leasehold_line::Error),
    /// The step timed out: a call hung, or there was too much work.
    #[error("not done within {} s; the next tick continues", .0.as_secs())]
    TookTooLong(Duration),
}

impl Error {
    /// Whether the next run of the step may succeed without an operator.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::StoreAway | Self::HandoffAway | Self::NotSurveyed(_) => true,
            Self::Pods(_) | Self::TookTooLong(_) => false,
        }
    }
}

impl From<leasehold_line::Error> for Error {
    fn from(error: leasehold_line::Error) -> Self {
        match error {
            leasehold_line::Error::Store(error) => Self::Store(error),
            error @ leasehold_line::Error::NotSurveyed => Self::NotSurveyed(error),
        }
    }
}
