//! report and http_report: write the progress of runs.

use crate::{connect::Store, error::Error, row::millis};
use leasehold_core::{NOTES_MAX, Report, WorkerId};
use serde_json::json;
use sqlx::{Row, postgres::PgRow};

/// The answer to the progress of a run of an HTTP worker, which still holds the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpReported {
    /// False: another transaction has locked the row.
    pub written: bool,
    /// Somebody has cancelled the job.
    pub cancel_wanted: bool,
}

impl Store {
    /// Writes the progress of runs of one worker, in one statement. A run that has lost its lease, or whose row another
    /// transaction has locked, is left out.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn report(&self, worker: WorkerId, reports: &[Report]) -> Result<(), Error> {
        let notes = |report: &Report| {
            let note = |note: &leasehold_core::ReportedNote| json!({ "nth": note.nth, "ago_ms": millis(note.age), "note": note.note });
            serde_json::Value::from_iter(report.notes.iter().map(note)).to_string()
        };
        sqlx::query(include_str!("../sql/report.sql"))
            .bind(worker.0)
            .bind(reports.iter().map(|report| report.fence.id.0).collect::<Vec<_>>())
            .bind(reports.iter().map(|report| report.fence.epoch).collect::<Vec<_>>())
            .bind(reports.iter().map(|report| report.done).collect::<Vec<_>>())
            .bind(reports.iter().map(notes).collect::<Vec<_>>())
            .execute(&self.bounded)
            .await
            .map(drop)
            .map_err(Error::sql("writing the progress of runs"))
    }

    /// Adds a report to the earlier progress of a run of an HTTP worker. The server does not have the earlier progress. `None`:
    /// the fence is stale.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn report_of_http(&self, report: &Report) -> Result<Option<HttpReported>, Error> {
        let statement = sqlx::query(include_str!("../sql/http_report.sql"))
            .bind(report.fence.id.0)
            .bind(report.fence.worker.0)
            .bind(report.fence.epoch)
            .bind(report.done)
            .bind(report.notes.last().map(|note| note.note.as_str()))
            .bind(i64::try_from(NOTES_MAX).unwrap_or(i64::MAX));
        let answer = statement.try_map(|row: PgRow| {
            Ok(HttpReported { written: row.try_get("written")?, cancel_wanted: row.try_get("cancel_wanted")? })
        });
        answer.fetch_optional(&self.bounded).await.map_err(Error::sql("writing the progress of an HTTP worker's run"))
    }
}
