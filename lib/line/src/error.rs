//! Why the line could not be read.

/// A failed read of the line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] leasehold_ports::Error),
    /// The first survey is still in progress, because PostgreSQL must walk over dead rows.
    #[error("the starts of the lines are not known yet: PostgreSQL is still walking over dead rows")]
    NotSurveyed,
}
