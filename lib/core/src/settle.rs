//! The end of a run, as the worker sends it to the store, and the answer of the store.

use crate::{
    id::Fence,
    job::NewJob,
    limits::{FOLLOWING_MAX, FOLLOWING_MAX_BYTES},
    state::{Event, State, Verb},
};
use serde_json::value::RawValue;
use std::{str::FromStr, time::Duration};

/// The end of a run, to be written.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// The fence of the run.
    pub fence: Fence,
    /// How the run ends.
    pub settle: Settle,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub enum Settle {
    /// The run succeeded, with a result.
    Complete(Option<Box<RawValue>>),
    /// The run succeeded, and other jobs follow from the success: all of this is written in one transaction, or nothing.
    CompleteThen(Box<Success>),
    /// The run failed. The job runs again after the delay; the attempt is spent.
    Retry {
        /// The delay, by the database's clock.
        delay: Duration,
        /// The error.
        error: String,
    },
    /// The job is not at fault. It runs again after the delay; the attempt is given back.
    Snooze {
        /// The delay, by the database's clock.
        delay: Duration,
        /// The reason, if the handler gave one.
        reason: Option<String>,
    },
    /// The job returns to the line immediately; the attempt is given back.
    Release,
    /// The job is dead: it cannot succeed.
    Bury {
        /// The error.
        error: String,
    },
    /// The run was stopped because of a cancel request.
    Cancel,
}

/// A success from which other jobs follow.
#[derive(Clone, Debug, Default)]
pub struct Success {
    /// The result.
    pub result: Option<Box<RawValue>>,
    /// The jobs that follow. Each has its id, so a success that is sent twice makes no job twice.
    pub then: Vec<NewJob>,
}

/// Whether these jobs may follow from one success.
///
/// # Errors
/// There are too many jobs, they are too large together, or one of them is invalid.
pub fn check_following(jobs: &[NewJob]) -> Result<(), String> {
    if jobs.len() > FOLLOWING_MAX {
        return Err(format!("the run has {} follow-on jobs; at most {FOLLOWING_MAX} are allowed", jobs.len()));
    }
    let bytes: usize = jobs.iter().map(|job| job.payload.get().len()).sum();
    if bytes > FOLLOWING_MAX_BYTES {
        return Err(format!(
            "the payloads of the follow-on jobs are {bytes} bytes long together; at most {FOLLOWING_MAX_BYTES} are allowed"
        ));
    }
    jobs.iter().try_for_each(|job| {
        job.validate().map_err(|error| format!("the follow-on job of kind {} is invalid: {error}", job.kind))
    })
}

impl Settle {
    /// The way in which the run ends, without the values.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Complete(_) | Self::CompleteThen(_) => Ending::Complete,
            Self::Retry { .. } => Ending::Retry,
            Self::Snooze { .. } => Ending::Snooze,
            Self::Release => Ending::Release,
            Self::Bury { .. } => Ending::Bury,
            Self::Cancel => Ending::Cancel,
        }
    }
}

/// The ways in which a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described at the settle of the same name")]
pub enum Ending {
    Complete,
    Retry,
    Snooze,
    Release,
    Bury,
    Cancel,
}

impl Ending {
    /// All ways, in the order in which a store writes a batch.
    pub const ALL: [Self; 6] = [Self::Complete, Self::Retry, Self::Snooze, Self::Release, Self::Bury, Self::Cancel];

    /// The verb of the transition.
    #[must_use]
    pub const fn verb(self) -> Verb {
        match self {
            Self::Complete => Verb::Complete,
            Self::Retry => Verb::Retry,
            Self::Snooze => Verb::Snooze,
            Self::Release => Verb::Release,
            Self::Bury => Verb::Bury,
            Self::Cancel => Verb::Cancel,
        }
    }

    /// The event of the state machine.
    #[must_use]
    pub const fn event(self, fence: Fence) -> Event {
        match self {
            Self::Complete => Event::Complete(fence),
            Self::Retry => Event::Retry(fence),
            Self::Snooze => Event::Snooze(fence),
            Self::Release => Event::Release(fence),
            Self::Bury => Event::Bury(fence),
            Self::Cancel => Event::CancelRun(fence),
        }
    }

    /// The final state of the job; `None` when the job continues.
    #[must_use]
    pub const fn final_state(self) -> Option<State> {
        match self {
            Self::Complete => Some(State::Succeeded),
            Self::Bury => Some(State::Dead),
            Self::Cancel => Some(State::Cancelled),
            Self::Retry | Self::Snooze | Self::Release => None,
        }
    }

    /// The word in rows and trails: the name of the verb.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.verb().as_str()
    }
}

impl FromStr for Ending {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|ending| ending.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no way in which a run ends"))
    }
}

/// The answer to a settle. The end of the run is stored only if the answer is [`Settled::Done`] or
/// [`Settled::Already`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This call wrote the end of the run.
    Done,
    /// An earlier call of the same run wrote the end, and its answer was lost.
    Already,
    /// A cancel was requested, so this run can only end as cancelled.
    CancelWanted,
    /// The run still holds its lease, but another transaction has locked the row of the job (an open
    /// `leasehold.cancel`, for example). Nothing was changed: send the same settle again later.
    Locked,
    /// The fence is stale. Nothing was changed; another process decides about the job.
    LeaseLost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{JobId, WorkerId},
        state::Lifecycle,
    };

    #[test]
    fn each_ending_leads_where_the_state_machine_says() {
        let worker = WorkerId::new();
        for ending in Ending::ALL {
            assert_eq!(ending.as_str().parse(), Ok(ending));
            let running = Lifecycle {
                epoch: 1,
                attempt: 1,
                cancel_wanted: ending == Ending::Cancel,
                worker: Some(worker),
                ..Lifecycle::new(JobId::new(), State::Running, 3, 3)
            };
            let event = ending.event(running.fence().expect("it runs"));
            assert_eq!(event.verb(), ending.verb());
            let after = running.apply(event).expect("a run may end like this").state;
            assert_eq!(ending.final_state(), after.is_final().then_some(after), "{ending:?}");
        }
        assert!("renew".parse::<Ending>().is_err());
    }
}
