//! The state machine: the one place that says which transitions are legal.
//!
//! [`Lifecycle::apply`] is pure and exhaustive. PostgreSQL has the authoritative copy, as one conditional statement for
//! each verb. The tests of the store compare each statement with this function.

use crate::id::{Epoch, Fence, JobId, WorkerId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The job waits for other jobs to succeed.
    Blocked,
    /// The job waits for a time.
    Scheduled,
    /// The job is in the line and can be claimed.
    Queued,
    /// A worker has claimed the job and holds it on a lease.
    Running,
    /// The job finished with a result.
    Succeeded,
    /// The job finished without a result: its attempts or crashes are used up, or it can never succeed.
    Dead,
    /// The job finished because of a cancel.
    Cancelled,
}

impl State {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 7] =
        [Self::Blocked, Self::Scheduled, Self::Queued, Self::Running, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// The name used in SQL, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has ended (only an operator can revive it).
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no state; the states are {names}")
        })
    }
}

/// The name of a transition: the same in SQL files, functions, events and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each verb is described at the event of the same name")]
pub enum Verb {
    Enqueue,
    Promote,
    Unblock,
    Claim,
    Renew,
    Complete,
    Retry,
    Snooze,
    Release,
    Expire,
    Bury,
    Cancel,
    Revive,
}

impl Verb {
    /// All verbs, in the order of a job's life.
    pub const ALL: [Self; 13] = [
        Self::Enqueue,
        Self::Promote,
        Self::Unblock,
        Self::Claim,
        Self::Renew,
        Self::Complete,
        Self::Retry,
        Self::Snooze,
        Self::Release,
        Self::Expire,
        Self::Bury,
        Self::Cancel,
        Self::Revive,
    ];

    /// The name used in rows, trails, documents and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Promote => "promote",
            Self::Unblock => "unblock",
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Complete => "complete",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Bury => "bury",
            Self::Cancel => "cancel",
            Self::Revive => "revive",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An event in the life of an existing job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time of a scheduled job has come.
    Promote,
    /// The last job that this job waited for has succeeded.
    Unblock,
    /// A worker claims the job on a lease.
    Claim(WorkerId),
    /// The worker renews its lease.
    Renew(Fence),
    /// The handler returned a result.
    Complete(Fence),
    /// The handler failed, and attempts are left.
    Retry(Fence),
    /// The handler asks to run again later; the attempt is given back.
    Snooze(Fence),
    /// The worker releases the job; the attempt is given back.
    Release(Fence),
    /// The lease ran out: a worker has crashed.
    Expire,
    /// The handler failed for the last time.
    Bury(Fence),
    /// A client wants to stop the job. A running job is flagged; any other live job ends here.
    Cancel,
    /// The worker stopped a run because of a cancel request.
    CancelRun(Fence),
    /// An operator puts a finished job back into the line, with all its attempts.
    Revive,
    /// A job waits for its next attempt, but the time in which attempts may begin has passed.
    GiveUp,
    /// An enqueue with the same unique key changes the waiting job: it is new again, and due now or later.
    Replace {
        /// Whether the job is due.
        is_due: bool,
    },
}

impl Event {
    /// The verb of this event.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Promote => Verb::Promote,
            Self::Unblock => Verb::Unblock,
            Self::Claim(_) => Verb::Claim,
            Self::Renew(_) => Verb::Renew,
            Self::Complete(_) => Verb::Complete,
            Self::Retry(_) => Verb::Retry,
            Self::Snooze(_) => Verb::Snooze,
            Self::Release(_) => Verb::Release,
            Self::Expire => Verb::Expire,
            Self::Bury(_) => Verb::Bury,
            Self::Cancel | Self::CancelRun(_) => Verb::Cancel,
            Self::Revive => Verb::Revive,
            Self::GiveUp => Verb::Bury,
            Self::Replace { .. } => Verb::Enqueue,
        }
    }

    const fn fence(&self) -> Option<Fence> {
        match self {
            Self::Renew(fence)
            | Self::Complete(fence)
            | Self::Retry(fence)
            | Self::Snooze(fence)
            | Self::Release(fence)
            | Self::Bury(fence)
            | Self::CancelRun(fence) => Some(*fence),
            Self::Promote
            | Self::Unblock
            | Self::Claim(_)
            | Self::Expire
            | Self::Cancel
            | Self::Revive
            | Self::GiveUp
            | Self::Replace { .. } => None,
        }
    }
}

/// Why an event changes nothing. A refusal is a normal answer: another process was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The state has no such transition.
    #[error("a job that is {0} cannot {1:?}")]
    State(State, Verb),
    /// The write belongs to an older claim, or to another worker.
    #[error("the lease was lost")]
    StaleFence,
    /// The run must end as cancelled. It may not return to the line.
    #[error("a cancel is wanted")]
    CancelWanted,
    /// There is no cancel request for this run.
    #[error("no cancel is wanted")]
    NoCancelWanted,
    /// No attempt is left for a retry.
    #[error("no attempt is left")]
    NoAttemptLeft,
}

/// Every field of a job that decides about its transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    /// The job.
    pub id: JobId,
    /// The state of the job.
    pub state: State,
    /// The number of claims so far; it never falls.
    pub epoch: Epoch,
    /// The attempts that are spent.
    pub attempt: i32,
    /// The attempts that the job may spend.
    pub max_attempts: i32,
    /// The leases that are lost.
    pub crashes: i16,
    /// The leases that the job may lose before it is dead.
    pub max_crashes: i16,
    /// The worker of the job; set if and only if the job is running.
    pub worker: Option<WorkerId>,
    /// A client requested a cancel while the job was running.
    pub cancel_wanted: bool,
}

impl Lifecycle {
    /// A job that was just enqueued into `state`: blocked, scheduled or queued.
    #[must_use]
    pub const fn new(id: JobId, state: State, max_attempts: i32, max_crashes: i16) -> Self {
        Self {
            id,
            state,
            epoch: 0,
            attempt: 0,
            max_attempts,
            crashes: 0,
            max_crashes,
            worker: None,
            cancel_wanted: false,
        }
    }

    /// The fence of the current run; `None` if the job does not run.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.worker.map(|worker| Fence { id: self.id, epoch: self.epoch, worker })
    }

    /// The job after `event`, or why the event changes nothing.
    ///
    /// # Errors
    /// A [`Refusal`] when the state or the fence forbids it.
    pub fn apply(self, event: Event) -> Result<Self, Refusal> {
        use State::{Blocked, Cancelled, Dead, Queued, Running, Scheduled, Succeeded};
        if let Some(fence) = event.fence() {
            if self.state != Running {
                return Err(Refusal::State(self.state, event.verb()));
            }
            if Some(fence) != self.fence() {
                return Err(Refusal::StaleFence);
            }
        }
        match (self.state, event) {
            (Scheduled, Event::Promote) | (Blocked, Event::Unblock) => Ok(Self { state: Queued, ..self }),
            (Queued, Event::Claim(worker)) => Ok(Self {
                state: Running,
                epoch: self.epoch + 1,
                attempt: self.attempt + 1,
                worker: Some(worker),
                ..self
            }),
            (Running, Event::Renew(_)) => Ok(self),
            (Running, Event::Complete(_)) => Ok(self.ended(Succeeded)),
            (Running, Event::Bury(_)) => Ok(self.ended(Dead)),
            (Running, Event::CancelRun(_)) if self.cancel_wanted => Ok(self.ended(Cancelled)),
            (Running, Event::CancelRun(_)) => Err(Refusal::NoCancelWanted),
            (Running, Event::Retry(_) | Event::Snooze(_) | Event::Release(_)) if self.cancel_wanted => {
                Err(Refusal::CancelWanted)
            }
            (Running, Event::Retry(_)) if self.attempt >= self.max_attempts => Err(Refusal::NoAttemptLeft),
            (Running, Event::Retry(_)) => Ok(Self { state: Scheduled, worker: None, ..self }),
            (Running, Event::Snooze(_)) => Ok(self.with_attempt_back(Scheduled)),
            (Running, Event::Release(_)) => Ok(self.with_attempt_back(Queued)),
            (Running, Event::Expire) => Ok(self.expired()),
            (Running, Event::Cancel) => Ok(Self { cancel_wanted: true, ..self }),
            (Blocked | Scheduled | Queued, Event::Cancel) => Ok(self.ended(Cancelled)),
            (Blocked, Event::Replace { .. }) => Ok(Self { attempt: 0, crashes: 0, ..self }),
            (Scheduled | Queued, Event::GiveUp) => Ok(self.ended(Dead)),
            (Scheduled | Queued, Event::Replace { is_due }) => {
                Ok(Self { state: if is_due { Queued } else { Scheduled }, attempt: 0, crashes: 0, ..self })
            }
            (Succeeded | Dead | Cancelled, Event::Revive) => {
                Ok(Self { epoch: self.epoch, ..Self::new(self.id, Queued, self.max_attempts, self.max_crashes) })
            }
            (state, event) => Err(Refusal::State(state, event.verb())),
        }
    }

    const fn ended(self, state: State) -> Self {
        Self { state, worker: None, cancel_wanted: false, ..self }
    }

    const fn with_attempt_back(self, state: State) -> Self {
        Self { state, attempt: self.attempt - 1, worker: None, ..self }
    }

    /// A lost lease spends an attempt and a crash. If a cancel of the run was requested, the job ends as cancelled.
    const fn expired(self) -> Self {
        let crashed = Self { crashes: self.crashes + 1, ..self };
        if crashed.cancel_wanted {
            crashed.ended(State::Cancelled)
        } else if crashed.crashes >= crashed.max_crashes || crashed.attempt >= crashed.max_attempts {
            crashed.ended(State::Dead)
        } else {
            Self { state: State::Queued, worker: None, ..crashed }
        }
    }
}
