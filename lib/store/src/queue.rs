//! pause, resume and purge: the operator's actions on a whole queue, or on a kind in it.

use crate::{connect::Store, error::Error, row::word, statement::statement};
use leasehold_core::{JobId, Kind, QueueName};
use uuid::Uuid;

impl Store {
    /// Pauses a queue: no job of the queue is claimed until the queue is resumed. Returns whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.set_paused(queue, None, "pausing a queue", include_str!("../sql/pause.sql")).await
    }

    /// Resumes a queue. Returns whether it was paused. Kinds that are paused in the queue stay paused.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.set_paused(queue, None, "resuming a queue", include_str!("../sql/resume.sql")).await
    }

    /// Pauses a kind in a queue: no job of this kind is claimed in this queue until the kind is resumed. Returns whether that
    /// changed anything.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.set_paused(queue, Some(kind), "pausing a kind", include_str!("../sql/pause_kind.sql")).await
    }

    /// Resumes a kind in a queue. Returns whether it was paused. A queue that is paused stays paused.
    ///
    /// # Errors
    /// [`Error::Locked`], or the statement failed.
    pub async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.set_paused(queue, Some(kind), "resuming a kind", include_str!("../sql/resume_kind.sql")).await
    }

    async fn set_paused(
        &self,
        queue: &QueueName,
        kind: Option<&Kind>,
        doing: &'static str,
        sql: &'static str,
    ) -> Result<bool, Error> {
        let what = || kind.map_or_else(|| format!("queue {queue}"), |kind| format!("kind {kind} of queue {queue}"));
        let statement = |lock_timeout: &'static str| {
            let statement = sqlx::query(sql).bind(queue.as_str());
            match kind {
                Some(kind) => statement.bind(kind.as_str()).bind(lock_timeout),
                None => statement.bind(lock_timeout),
            }
        };
        Ok(!self.change(doing, what, &statement).await?.is_empty())
    }

    /// The paused queues.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn paused(&self) -> Result<Vec<QueueName>, Error> {
        let sql = || Error::sql("reading which queues are paused");
        let names: Vec<String> =
            sqlx::query_scalar(include_str!("../sql/paused.sql")).fetch_all(&self.bounded).await.map_err(sql())?;
        let names: Result<Vec<QueueName>, _> = names.into_iter().map(QueueName::try_from).collect();
        names.map_err(|error| sql()(sqlx::Error::Decode(error.into())))
    }

    /// The paused kinds of one queue or of all queues, each with its queue.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn paused_kinds(&self, queue: Option<&QueueName>) -> Result<Vec<(QueueName, Kind)>, Error> {
        let statement = sqlx::query(include_str!("../sql/paused_kinds.sql")).bind(queue.map(QueueName::as_str));
        let rows = statement.try_map(|row| Ok((word(&row, "queue")?, word(&row, "kind")?))).fetch_all(&self.bounded);
        rows.await.map_err(Error::sql("reading which kinds are paused"))
    }

    /// Whether a queue of this name exists: it has live or finished jobs, a setting, a pause or a schedule. For an unknown
    /// name, the call reads all finished jobs. If they are too many for the answer timeout, the answer is yes.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn queue_is_known(&self, queue: &QueueName) -> Result<bool, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/queue_is_known.sql")).bind(queue.as_str());
        match statement.fetch_one(&self.bounded).await.map_err(Error::sql("looking for a queue")) {
            Err(error) if error.is_cancelled() => Ok(true),
            answer => answer,
        }
    }

    /// Cancels up to `limit` waiting (not running) jobs of a queue. An answer with fewer than `limit` ids means: no
    /// waiting job is left, except jobs that another session had locked.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query_scalar(statement!("purge")).bind(queue.as_str()).bind(limit);
        let ids: Vec<Uuid> = statement.fetch_all(&self.long_statements).await.map_err(Error::sql("purging a queue"))?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}
