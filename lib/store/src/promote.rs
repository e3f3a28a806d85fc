//! promote: due jobs into the line.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, word},
};
use chrono::{DateTime, Utc};
use leasehold_ports::Waiting;
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// Due scheduled jobs into the line: all of them, or those that became due at or after `since`.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/promote.sql")).bind(limit).bind(since);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("promoting due jobs"))
    }
}

/// What promote and unblock return.
pub(crate) fn waiting(row: &PgRow) -> Result<Waiting, sqlx::Error> {
    Ok(Waiting { id: job_id(row, "id")?, queue: word(row, "queue")?, priority: row.try_get("priority")? })
}
