//! note_repairs: what somebody put right about a job, into its trail.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, millis},
};
use leasehold_core::{Epoch, JobId, State};
use leasehold_ports::Repair;
use uuid::Uuid;

impl Store {
    /// Notes a repair in the trails of those jobs that it is about, and says which they are. Of the row nothing else is
    /// changed.
    ///
    /// # Errors
    /// That the statement failed.
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
        rows.map_err(Error::sql("noting repairs"))
    }
}
