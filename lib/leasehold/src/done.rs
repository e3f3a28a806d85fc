//! The success of a run from which other jobs follow, and the success that the handler writes in its own transaction.

use crate::{
    Error,
    enqueue::{FollowOn, new_job},
    job::Job,
};
use leasehold_core::{NewJob, RESERVED, RESULT_MAX_BYTES, Success, check_following, is_reserved};
use leasehold_worker::Run;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;
use std::fmt;

/// What a run may return: the result itself, or a [`Done`] with the result. Every type that can be read and written as JSON is
/// such a result.
pub trait JobOutput: Send + 'static {
    /// The result, as a client reads it.
    type Result: Serialize + DeserializeOwned + Send + 'static;

    /// The result, and the jobs that follow.
    fn into_done(self) -> Done<Self::Result>;
}

impl<T: Serialize + DeserializeOwned + Send + 'static> JobOutput for T {
    type Result = T;

    fn into_done(self) -> Done<T> {
        Done::with(self)
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> JobOutput for Done<T> {
    type Result = T;

    fn into_done(self) -> Self {
        self
    }
}

/// A job that may follow from a success: a [`Job`], a [`FollowOn`] with options that differ from its type, or a job of any kind.
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// let any_kind = NewJob::new("mail".parse()?, serde_json::value::to_raw_value("resized")?);
/// let done = Done::with("stored")
///     .then(Resize { path: "a.png".into(), width: 160 })
///     .then(FollowOn::of(Resize { path: "a.png".into(), width: 16 }).priority(-5))
///     .then(any_kind);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait IntoFollowOn {
    /// The job that follows.
    ///
    /// # Errors
    /// What is wrong with the job.
    fn into_follow_on(self) -> Result<NewJob, Error>;
}

impl<J: Job> IntoFollowOn for J {
    fn into_follow_on(self) -> Result<NewJob, Error> {
        new_job(&self)
    }
}

impl<J: Job> IntoFollowOn for FollowOn<J> {
    fn into_follow_on(self) -> Result<NewJob, Error> {
        self.build()
    }
}

impl IntoFollowOn for NewJob {
    fn into_follow_on(self) -> Result<NewJob, Error> {
        Ok(self)
    }
}

/// A success from which other jobs follow. They are enqueued in the transaction that ends the run: each of them exists if and
/// only if this success is accepted. A run that has lost its lease makes no follow-on job.
///
/// ```
/// use leasehold::{Done, FollowOn, Job, JobError, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Extract { document: String }
///
/// #[derive(Serialize, Deserialize)]
/// struct Summarize { text: String }
///
/// impl Job for Extract {
///     const KIND: &'static str = "extract";
///     type Output = Done<usize>;
///
///     async fn run(self, _: &Run) -> Result<Done<usize>, JobError> {
///         let text = self.document.to_lowercase();
///         Ok(Done::with(text.len()).then(FollowOn::of(Summarize { text }).queue("summaries")))
///     }
/// }
///
/// impl Job for Summarize {
///     const KIND: &'static str = "summarize";
///     type Output = String;
///
///     async fn run(self, _: &Run) -> Result<String, JobError> {
///         Ok(self.text.chars().take(20).collect())
///     }
/// }
/// ```
///
/// Bounds: 1000 jobs, with payloads of 4 MiB together. A follow-on job that can never be enqueued (a wrong name, a payload that is
/// too large, a parent that does not exist) ends the job of this run as dead, with the reason: another run would do the
/// same. A follow-on job whose unique key is held is skipped, as a client's enqueue is.
#[must_use = "the job succeeds only if its handler returns this value"]
pub struct Done<T> {
    pub(crate) result: T,
    pub(crate) then: Vec<Result<NewJob, Error>>,
}

impl<T: fmt::Debug> fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("result", &self.result).field("then", &self.then.len()).finish()
    }
}

/// The job cannot be completed in this transaction. Roll the transaction back; `?` in a handler does.
///
/// ```no_run
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # async fn doc(run: &Run, pool: &sqlx::PgPool) -> Result<Option<Done<bool>>, JobError> {
/// let mut transaction = pool.begin().await?;
/// match Done::with(true).complete_in(run, &mut transaction).await {
///     Ok(done) => {
///         transaction.commit().await?;
///         Ok(Some(done))
///     }
///     Err(CompleteError::LeaseLost) => {
///         transaction.rollback().await?;
///         Ok(None)
///     }
///     Err(error) => Err(error.into()),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// The lease is lost: another process decides about the job. The transaction must be rolled back.
    #[error("the lease of the job is lost, so its transaction must not be committed")]
    LeaseLost,
    /// The result or a follow-on job can never be stored. As the error of a run, this ends the job: another run would do the same.
    #[error("{0}")]
    Invalid(String),
    /// PostgreSQL fails.
    #[error(transparent)]
    Store(#[from] Error),
}

impl<T> Done<T> {
    /// A success with this result.
    ///
    /// ```
    /// # use leasehold::Done;
    /// assert_eq!(Done::with(7).result(), &7);
    /// ```
    pub const fn with(result: T) -> Self {
        Self { result, then: Vec::new() }
    }

    /// Lets a job follow. Can be called several times.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let widths = [16, 160, 1600];
    /// let done = widths.iter().fold(Done::with(widths.len()), |done, &width| {
    ///     done.then(Resize { path: "a.png".into(), width })
    /// });
    /// ```
    pub fn then(mut self, job: impl IntoFollowOn) -> Self {
        self.then.push(job.into_follow_on());
        self
    }

    /// The result: see [`Done::with`].
    #[must_use]
    pub const fn result(&self) -> &T {
        &self.result
    }
}

impl<T: Serialize> Done<T> {
    /// Ends the job in the handler's own transaction. The handler's writes, the end of the job and the follow-on jobs are
    /// committed together or rolled back together. Commit immediately after this call, and return the value: until the commit,
    /// the row of the job is locked.
    ///
    /// ```no_run
    /// # use leasehold::{Done, Job, JobError, Run};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Ship { order: i64 }
    /// # impl Job for Ship {
    /// #     const KIND: &'static str = "ship";
    /// #     type Output = ();
    /// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
    /// # }
    /// #[derive(Serialize, Deserialize)]
    /// struct Charge { order: i64 }
    ///
    /// impl Job for Charge {
    ///     const KIND: &'static str = "charge";
    ///     type Output = Done<bool>;
    ///
    ///     async fn run(self, run: &Run) -> Result<Done<bool>, JobError> {
    ///         let mut transaction = run.state::<sqlx::PgPool>()?.begin().await?;
    ///         sqlx::query("UPDATE orders SET paid = true WHERE id = $1")
    ///             .bind(self.order)
    ///             .execute(&mut *transaction)
    ///             .await?;
    ///         let done = Done::with(true).then(Ship { order: self.order }).complete_in(run, &mut transaction).await?;
    ///         transaction.commit().await?;
    ///         Ok(done)
    ///     }
    /// }
    /// ```
    ///
    /// The role of the connection needs the rights of `leasehold_worker`. The transaction must be `READ COMMITTED`. The call waits
    /// while another transaction has locked the row of the job.
    ///
    /// *If the lease was lost*, this is an error, and the transaction must be rolled back.
    ///
    /// *If the transaction is not committed*, although the handler returns success, the run has failed, and the job is tried
    /// again.
    ///
    /// *If the answer to the commit is lost*, the handler does not know whether the transaction is committed, and returns the
    /// error. The worker asks PostgreSQL: if the job has ended, it has succeeded, no matter what the handler returned. Otherwise
    /// the run has failed with the error of the handler, and the writes of the handler do not exist.
    ///
    /// # Errors
    /// The lease is lost, the result or a follow-on job is invalid, or PostgreSQL fails.
    pub async fn complete_in(self, run: &Run, transaction: &mut PgConnection) -> Result<Self, CompleteError> {
        let Self { result, then } = self;
        let json = serde_json::value::to_raw_value(&result)
            .map_err(|error| CompleteError::Invalid(format!("the result cannot be written as JSON: {error}")))?;
        let bytes = json.get().len();
        if bytes > RESULT_MAX_BYTES {
            let wrong = format!("the result is {bytes} bytes long; at most {RESULT_MAX_BYTES} are allowed");
            return Err(CompleteError::Invalid(wrong));
        }
        if is_reserved(json.get()) {
            return Err(CompleteError::Invalid(format!(
                "the result begins with {RESERVED}, which is reserved for encrypted results"
            )));
        }
        let mut jobs = run.take_following();
        for job in then {
            let job = job.map_err(|error| CompleteError::Invalid(format!("a follow-on job is invalid: {error}")))?;
            jobs.push(job);
        }
        check_following(&jobs).map_err(CompleteError::Invalid)?;
        let success = Success { result: Some(json), then: jobs };
        let success = run.encrypted(success).await.map_err(|error| match Error::from(error) {
            Error::Invalid(wrong) => CompleteError::Invalid(wrong.to_string()),
            error => CompleteError::Store(error),
        })?;
        let ended = leasehold_client::Store::complete_in(transaction, run.fence(), &success).await;
        let in_line = ended.map_err(Error::from)?.ok_or(CompleteError::LeaseLost)?;
        run.note_completed(in_line);
        Ok(Self { result, then: Vec::new() })
    }
}
