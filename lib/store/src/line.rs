//! line, lines: the first ids of a line, for a fill of its head. line_after: the ids behind a position, for an extension.

use crate::{connect::Store, error::Error, row::LineAt, statement::statement};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Front, Hint, Kinds, Line, LinePosition, Stretch};
use uuid::Uuid;

/// The ids, one more than the limit if there is one, and the `line_at` of each.
type Answer = (Vec<Uuid>, Vec<LineAt>);

impl Store {
    /// The first `limit` ids of these stretches of a queue's line, and the same stretches with their current scan
    /// starts.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn line(
        &self,
        queue: &QueueName,
        stretches: &[Stretch],
        limit: i64,
    ) -> Result<(Line, Vec<Stretch>), Error> {
        let limit = u32::try_from(limit).unwrap_or_default();
        let front = Front { queue: queue.clone(), stretches: stretches.to_vec(), limit };
        Ok(self.lines(&[front]).await?.pop().unwrap_or_default())
    }

    /// The same for several queues, in one statement.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn lines(&self, fronts: &[Front]) -> Result<Vec<(Line, Vec<Stretch>)>, Error> {
        let (mut of, mut kinds, mut begin) = (Vec::new(), Vec::new(), Vec::new());
        for (front, nth) in fronts.iter().zip(1_i64..) {
            for stretch in &front.stretches {
                of.push(nth);
                kinds.push(stretch.kind.as_str());
                begin.push(stretch.scan_start);
            }
        }
        let statement = sqlx::query_as(statement!("lines"))
            .bind(fronts.iter().map(|front| front.queue.as_str()).collect::<Vec<_>>())
            .bind(fronts.iter().map(|front| i64::from(front.limit)).collect::<Vec<_>>())
            .bind(of)
            .bind(kinds)
            .bind(begin);
        type Row = (Vec<Uuid>, Vec<LineAt>, Vec<Option<DateTime<Utc>>>);
        let answers: Result<Vec<Row>, _> = statement.fetch_all(&self.bounded).await;
        let answers = answers.map_err(Error::sql("reading the line"))?;
        let lines = fronts.iter().zip(answers).map(|(front, (ids, line_at, begin))| {
            let moved = front.stretches.iter().zip(begin);
            let moved = moved.map(|(stretch, scan_start)| Stretch { scan_start, ..stretch.clone() }).collect();
            (line_of((ids, line_at), i64::from(front.limit)), moved)
        });
        Ok(lines.collect())
    }

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
        let statement = sqlx::query_as(statement!("line_after"))
            .bind(queue.as_str())
            .bind(kinds.names())
            .bind(after.line_at)
            .bind(after.id.0)
            .bind(limit);
        let answer = statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading on in the line"))?;
        Ok(line_of(answer, limit))
    }
}

/// Converts an answer into a part of a line of at most `limit` ids.
fn line_of((ids, line_at): Answer, limit: i64) -> Line {
    let kept = usize::try_from(limit).unwrap_or_default().min(ids.len());
    let more = ids.len() > kept;
    let hints = ids[..kept].iter().zip(&line_at).map(|(id, line_at)| Hint::at(JobId(*id), line_at.0)).collect();
    let last = kept.checked_sub(1).filter(|&nth| line_at[nth].is_finite());
    let last = last.map(|nth| LinePosition { line_at: line_at[nth].0, id: JobId(ids[nth]) });
    Line { hints, more, last }
}
