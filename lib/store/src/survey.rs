//! survey, survey_slices: where the live jobs begin. Index scans start at this position. Otherwise they would read all dead
//! index entries first, and PostgreSQL must keep dead entries while a transaction is open. fingerprint: whether a line or the
//! set of paused queues changed. One statement checks this for all queues.

use crate::{connect::Store, error::Error, row::word};
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use leasehold_ports::{Fingerprint, Fingerprints, LineSummary, Slice, Stretch, Survey};
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

    /// Fingerprints of some slices of the line, of at most `limit` jobs each, and of the set of paused queues.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Result<Fingerprints, Error> {
        let (after, until) = bounds(slices);
        let statement = sqlx::query(include_str!("../sql/fingerprint.sql")).bind(after).bind(until).bind(limit);
        let rows = statement
            .try_map(|row: PgRow| {
                let slice = Fingerprint { count: row.try_get("jobs")?, hash: row.try_get("hash")? };
                let paused = Fingerprint { count: row.try_get("paused")?, hash: row.try_get("paused_hash")? };
                let begins = (row.try_get("leases_begin")?, row.try_get("schedule_begins")?);
                Ok((slice, paused, begins, row.try_get::<i64, _>("took_ms")?))
            })
            .fetch_all(&self.bounded)
            .await
            .map_err(Error::sql("comparing the lines"))?;
        let mut answer = Fingerprints::default();
        for (slice, paused, (leases_scan_start, schedule_scan_start), took_ms) in rows {
            answer.slices.push(slice);
            answer.paused = paused;
            (answer.leases_scan_start, answer.schedule_scan_start) = (leases_scan_start, schedule_scan_start);
            answer.took = answer.took.max(Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)));
        }
        Ok(answer)
    }

    /// The scan starts in the lines of some slices, for each slice in the order of the database.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn survey_slices(&self, slices: &[Slice]) -> Result<Vec<Vec<LineSummary>>, Error> {
        let (after, until) = bounds(slices);
        let statement = sqlx::query(include_str!("../sql/survey_slices.sql")).bind(after).bind(until);
        let rows = statement
            .try_map(|row: PgRow| {
                let nth = usize::try_from(row.try_get::<i64, _>("nth")?).unwrap_or_default();
                Ok((nth.saturating_sub(1), FoundStretch::decode(&row)?))
            })
            .fetch_all(&self.bounded)
            .await
            .map_err(Error::sql("surveying some lines"))?;
        let mut lines = vec![Vec::new(); slices.len()];
        for (nth, found) in rows {
            if let Some(lines) = lines.get_mut(nth) {
                found.add_to(lines);
            }
        }
        Ok(lines)
    }
}

/// The bounds of slices in the form in which they are sent: the name before each slice, and its last name.
fn bounds(slices: &[Slice]) -> (Vec<&str>, Vec<Option<&str>>) {
    let after = slices.iter().map(|slice| slice.after.as_ref().map_or("", QueueName::as_str));
    let until = slices.iter().map(|slice| slice.until.as_ref().map(QueueName::as_str));
    (after.collect(), until.collect())
}

/// One stretch of a line, decoded from a row.
struct FoundStretch {
    queue: QueueName,
    paused: bool,
    stretch: Stretch,
}

impl FoundStretch {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let kind = word(row, "kind")?;
        Ok(Self {
            queue: word(row, "queue")?,
            paused: row.try_get("paused")?,
            stretch: Stretch { kind, scan_start: row.try_get("begins")? },
        })
    }

    /// Adds the stretch to the line of its queue. Stretches arrive in the order of their queues.
    fn add_to(self, lines: &mut Vec<LineSummary>) {
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
