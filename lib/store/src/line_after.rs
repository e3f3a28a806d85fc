//! line_after: the ids of a queue's line that follow a job of it, by which a head is extended.

use crate::{claim::Kinds, connect::Store, error::Error, line::Line};
use leasehold_core::{JobId, QueueName};
use uuid::Uuid;

impl Store {
    /// The first `limit` ids of a queue's line, of these kinds, that come after the job `after`. `None` if that is not in
    /// the line, or of none of these kinds.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: JobId,
        limit: i64,
    ) -> Result<Option<Line>, Error> {
        // The job itself comes first, and one more than asked for tells whether there are more.
        let statement = sqlx::query_scalar(include_str!("../sql/line_after.sql"))
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(after.0)
            .bind(limit.saturating_add(2));
        let ids: Vec<Uuid> = statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading on in the line"))?;
        let [first, behind @ ..] = ids.as_slice() else { return Ok(None) };
        if *first != after.0 {
            return Ok(None);
        }
        let kept = usize::try_from(limit).unwrap_or_default().min(behind.len());
        Ok(Some(Line { more: behind.len() > kept, ids: behind[..kept].iter().copied().map(JobId).collect() }))
    }
}
