//! line: the first ids of a queue's line, from which the head in Redis is filled.

use crate::{connect::Store, error::Error, place::Place, survey::Stretch};
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
    /// The first `limit` ids of a queue's line, of these stretches; and the same stretches as they begin by now.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn line(
        &self,
        queue: &QueueName,
        stretches: &[Stretch],
        limit: i64,
    ) -> Result<(Line, Vec<Stretch>), Error> {
        let kinds: Vec<&str> = stretches.iter().map(|stretch| stretch.kind.as_str()).collect();
        let priorities: Vec<i16> = stretches.iter().map(|stretch| stretch.priority).collect();
        let begin: Vec<Option<DateTime<Utc>>> = stretches.iter().map(|stretch| stretch.begins).collect();
        let statement = sqlx::query_as(include_str!("../sql/line.sql"))
            .bind(queue.as_str())
            .bind(kinds)
            .bind(priorities)
            .bind(begin)
            .bind(limit);
        let answer: Result<(_, _, _, Vec<Option<DateTime<Utc>>>), _> = statement.fetch_one(&self.bounded).await;
        let (ids, priority, run_at, begin) = answer.map_err(Error::sql("reading the line"))?;
        let moved = stretches.iter().zip(begin).map(|(stretch, begins)| Stretch { begins, ..stretch.clone() });
        Ok((Line::of((ids, priority, run_at), limit), moved.collect()))
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
