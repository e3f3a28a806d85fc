//! purge: cancels everything that waits in a queue.

use crate::{connect::Store, error::Error, statement::statement};
use leasehold_core::{JobId, QueueName};
use uuid::Uuid;

impl Store {
    /// Cancels up to `limit` waiting (not running) jobs of a queue. An answer with fewer than `limit` ids means: no
    /// waiting job is left, except jobs that another session had locked.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query_scalar(statement!("purge")).bind(queue.as_str()).bind(limit);
        let ids: Vec<Uuid> = statement.fetch_all(&self.long_statements).await.map_err(Error::sql("purging a queue"))?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}
