//! cancel_wanted: the running jobs whose workers must be told to stop.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, word},
};
use leasehold_core::WorkerId;
use leasehold_ports::CancelWanted;
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// Running jobs that somebody asked to cancel.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error> {
        let statement = sqlx::query(include_str!("../sql/cancel_wanted.sql")).bind(limit);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking for runs to cancel"))
    }
}

fn decode(row: &PgRow) -> Result<CancelWanted, sqlx::Error> {
    Ok(CancelWanted {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
    })
}
