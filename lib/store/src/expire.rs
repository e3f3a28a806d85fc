//! expire: ends runs whose leases ran out.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, line_at_if_any, millis, uuids, word},
    statement::statement,
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, State, WorkerId};
use leasehold_ports::{Expired, Expiry};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

impl Store {
    /// Ends runs whose leases ran out: all of them, or only those whose lease ran out at or after `since`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        Ok(self.expire_except(limit, since, &[], Duration::ZERO).await?.expired)
    }

    /// The same, without the jobs in `spared`. Also reports the locked rows, including those whose lease runs out
    /// within `soon`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn expire_except(
        &self,
        limit: i64,
        since: Option<DateTime<Utc>>,
        spared: &[JobId],
        soon: Duration,
    ) -> Result<Expiry, Error> {
        let statement = sqlx::query(statement!("expire"));
        let statement = statement.bind(limit).bind(since).bind(uuids(spared)).bind(millis(soon));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        let (locked, expired): (Vec<Expired>, Vec<Expired>) =
            rows.map_err(Error::sql("expiring leases"))?.into_iter().partition(|job| job.state == State::Running);
        Ok(Expiry { expired, locked: locked.into_iter().map(|job| job.id).collect() })
    }
}

fn decode(row: &PgRow) -> Result<Expired, sqlx::Error> {
    Ok(Expired {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        line_at: line_at_if_any(row)?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
        state: word(row, "state")?,
    })
}
