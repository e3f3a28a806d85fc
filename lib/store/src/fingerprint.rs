//! fingerprint: whether a line or the set of paused queues changed. One statement asks this for all queues.

use crate::{connect::Store, error::Error, survey::FoundStretch};
use leasehold_core::QueueName;
use leasehold_ports::{Fingerprint, Fingerprints, LineSummary, Slice};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

/// The bounds of slices in the form in which they are sent: the name before each slice, and its last name.
fn bounds(slices: &[Slice]) -> (Vec<&str>, Vec<Option<&str>>) {
    let after = slices.iter().map(|slice| slice.after.as_ref().map_or("", QueueName::as_str));
    let until = slices.iter().map(|slice| slice.until.as_ref().map(QueueName::as_str));
    (after.collect(), until.collect())
}

impl Store {
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
