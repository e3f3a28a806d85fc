//! Filling the head of a queue from the front of its line.

use crate::{error::Error, repairs::HeadStats};
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use serde::Serialize;
use std::{fmt, time::Duration};

/// How long after a fill a head is extended only. For this long a job may wait whose hint was lost or never pushed, if no
/// reaper comes by: a reaper looks at the front of each line at every tick.
pub const EXTEND_FOR: Duration = Duration::from_secs(1);

/// What a head is to be filled with.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The queue.
    pub queue: QueueName,
    /// The front of its line, in order.
    pub ids: Vec<JobId>,
    /// Whether the line goes on behind them.
    pub more: bool,
    /// The place in the line of the last id, in the words of the caller. Kept for [`EXTEND_FOR`]: until then an extension may
    /// go on from there.
    pub to: Option<String>,
}

/// What a fill did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// Put into the head.
    pub pushed: u32,
    /// Waiting or leased there already.
    pub held: u32,
    /// What had to be put right before; all zero in a healthy system.
    pub swept: Swept,
}

/// What a sweep put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Waited in no list.
    pub orphans: u32,
    /// In a list, and not known as waiting.
    pub readmitted: u32,
    /// Second mentions, and leased jobs, in a list.
    pub dropped: u32,
}

/// How far a head goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many hints wait for any worker.
    pub ready: u32,
    /// The place in the line up to which the head was filled, in the words of whoever filled it; less than [`EXTEND_FOR`] ago.
    pub filled_to: Option<String>,
    /// Where the line begins in PostgreSQL, in the words of whoever surveyed it; only if the survey took long enough to be
    /// shared.
    pub scan_start: Option<String>,
}

/// What an extension did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Put behind the others.
    pub pushed: u32,
    /// Waiting or leased there already.
    pub held: u32,
    /// By now the head was filled up to another place, or too long ago, or the queue is paused: nothing was done.
    pub changed: bool,
}

/// Which kinds of a queue the living workers serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// No worker has announced itself for this queue: nothing is known.
    Unknown,
    /// Some worker takes every kind.
    Every,
    /// Only these.
    Only(Vec<Kind>),
}

/// Fills heads.
#[async_trait]
pub trait FillHead: fmt::Debug + Send + Sync {
    /// The most hints that the head of one queue may hold.
    fn head_max(&self) -> u32;

    /// Which kinds of a queue the living workers serve.
    async fn served_kinds(&self, queue: &QueueName) -> Result<Served, Error>;

    /// The kinds set aside, with how many hints, and whether that is as many as are kept.
    async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error>;

    /// Which kinds of some queues are served, and the kinds of which no more hints are kept aside.
    async fn served_in(&self, queues: &[QueueName]) -> Result<Vec<(Served, Vec<Kind>)>, Error>;

    /// How long the head is, up to where it was filled, and where its line begins.
    async fn tail(&self, queue: &QueueName) -> Result<Tail, Error>;

    /// Makes heads match the fronts of their lines.
    async fn fill_all(&self, fills: &[Fill]) -> Result<Vec<Filled>, Error>;

    /// Appends `ids` to a head that was filled up to `from`; it is filled up to `to` then.
    async fn extend(&self, queue: &QueueName, from: &str, to: &str, ids: &[JobId]) -> Result<Extended, Error>;

    /// Tells others where the line begins. `kept_for`: how long that holds; `None`: as long as what was told before.
    async fn keep_scan_start(
        &self,
        queue: &QueueName,
        scan_start: &str,
        kept_for: Option<Duration>,
    ) -> Result<(), Error>;

    /// Takes the lock under which one worker at a time fills a head: whether it was free.
    async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> Result<bool, Error>;

    /// Gives that lock back.
    async fn unlock_fill(&self, queue: &QueueName) -> Result<(), Error>;

    /// One queue in numbers.
    async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error>;
}
