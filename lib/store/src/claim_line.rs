//! claim_line: claims jobs from the front of the line when there are no hints.

use crate::{claim::claimed, connect::Store, error::Error, row::millis, statement::statement};
use leasehold_core::{ClaimedJob, QueueName, WorkerId};
use leasehold_ports::Kinds;
use std::time::Duration;

impl Store {
    /// Claims from the front of the line without Redis: `FOR UPDATE SKIP LOCKED`. Only a few jobs that crashed before
    /// run at the same time, so they can block other jobs. `with_crashed` says whether this call may claim them too.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn claim_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Result<Vec<ClaimedJob>, Error> {
        let statement = sqlx::query(statement!("claim_line"))
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
