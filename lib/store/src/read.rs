//! Reads jobs, for clients and operators: one job, pages of jobs, finished jobs, the numbers of each queue, and what a job
//! needs for its explanation.

use crate::{
    connect::Store,
    error::Error,
    row::{Record, job_id, json, time, uuids, word},
    statement::statement,
};
use leasehold_core::{JobId, JobRecord, Kind, QueueName, State};
use leasehold_ports::{Finished, JobMoment, RowLocker};
use serde::Serialize;
use sqlx::{FromRow as _, Row, postgres::PgRow};
use uuid::Uuid;

/// Which jobs to list. All conditions must hold.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct JobFilter {
    pub queue: Option<QueueName>,
    pub kind: Option<Kind>,
    pub state: Option<State>,
    /// Only jobs of this batch.
    pub batch: Option<String>,
    /// Only jobs with a lower id than this: the last id of the previous page.
    pub before: Option<JobId>,
    pub limit: i64,
}

/// The waiting and running jobs of a queue, counted in PostgreSQL.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct QueueStats {
    pub queue: String,
    pub paused: bool,
    /// The kinds that are paused in this queue.
    pub paused_kinds: Vec<String>,
    /// The fair keys that are paused in this queue.
    pub paused_fair_keys: Vec<String>,
    /// Whether the payloads of the queue are encrypted.
    pub encrypted: bool,
    pub blocked: i64,
    pub scheduled: i64,
    pub queued: i64,
    pub running: i64,
    /// For how many seconds the oldest job in the line has been due.
    pub oldest_s: Option<f64>,
    /// Jobs that finished within the last minute, by final state.
    pub succeeded_last_minute: i64,
    pub dead_last_minute: i64,
    pub cancelled_last_minute: i64,
}

crate::from_row!(QueueStats {
    queue,
    paused,
    paused_kinds,
    paused_fair_keys,
    encrypted,
    blocked,
    scheduled,
    queued,
    running,
    oldest_s,
    succeeded_last_minute,
    dead_last_minute,
    cancelled_last_minute,
});

/// The current state of a job, without its payload and its result.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "columns")]
pub struct JobNow {
    pub id: JobId,
    pub queue: String,
    pub kind: String,
    pub state: State,
    pub attempt: i32,
    pub epoch: i32,
    /// How much of the run is done, from 0 to 1.
    pub done: Option<f64>,
    /// When the run last reported its progress.
    pub told_at: Option<String>,
}

impl Store {
    /// The current state of these jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn jobs_now(&self, ids: &[JobId]) -> Result<Vec<JobNow>, Error> {
        let statement = sqlx::query(include_str!("../sql/jobs_now.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row: PgRow| {
            Ok(JobNow {
                id: job_id(&row, "id")?,
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                state: word(&row, "state")?,
                attempt: row.try_get("attempt")?,
                epoch: row.try_get("epoch")?,
                done: row.try_get("done")?,
                told_at: row.try_get("told_at")?,
            })
        });
        rows.fetch_all(&self.bounded).await.map_err(Error::sql("reading how jobs are"))
    }

    /// One job, live or finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        let statement = sqlx::query_as::<_, Record>(include_str!("../sql/job.sql")).bind(id.0);
        let row = statement.fetch_optional(&self.bounded).await.map_err(Error::sql("reading a job"))?;
        match row {
            Some(record) => Ok(Some(self.readable(record.0).await)),
            None => Ok(None),
        }
    }

    /// A page of jobs, newest id first. Without conditions, the cost depends on the number of jobs on the page. With
    /// conditions that few jobs meet, the cost depends on the number of jobs that are read to find them.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, Error> {
        let statement = match &filter.batch {
            Some(batch) => sqlx::query_as::<_, Record>(include_str!("../sql/batch_jobs.sql")).bind(batch),
            None => sqlx::query_as::<_, Record>(include_str!("../sql/jobs.sql")),
        };
        let statement = statement
            .bind(filter.queue.as_ref().map(QueueName::as_str))
            .bind(filter.kind.as_ref().map(Kind::as_str))
            .bind(filter.state.map(State::as_str))
            .bind(filter.before.map(|id| id.0))
            .bind(filter.limit);
        let rows = statement.fetch_all(&self.long_statements).await.map_err(Error::sql("listing jobs"))?;
        let mut jobs = Vec::with_capacity(rows.len());
        for record in rows {
            jobs.push(self.readable(record.0).await);
        }
        Ok(jobs)
    }

    /// The jobs among `ids` that have finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error> {
        let statement = sqlx::query(include_str!("../sql/finished.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| finished(&row)).fetch_all(&self.bounded).await;
        let mut rows = rows.map_err(Error::sql("looking for finished jobs"))?;
        for Finished { id, result, .. } in &mut rows {
            *result = result.take().map(|result| self.readable_result(*id, result));
        }
        Ok(rows)
    }

    /// One job, live or finished, at this moment; `None` if no job has this id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error> {
        let statement = sqlx::query(statement!("explain")).bind(id.0);
        let row = statement.try_map(|row| job_moment(&row)).fetch_optional(&self.bounded).await;
        let mut found = match row.map_err(Error::sql("reading a job to explain"))? {
            Some(moment) => Some(JobMoment { job: self.readable(moment.job).await, ..moment }),
            None => None,
        };
        if let Some(moment) = &mut found
            && moment.job.fair_key.is_some()
            && moment.job.state == State::Queued
        {
            moment.share = self.fair_share(id).await?;
        }
        if let Some(moment) = &mut found
            && let Some(keys) = &moment.job.limit_keys
            && moment.job.state == State::Queued
        {
            moment.limits = self.held_limits(keys).await?;
        }
        Ok(found)
    }

    /// The number of jobs before this job in its line, counted up to `limit`. `None` when the job is not in the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/position.sql")).bind(id.0).bind(limit);
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("counting the jobs before a job"))
    }

    /// Counts for each queue that has a job or a row. The cost depends on the number of queues and kinds, not on the
    /// number of jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn stats(&self) -> Result<Vec<QueueStats>, Error> {
        let statement = sqlx::query_as(crate::statement::statement!("stats"));
        statement.fetch_all(&self.long_statements).await.map_err(Error::sql("counting jobs"))
    }
}

fn finished(row: &PgRow) -> Result<Finished, sqlx::Error> {
    Ok(Finished::new(job_id(row, "id")?, word(row, "state")?, json(row, "result")?, row.try_get("last_error")?))
}

/// The session that has locked the row, or a row of a key.
pub(crate) fn row_locker(row: &PgRow) -> Result<Option<RowLocker>, sqlx::Error> {
    let Some(pid) = row.try_get("locker_pid")? else { return Ok(None) };
    Ok(Some(RowLocker { pid, application: row.try_get("locker_application")?, since: time(row, "locked_since")? }))
}

fn job_moment(row: &PgRow) -> Result<JobMoment, sqlx::Error> {
    let key_held_by: Option<Uuid> = row.try_get("key_held_by")?;
    Ok(JobMoment {
        job: Record::from_row(row)?.0,
        as_of: time(row, "as_of")?,
        paused: row.try_get("paused")?,
        kind_paused: row.try_get("kind_paused")?,
        key_held_by: key_held_by.map(JobId),
        locked_by: row_locker(row)?,
        limits: Vec::new(),
        share: None,
    })
}
