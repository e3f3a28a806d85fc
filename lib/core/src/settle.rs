//! What ends a run, as it is sent to the store, and what the store answers.

use crate::{
    id::Fence,
    state::{Event, State, Verb},
};
use serde_json::value::RawValue;
use std::{str::FromStr, time::Duration};

/// How a run ends.
#[derive(Clone, Debug)]
pub enum Settle {
    /// Succeeded, with a result.
    Complete(Option<Box<RawValue>>),
    /// Failed; again after the delay, the attempt spent.
    Retry {
        /// How long to wait, on the database's clock.
        delay: Duration,
        /// What went wrong.
        error: String,
    },
    /// Not the job's fault; again after the delay, the attempt given back.
    Snooze {
        /// How long to wait, on the database's clock.
        delay: Duration,
        /// Why, if the handler said.
        reason: Option<String>,
    },
    /// Back to the line at once, the attempt given back.
    Release,
    /// Dead: it cannot succeed.
    Bury {
        /// What went wrong.
        error: String,
    },
    /// Stopped because a cancel was wanted.
    Cancel,
}

impl Settle {
    /// The way in which the run ends, without the values that go with it.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Complete(_) => Ending::Complete,
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
    /// All of them, in the order in which a store writes a batch.
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

    /// The event that the state machine knows.
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

    /// The state in which the job ends; `None` when the job goes on.
    #[must_use]
    pub const fn final_state(self) -> Option<State> {
        match self {
            Self::Complete => Some(State::Succeeded),
            Self::Bury => Some(State::Dead),
            Self::Cancel => Some(State::Cancelled),
            Self::Retry | Self::Snooze | Self::Release => None,
        }
    }

    /// The word in rows and trails: that of the verb.
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

/// What became of a settle. Only [`Settled::Done`] and [`Settled::Already`] mean that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Written now.
    Done,
    /// It was so already, written by this very run: an earlier answer was lost on its way.
    Already,
    /// The run goes nowhere but to cancelled: a cancel is wanted.
    CancelWanted,
    /// The run stands, but another transaction holds a lock on the job's row (an open `leasehold.cancel`, say). Nothing was
    /// changed: send the same settle again later.
    Locked,
    /// The fence is stale. Nothing was changed, and somebody else decides about the job.
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
