//! The heads of all queues, as a reaper looks at them and puts them right.

use crate::{error::Error, filling::Swept};
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use serde::Serialize;
use std::{fmt, time::Duration};

/// One queue as Redis has it, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeadStats {
    /// Hints that wait for any worker.
    pub ready: u64,
    /// Hints that a blocking take has moved and no lease covers yet.
    pub claimed: u64,
    /// Ids with a deadline.
    pub leased: u64,
    /// Ids known as waiting: as many as there are in `ready`, `claimed` and aside together.
    pub waiting_members: u64,
    /// Hints that wait for workers of their kind.
    pub aside: u64,
    /// Redis keeps no hints of this queue.
    pub paused: bool,
    /// The line is longer than what Redis holds of it.
    pub overflow: bool,
    /// Ids whose deadline has passed; only [`LookAtHeads::look`] counts them.
    #[serde(skip)]
    pub overdue: u64,
}

/// How Redis holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Waits in a list, or should.
    Waiting,
    /// Leased; ms left, negative once the lease has run out.
    Leased {
        /// Milliseconds until the deadline, on the clock of Redis.
        ms_left: i64,
    },
}

/// Something in a queue's keys that is no job id, or no kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// The key it was found in.
    pub key: String,
    /// Byte for byte, as [`HintLeases::forget`](crate::HintLeases::forget) takes it.
    pub member: Vec<u8>,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", String::from_utf8_lossy(&self.member), self.key)
    }
}

/// One queue, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The head, next one first.
    pub ready: Vec<JobId>,
    /// Taken by a blocking take, and not leased yet.
    pub claimed: Vec<JobId>,
    /// Set aside, by kind.
    pub aside: Vec<(Kind, Vec<JobId>)>,
    /// Every id that Redis knows, with how it holds it.
    pub held: Vec<(JobId, Held)>,
    /// Redis keeps no hints of this queue.
    pub paused: bool,
    /// The line is longer than what Redis holds of it.
    pub overflow: bool,
    /// What does not belong here.
    pub strays: Vec<Stray>,
}

/// What a push did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Put into the head.
    pub pushed: u32,
    /// There already.
    pub doubles: u32,
    /// Not kept in Redis for want of room, or taken from the end of the head to make some. The line has them, and a fill
    /// brings them back. Behind a head that overflows all hints count as this, without a look at which are there.
    pub overflowed: u32,
    /// The queue is paused: Redis keeps no hints of it.
    pub paused: bool,
}

/// Looks at heads. Changes nothing but the list of noted queues.
#[async_trait]
pub trait LookAtHeads: fmt::Debug + Send + Sync {
    /// Every queue that has, or had, keys.
    async fn noted_queues(&self) -> Result<Vec<QueueName>, Error>;

    /// Takes the note of queues without keys away.
    async fn unnote(&self, queues: &[QueueName]) -> Result<(), Error>;

    /// Some queues in numbers; `None` of those without keys.
    async fn look(&self, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error>;

    /// One queue, whole.
    async fn snapshot(&self, queue: &QueueName) -> Result<Snapshot, Error>;

    /// Whether Redis holds a hint of each of these.
    async fn holds_all(&self, queue: &QueueName, ids: &[JobId]) -> Result<bool, Error>;
}

/// Puts heads right.
#[async_trait]
pub trait RepairHead: fmt::Debug + Send + Sync {
    /// Hints for jobs just put into the line; `front` puts them before the others.
    async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> Result<Pushed, Error>;

    /// Gives short leases to what lies in `claimed` without one: how many hints that were.
    async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error>;

    /// Ids whose lease ran out, the first one first.
    async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error>;

    /// Makes the lists of a queue and its set of waiting hints agree.
    async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error>;

    /// Takes the hints of a queue away and refuses new ones.
    async fn pause(&self, queue: &QueueName) -> Result<(), Error>;

    /// Ends a pause.
    async fn resume(&self, queue: &QueueName) -> Result<(), Error>;
}
