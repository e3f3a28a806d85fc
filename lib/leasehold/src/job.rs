//! A kind of work as a Rust type.

use leasehold_core::{JobId, Outcome};
use leasehold_worker::{Handler, Run};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error as StdError, fmt, future::Future, hash, marker::PhantomData, pin::Pin, time::Duration};

/// A kind of work: its fields are the payload, [`Job::run`] does it.
///
/// Execution is at least once, so a run must be able to follow one that was cut short. What it does
/// elsewhere can carry [`Run::fence`], by which a run that lost its lease is told from the current one.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind by which workers find the handler. Renaming it orphans the jobs that wait.
    const KIND: &'static str;
    /// What a run returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Does the work.
    ///
    /// # Errors
    /// A [`JobError`] says whether to try again. Any error turned into one by `?` is retried with backoff.
    fn run(self, run: &Run) -> impl Future<Output = Result<Self::Output, JobError>> + Send;
}

/// How a run ends that does not succeed. Deliberately no [`StdError`] itself, so that `?` turns any error
/// into one.
#[derive(Debug)]
pub struct JobError(Ending);

#[derive(Debug)]
enum Ending {
    Failed(String),
    Snooze(Option<Duration>, Option<String>),
    Never(String),
}

impl JobError {
    /// It went wrong; another attempt, with backoff, while attempts are left.
    pub fn failed(error: impl Into<String>) -> Self {
        Self(Ending::Failed(error.into()))
    }

    /// Not the job's fault: again after this time, no attempt spent.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self(Ending::Snooze(Some(delay), None))
    }

    /// As [`JobError::snooze`], with the reason, which is kept on the job's trail.
    pub fn snooze_because(delay: Duration, reason: impl Into<String>) -> Self {
        Self(Ending::Snooze(Some(delay), Some(reason.into())))
    }

    /// It can never succeed: dead at once, whatever attempts are left.
    pub fn never(error: impl Into<String>) -> Self {
        Self(Ending::Never(error.into()))
    }

    fn outcome(self) -> Outcome {
        match self.0 {
            Ending::Failed(error) => Outcome::Failed(error),
            Ending::Snooze(delay, reason) => Outcome::Snoozed(delay, reason),
            Ending::Never(error) => Outcome::Hopeless(error),
        }
    }
}

impl<E: StdError> From<E> for JobError {
    /// Failed, with the texts of the error and of everything below it.
    fn from(error: E) -> Self {
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
pub(crate) struct Typed<J>(PhantomData<fn() -> J>);

impl<J> Typed<J> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<J: Job> Handler for Typed<J> {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let job: J = match serde_json::from_str(run.job().payload.get()) {
                Ok(job) => job,
                // Not hopeless: while versions are mixed, a newer worker may understand it.
                Err(error) => return Outcome::Failed(format!("the payload is not what {} takes: {error}", J::KIND)),
            };
            match job.run(&run).await {
                Err(error) => error.outcome(),
                Ok(output) => match serde_json::value::to_raw_value(&output) {
                    Ok(result) => Outcome::Succeeded(Some(result)),
                    Err(error) => Outcome::Hopeless(format!("the result cannot be written as JSON: {error}")),
                },
            }
        })
    }
}

/// The id of a job whose type is known, so that its result can be read.
pub struct Id<J> {
    id: JobId,
    job: PhantomData<fn() -> J>,
}

impl<J> Id<J> {
    /// Says that the job of this id is of this type.
    #[must_use]
    pub const fn new(id: JobId) -> Self {
        Self { id, job: PhantomData }
    }

    /// The id alone.
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
