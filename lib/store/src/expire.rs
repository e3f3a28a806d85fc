//! expire: leases that ran out.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, millis, uuids, word},
    statement::statement,
};
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, QueueName, State, WorkerId};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

/// One lease that ran out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Expired {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// What became of the job: queued, dead or cancelled.
    pub state: State,
}

/// What became of leases that ran out.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// Those that were ended.
    pub expired: Vec<Expired>,
    /// Running jobs whose lease ran out or is about to, and whose rows somebody else has locked: their workers cannot renew
    /// them, and nothing became of them.
    pub locked: Vec<JobId>,
}

impl Store {
    /// Leases that ran out: all of them, or those that did at or after `since`.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        Ok(self.expire_except(limit, since, &[], Duration::ZERO).await?.expired)
    }

    /// The same except for jobs that are `spared`. Tells which rows are locked, also of leases that run out within `soon`.
    ///
    /// # Errors
    /// That the statement failed.
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
        priority: row.try_get("priority")?,
        worker: WorkerId(row.try_get("worker")?),
        epoch: row.try_get("epoch")?,
        state: word(row, "state")?,
    })
}
