//! Reads jobs, for clients and operators: one job, pages of jobs, finished jobs, the numbers of each queue, and what a job
//! needs for its explanation.

use crate::{
    connect::Store,
    error::Error,
    row::{Record, job_id, json, time, uuids, word},
};
use leasehold_core::{JobId, JobRecord, Kind, QueueName, State};
use leasehold_ports::{Finished, JobMoment, RowLocker};
use serde::Serialize;
use sqlx::{FromRow, Row, postgres::PgRow};
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
    /// Only jobs with an id below this one: the last id of the page before.
    pub before: Option<JobId>,
    pub limit: i64,
}

/// The waiting and running jobs of a queue, counted in PostgreSQL.
#[derive(Clone, Debug, Serialize, FromRow)]
#[expect(missing_docs, reason = "columns")]
pub struct QueueStats {
    pub queue: String,
    pub paused: bool,
    /// The kinds that are paused in this queue.
    pub paused_kinds: Vec<String>,
    /// The fair keys that are paused in this queue.
    pub paused_fair_keys: Vec<String>,
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

impl Store {
    /// One job, live or finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        let statement = sqlx::query_as::<_, Record>(include_str!("../sql/job.sql")).bind(id.0);
        const DOING: &str = "reading a job";
        match statement.fetch_optional(&self.bounded).await.map_err(Error::sql(DOING)) {
            Err(error) => Err(self.name_table_locks(DOING, error).await),
            Ok(row) => Ok(row.map(|record| record.0)),
        }
    }

    /// A page of jobs, newest id first. Without conditions, the cost is that of the jobs on the page. With conditions
    /// that few jobs meet, the cost is that of all jobs that were read to find them.
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
        const DOING: &str = "listing jobs";
        let rows = match statement.fetch_all(&self.long_statements).await.map_err(Error::sql(DOING)) {
            Ok(rows) => rows,
            Err(error) => return Err(self.name_table_locks(DOING, error).await),
        };
        Ok(rows.into_iter().map(|record| record.0).collect())
    }

    /// The jobs among `ids` that have finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error> {
        let statement = sqlx::query(include_str!("../sql/finished.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| finished(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking for finished jobs"))
    }

    /// One job, live or finished, at this moment; `None` if no job has this id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error> {
        let statement = sqlx::query(include_str!("../sql/explain.sql")).bind(id.0);
        let row = statement.try_map(|row| job_moment(&row)).fetch_optional(&self.bounded).await;
        const DOING: &str = "reading a job to explain";
        let mut found = match row.map_err(Error::sql(DOING)) {
            Err(error) => return Err(self.name_table_locks(DOING, error).await),
            Ok(found) => found,
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

    /// Counts for each queue that has a job or a row. Reads the index entries of all waiting jobs: about 100 ms for a
    /// million jobs. So this is for operators and gauges, and must not be called for each job.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn stats(&self) -> Result<Vec<QueueStats>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/stats.sql"));
        const DOING: &str = "counting jobs";
        match statement.fetch_all(&self.long_statements).await.map_err(Error::sql(DOING)) {
            Err(error) => Err(self.name_table_locks(DOING, error).await),
            stats => stats,
        }
    }
}

fn finished(row: &PgRow) -> Result<Finished, sqlx::Error> {
    Ok(Finished {
        id: job_id(row, "id")?,
        state: word(row, "state")?,
        result: json(row, "result")?,
        last_error: row.try_get("last_error")?,
    })
}

fn job_moment(row: &PgRow) -> Result<JobMoment, sqlx::Error> {
    let key_held_by: Option<Uuid> = row.try_get("key_held_by")?;
    let locker_pid: Option<i32> = row.try_get("locker_pid")?;
    Ok(JobMoment {
        job: Record::from_row(row)?.0,
        as_of: time(row, "as_of")?,
        paused: row.try_get("paused")?,
        kind_paused: row.try_get("kind_paused")?,
        key_held_by: key_held_by.map(JobId),
        locked_by: locker_pid
            .map(|pid| {
                Ok::<_, sqlx::Error>(RowLocker {
                    pid,
                    application: row.try_get("locker_application")?,
                    since: time(row, "locked_since")?,
                })
            })
            .transpose()?,
        limits: Vec::new(),
        share: None,
    })
}
