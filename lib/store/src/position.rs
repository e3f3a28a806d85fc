//! position: how long the line before a job is.

use crate::{connect::Store, error::Error};
use leasehold_core::JobId;

impl Store {
    /// How many jobs stand before this one in its line, counting up to `limit`; `None` when it is not in the line.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/position.sql")).bind(id.0).bind(limit);
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("counting the line before a job"))
    }
}
