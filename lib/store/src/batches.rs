//! batches, batch_moment, batch_live, seal_batch and end_batches: groups of jobs by name.

use crate::{
    connect::Store,
    error::Error,
    promote::waiting,
    row::{job_id, time, time_if_any},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::Waiting;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

const READING: &str = "reading a batch";
const SEALING: &str = "sealing a batch";

/// A batch with the number of its jobs by state.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns, described in docs/reference.md")]
#[non_exhaustive]
pub struct Batch {
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub sealed_at: Option<DateTime<Utc>>,
    /// When a reaper has seen that the batch is sealed and that all of its jobs have ended.
    pub completed_at: Option<DateTime<Utc>>,
    pub blocked: i64,
    pub scheduled: i64,
    pub queued: i64,
    pub running: i64,
    pub succeeded: i64,
    pub dead: i64,
    pub cancelled: i64,
    pub on_success: Option<String>,
    pub on_complete: Option<String>,
    pub on_death: Option<String>,
    pub callback_queue: String,
    pub success_job: Option<JobId>,
    pub complete_job: Option<JobId>,
    pub death_job: Option<JobId>,
}

/// The callbacks of a batch. A later version may have more fields.
///
/// ```
/// # use leasehold_store::BatchSeal;
/// let seal = BatchSeal::default().on_success("report".parse()?).on_death("alarm".parse()?);
/// assert!(seal.on_complete.is_none());
/// # Ok::<(), leasehold_core::InvalidName>(())
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct BatchSeal {
    /// The kind of the job that is enqueued when all jobs have succeeded.
    pub on_success: Option<Kind>,
    /// The kind of the job that is enqueued when all jobs have ended.
    pub on_complete: Option<Kind>,
    /// The kind of the job that is enqueued when the first job is dead.
    pub on_death: Option<Kind>,
    /// The queue of these jobs.
    pub queue: QueueName,
}

impl BatchSeal {
    /// A job of this kind is enqueued when all jobs have succeeded.
    #[must_use]
    pub fn on_success(self, kind: Kind) -> Self {
        Self { on_success: Some(kind), ..self }
    }

    /// A job of this kind is enqueued when all jobs have ended.
    #[must_use]
    pub fn on_complete(self, kind: Kind) -> Self {
        Self { on_complete: Some(kind), ..self }
    }

    /// A job of this kind is enqueued when the first job is dead.
    #[must_use]
    pub fn on_death(self, kind: Kind) -> Self {
        Self { on_death: Some(kind), ..self }
    }

    /// The queue of these jobs.
    #[must_use]
    pub fn queue(self, queue: QueueName) -> Self {
        Self { queue, ..self }
    }
}

leasehold_core::with_fields!(BatchSeal);

/// The answer to a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The batch is sealed now.
    Now,
    /// The batch was sealed before, with the same callbacks.
    Already,
    /// The batch was sealed before with other callbacks. Nothing was changed.
    Otherwise,
    /// There is no such batch.
    Unknown,
}

/// The facts for a caller that waits for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMoment {
    /// A job of the batch has not ended.
    pub has_live: bool,
    /// The batch is sealed, and its callbacks are not decided yet.
    pub is_awaited: bool,
}

impl Batch {
    /// The number of all jobs.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.live() + self.ended()
    }

    /// The number of jobs that have not ended.
    #[must_use]
    pub const fn live(&self) -> i64 {
        self.blocked + self.scheduled + self.queued + self.running
    }

    /// The number of jobs that have ended.
    #[must_use]
    pub const fn ended(&self) -> i64 {
        self.succeeded + self.dead + self.cancelled
    }

    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let id = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<Uuid>, _>(column)?.map(JobId));
        Ok(Self {
            name: row.try_get("name")?,
            created_at: time(row, "created_at")?,
            sealed_at: time_if_any(row, "sealed_at")?,
            completed_at: time_if_any(row, "completed_at")?,
            blocked: row.try_get("blocked")?,
            scheduled: row.try_get("scheduled")?,
            queued: row.try_get("queued")?,
            running: row.try_get("running")?,
            succeeded: row.try_get("succeeded")?,
            dead: row.try_get("dead")?,
            cancelled: row.try_get("cancelled")?,
            on_success: row.try_get("on_success")?,
            on_complete: row.try_get("on_complete")?,
            on_death: row.try_get("on_death")?,
            callback_queue: row.try_get("callback_queue")?,
            success_job: id("success_job")?,
            complete_job: id("complete_job")?,
            death_job: id("death_job")?,
        })
    }
}

impl Store {
    /// One batch, or the newest ones.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn batches(&self, name: Option<&str>, limit: i64) -> Result<Vec<Batch>, Error> {
        let statement = sqlx::query(include_str!("../sql/batches.sql")).bind(name).bind(limit);
        let rows = statement.try_map(|row| Batch::decode(&row)).fetch_all(&self.long_statements).await;
        rows.map_err(Error::sql(READING))
    }

    /// The facts for a caller that waits for a batch; `None` if there is no such batch.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn batch_moment(&self, name: &str) -> Result<Option<BatchMoment>, Error> {
        let statement = sqlx::query(include_str!("../sql/batch_moment.sql")).bind(name);
        let row = statement
            .try_map(|row: PgRow| {
                Ok(BatchMoment { has_live: row.try_get("has_live")?, is_awaited: row.try_get("is_awaited")? })
            })
            .fetch_optional(&self.bounded)
            .await;
        row.map_err(Error::sql(READING))
    }

    /// A page of the live jobs of a batch without a cancel request.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn batch_live(&self, name: &str, after: Option<JobId>, limit: i64) -> Result<Vec<JobId>, Error> {
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let statement = sqlx::query(include_str!("../sql/batch_live.sql")).bind(name).bind(after).bind(limit);
        let ids = statement.try_map(|row: PgRow| job_id(&row, "id")).fetch_all(&self.bounded).await;
        ids.map_err(Error::sql(READING))
    }

    /// Seals a batch: no job can be added any more. Waits up to `lock_timeout` for the transactions that add jobs now.
    ///
    /// # Errors
    /// [`Error::Locked`] if a transaction that adds jobs has not ended in time, or the statement failed.
    pub async fn seal_batch(&self, name: &str, seal: &BatchSeal) -> Result<Sealed, Error> {
        let kind = |kind: &Option<Kind>| kind.as_ref().map(|kind| kind.as_str().to_owned());
        let statement = |lock_timeout: &'static str| {
            sqlx::query(include_str!("../sql/seal_batch.sql"))
                .bind(name)
                .bind(kind(&seal.on_success))
                .bind(kind(&seal.on_complete))
                .bind(kind(&seal.on_death))
                .bind(seal.queue.as_str())
                .bind(lock_timeout)
        };
        let rows = self.change(SEALING, || format!("batch {name:?}"), &statement).await?;
        let answer = rows.first().map(|row| row.try_get::<String, _>(0)).transpose().map_err(Error::sql(SEALING))?;
        Ok(match answer.as_deref() {
            Some("sealed") => Sealed::Now,
            Some("already") => Sealed::Already,
            Some("other") => Sealed::Otherwise,
            _ => Sealed::Unknown,
        })
    }

    /// Enqueues the callback jobs of batches whose first job is dead or whose jobs have all ended. Returns these jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn end_batches(&self, limit: i64) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/end_batches.sql")).bind(limit);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("enqueueing the callbacks of batches"))
    }
}
