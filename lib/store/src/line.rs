//! line: the first ids of a queue's line, from which the head in Redis is filled.

use crate::{claim::Kinds, connect::Store, error::Error, place::Place};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName};
use uuid::Uuid;

/// A part of a line, in order.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The ids, next one first.
    pub ids: Vec<JobId>,
    /// Whether there are more behind them.
    pub more: bool,
    /// The place of the last of them. `None` of no ids, and of a job that was given a time without end by hand.
    pub last: Option<Place>,
}

/// One id more than asked for, if there is one; and what says, with its id, the place of the last one asked for.
pub(crate) type Answer = (Vec<Uuid>, Option<i16>, Option<DateTime<Utc>>);

impl Store {
    /// The first `limit` ids of a queue's line, of these kinds.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn line(&self, queue: &QueueName, kinds: &Kinds, limit: i64) -> Result<Line, Error> {
        let statement =
            sqlx::query_as(include_str!("../sql/line.sql")).bind(queue.as_str()).bind(kinds.names()).bind(limit);
        let answer = statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading the line"))?;
        Ok(Line::of(answer, limit))
    }
}

impl Line {
    pub(crate) fn of((ids, priority, run_at): Answer, limit: i64) -> Self {
        let kept = usize::try_from(limit).unwrap_or_default().min(ids.len());
        let more = ids.len() > kept;
        let ids: Vec<JobId> = ids[..kept].iter().copied().map(JobId).collect();
        let last = ids.last().and_then(|&id| Some(Place { priority: priority?, run_at: run_at?, id }));
        Self { ids, more, last }
    }
}
