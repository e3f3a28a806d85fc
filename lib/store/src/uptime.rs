//! uptime: how long the server has been up, for whoever must know whether leases could be renewed all that time; and what
//! time it has.

use crate::{connect::Store, error::Error};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What the server says of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Its clock, which decides about leases and what is due.
    pub now: DateTime<Utc>,
    /// How long it has been up.
    pub up_for: Duration,
}

impl Store {
    /// What time the server has, and since when. Fails when it does not answer or takes no writes, which is the other thing
    /// to learn from it.
    ///
    /// # Errors
    /// That the statement failed, or [`Error::ReadOnly`].
    pub async fn uptime(&self) -> Result<Uptime, Error> {
        const DOING: &str = "asking how long PostgreSQL has been up";
        let answer: Result<(DateTime<Utc>, i64, bool, bool), _> =
            sqlx::query_as(include_str!("../sql/uptime.sql")).fetch_one(&self.bounded).await;
        let (now, up_ms, is_standby, is_read_only) = answer.map_err(Error::sql(DOING))?;
        self.refuse_read_only(DOING, is_standby, is_read_only)?;
        Ok(Uptime { now, up_for: Duration::from_millis(u64::try_from(up_ms).unwrap_or(0)) })
    }
}
