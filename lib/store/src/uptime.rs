//! uptime: how long the server has been up, for whoever must know whether leases could be renewed all that time.

use crate::{connect::Store, error::Error};
use std::time::Duration;

impl Store {
    /// How long the server has been up. Fails when it does not answer, which is the other thing to learn from it.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn uptime(&self) -> Result<Duration, Error> {
        let answer: Result<(i64,), _> =
            sqlx::query_as(include_str!("../sql/uptime.sql")).fetch_one(&self.bounded).await;
        let (uptime_ms,) = answer.map_err(Error::sql("asking how long PostgreSQL has been up"))?;
        Ok(Duration::from_millis(u64::try_from(uptime_ms).unwrap_or(0)))
    }
}
