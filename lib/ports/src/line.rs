//! Reading the line of a queue: where its jobs begin, and which come first.

use crate::{claims::Kinds, error::Error, line_position::LinePosition};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind, QueueName};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A part of a line, in order.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The ids, next one first.
    pub ids: Vec<JobId>,
    /// Whether there are more behind them.
    pub more: bool,
    /// The place of the last of them. `None` of no ids, and of a job that was given a time without end by hand.
    pub last: Option<LinePosition>,
}

/// What is asked of one line.
#[derive(Clone, Debug)]
pub struct Front {
    /// The queue.
    pub queue: QueueName,
    /// The stretches of it that are wanted.
    pub stretches: Vec<Stretch>,
    /// The most ids that are wanted.
    pub limit: u32,
}

/// The jobs of one kind in the line of a queue, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Their kind.
    pub kind: Kind,
    /// No job of this kind has a lower `line_at`. `None`: not known.
    pub scan_start: Option<DateTime<Utc>>,
}

/// A queue that has jobs in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSummary {
    /// Its name.
    pub queue: QueueName,
    /// Whether nothing of it is claimed.
    pub paused: bool,
    /// The parts of the line, by kind.
    pub stretches: Vec<Stretch>,
}

impl LineSummary {
    /// The kinds in the line, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.stretches.iter().map(|stretch| stretch.kind.clone()).collect();
        kinds.dedup();
        kinds
    }
}

/// Where the live jobs begin, as the database saw it at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// That time, by the clock of the database.
    pub at: DateTime<Utc>,
    /// The queues that have jobs in their line.
    pub lines: Vec<LineSummary>,
    /// No lease ends earlier. `None`: not asked, or not known.
    pub leases_scan_start: Option<DateTime<Utc>>,
    /// No scheduled job is due earlier. `None`: not asked, or not known.
    pub schedule_scan_start: Option<DateTime<Utc>>,
    /// How long the database took. A survey that is quick is made again, and its result need not be remembered.
    pub took: Duration,
}

/// Reads the lines of queues. Changes nothing.
#[async_trait]
pub trait ReadLine: fmt::Debug + Send + Sync {
    /// Where the live jobs begin: in the lines of all queues, in the leases and in what is scheduled; or in the line of one
    /// queue only.
    async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error>;

    /// The first ids of the lines of some queues; and the same stretches, with where they begin by now.
    async fn lines(&self, fronts: &[Front]) -> Result<Vec<(Line, Vec<Stretch>)>, Error>;

    /// The same of one queue.
    async fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> Result<(Line, Vec<Stretch>), Error>;

    /// The ids of a queue's line behind a place in it.
    async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: &LinePosition,
        limit: i64,
    ) -> Result<Line, Error>;

    /// The queues of which nothing is claimed.
    async fn paused(&self) -> Result<Vec<QueueName>, Error>;
}
