//! Schedules: the due ones, and the transaction that fires them.

use crate::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Missed, QueueName, ScheduleName, State, Timing};
use std::fmt;

/// A schedule whose next tick has come.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct DueSchedule {
    pub name: ScheduleName,
    /// Changes whenever somebody changes the schedule.
    pub revision: i64,
    pub timing: Timing,
    pub missed: Missed,
    pub next_at: DateTime<Utc>,
}

/// The due schedules, and when to look again.
#[derive(Clone, Debug)]
pub struct DueSchedules {
    /// The server's clock, which decides what is due.
    pub now: DateTime<Utc>,
    /// The earliest tick first.
    pub due: Vec<DueSchedule>,
    /// The next tick after `now`; `None`: there is none.
    pub next_due: Option<DateTime<Utc>>,
}

/// The action of a reaper on a due schedule.
#[derive(Clone, Debug)]
pub struct Fire {
    /// The schedule.
    pub name: ScheduleName,
    /// The revision that was read. If somebody has changed the schedule since then, nothing is done.
    pub revision: i64,
    /// The `next_at` that was read. If another reaper has fired the schedule since then, nothing is done.
    pub due_at: DateTime<Utc>,
    /// The ticks that make a job each.
    pub ticks: Vec<DateTime<Utc>>,
    /// The next tick.
    pub next_at: DateTime<Utc>,
    /// Why the row cannot be read, if so. It is kept in the row.
    pub error: Option<String>,
}

/// The result of a fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FireOutcome {
    /// The schedule has moved to its next tick, and its jobs exist.
    Fired(Vec<TickJob>),
    /// Another reaper was first, or somebody has changed the schedule.
    Elsewhere,
    /// An open transaction of another session holds the unique key of the job. Nothing has changed.
    Held,
    /// The job cannot be enqueued, or the row could not be read. The schedule has moved on without a job.
    Refused(String),
}

/// The job of a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns")]
pub struct TickJob {
    pub tick: DateTime<Utc>,
    /// The new job, or the live one that has its unique key.
    pub id: JobId,
    pub inserted: bool,
    pub state: State,
    pub queue: QueueName,
    pub line_at: Option<DateTime<Utc>>,
}

/// The calls of a reaper about schedules.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync {
    /// Up to `limit` schedules whose tick has come: from all schedules, or only from the schedules whose tick was at
    /// or after `since`.
    async fn due_schedules(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<DueSchedules, Error>;

    /// Moves each schedule to its next tick and enqueues its jobs: both, or neither. The answers are in order.
    async fn fire_schedules(&self, fires: &[Fire]) -> Result<Vec<FireOutcome>, Error>;
}
