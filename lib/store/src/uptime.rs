//! uptime: the server's clock, and how long the server has been up. The reaper uses the uptime to decide whether
//! workers could renew their leases during the last lease.

use crate::{connect::Store, error::Error};
use chrono::{DateTime, Utc};
use leasehold_ports::Uptime;
use std::time::Duration;

/// The answer of uptime.sql.
struct Row {
    now: DateTime<Utc>,
    uptime_ms: i64,
    is_standby: bool,
    is_read_only: bool,
    snapshot: String,
    watched_ms_ago: Option<i64>,
    has_deferred: bool,
    has_ended_parents: bool,
    has_limited: bool,
    has_limit_changes: bool,
    has_fair: bool,
    has_reorders: bool,
    has_batches: bool,
    has_undelivered: bool,
    has_count_changes: bool,
}

crate::from_row!(Row {
    now,
    uptime_ms,
    is_standby,
    is_read_only,
    snapshot,
    watched_ms_ago,
    has_deferred,
    has_ended_parents,
    has_limited,
    has_limit_changes,
    has_fair,
    has_reorders,
    has_batches,
    has_undelivered,
    has_count_changes,
});

impl Store {
    /// The server's clock and uptime. Fails when the server does not answer or takes no writes, which callers also need
    /// to know.
    ///
    /// # Errors
    /// The statement failed, or [`Error::ReadOnly`].
    pub async fn uptime(&self) -> Result<Uptime, Error> {
        const DOING: &str = "reading the state of PostgreSQL";
        let row = sqlx::query_as::<_, Row>(include_str!("../sql/uptime.sql")).fetch_one(&self.bounded).await;
        let row = row.map_err(Error::sql(DOING))?;
        self.refuse_read_only(DOING, row.is_standby, row.is_read_only)?;
        // A clock that was set back may show a time in the future: negative here.
        let time = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Ok(Uptime {
            now: row.now,
            up_for: time(row.uptime_ms),
            snapshot: row.snapshot,
            watched_ago: row.watched_ms_ago.map(time),
            has_deferred: row.has_deferred,
            has_ended_parents: row.has_ended_parents,
            has_limited: row.has_limited,
            has_limit_changes: row.has_limit_changes,
            has_fair: row.has_fair,
            has_reorders: row.has_reorders,
            has_batches: row.has_batches,
            has_undelivered: row.has_undelivered,
            has_count_changes: row.has_count_changes,
        })
    }

    /// Records that the server could be reached until now, and that leases may expire.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn keep_watch(&self) -> Result<(), Error> {
        let statement = sqlx::query(include_str!("../sql/keep_watch.sql")).execute(&self.bounded).await;
        statement.map(drop).map_err(Error::sql("recording that leases may expire"))
    }
}
