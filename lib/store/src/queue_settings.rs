//! set_queue and queue_settings: the settings of a queue. dead_letter: the dead letters of dead jobs.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, time},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

const DOING: &str = "setting a queue";

/// What to change. The outer `None`: leave it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// The queue that gets a job for each job that dies; `None`: no queue.
    pub dead_letter: Option<Option<QueueName>>,
    /// For how many days finished jobs are kept; `None`: as the setting of the fleet says.
    pub keep_days: Option<Option<u16>>,
    /// Whether the jobs of the queue that have fair keys share it.
    pub fair: Option<bool>,
}

/// The settings of a queue, and its pauses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueSettings {
    /// No job of the queue starts.
    pub paused: bool,
    /// The kinds whose jobs do not start in this queue.
    pub paused_kinds: Vec<String>,
    /// The fair keys whose jobs do not start in this queue.
    pub paused_fair_keys: Vec<String>,
    /// The waiting time that one point of priority is worth; `None`: one hour.
    pub priority_step_ms: Option<i64>,
    /// The queue that gets a job for each job that dies.
    pub dead_letter: Option<String>,
    /// For how many days finished jobs are kept; `None`: as the setting of the fleet says.
    pub keep_days: Option<i32>,
    /// Whether the jobs of the queue that have fair keys share it.
    pub fair: bool,
    /// Whether the payloads of the queue are encrypted.
    pub encrypted: bool,
}

crate::from_row!(QueueSettings {
    paused,
    paused_kinds,
    paused_fair_keys,
    priority_step_ms,
    dead_letter,
    keep_days,
    fair,
    encrypted
});

/// A dead letter: a job that was made because another job died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The job that was made.
    pub job: JobId,
    /// The job that died.
    pub died: JobId,
    /// The queue in which it died.
    pub died_in: String,
    /// Why it died.
    pub error: Option<String>,
    /// When it died.
    pub made_at: DateTime<Utc>,
}

impl Store {
    /// Changes the settings of a queue.
    ///
    /// # Errors
    /// [`Error::Locked`] if another session holds the row of the queue for longer than the lock timeout; or the statement
    /// failed, for example because a queue would be its own dead-letter queue.
    pub async fn set_queue(&self, queue: &QueueName, change: &QueueChange) -> Result<(), Error> {
        let QueueChange { dead_letter, keep_days, fair } = change;
        let statement = |lock_timeout: &'static str| {
            sqlx::query(include_str!("../sql/set_queue.sql"))
                .bind(queue.as_str())
                .bind(dead_letter.is_some())
                .bind(dead_letter.clone().flatten().map(|queue| queue.as_str().to_owned()))
                .bind(keep_days.is_some())
                .bind(keep_days.flatten().map(i32::from))
                .bind(lock_timeout)
                .bind(*fair)
        };
        self.change(DOING, || format!("queue {queue}"), &statement).await.map(drop)
    }

    /// The settings of a queue, and its pauses.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn queue_settings(&self, queue: &QueueName) -> Result<QueueSettings, Error> {
        let statement = sqlx::query_as(include_str!("../sql/queue_settings.sql")).bind(queue.as_str());
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("reading the settings of a queue"))
    }

    /// The dead letters that a job is or has left, the oldest first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn dead_letters(&self, id: JobId) -> Result<Vec<DeadLetter>, Error> {
        let statement = sqlx::query(include_str!("../sql/dead_letter.sql")).bind(id.0);
        let letter = |row: PgRow| {
            Ok(DeadLetter {
                job: job_id(&row, "job")?,
                died: job_id(&row, "died")?,
                died_in: row.try_get("died_in")?,
                error: row.try_get("error")?,
                made_at: time(&row, "made_at")?,
            })
        };
        let rows = statement.try_map(letter).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading the dead letters of a job"))
    }
}
