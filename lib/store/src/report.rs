//! report: writes the progress of runs.

use crate::{connect::Store, error::Error, row::millis};
use leasehold_core::{Report, WorkerId};
use serde_json::json;

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
}
