//! A kind of work as a Rust type.

use crate::{Done, JobOutput, done::CompleteError};
use leasehold_core::{Backoff, Encryption, JobId, MAX_ATTEMPTS_DEFAULT, Outcome, Retry, Unique};
use leasehold_worker::{Handler, MissingState, Run};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    error::Error as StdError, fmt, future::Future, hash, marker::PhantomData, pin::Pin, sync::OnceLock, time::Duration,
};

/// A kind of work: its fields are the payload, [`Job::run`] does the work.
///
/// Execution is at least once: a job may run again after a run that was cut short. Pass [`Run::fence`] to every system
/// with side effects, so that the system can tell a run that lost its lease from the current run.
///
/// ```
/// use leasehold::{Job, JobError, Run};
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Serialize, Deserialize)]
/// struct Resize { path: String, width: u32 }
///
/// impl Job for Resize {
///     const KIND: &'static str = "resize";
///     const QUEUE: &'static str = "images";
///     const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
///     type Output = String;
///
///     async fn run(self, run: &Run) -> Result<String, JobError> {
///         if self.width == 0 {
///             return Err(JobError::never("the width is 0"));
///         }
///         Ok(format!("{}.{}px.{}", self.path, self.width, run.fence().epoch))
///     }
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind by which workers find the handler. After a renaming no worker runs the jobs that wait.
    const KIND: &'static str;
    /// The queue of these jobs, unless [`Enqueue::queue`](crate::Draft::queue) names another.
    const QUEUE: &'static str = "default";
    /// The priority of these jobs, unless [`Enqueue::priority`](crate::Draft::priority) says otherwise.
    const PRIORITY: i16 = 0;
    /// The attempts of these jobs, unless [`Enqueue::max_attempts`](crate::Draft::max_attempts) says otherwise.
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS_DEFAULT;
    /// How long one run may take, unless [`Enqueue::timeout`](crate::Draft::timeout) says otherwise; `None` means no
    /// limit.
    const TIMEOUT: Option<Duration> = None;
    /// The delays between attempts, as the worker of this version has them; `None` takes `worker.backoff_base_ms` and
    /// `worker.backoff_cap_ms`.
    const BACKOFF: Option<Backoff> = None;
    /// How these jobs are tried again, unless [`Enqueue::retry`](crate::Draft::retry) says otherwise. Each job keeps the
    /// policy with which it was enqueued. Fields that are left out come from [`Job::BACKOFF`].
    const RETRY: Option<Retry> = None;
    /// These jobs are cancelled if they have not begun within this time, unless
    /// [`Enqueue::expires_in`](crate::Draft::expires_in) says otherwise.
    const EXPIRES_IN: Option<Duration> = None;
    /// What a run returns: the result, or [`Done`] with the result if other jobs follow from a success.
    type Output: JobOutput;

    /// How the job is unique, unless [`Enqueue::unique`](crate::Draft::unique) says otherwise. The key is made of fields or of
    /// the whole payload, or given by [`Enqueue::unique_key`](crate::Draft::unique_key).
    ///
    /// ```
    /// # use leasehold::{Job, JobError, Run, Unique};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// struct Index { document: u64 }
    ///
    /// impl Job for Index {
    ///     const KIND: &'static str = "index";
    ///     type Output = ();
    ///
    ///     // At most one job for each document waits, also while another one for the same document runs.
    ///     fn unique(&self) -> Option<Unique> {
    ///         Some(Unique::keep_last().fields(["document"]))
    ///     }
    ///
    ///     async fn run(self, _: &Run) -> Result<(), JobError> {
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// Does the work.
    ///
    /// # Errors
    /// A [`JobError`] says whether to try again. Any error turned into one by `?` is retried with backoff.
    fn run(self, run: &Run) -> impl Future<Output = Result<Self::Output, JobError>> + Send;
}

/// How a run ends that does not succeed. `?` turns any error into a [`JobError`] that is retried; for this reason
/// [`JobError`] itself is no [`StdError`].
///
/// ```
/// # use leasehold::JobError;
/// # use std::time::Duration;
/// fn parsed(status: u16, body: &str) -> Result<u64, JobError> {
///     match status {
///         200 => Ok(body.parse()?),
///         404 => Err(JobError::never("the server does not know the file")),
///         429 => Err(JobError::snooze(Duration::from_secs(30))),
///         _ => Err(JobError::failed(format!("the server answers {status}"))),
///     }
/// }
/// # assert_eq!(parsed(200, "7").ok(), Some(7));
/// # assert!(parsed(200, "x").is_err());
/// ```
#[derive(Debug)]
pub struct JobError(Ending);

#[derive(Debug)]
enum Ending {
    Failed(String),
    Snooze(Option<Duration>, Option<String>),
    Never(String),
    /// The worker has no state of a type that the handler asks for.
    Lacking(String),
}

impl JobError {
    /// The run failed: another attempt after a backoff, while attempts are left.
    ///
    /// ```
    /// # use leasehold::JobError;
    /// # fn doc(status: u16) -> Result<(), JobError> {
    /// return Err(JobError::failed(format!("the server answers {status}")));
    /// # }
    /// ```
    pub fn failed(error: impl Into<String>) -> Self {
        Self(Ending::Failed(error.into()))
    }

    /// The job is not at fault: run it again after this delay, without spending an attempt.
    ///
    /// ```
    /// # use leasehold::JobError;
    /// # fn doc() -> Result<(), JobError> {
    /// return Err(JobError::snooze(std::time::Duration::from_secs(30)));
    /// # }
    /// ```
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self(Ending::Snooze(Some(delay), None))
    }

    /// As [`JobError::snooze`], with a reason for the job's trail.
    ///
    /// ```
    /// # use leasehold::JobError;
    /// # fn doc() -> Result<(), JobError> {
    /// let an_hour = std::time::Duration::from_secs(3600);
    /// return Err(JobError::snooze_because(an_hour, "the partner is closed at night"));
    /// # }
    /// ```
    pub fn snooze_because(delay: Duration, reason: impl Into<String>) -> Self {
        Self(Ending::Snooze(Some(delay), Some(reason.into())))
    }

    /// The job can never succeed: it is dead immediately, even if attempts are left.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// // `Resize::run` returns `JobError::never("the width is 0")`.
    /// let id = client.enqueue(Resize { path: "a.png".into(), width: 0 }).send().await?;
    /// assert_eq!(queue.drain(worker()).await?.buried, 1);
    /// assert_eq!(client.job(id).await?.map(|job| job.state), Some(State::Dead));
    /// # Ok(()) });
    /// ```
    pub fn never(error: impl Into<String>) -> Self {
        Self(Ending::Never(error.into()))
    }

    fn outcome(self) -> Outcome {
        match self.0 {
            Ending::Failed(error) => Outcome::Failed(error),
            Ending::Snooze(delay, reason) => Outcome::Snoozed(delay, reason),
            Ending::Never(error) => Outcome::Hopeless(error),
            Ending::Lacking(what) => Outcome::Lacking(what),
        }
    }
}

impl<E: StdError + 'static> From<E> for JobError {
    /// The run failed, with the texts of the error and of all its sources. If [`Run::state`] failed, the worker is at
    /// fault and not the job: the job goes back into the line without spending an attempt, and the worker reports that
    /// it is not ready.
    fn from(error: E) -> Self {
        let top: &(dyn StdError + 'static) = &error;
        if top.is::<MissingState>() {
            return Self(Ending::Lacking(error.to_string()));
        }
        if let Some(CompleteError::Invalid(wrong)) = top.downcast_ref() {
            return Self::never(wrong);
        }
        let mut text = error.to_string();
        let mut below = error.source();
        while let Some(source) = below {
            text.push_str(": ");
            text.push_str(&source.to_string());
            below = source.source();
        }
        Self::failed(text)
    }
}

/// Runs the jobs of one type.
pub(crate) struct Typed<J> {
    /// Why no job of this type can run here. The state of a worker never changes, so one run shows this for all runs.
    lack: OnceLock<String>,
    job: PhantomData<fn() -> J>,
}

impl<J> Typed<J> {
    pub(crate) const fn new() -> Self {
        Self { lack: OnceLock::new(), job: PhantomData }
    }
}

impl<J: Job> Handler for Typed<J> {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let job: J = match serde_json::from_str(run.job().payload.get()) {
                Ok(job) => job,
                // The job is not dead immediately: during a rollout, a newer worker may understand the payload.
                Err(error) => return Outcome::Failed(not_taken(&run, J::KIND, &error)),
            };
            match job.run(&run).await {
                Err(JobError(Ending::Lacking(what))) => {
                    self.lack.get_or_init(|| what.clone());
                    Outcome::Lacking(what)
                }
                Err(error) => error.outcome(),
                Ok(output) => succeeded(&run, output),
            }
        })
    }

    fn backoff(&self) -> Option<Backoff> {
        J::BACKOFF
    }

    fn lack(&self) -> Option<String> {
        self.lack.get().cloned()
    }
}

/// The error of a payload that a type does not take. The reason may quote the payload, and an error is not encrypted.
fn not_taken(run: &Run, kind: &str, error: &serde_json::Error) -> String {
    match run.job().encryption {
        Encryption::Plain => format!("the payload is not what {kind} takes: {error}"),
        _ => format!(
            "the payload is not what {kind} takes (line {}, column {}); the payload is encrypted, so the reason is left out",
            error.line(),
            error.column()
        ),
    }
}

fn succeeded(run: &Run, output: impl JobOutput) -> Outcome {
    let Done { result, then } = output.into_done();
    for job in then {
        match job {
            Ok(job) => run.then(job),
            Err(error) => return Outcome::Hopeless(format!("a follow-on job is invalid: {error}")),
        }
    }
    match serde_json::value::to_raw_value(&result) {
        Ok(result) => Outcome::Succeeded(Some(result)),
        Err(error) => Outcome::Hopeless(format!("the result cannot be written as JSON: {error}")),
    }
}

/// The id of a job whose type is known, so that its result can be read.
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # in_memory(async |queue, client| {
/// let id: Id<Resize> = client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
/// let text = id.to_string();
/// // Later, in another process:
/// let id = Id::<Resize>::new(text.parse()?);
/// queue.drain(worker()).await?;
/// assert_eq!(client.wait(id, Duration::ZERO).await?, "160px.a.png");
/// # Ok(()) });
/// ```
pub struct Id<J> {
    id: JobId,
    job: PhantomData<fn() -> J>,
}

impl<J> Id<J> {
    /// Says that the job of this id is of this type.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let id = JobId::new();
    /// assert_eq!(Id::<Resize>::new(id).get(), id);
    /// ```
    #[must_use]
    pub const fn new(id: JobId) -> Self {
        Self { id, job: PhantomData }
    }

    /// The id alone: see [`Id::new`].
    #[must_use]
    pub const fn get(self) -> JobId {
        self.id
    }
}

impl<J> Clone for Id<J> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<J> Copy for Id<J> {}

impl<J> PartialEq for Id<J> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<J> Eq for Id<J> {}

impl<J> hash::Hash for Id<J> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<J> fmt::Debug for Id<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<J> fmt::Display for Id<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<J> From<Id<J>> for JobId {
    fn from(id: Id<J>) -> Self {
        id.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_what_lies_below_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot resize")]
        struct Above(#[source] std::num::ParseIntError);
        let below = "x".parse::<i32>().expect_err("no number");
        let error = JobError::from(Above(below));
        assert!(
            matches!(error.outcome(), Outcome::Failed(text) if text == "cannot resize: invalid digit found in string")
        );
    }
}
