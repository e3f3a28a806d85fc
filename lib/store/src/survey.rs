//! survey: where the live jobs begin. Index scans start there. Otherwise they would read all dead index entries first,
//! and PostgreSQL must keep dead entries for as long as a transaction is open.

use crate::{connect::Store, error::Error, row::word};
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use leasehold_ports::{LineSummary, Stretch, Survey};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

impl Store {
    /// The scan starts in the lines of all queues, in the leases and in the scheduled jobs; or only in the line of one
    /// queue. Has a long timeout, but takes almost no time unless PostgreSQL must keep many dead rows.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error> {
        let statement = sqlx::query(include_str!("../sql/survey.sql")).bind(queue.map(QueueName::as_str));
        let rows = statement.try_map(|row| Found::decode(&row)).fetch_all(&self.scans).await;
        Ok(survey_of(rows.map_err(Error::sql("looking where the lines begin"))?))
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
        let kind = word(row, "kind")?;
        Ok(Self {
            queue: word(row, "queue")?,
            paused: row.try_get("paused")?,
            stretch: Stretch { kind, scan_start: row.try_get("begins")? },
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

fn survey_of(found: Vec<Found>) -> Survey {
    let (at, took) = (DateTime::UNIX_EPOCH, Duration::ZERO);
    let mut survey = Survey { at, lines: Vec::new(), leases_scan_start: None, schedule_scan_start: None, took };
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
