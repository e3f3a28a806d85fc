//! Filling the head of a queue from the front of its line.

use crate::{
    error::Error,
    hint::Hint,
    repairs::{HeadStats, Swept},
};
use async_trait::async_trait;
use leasehold_core::{Kind, QueueName};
use serde::Serialize;
use std::{fmt, time::Duration};

/// For how long after a fill a head is only extended. If no reaper runs, a job whose hint was lost or never pushed may
/// wait this long. A reaper checks the front of each line at every tick.
pub const EXTEND_FOR: Duration = Duration::from_secs(1);

/// A request to fill a head.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The queue.
    pub queue: QueueName,
    /// The number of the reading in which the front was read; `None` if nothing can have come into the line since.
    pub reading: Option<u64>,
    /// The front of the queue's line, in order.
    pub hints: Vec<Hint>,
    /// Whether the line continues behind these ids.
    pub more: bool,
    /// The position of the last id in the line, in a format of the caller. Kept for [`EXTEND_FOR`]: until then an
    /// extension may continue from there.
    pub to: Option<String>,
}

/// The result of a fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// Hints put into the head.
    pub pushed: u32,
    /// Hints that were already waiting or leased.
    pub held: u32,
    /// Repairs that were needed before the fill; all zero in a healthy system.
    pub swept: Swept,
}

/// How far a head reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many hints wait for any worker.
    pub ready: u32,
    /// The position in the line up to which the head was filled, in the format of the caller that filled it; only if
    /// the fill was less than [`EXTEND_FOR`] ago.
    pub filled_to: Option<String>,
    /// The scan start of the line in PostgreSQL, in the format of the caller that surveyed it; only if the survey took
    /// long enough to be shared.
    pub scan_start: Option<String>,
}

/// The result of an extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Hints put behind the others.
    pub pushed: u32,
    /// Hints that were already waiting or leased.
    pub held: u32,
    /// Nothing was done, and a fill is needed: the head was filled up to another position in the meantime, or too long
    /// ago; an id belongs before a waiting hint; or the queue is paused.
    pub changed: bool,
}

/// The kinds of a queue that live workers serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// No worker has announced itself for this queue, so the kinds are unknown.
    Unknown,
    /// Some worker serves every kind.
    Every,
    /// Only these kinds are served.
    Only(Vec<Kind>),
}

/// Fills heads.
#[async_trait]
pub trait FillHead: fmt::Debug + Send + Sync {
    /// The maximum number of hints in the head of a queue.
    fn head_max(&self) -> u32;

    /// The kinds of a queue that live workers serve.
    async fn served_kinds(&self, queue: &QueueName) -> Result<Served, Error>;

    /// The kinds that are set aside, the number of their hints, and whether this number is the maximum.
    async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error>;

    /// For some queues: the served kinds, and the kinds whose aside lists are full.
    async fn served_in(&self, queues: &[QueueName]) -> Result<Vec<(Served, Vec<Kind>)>, Error>;

    /// The length of the head, the position up to which it was filled, and the scan start of its line.
    async fn tail(&self, queue: &QueueName) -> Result<Tail, Error>;

    /// Begins to read the lines of some queues for fills; the numbers of these readings. Must come before the reading.
    /// Until the fills are done, the heads remember which positions they refuse: a fill may not know the jobs of hints that
    /// come after the reading.
    async fn begin_readings(&self, queues: &[QueueName]) -> Result<Vec<u64>, Error>;

    /// Makes heads match the fronts of their lines.
    async fn fill_all(&self, fills: &[Fill]) -> Result<Vec<Filled>, Error>;

    /// Appends hints to a head that was filled up to `from`. It then is filled up to `to`.
    async fn extend(
        &self,
        queue: &QueueName,
        reading: u64,
        from: &str,
        to: &str,
        hints: &[Hint],
    ) -> Result<Extended, Error>;

    /// Shares the scan start of the line. `kept_for`: for how long; `None`: for the remaining time of the earlier scan
    /// start.
    async fn keep_scan_start(
        &self,
        queue: &QueueName,
        scan_start: &str,
        kept_for: Option<Duration>,
    ) -> Result<(), Error>;

    /// Takes the lock that lets one worker at a time fill a head. Returns whether the lock was free.
    async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> Result<bool, Error>;

    /// Releases this lock.
    async fn unlock_fill(&self, queue: &QueueName) -> Result<(), Error>;

    /// The numbers of one queue.
    async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error>;
}
