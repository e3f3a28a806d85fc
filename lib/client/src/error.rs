//! The errors for a program that uses Leasehold.

use crate::{Config, ConfigError};
use leasehold_core::{InvalidBulk, InvalidGraph, InvalidJob, InvalidName, JobId};
use leasehold_ports::{Class, Enqueued};
use leasehold_schedule::InvalidTiming;
use leasehold_store::LockedOut;
use std::{error::Error as StdError, fmt, io, net::SocketAddr, sync::Arc};

/// The cause of the error, and the failed action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A job is invalid. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] InvalidJob),
    /// One of several jobs is invalid. Nothing was changed.
    #[error("job {} of {of}: {source}", .nth + 1)]
    InvalidOf {
        /// The index of the job among them, from 0.
        nth: usize,
        /// How many jobs there are.
        of: usize,
        /// The problem of the job.
        source: InvalidJob,
    },
    /// A graph is invalid. Nothing was changed.
    #[error(transparent)]
    Graph(#[from] InvalidGraph),
    /// No schedule can have this timing. Nothing was changed.
    #[error(transparent)]
    Timing(#[from] InvalidTiming),
    /// A queue in memory has no schedules and no limits.
    #[error("a queue in memory has no schedules and no limits: they need PostgreSQL and a reaper")]
    NoSchedules,
    /// The client is of a queue in memory, which has no batches.
    #[error("batches need PostgreSQL; this client is of a queue in memory")]
    NoBatches,
    /// The timeout of a wait passed before all jobs of the batch had ended.
    #[error("the batch {0:?} has live jobs, and the time is over")]
    BatchTimedOut(String),
    /// The filter of a bulk change cannot be used. Nothing was changed.
    #[error(transparent)]
    Bulk(#[from] InvalidBulk),
    /// The operating system gives no random bytes, so no token was made.
    #[error("the operating system gives no random bytes, so no token was made: {0}")]
    NoRandomness(#[source] io::Error),
    /// A queue in memory has no settings of this kind.
    #[error("a queue in memory has no dead-letter queue and no retention: they need PostgreSQL")]
    NoQueueSettings,
    /// A queue in memory has no bulk changes.
    #[error("a queue in memory changes no jobs by filter: filters need PostgreSQL")]
    NoBulk,
    /// A stored operation cannot be read.
    #[error("an operation cannot be read; perhaps it is of another version of this program: {0}")]
    Operation(#[source] serde_json::Error),
    /// The name of a queue or a kind is invalid. Nothing was changed.
    #[error("{what} {name:?} {source}")]
    Name {
        /// `queue` or `kind`.
        what: &'static str,
        /// The name as the caller gave it.
        name: String,
        /// What is wrong with the name.
        source: InvalidName,
    },
    /// A job cannot be written as JSON. Nothing was changed.
    #[error("a job of kind {kind} cannot be written as JSON: {source}")]
    Encode {
        /// The kind of the job.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The result of a job is not of the type that was asked for.
    #[error("the result of {id} is not of the type expected: {source}")]
    Decode {
        /// The job.
        id: JobId,
        /// Why.
        source: serde_json::Error,
    },
    /// The connection was lost while jobs were sent, and did not come back: the jobs may or may not have been
    /// accepted. Sending them again with the same ids and with [`leasehold_core::NewJob::id_may_exist`] is safe: a job that
    /// was accepted is not made again, even if the job has finished.
    #[error("it is not known whether {} jobs were accepted, the first of them {}: {source}", ids.len(), ids[0])]
    OutcomeUnknown {
        /// The jobs, at least one.
        ids: Vec<JobId>,
        /// How the last attempt failed.
        source: StoreError,
    },
    /// Open transactions of other sessions hold some rows of the call. The rest of the call was done.
    #[error("{0}; try again when it has ended")]
    Locked(Box<LockedOut>),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No job has this id.
    #[error("no job has the id {0}")]
    NoSuchJob(JobId),
    /// The job that was waited for is dead.
    #[error("{id} is dead: {error}")]
    Dead {
        /// The job.
        id: JobId,
        /// The last error of the job.
        error: String,
    },
    /// The job that was waited for was cancelled.
    #[error("{0} was cancelled")]
    Cancelled(JobId),
    /// The job did not finish before the timeout of the wait. The job continues.
    #[error("{0} has not finished in time; the job continues")]
    TimedOut(JobId),
    /// The address where a worker or a reaper should serve its health cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why it cannot be bound.
        source: io::Error,
    },
    /// The built worker has no queue or no handler, or the program is shutting down.
    #[error("{0}")]
    Worker(&'static str),
}

/// An error of PostgreSQL or Redis. The drivers are no part of this type: they can change without a new version of your
/// program. [`StdError::source`] leads to their errors, for logs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreError(Arc<Cause>);

/// The store that failed, and its error.
#[derive(Debug)]
enum Cause {
    Postgres(leasehold_store::Error),
    Redis(leasehold_handoff::Error),
    /// An error of another store, such as a store in memory.
    Other(leasehold_ports::Error),
}

impl StoreError {
    /// Whether the same call may succeed later: the store was unavailable, overloaded, or has broken a deadlock.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &*self.0 {
            Cause::Postgres(error) => error.is_transient(),
            Cause::Redis(error) => !matches!(error, leasehold_handoff::Error::Url(_)),
            Cause::Other(error) => error.is_transient(),
        }
    }

    /// Whether the mistake is the caller's and not the store's: an invalid job, a malformed URL.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match &*self.0 {
            Cause::Postgres(error) => {
                matches!(error, leasehold_store::Error::Invalid(_) | leasehold_store::Error::Url(_))
            }
            Cause::Redis(error) => matches!(error, leasehold_handoff::Error::Url(_)),
            Cause::Other(error) => matches!(error.class, Class::Invalid),
        }
    }

    /// Whether an open transaction of another session blocked the call for longer than the call waits.
    #[must_use]
    pub fn may_be_locked(&self) -> bool {
        matches!(&*self.0, Cause::Postgres(error) if error.may_be_locked())
    }

    /// The answers to the jobs that were enqueued before a call to enqueue jobs failed, in the order of its batch; `None` for the others.
    #[must_use]
    pub fn accepted_in_part(&self) -> &[Option<Enqueued>] {
        match &*self.0 {
            Cause::Postgres(leasehold_store::Error::InPart { answers, .. }) => answers,
            _ => &[],
        }
    }

    /// PostgreSQL's message about a value that it refuses: the mistake is the caller's.
    #[must_use]
    pub fn refused_value(&self) -> Option<String> {
        match &*self.0 {
            Cause::Postgres(error) => error.refused_value(),
            _ => None,
        }
    }

    /// The error as one line that says what to do, without secrets.
    #[must_use]
    pub fn explain(&self, config: &Config) -> String {
        match &*self.0 {
            Cause::Postgres(error) => config.explain_store(error),
            Cause::Redis(error) => config.explain_handoff(error),
            Cause::Other(error) => error.to_string(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Postgres(error) => error.fmt(f),
            Cause::Redis(error) => error.fmt(f),
            Cause::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Cause::Postgres(error) => error.source(),
            Cause::Redis(error) => error.source(),
            Cause::Other(error) => error.source(),
        }
    }
}

// Hidden, since both types are of crates that no program outside of Leasehold names.
#[doc(hidden)]
impl From<leasehold_store::Error> for StoreError {
    fn from(error: leasehold_store::Error) -> Self {
        Self(Arc::new(Cause::Postgres(error)))
    }
}

#[doc(hidden)]
impl From<leasehold_handoff::Error> for StoreError {
    fn from(error: leasehold_handoff::Error) -> Self {
        Self(Arc::new(Cause::Redis(error)))
    }
}

/// A driver's error keeps its own type: [`StoreError::explain`] knows what to do about the error.
#[doc(hidden)]
impl From<leasehold_ports::Error> for StoreError {
    fn from(error: leasehold_ports::Error) -> Self {
        let leasehold_ports::Error { store, doing, class, source } = error;
        let source = match source.downcast::<leasehold_store::Error>() {
            Ok(error) => return Self::from(*error),
            Err(source) => source,
        };
        match source.downcast::<leasehold_handoff::Error>() {
            Ok(error) => Self::from(*error),
            Err(source) => Self(Arc::new(Cause::Other(leasehold_ports::Error { store, doing, class, source }))),
        }
    }
}

#[doc(hidden)]
impl From<leasehold_ports::Error> for Error {
    fn from(error: leasehold_ports::Error) -> Self {
        let leasehold_ports::Error { store, doing, class, source } = error;
        match source.downcast::<leasehold_store::Error>() {
            Ok(error) => Self::from(*error),
            Err(source) => Self::Store(leasehold_ports::Error { store, doing, class, source }.into()),
        }
    }
}

#[doc(hidden)]
impl From<leasehold_store::Error> for Error {
    fn from(error: leasehold_store::Error) -> Self {
        match error {
            leasehold_store::Error::Locked(locked) => Self::Locked(locked),
            leasehold_store::Error::Invalid(invalid) => Self::Invalid(invalid),
            other => Self::Store(other.into()),
        }
    }
}

#[doc(hidden)]
impl From<leasehold_handoff::Error> for Error {
    fn from(error: leasehold_handoff::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    /// Whether the mistake is the caller's and not a store's: a setting, an invalid job, a malformed name.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Invalid(_)
            | Self::InvalidOf { .. }
            | Self::Bulk(_)
            | Self::Timing(_)
            | Self::Name { .. } => true,
            Self::Store(error) => error.is_usage(),
            _ => false,
        }
    }

    /// The error as one line that says what to do, without secrets.
    #[must_use]
    pub fn explain(&self, config: &Config) -> String {
        match self {
            Self::Store(error) => error.explain(config),
            Self::OutcomeUnknown { ids, source } => format!(
                "it is not known whether {} jobs were accepted, the first of them {}; sending them again with the same \
                 ids is safe: {}",
                ids.len(),
                ids[0],
                source.explain(config)
            ),
            other => other.to_string(),
        }
    }
}
