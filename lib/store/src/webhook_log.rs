//! webhook_note, webhook_attempts, webhook_replayable and webhook_trim: the log of the deliveries of webhooks, and the effect of
//! an attempt on the state of its endpoint.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, time},
    webhooks::names,
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind, State};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

/// One attempt, for the log.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in `WebhookAttempt`")]
pub struct AttemptNote {
    pub webhook: Kind,
    pub revision: i32,
    pub delivery: JobId,
    pub job: Option<Uuid>,
    pub event: String,
    pub attempt: i32,
    pub status: Option<u16>,
    pub ms: i32,
    pub error: Option<String>,
    pub answer: Option<String>,
}

/// A row of the log.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookAttempt {
    /// The id of the attempt.
    pub id: Uuid,
    /// The delivery: the id of its job, and the header `webhook-id`.
    pub delivery: JobId,
    /// The job that has ended; `None`: a test.
    pub job: Option<Uuid>,
    /// What happened to the job.
    pub event: String,
    /// The number of the attempt; 1 is the first.
    pub attempt: i32,
    /// The status of the answer; `None`: there was no answer.
    pub status: Option<i32>,
    /// How long the attempt took.
    pub ms: i32,
    /// Why the attempt failed; `None`: it succeeded.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// When the attempt ended.
    pub at: DateTime<Utc>,
    /// The state of the delivery now; `None`: it is no longer kept.
    pub state: Option<String>,
}

/// A delivery that was tried within a time.
#[derive(Clone, Copy, Debug)]
pub struct Replayable {
    /// The attempt: where the next page begins.
    pub attempt: Uuid,
    /// The delivery.
    pub delivery: JobId,
    /// It is in one of the wanted states now, and was when the first page was read.
    pub is_wanted: bool,
    /// When the first page was read, by the database's clock.
    pub begun: DateTime<Utc>,
}

impl Store {
    /// Writes an attempt into the log. Returns the reason if the attempt has disabled the webhook.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn note_webhook_attempt(&self, note: &AttemptNote) -> Result<Option<String>, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/webhook_note.sql"))
            .bind(note.webhook.as_str())
            .bind(note.revision)
            .bind(note.delivery.0)
            .bind(note.job)
            .bind(&note.event)
            .bind(note.attempt)
            .bind(note.status.map(i32::from))
            .bind(note.ms)
            .bind(note.error.as_deref())
            .bind(note.answer.as_deref());
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("writing the log of a webhook"))
    }

    /// A page of the log of a webhook, the newest attempt first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn webhook_attempts(
        &self,
        id: &Kind,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<WebhookAttempt>, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_attempts.sql"))
            .bind(id.as_str())
            .bind(before)
            .bind(limit)
            .try_map(|row| attempt(&row));
        statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading the log of a webhook"))
    }

    /// A page of the deliveries that were tried within a time, the oldest attempt first. `after` has the last attempt of the
    /// previous page, and the time at which the first page was read.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn replayable(
        &self,
        id: &Kind,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        states: &[State],
        after: Option<(Uuid, DateTime<Utc>)>,
        limit: i64,
    ) -> Result<Vec<Replayable>, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_replayable.sql"))
            .bind(id.as_str())
            .bind(since)
            .bind(until)
            .bind(after.map(|(attempt, _)| attempt))
            .bind(names(states))
            .bind(limit)
            .bind(after.map(|(_, begun)| begun))
            .try_map(|row: PgRow| {
                Ok(Replayable {
                    attempt: row.try_get("id")?,
                    delivery: job_id(&row, "delivery")?,
                    is_wanted: row.try_get("is_wanted")?,
                    begun: row.try_get("begun")?,
                })
            });
        statement.fetch_all(&self.bounded).await.map_err(Error::sql("looking for deliveries to send again"))
    }

    /// Deletes old rows of the log, and secrets that sign no more. Returns the number of deleted rows of the log.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn trim_webhooks(&self, keep_days: i32, limit: i64) -> Result<i64, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/webhook_trim.sql")).bind(keep_days).bind(limit);
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("deleting old rows of the log of webhooks"))
    }
}

fn attempt(row: &PgRow) -> Result<WebhookAttempt, sqlx::Error> {
    Ok(WebhookAttempt {
        id: row.try_get("id")?,
        delivery: job_id(row, "delivery")?,
        job: row.try_get("job")?,
        event: row.try_get("event")?,
        attempt: row.try_get("attempt")?,
        status: row.try_get("status")?,
        ms: row.try_get("ms")?,
        error: row.try_get("error")?,
        answer: row.try_get("answer")?,
        at: time(row, "at")?,
        state: row.try_get("state")?,
    })
}
