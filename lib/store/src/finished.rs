//! finished: for callers that wait until jobs have finished.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, json, uuids, word},
};
use leasehold_core::JobId;
use leasehold_ports::Finished;
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// The jobs among `ids` that have finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error> {
        let statement = sqlx::query(include_str!("../sql/finished.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking for finished jobs"))
    }
}

fn decode(row: &PgRow) -> Result<Finished, sqlx::Error> {
    Ok(Finished {
        id: job_id(row, "id")?,
        state: word(row, "state")?,
        result: json(row, "result")?,
        last_error: row.try_get("last_error")?,
    })
}
