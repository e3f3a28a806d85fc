//! promote: moves due jobs into the line. unblock: moves jobs into the line whose parents have succeeded. lapse: ends waiting
//! jobs that may not begin any more.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, line_at, uuids, word},
    statement::statement,
};
use chrono::{DateTime, Utc};
use leasehold_core::JobId;
use leasehold_ports::{Lapsed, Waiting};
use sqlx::{Row, postgres::PgRow};

impl Store {
    /// Moves due scheduled jobs into the line: all of them, or only those that became due at or after `since`. A job whose limit
    /// keys have no room waits behind the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/promote.sql")).bind(limit).bind(since);
        let rows = statement.try_map(|row| placed(&row)).fetch_all(&self.bounded).await;
        Ok(self.admit_placed(rows.map_err(Error::sql("promoting due jobs"))?).await)
    }

    /// Moves blocked jobs into the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/unblock.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| placed(&row)).fetch_all(&self.bounded).await;
        Ok(self.admit_placed(rows.map_err(Error::sql("unblocking jobs"))?).await)
    }

    /// Ends waiting jobs that may not begin any more: cancelled, if they have expired; dead, if their time for retries is over.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn lapse(&self, limit: i64) -> Result<Vec<Lapsed>, Error> {
        let rows =
            sqlx::query(statement!("lapse")).bind(limit).try_map(|row| lapsed(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("ending jobs that may not begin any more"))
    }
}

fn lapsed(row: &PgRow) -> Result<Lapsed, sqlx::Error> {
    Ok(Lapsed { id: job_id(row, "id")?, queue: word(row, "queue")?, state: word(row, "state")? })
}

/// Decodes a row of a job that has come into the line.
pub(crate) fn waiting(row: &PgRow) -> Result<Waiting, sqlx::Error> {
    Ok(Waiting { id: job_id(row, "id")?, queue: word(row, "queue")?, line_at: line_at(row)?, is_in_line: true })
}

/// Decodes a row of a job that has come into the line, or that waits behind the line for room of the key.
fn placed(row: &PgRow) -> Result<(Waiting, Option<String>), sqlx::Error> {
    let key: Option<String> = row.try_get("limited_by")?;
    Ok((Waiting { is_in_line: key.is_none(), ..waiting(row)? }, key))
}
