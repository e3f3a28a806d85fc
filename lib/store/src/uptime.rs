//! uptime: how long the server has been up, for whoever must know whether leases could be renewed all that time; and what
//! time it has.

use crate::{connect::Store, error::Error};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What the server says of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Its clock, which decides about leases and what is due.
    pub now: DateTime<Utc>,
    /// How long it has been up.
    pub up_for: Duration,
    /// Which transactions have ended. As long as it stays the same, no row has changed.
    pub snapshot: String,
}

impl Store {
    /// What time the server has, and since when. Fails when it does not answer, which is the other thing to learn from it.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn uptime(&self) -> Result<Uptime, Error> {
        let answer: Result<(DateTime<Utc>, i64, String), _> =
            sqlx::query_as(include_str!("../sql/uptime.sql")).fetch_one(&self.bounded).await;
        let (now, up_ms, snapshot) = answer.map_err(Error::sql("asking how long PostgreSQL has been up"))?;
        Ok(Uptime { now, up_for: Duration::from_millis(u64::try_from(up_ms).unwrap_or(0)), snapshot })
    }
}
