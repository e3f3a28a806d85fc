//! survey: where the live jobs begin. Index scans start there. Otherwise they would read all dead index entries first,
//! and PostgreSQL must keep dead entries for as long as a transaction is open.

use crate::{connect::Store, error::Error, row::word};
use chrono::{DateTime, Utc};
use leasehold_core::{Kind, QueueName};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

/// The scan starts as PostgreSQL saw them at one time.
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
    /// How long the statement ran in PostgreSQL. The result of a quick survey need not be cached.
    pub took: Duration,
}

/// A queue that has jobs in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSummary {
    /// The queue's name.
    pub queue: QueueName,
    /// Whether the queue is paused: no job of it is claimed.
    pub paused: bool,
    /// The stretches of the line, by kind, then by priority, the highest first.
    pub stretches: Vec<Stretch>,
}

/// The jobs of one kind and one priority in the line of a queue, in the order of their `run_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The kind of the jobs.
    pub kind: Kind,
    /// The priority of the jobs.
    pub priority: i16,
    /// No job of the stretch has an earlier `run_at`. `None`: not known.
    pub scan_start: Option<DateTime<Utc>>,
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

impl Store {
    /// The scan starts in the lines of all queues, in the leases and in the scheduled jobs; or only in the line of one
    /// queue. Has a long timeout, but takes almost no time unless PostgreSQL must keep many dead rows.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error> {
        let statement = sqlx::query(include_str!("../sql/survey.sql")).bind(queue.map(QueueName::as_str));
        let rows = statement.try_map(|row| Found::decode(&row)).fetch_all(&self.scans).await;
        Ok(Survey::of(rows.map_err(Error::sql("surveying the lines"))?))
    }
}

/// One stretch of a line, decoded from a row.
pub(crate) struct FoundStretch {
    queue: QueueName,
    paused: bool,
    stretch: Stretch,
}

impl FoundStretch {
    pub(crate) fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (kind, priority) = (word(row, "kind")?, row.try_get("priority")?);
        Ok(Self {
            queue: word(row, "queue")?,
            paused: row.try_get("paused")?,
            stretch: Stretch { kind, priority, scan_start: row.try_get("begins")? },
        })
    }

    /// Adds the stretch to the line of its queue. Stretches arrive in the order of their queues.
    pub(crate) fn add_to(self, lines: &mut Vec<LineSummary>) {
        let Self { queue, paused, stretch } = self;
        match lines.last_mut().filter(|line| line.queue == queue) {
            Some(line) => line.stretches.push(stretch),
            None => lines.push(LineSummary { queue, paused, stretches: vec![stretch] }),
        }
    }
}

/// One row of the answer.
struct Found {
    at: DateTime<Utc>,
    stretch: Option<FoundStretch>,
    leases_scan_start: Option<DateTime<Utc>>,
    schedule_scan_start: Option<DateTime<Utc>>,
    took_ms: i64,
}

impl Found {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let queue: Option<&str> = row.try_get("queue")?;
        let stretch = queue.map(|_| FoundStretch::decode(row)).transpose()?;
        let (leases_scan_start, schedule_scan_start) = (row.try_get("leases_begin")?, row.try_get("schedule_begins")?);
        let (at, took_ms) = (row.try_get("at")?, row.try_get("took_ms")?);
        Ok(Self { at, stretch, leases_scan_start, schedule_scan_start, took_ms })
    }
}

impl Survey {
    fn of(found: Vec<Found>) -> Self {
        let (at, took) = (DateTime::UNIX_EPOCH, Duration::ZERO);
        let mut survey = Self { at, lines: Vec::new(), leases_scan_start: None, schedule_scan_start: None, took };
        for Found { at, stretch, leases_scan_start, schedule_scan_start, took_ms } in found {
            (survey.at, survey.leases_scan_start, survey.schedule_scan_start) =
                (at, leases_scan_start, schedule_scan_start);
            survey.took = survey.took.max(Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)));
            if let Some(stretch) = stretch {
                stretch.add_to(&mut survey.lines);
            }
        }
        survey
    }
}
