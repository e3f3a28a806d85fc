//! line_after: the ids of a queue's line behind a given position. The head is extended with these ids.

use crate::{connect::Store, error::Error, line::line_of};
use leasehold_core::QueueName;
use leasehold_ports::{Kinds, Line, LinePosition};

impl Store {
    /// The first `limit` ids of a queue's line, of these kinds, that come after the position `after`. The position may
    /// be empty now.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: &LinePosition,
        limit: i64,
    ) -> Result<Line, Error> {
        let statement = sqlx::query_as(include_str!("../sql/line_after.sql"))
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(after.line_at)
            .bind(after.id.0)
            .bind(limit);
        let answer = statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading on in the line"))?;
        Ok(line_of(answer, limit))
    }
}
