//! renew: a worker renews the leases of its runs.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, millis},
};
use leasehold_core::{Epoch, Fence, WorkerId};
use leasehold_ports::Renewed;
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;
use uuid::Uuid;

impl Store {
    /// Renews leases. A lease that is not in the answer is lost.
    ///
    /// # Errors
    /// The statement failed. It is then unknown which leases are valid.
    pub async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error> {
        let ours = runs.iter().filter(|fence| fence.worker == worker);
        let (ids, epochs): (Vec<Uuid>, Vec<Epoch>) = ours.map(|fence| (fence.id.0, fence.epoch)).unzip();
        let statement =
            sqlx::query(include_str!("../sql/renew.sql")).bind(worker.0).bind(ids).bind(epochs).bind(millis(lease));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("renewing leases"))
    }
}

fn decode(row: &PgRow) -> Result<Renewed, sqlx::Error> {
    Ok(Renewed {
        id: job_id(row, "id")?,
        epoch: row.try_get("epoch")?,
        cancel_wanted: row.try_get("cancel_wanted")?,
        locked: row.try_get("locked")?,
    })
}
