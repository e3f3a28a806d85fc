//! promote: moves due jobs into the line.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, line_at, word},
};
use chrono::{DateTime, Utc};
use leasehold_ports::Waiting;
use sqlx::postgres::PgRow;

impl Store {
    /// Moves due scheduled jobs into the line: all of them, or only those that became due at or after `since`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/promote.sql")).bind(limit).bind(since);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("promoting due jobs"))
    }
}

/// Decodes a row that promote or unblock returns.
pub(crate) fn waiting(row: &PgRow) -> Result<Waiting, sqlx::Error> {
    Ok(Waiting { id: job_id(row, "id")?, queue: word(row, "queue")?, line_at: line_at(row)? })
}
