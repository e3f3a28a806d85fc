//! webhooks, webhook_new, webhook_change, webhook_remove, webhook_rotate, webhook_target, webhook_trigger and
//! webhook_wanted: the endpoints that receive messages about ended jobs, and their secrets. `webhook_log` has the
//! results of the deliveries.
//!
//! Deliveries are jobs: the SQL function `webhook_ended` makes them. This module does not run deliveries.

use crate::{
    connect::Store,
    error::Error,
    row::{millis, time, time_if_any},
};
use chrono::{DateTime, Utc};
use leasehold_core::{Kind, State};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

const READING: &str = "reading webhooks";
const CHANGING: &str = "changing a webhook";
/// The most webhooks: the end of each job looks at all of them.
const WEBHOOKS_MAX: i64 = 1_000;

/// An endpoint, and the ends of jobs for which it gets messages.
#[derive(Clone, Debug, Serialize)]
pub struct Webhook {
    /// The id; also the kind of its deliveries.
    pub id: String,
    /// Where messages go.
    pub url: String,
    /// The queue of the jobs, or a pattern that ends in `*`.
    pub queue: String,
    /// The kinds of the jobs; empty: every kind.
    pub kinds: Vec<String>,
    /// The final states of the jobs.
    pub states: Vec<String>,
    /// Whether ends of jobs make deliveries now.
    pub active: bool,
    /// When the webhook was disabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why it was disabled.
    pub disabled_reason: Option<String>,
    /// The first failure since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last attempt in the log.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// The status of its answer.
    pub last_status: Option<i32>,
    /// Why it failed.
    pub last_error: Option<String>,
    /// Until when the secret before the last rotation signs too.
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// When the webhook was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed.
    pub changed_at: DateTime<Utc>,
}

/// A webhook to make.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// The id.
    pub id: Kind,
    /// Where messages go.
    pub url: String,
    /// The queue of the jobs, or a pattern that ends in `*`.
    pub queue: String,
    /// The kinds of the jobs; empty: every kind.
    pub kinds: Vec<Kind>,
    /// The final states of the jobs.
    pub states: Vec<State>,
    /// The secret that signs messages.
    pub secret: String,
}

/// What to change of a webhook. `None` leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `NewWebhook`")]
pub struct WebhookChange {
    pub url: Option<String>,
    pub queue: Option<String>,
    pub kinds: Option<Vec<Kind>>,
    pub states: Option<Vec<State>>,
    /// Whether the webhook is enabled.
    pub enabled: Option<bool>,
}

/// The answer to a new webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookMade {
    /// It was made.
    Made,
    /// There is a webhook of this id. Nothing was changed.
    Exists,
    /// There are as many webhooks as there may be. Nothing was changed.
    Full,
}

/// Whether ends of jobs make deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookTrigger {
    /// They do.
    On,
    /// They do not, because no webhook is enabled.
    Off,
    /// Another session holds a lock. Nothing was changed: try again.
    Busy,
}

/// The pending work for webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhooksWanted {
    /// There is a webhook.
    pub any: bool,
    /// The trigger is missing, or exists although it is not needed.
    pub must_set: bool,
}

/// Where a delivery goes.
#[derive(Clone)]
pub struct WebhookTarget {
    /// The URL.
    pub url: String,
    /// The version of the webhook that was read.
    pub revision: i32,
    /// When and why it was disabled.
    pub disabled: Option<(DateTime<Utc>, String)>,
    /// The secrets that sign, the newest first.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("url", &self.url)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

pub(crate) fn names<T: std::fmt::Display>(words: &[T]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

impl Store {
    /// The webhooks, by id: all of them, or one.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn webhooks(&self, id: Option<&str>) -> Result<Vec<Webhook>, Error> {
        let statement = sqlx::query(include_str!("../sql/webhooks.sql")).bind(id);
        let rows = statement.try_map(|row| webhook(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql(READING))
    }

    /// Makes a webhook. No end of a job makes deliveries before [`Store::set_webhook_trigger`] has answered that they do.
    ///
    /// # Errors
    /// A value is not valid, or the statement failed.
    pub async fn new_webhook(&self, new: &NewWebhook) -> Result<WebhookMade, Error> {
        let statement = sqlx::query_scalar::<_, String>(include_str!("../sql/webhook_new.sql"))
            .bind(new.id.as_str())
            .bind(&new.url)
            .bind(&new.queue)
            .bind(names(&new.kinds))
            .bind(names(&new.states))
            .bind(&new.secret)
            .bind(WEBHOOKS_MAX);
        let answer = statement.fetch_one(&self.bounded).await.map_err(Error::sql(CHANGING))?;
        Ok(match answer.as_str() {
            "made" => WebhookMade::Made,
            "exists" => WebhookMade::Exists,
            _ => WebhookMade::Full,
        })
    }

    /// Changes the given fields of a webhook. Returns whether a webhook with this id exists.
    ///
    /// # Errors
    /// A value is not valid, or the statement failed.
    pub async fn change_webhook(&self, id: &Kind, change: &WebhookChange) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_change.sql"))
            .bind(id.as_str())
            .bind(change.url.as_deref())
            .bind(change.queue.as_deref())
            .bind(change.kinds.as_deref().map(names))
            .bind(change.states.as_deref().map(names))
            .bind(change.enabled);
        Ok(statement.fetch_optional(&self.bounded).await.map_err(Error::sql(CHANGING))?.is_some())
    }

    /// Removes a webhook with its secrets. Returns whether there was one.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn remove_webhook(&self, id: &Kind) -> Result<bool, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/webhook_remove.sql")).bind(id.as_str());
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("removing a webhook"))
    }

    /// Gives a webhook a new secret. Returns when the earlier secrets end; `None`: there is no such webhook.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn rotate_webhook(
        &self,
        id: &Kind,
        secret: &str,
        overlap: Duration,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_rotate.sql"))
            .bind(id.as_str())
            .bind(secret)
            .bind(millis(overlap))
            .try_map(|row: PgRow| time(&row, "until"));
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("rotating the secret of a webhook"))
    }

    /// Sets the trigger that makes deliveries for the ends of jobs: creates it if a webhook is enabled, and drops it
    /// if none is.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn set_webhook_trigger(&self) -> Result<WebhookTrigger, Error> {
        let statement = sqlx::query_scalar::<_, String>(include_str!("../sql/webhook_trigger.sql"));
        let answer = statement.fetch_one(&self.bounded).await.map_err(Error::sql("setting the trigger of webhooks"))?;
        Ok(match answer.as_str() {
            "on" => WebhookTrigger::On,
            "off" => WebhookTrigger::Off,
            _ => WebhookTrigger::Busy,
        })
    }

    /// The pending work for webhooks.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn webhooks_wanted(&self) -> Result<WebhooksWanted, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_wanted.sql"))
            .try_map(|row: PgRow| Ok(WebhooksWanted { any: row.try_get("any")?, must_set: row.try_get("must_set")? }));
        statement.fetch_one(&self.bounded).await.map_err(Error::sql(READING))
    }

    /// Where a delivery goes; `None`: the webhook was removed.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn webhook_target(&self, id: &Kind) -> Result<Option<WebhookTarget>, Error> {
        let statement = sqlx::query(include_str!("../sql/webhook_target.sql")).bind(id.as_str());
        let rows = statement.try_map(|row| target(&row)).fetch_optional(&self.bounded).await;
        rows.map_err(Error::sql("reading where a delivery goes"))
    }
}

fn webhook(row: &PgRow) -> Result<Webhook, sqlx::Error> {
    Ok(Webhook {
        id: row.try_get("id")?,
        url: row.try_get("url")?,
        queue: row.try_get("queue")?,
        kinds: row.try_get("kinds")?,
        states: row.try_get("states")?,
        active: row.try_get("active")?,
        disabled_at: time_if_any(row, "disabled_at")?,
        disabled_reason: row.try_get("disabled_reason")?,
        failing_since: time_if_any(row, "failing_since")?,
        last_attempt_at: time_if_any(row, "last_attempt_at")?,
        last_status: row.try_get("last_status")?,
        last_error: row.try_get("last_error")?,
        previous_secret_until: time_if_any(row, "previous_secret_until")?,
        created_at: time(row, "created_at")?,
        changed_at: time(row, "changed_at")?,
    })
}

fn target(row: &PgRow) -> Result<WebhookTarget, sqlx::Error> {
    let reason: Option<String> = row.try_get("disabled_reason")?;
    Ok(WebhookTarget {
        url: row.try_get("url")?,
        revision: row.try_get("revision")?,
        disabled: time_if_any(row, "disabled_at")?.zip(reason),
        secrets: row.try_get("secrets")?,
    })
}
