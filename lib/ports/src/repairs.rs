//! The heads of all queues: how a reaper inspects and repairs them.

use crate::{error::Error, hint::Hint};
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use serde::Serialize;
use std::{fmt, time::Duration};

/// One queue in Redis, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeadStats {
    /// Hints that wait for any worker.
    pub ready: u64,
    /// Hints that a blocking take has moved and that have no lease yet.
    pub claimed: u64,
    /// Leased ids.
    pub leased: u64,
    /// Ids in the set of waiting hints: as many as `ready`, `claimed` and the aside lists contain together.
    pub waiting_members: u64,
    /// Hints that wait for workers that serve their kind.
    pub aside: u64,
    /// The queue is paused: Redis keeps no hints of it.
    pub paused: bool,
    /// The line is longer than the part of it in Redis.
    pub overflow: bool,
    /// Leased ids whose lease ran out; only [`LookAtHeads::look`] counts them.
    #[serde(skip)]
    pub overdue: u64,
}

/// The repairs of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Waiting hints that were in no list.
    pub orphans: u32,
    /// Hints in a list that were not in the set of waiting hints.
    pub readmitted: u32,
    /// Duplicates and leased jobs in a list.
    pub dropped: u32,
}

/// How Redis holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The id waits in a list, or should.
    Waiting,
    /// The id is leased.
    Leased {
        /// The rest of the lease in ms, by the clock of Redis; negative after the lease has run out.
        ms_left: i64,
    },
}

/// A member of a queue's keys that should be a job id or a kind but is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// The key that contains the member.
    pub key: String,
    /// The member byte for byte, in the form for [`HintLeases::forget`](crate::HintLeases::forget).
    pub member: Vec<u8>,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", String::from_utf8_lossy(&self.member), self.key)
    }
}

/// The whole content of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The head, the next hint first.
    pub ready: Vec<JobId>,
    /// Hints that a blocking take has moved and that have no lease yet.
    pub claimed: Vec<JobId>,
    /// Hints that are set aside, by kind.
    pub aside: Vec<(Kind, Vec<JobId>)>,
    /// Every id that Redis knows, and how Redis holds it.
    pub held: Vec<(JobId, Held)>,
    /// The queue is paused: Redis keeps no hints of it.
    pub paused: bool,
    /// The line is longer than the part of it in Redis.
    pub overflow: bool,
    /// Members that do not belong here.
    pub strays: Vec<Stray>,
}

/// The result of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Hints put into the head.
    pub pushed: u32,
    /// Hints that were already there.
    pub doubles: u32,
    /// Hints that were not kept in Redis because the head does not reach their position, or that were removed from the
    /// end of the head to make room. Their jobs are in the line, and a fill brings the hints back. If no hint can be
    /// kept, all of them count here, even those that are already there.
    pub overflowed: u32,
    /// The queue is paused: Redis keeps no hints of it.
    pub paused: bool,
}

/// How Redis holds the front of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontHeld {
    /// The jobs without a hint.
    pub missing: Vec<JobId>,
    /// Each hint that waits has the position of its job, and the hints wait in the order of these positions.
    pub in_order: bool,
}

/// Inspects heads. Changes only the list of noted queues.
#[async_trait]
pub trait LookAtHeads: fmt::Debug + Send + Sync {
    /// Every queue that has keys or once had keys.
    async fn noted_queues(&self) -> Result<Vec<QueueName>, Error>;

    /// Removes queues without keys from the list of noted queues.
    async fn unnote(&self, queues: &[QueueName]) -> Result<(), Error>;

    /// Numbers of some queues; `None` for queues without keys.
    async fn look(&self, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error>;

    /// The whole content of one queue.
    async fn snapshot(&self, queue: &QueueName) -> Result<Snapshot, Error>;

    /// How Redis holds the front of a line.
    async fn compare(&self, queue: &QueueName, front: &[Hint]) -> Result<FrontHeld, Error>;
}

/// Brings new hints into heads.
#[async_trait]
pub trait PushHints: fmt::Debug + Send + Sync {
    /// Pushes hints for jobs that were just put into the line, each to its position. The hints are in the order of the line.
    async fn push(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error>;
}

/// Repairs heads.
#[async_trait]
pub trait RepairHead: PushHints {
    /// Moves the hints of jobs whose position in the line was changed, each to its new position. A hint that is not there is
    /// pushed. A hint that a worker has taken stays with the worker.
    async fn place(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error>;

    /// Gives short leases to hints in `claimed` that have none. Returns the number of these hints.
    async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error>;

    /// Ids whose lease ran out, ordered by its end.
    async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error>;

    /// Makes the lists of a queue and its set of waiting hints agree.
    async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error>;

    /// Removes all waiting hints of a queue, because the order of its line has changed. The next fill pushes the front of the
    /// line.
    async fn clear(&self, queue: &QueueName) -> Result<(), Error>;

    /// Removes the hints of a queue and refuses new ones.
    async fn pause(&self, queue: &QueueName) -> Result<(), Error>;

    /// Ends a pause.
    async fn resume(&self, queue: &QueueName) -> Result<(), Error>;
}
