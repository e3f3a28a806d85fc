//! Why the line could not be looked at.

/// A look at the line that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] leasehold_ports::Error),
    /// The first survey is still under way, because PostgreSQL is looking through dead rows.
    #[error("it is not known yet where the lines begin; PostgreSQL is looking through dead rows for that")]
    NotSurveyed,
}
