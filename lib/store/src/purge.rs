//! purge: everything that waits in a queue is cancelled.

use crate::{connect::Store, error::Error, statement::statement};
use leasehold_core::{JobId, QueueName};
use uuid::Uuid;

impl Store {
    /// Cancels up to `limit` waiting (not running) jobs of a queue. Fewer than `limit` in the answer: none is left but
    /// those that somebody else had locked.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query_scalar(statement!("purge")).bind(queue.as_str()).bind(limit);
        let ids: Vec<Uuid> = statement.fetch_all(&self.patient).await.map_err(Error::sql("purging a queue"))?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}
