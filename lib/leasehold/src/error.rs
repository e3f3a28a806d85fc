//! What can go wrong for a program that uses Leasehold.

use crate::ConfigError;
use leasehold_core::{InvalidJob, InvalidName, JobId};

/// What went wrong, and what was being done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A job cannot be accepted as it is. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] InvalidJob),
    /// The name of a queue or a kind is none. Nothing was changed.
    #[error("{what} {name:?} {source}")]
    Name {
        /// `queue` or `kind`.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What is wrong with it.
        source: InvalidName,
    },
    /// A job cannot be written as JSON. Nothing was changed.
    #[error("a job of kind {kind} cannot be written as JSON: {source}")]
    Encode {
        /// Its kind.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The result is not of the type that was asked for.
    #[error("the result of {id} is not of the type expected: {source}")]
    Decode {
        /// The job.
        id: JobId,
        /// Why.
        source: serde_json::Error,
    },
    /// The connection was lost while jobs were sent, and did not come back: they may or may not have been
    /// accepted. Sending them again with the same ids is safe.
    #[error("it is not known whether {} jobs were accepted, the first of them {}: {source}", ids.len(), ids[0])]
    OutcomeUnknown {
        /// The jobs, at least one.
        ids: Vec<JobId>,
        /// How the last attempt failed.
        source: leasehold_store::Error,
    },
    /// PostgreSQL.
    #[error(transparent)]
    Store(#[from] leasehold_store::Error),
    /// PostgreSQL, while a job was waited for. The job goes on.
    #[error(transparent)]
    Waiting(std::sync::Arc<leasehold_store::Error>),
    /// Redis.
    #[error(transparent)]
    Handoff(#[from] leasehold_handoff::Error),
    /// No job has this id.
    #[error("no job has the id {0}")]
    NoSuchJob(JobId),
    /// The job that was waited for is dead.
    #[error("{id} is dead: {error}")]
    Dead {
        /// The job.
        id: JobId,
        /// Its last error.
        error: String,
    },
    /// The job that was waited for was cancelled.
    #[error("{0} was cancelled")]
    Cancelled(JobId),
    /// The job did not finish within the time that was given. It goes on.
    #[error("{0} has not finished in time; it goes on")]
    TimedOut(JobId),
    /// The address where a worker is to serve its health cannot be had.
    #[error(transparent)]
    Listen(#[from] leasehold_api::Error),
    /// A worker was asked for that could do nothing.
    #[error("{0}")]
    Worker(&'static str),
}

impl Error {
    /// An error as one line that says what to do, without secrets.
    #[must_use]
    pub fn explain(&self, config: &crate::Config) -> String {
        match self {
            Self::Store(error) => config.explain_store(error),
            Self::Waiting(error) => config.explain_store(error),
            Self::Handoff(error) => config.explain_handoff(error),
            Self::OutcomeUnknown { ids, source } => format!(
                "it is not known whether {} jobs were accepted, the first of them {}; sending them again with the same \
                 ids is safe: {}",
                ids.len(),
                ids[0],
                config.explain_store(source)
            ),
            other => other.to_string(),
        }
    }
}
