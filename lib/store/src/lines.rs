//! lines: which queues have a line at all.

use crate::{connect::Store, error::Error, row::word};
use leasehold_core::{Kind, QueueName};
use sqlx::{Row, postgres::PgRow};

/// A queue that has jobs in its line.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct LineSummary {
    pub queue: QueueName,
    pub kinds: Vec<Kind>,
    pub paused: bool,
}

impl Store {
    /// The queues with a line, and the kinds in each.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn lines(&self) -> Result<Vec<LineSummary>, Error> {
        let statement = sqlx::query(include_str!("../sql/lines.sql"));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading which queues have a line"))
    }
}

fn decode(row: &PgRow) -> Result<LineSummary, sqlx::Error> {
    let kinds: Vec<String> = row.try_get("kinds")?;
    let kinds: Result<Vec<Kind>, _> = kinds.into_iter().map(Kind::try_from).collect();
    let kinds = kinds.map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(LineSummary { queue: word(row, "queue")?, kinds, paused: row.try_get("paused")? })
}
