//! position: how many jobs are in the line before a job.

use crate::{connect::Store, error::Error};
use leasehold_core::JobId;

impl Store {
    /// The number of jobs before this job in its line, counted up to `limit`. `None` when the job is not in the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/position.sql")).bind(id.0).bind(limit);
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("counting the jobs before a job"))
    }
}
