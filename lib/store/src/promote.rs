//! promote: moves due jobs into the line. unblock: moves jobs into the line after their parents have succeeded. lapse: ends
//! waiting jobs that may not begin any more.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, lane, line_at, uuids, word},
    statement::statement,
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Lapsed, Promoted, Share, Waiting};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;
use uuid::Uuid;

const PROMOTING: &str = "promoting due jobs";

impl Store {
    /// Moves due scheduled jobs into the line, the oldest first: from all jobs, or only from the jobs that became due at or
    /// after `since`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Promoted, Error> {
        let statement = sqlx::query(statement!("promote")).bind(limit).bind(since);
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql(PROMOTING))?;
        let (jobs, last) = promoted(&rows).map_err(Error::sql(PROMOTING))?;
        let next_ms: Option<i64> =
            last.map_or(Ok(None), |row| row.try_get("next_ms")).map_err(Error::sql(PROMOTING))?;
        Ok(Promoted { next_in: next_ms.map(millis_or_zero), ..self.with_room(jobs).await })
    }

    /// Moves a few due scheduled jobs of each of the next queues after the queue `after` into the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn promote_share(&self, limit: i64, after: Option<&QueueName>, queues: i64) -> Result<Share, Error> {
        let after = after.map_or("", QueueName::as_str);
        let statement = sqlx::query(statement!("promote_share")).bind(limit).bind(after).bind(queues);
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql(PROMOTING))?;
        let share = || -> Result<(Placed, i64, Option<QueueName>), sqlx::Error> {
            let (placed, last) = promoted(&rows)?;
            let Some(row) = last else { return Ok((placed, 0, None)) };
            let queues = row.try_get::<Option<i64>, _>("queues_seen")?.unwrap_or_default();
            let last = row.try_get::<Option<String>, _>("queue")?.and_then(|queue| queue.parse().ok());
            Ok((placed, queues, last))
        };
        let (placed, queues, last) = share().map_err(Error::sql(PROMOTING))?;
        Ok(Share { promoted: self.with_room(placed).await, queues, last })
    }

    /// The jobs, after jobs with limit keys got room, as far as there is room.
    async fn with_room(&self, placed: Placed) -> Promoted {
        let jobs = self.admit_placed(placed.jobs).await;
        Promoted { jobs: self.admit_parked(jobs, placed.parked).await, lateness: placed.lateness, next_in: None }
    }

    /// Moves blocked jobs into the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/unblock.sql")).bind(uuids(ids));
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql("unblocking jobs"))?;
        let (mut jobs, mut parked) = (Vec::new(), Vec::new());
        for row in &rows {
            jobs.push(in_line_or_behind(row).map_err(Error::sql("unblocking jobs"))?);
            parked.extend(lane(row).map_err(Error::sql("unblocking jobs"))?);
        }
        let jobs = self.admit_placed(jobs).await;
        Ok(self.admit_parked(jobs, parked).await)
    }

    /// Ends waiting jobs that may not begin any more: cancelled, if they have expired; dead, if their time for retries has
    /// ended.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn lapse(&self, limit: i64) -> Result<Vec<Lapsed>, Error> {
        let rows =
            sqlx::query(statement!("lapse")).bind(limit).try_map(|row| lapsed(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("ending jobs that may not begin any more"))
    }
}

/// Jobs that were due. Jobs with limit keys may wait for room, and jobs with fair keys are parked.
#[derive(Default)]
struct Placed {
    jobs: Vec<(Waiting, Option<String>)>,
    /// The lanes of the jobs that were parked.
    parked: Vec<(QueueName, String)>,
    lateness: Vec<Duration>,
}

/// The jobs of an answer, and its last row.
fn promoted(rows: &[PgRow]) -> Result<(Placed, Option<&PgRow>), sqlx::Error> {
    let (mut found, mut last) = (Placed::default(), None);
    for row in rows {
        if row.try_get::<Option<Uuid>, _>("id")?.is_none() {
            last = Some(row);
            continue;
        }
        found.jobs.push(in_line_or_behind(row)?);
        found.parked.extend(lane(row)?);
        let late_ms: Option<i64> = row.try_get("late_ms")?;
        found.lateness.push(late_ms.map_or(Duration::ZERO, millis_or_zero));
    }
    Ok((found, last))
}

fn millis_or_zero(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
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

/// The same for an answer in which a job may also be parked.
pub(crate) fn in_line_or_behind(row: &PgRow) -> Result<(Waiting, Option<String>), sqlx::Error> {
    let (mut job, key) = placed(row)?;
    job.is_in_line &= lane(row)?.is_none();
    Ok((job, key))
}
