//! line: the first ids of a queue's line, from which the head in Redis is filled.

use crate::{claim::Kinds, connect::Store, error::Error};
use leasehold_core::{JobId, QueueName};
use uuid::Uuid;

/// The first part of a line, in order.
#[derive(Clone, Debug)]
pub struct Line {
    /// The ids, next one first.
    pub ids: Vec<JobId>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Store {
    /// The first `limit` ids of a queue's line, of these kinds.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn line(&self, queue: &QueueName, kinds: &Kinds, limit: i64) -> Result<Line, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/line.sql"))
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(limit.saturating_add(1));
        let ids: Vec<Uuid> = statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading the line"))?;
        let kept = usize::try_from(limit).unwrap_or_default().min(ids.len());
        Ok(Line { more: ids.len() > kept, ids: ids[..kept].iter().copied().map(JobId).collect() })
    }
}
