//! Webhooks: make, change, read and remove them, and send deliveries again. `lib/api` runs deliveries.

use crate::{Client, Error};
use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{BulkAction, BulkFilter, InvalidName, JobId, Kind, NewJob, QueueName, State, WEBHOOK_QUEUE};
use leasehold_store::{
    KeyLimit, NewWebhook, Store, Webhook, WebhookAttempt, WebhookChange, WebhookMade, WebhookTrigger,
};
use serde::{Serialize, Serializer};
use serde_json::{json, value::to_raw_value};
use std::{collections::HashSet, fmt, str::FromStr, time::Duration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The limit of each endpoint. An operator may set another one.
const LIMITS: &str = "leasehold.webhook:*";
/// How many messages go to one endpoint at the same time.
const RUNNING_MAX: i32 = 4;
/// For how long a call tries to get the locks of the trigger, and the pause between two tries.
const TRIGGER_WITHIN: Duration = Duration::from_secs(5);
const TRIGGER_PAUSE: Duration = Duration::from_millis(200);
/// How many attempts one statement reads.
const PAGE: i64 = 500;

/// Which deliveries to send again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Deliveries that were tried at this time or later.
    pub since: DateTime<Utc>,
    /// Deliveries that were tried before this time.
    pub until: DateTime<Utc>,
    /// Deliveries that have ended in one of these states.
    pub states: Vec<State>,
    /// The position at which an earlier call has ended.
    pub after: Option<ReplayPlace>,
    /// How many deliveries are sent again at the most.
    pub limit: usize,
}

/// The result of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The deliveries that are in the line again.
    pub replayed: usize,
    /// There may be more: [`Replay::after`] of the next call.
    pub next: Option<ReplayPlace>,
}

/// Where one call of a replay has ended, and when the first call began. Deliveries that were sent again since then are not sent
/// a third time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPlace {
    attempt: Uuid,
    begun: DateTime<Utc>,
}

impl fmt::Display for ReplayPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.begun.timestamp_micros())
    }
}

impl FromStr for ReplayPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (attempt, begun) = text.split_once('.')?;
            let begun = DateTime::from_timestamp_micros(begun.parse().ok()?)?;
            Some(Self { attempt: attempt.parse().ok()?, begun })
        };
        read().ok_or("no answer has this value")
    }
}

impl Serialize for ReplayPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Client {
    /// All webhooks, by id.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        Ok(self.postgres()?.webhooks(None).await?)
    }

    /// One webhook; `None` if there is no webhook with this id.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn webhook(&self, id: &Kind) -> Result<Option<Webhook>, Error> {
        Ok(self.postgres()?.webhooks(Some(id.as_str())).await?.pop())
    }

    /// Makes a webhook. [`Webhook::active`] says whether ends of jobs already make deliveries. An open transaction of another
    /// session can delay this; then the HTTP server tries again until it succeeds.
    ///
    /// # Errors
    /// A value is not valid, or PostgreSQL fails.
    pub async fn make_webhook(&self, new: &NewWebhook) -> Result<WebhookMade, Error> {
        let store = self.postgres()?;
        if store.limits(Some(LIMITS)).await?.is_empty() {
            store.set_limit(LIMITS, &KeyLimit::default().running(RUNNING_MAX)).await?;
        }
        let made = store.new_webhook(new).await?;
        if made == WebhookMade::Made {
            set_trigger(store).await?;
        }
        Ok(made)
    }

    /// Changes the given fields of a webhook. Returns whether a webhook with this id exists.
    ///
    /// # Errors
    /// A value is not valid, or PostgreSQL fails.
    pub async fn change_webhook(&self, id: &Kind, change: &WebhookChange) -> Result<bool, Error> {
        let store = self.postgres()?;
        let is_there = store.change_webhook(id, change).await?;
        if is_there && change.enabled.is_some() {
            set_trigger(store).await?;
        }
        Ok(is_there)
    }

    /// Removes a webhook, and cancels its deliveries that have not ended. Returns whether there was a webhook.
    ///
    /// # Errors
    /// PostgreSQL fails. If the webhook is removed, its deliveries end dead when they run.
    pub async fn remove_webhook(&self, id: &Kind) -> Result<bool, Error> {
        let store = self.postgres()?;
        if !store.remove_webhook(id).await? {
            return Ok(false);
        }
        set_trigger(store).await?;
        let filter = BulkFilter::default().queue(QueueName::of_webhooks()).kind(id.clone());
        let mut bulk = self.bulk(BulkAction::Cancel, filter).await?;
        while self.bulk_step(&mut bulk).await?.is_some() {}
        Ok(true)
    }

    /// Gives a webhook a new secret. The earlier secrets sign too until the returned time; `None`: there is no such webhook.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn rotate_webhook(
        &self,
        id: &Kind,
        secret: &str,
        overlap: Duration,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(self.postgres()?.rotate_webhook(id, secret, overlap).await?)
    }

    /// A page of the log of a webhook, the newest attempt first.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn webhook_attempts(
        &self,
        id: &Kind,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<WebhookAttempt>, Error> {
        Ok(self.postgres()?.webhook_attempts(id, before, limit).await?)
    }

    /// Sends one message that says only that it is a test. Returns the delivery. It is tried once.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn test_webhook(&self, id: &Kind) -> Result<JobId, Error> {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let body = json!({ "type": "webhook.test", "timestamp": now, "data": { "webhook": id.as_str() } });
        let body = to_raw_value(&body).map_err(|source| Error::Encode { kind: "webhook.test", source })?;
        let job = NewJob::new(id.clone(), body).with(|job| {
            job.queue = QueueName::of_webhooks();
            job.max_attempts = 1;
            job.limit_keys = vec![format!("leasehold.webhook:{id}")];
        });
        let delivery = job.id;
        self.enqueue_many(&[job]).await?;
        Ok(delivery)
    }

    /// Sends one delivery of a webhook again, with the same id. Returns whether it was in a final state; a delivery that waits
    /// for its next attempt is sent immediately. `None`: the webhook has no such delivery.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn replay_delivery(&self, webhook: &Kind, delivery: JobId) -> Result<Option<bool>, Error> {
        let job = self.postgres()?.job(delivery).await?;
        if !job.is_some_and(|job| job.queue == WEBHOOK_QUEUE && job.kind == webhook.as_str()) {
            return Ok(None);
        }
        Ok(Some(!self.revive(&[delivery]).await?.is_empty()))
    }

    /// Sends the deliveries of a webhook again that were tried within a time, each with the same id.
    ///
    /// # Errors
    /// PostgreSQL fails. Deliveries that were put into the line before are sent.
    pub async fn replay_webhook(&self, webhook: &Kind, replay: &Replay) -> Result<Replayed, Error> {
        let store = self.postgres()?;
        let time = (replay.since, replay.until);
        let (mut after, mut replayed) = (replay.after, 0);
        // A delivery has a row for each attempt. It may have failed again since it was revived here.
        let mut seen = HashSet::new();
        loop {
            let page = store
                .replayable(webhook, time, &replay.states, after.map(|place| (place.attempt, place.begun)), PAGE)
                .await?;
            if page.is_empty() {
                return Ok(Replayed { replayed, next: None });
            }
            // The rest of a page whose deliveries are more than the limit is for the next call.
            let mut wanted = Vec::new();
            for row in page {
                if wanted.len() == replay.limit - replayed {
                    break;
                }
                after = Some(ReplayPlace { attempt: row.attempt, begun: row.begun });
                if row.is_wanted && seen.insert(row.delivery) {
                    wanted.push(row.delivery);
                }
            }
            replayed += self.revive(&wanted).await?.len();
            if replayed >= replay.limit {
                return Ok(Replayed { replayed, next: after });
            }
        }
    }
}

/// Creates or drops the trigger, so that ends of jobs make deliveries from now on, or no longer. Gives up after a while: a
/// keeper of webhooks tries again.
async fn set_trigger(store: &Store) -> Result<(), Error> {
    let begun = Instant::now();
    while store.set_webhook_trigger().await? == WebhookTrigger::Busy && begun.elapsed() < TRIGGER_WITHIN {
        sleep(TRIGGER_PAUSE).await;
    }
    Ok(())
}

/// Checks the queue of a webhook: the name of a queue, or a pattern, which ends in `*`.
///
/// # Errors
/// What is wrong with the name.
pub fn check_webhook_queue(queue: &str) -> Result<(), InvalidName> {
    match queue.strip_suffix('*') {
        Some("") => Ok(()),
        name => name.unwrap_or(queue).parse::<QueueName>().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_of_a_webhook_is_a_name_or_a_pattern() {
        for good in ["*", "mail", "mail*", "tenant:7/*"] {
            assert_eq!(check_webhook_queue(good), Ok(()), "{good}");
        }
        for bad in ["", "**", "*mail", "m*l", "a b*", " *"] {
            assert!(check_webhook_queue(bad).is_err(), "{bad}");
        }
    }
}
