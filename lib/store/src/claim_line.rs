//! claim_line: jobs from the front of the line, when there are no hints to be had.

use crate::{claim::claimed, connect::Store, error::Error, row::millis};
use leasehold_core::{ClaimedJob, QueueName, WorkerId};
use leasehold_ports::Kinds;
use std::time::Duration;

impl Store {
    /// Claims from the front of the line without Redis: `FOR UPDATE SKIP LOCKED`. Jobs that have crashed before stand in
    /// the way of others, since only a few of them run at once: `with_crashed` says whether this call is for them too.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn claim_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let statement = sqlx::query(include_str!("../sql/claim_line.sql"))
            .bind(worker.0)
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(limit)
            .bind(millis(lease))
            .bind(with_crashed);
        let rows = statement.try_map(|row| claimed(&row, worker)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("claiming jobs from the line"))
    }
}
