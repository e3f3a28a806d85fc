//! Reads the line of a queue: its scan starts and its first jobs.

use crate::{claims::Kinds, error::Error, hint::Hint, line_position::LinePosition};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind, QueueName};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A part of a line, in order.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The jobs, the next one first.
    pub hints: Vec<Hint>,
    /// Whether more jobs follow.
    pub more: bool,
    /// The position of the last of these jobs. `None` when there are no jobs, or when somebody set the job's time to
    /// infinity by hand.
    pub last: Option<LinePosition>,
}

impl Line {
    /// The ids, the next job first.
    #[must_use]
    pub fn ids(&self) -> Vec<JobId> {
        self.hints.iter().map(|hint| hint.id).collect()
    }
}

/// A request for the front of one line.
#[derive(Clone, Debug)]
pub struct Front {
    /// The queue.
    pub queue: QueueName,
    /// The stretches of the line to read.
    pub stretches: Vec<Stretch>,
    /// The maximum number of ids.
    pub limit: u32,
}

/// The jobs of one kind in the line of a queue, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The kind of the jobs.
    pub kind: Kind,
    /// No job of the stretch has a lower `line_at`. `None`: not known.
    pub scan_start: Option<DateTime<Utc>>,
}

/// A queue that has jobs in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSummary {
    /// The queue's name.
    pub queue: QueueName,
    /// Whether the queue is paused: no job of the queue is claimed.
    pub paused: bool,
    /// The stretches of the line, by kind.
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

/// The scan starts as the database saw them at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The time of the survey, by the database's clock.
    pub at: DateTime<Utc>,
    /// The queues that have jobs in their line.
    pub lines: Vec<LineSummary>,
    /// No lease ends before this time. `None`: not asked, or not known.
    pub leases_scan_start: Option<DateTime<Utc>>,
    /// No scheduled job is due before this time. `None`: not asked, or not known.
    pub schedule_scan_start: Option<DateTime<Utc>>,
    /// How long the statement ran in the database. The result of a quick survey need not be cached.
    pub took: Duration,
}

/// Reads the lines of queues. Changes nothing.
#[async_trait]
pub trait ReadLine: fmt::Debug + Send + Sync {
    /// The scan starts in the lines of all queues, in the leases and in the scheduled jobs; or only in the line of one
    /// queue.
    async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error>;

    /// The first ids in the lines of some queues, and the same stretches with their current scan starts. Jobs of paused kinds are
    /// left out.
    async fn lines(&self, fronts: &[Front]) -> Result<Vec<(Line, Vec<Stretch>)>, Error>;

    /// The same for one queue.
    async fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> Result<(Line, Vec<Stretch>), Error>;

    /// The ids of a queue's line that come after a position, without jobs of paused kinds.
    async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: &LinePosition,
        limit: i64,
    ) -> Result<Line, Error>;

    /// The paused queues.
    async fn paused(&self) -> Result<Vec<QueueName>, Error>;

    /// The paused kinds of one queue or of all queues, each with its queue.
    async fn paused_kinds(&self, queue: Option<&QueueName>) -> Result<Vec<(QueueName, Kind)>, Error>;
}
