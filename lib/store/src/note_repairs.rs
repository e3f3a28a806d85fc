//! note_repairs: records a repair in the trail of a job.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, millis},
};
use leasehold_core::{Epoch, JobId, State};
use leasehold_ports::Repair;
use uuid::Uuid;

impl Store {
    /// Records a repair in the trails of the jobs that it applies to. Returns the ids of these jobs. Changes
    /// nothing else in the rows.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn note_repairs(&self, repair: &Repair) -> Result<Vec<JobId>, Error> {
        let (ids, epochs): (Vec<Uuid>, Vec<Option<Epoch>>) =
            repair.jobs.iter().map(|(id, epoch)| (id.0, *epoch)).unzip();
        let statement = sqlx::query(include_str!("../sql/note_repairs.sql"))
            .bind(repair.by)
            .bind(ids)
            .bind(epochs)
            .bind(repair.state.map(State::as_str))
            .bind(millis(repair.unclaimed_for))
            .bind(&repair.note);
        let rows = statement.try_map(|row| job_id(&row, "id")).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("recording repairs"))
    }
}
