//! One run of a delivery: reads its endpoint, sends the message, writes the log, and decides when the delivery is
//! sent again.

use leasehold_core::{ClaimedJob, Outcome};
use leasehold_store::{AttemptNote, Store, WebhookTarget};
use leasehold_webhooks::{Answer, Message, Secret, Sender, Target, next_delay};
use leasehold_worker::{Handler, Run};
use serde::Deserialize;
use serde_json::{json, value::to_raw_value};
use std::{future::Future, pin::Pin, time::Instant};
use uuid::Uuid;

/// How much of an answer the log keeps.
const KEPT_BYTES: usize = 1024;
const GONE: u16 = 410;

/// Sends deliveries. The kind of a delivery is the id of its webhook.
#[derive(Debug)]
pub(super) struct Deliveries {
    store: Store,
    sender: Sender,
}

/// The metadata of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About {
    #[serde(rename = "type")]
    event: String,
    data: AboutJob,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AboutJob {
    id: Option<Uuid>,
}

/// How an attempt has ended.
struct Attempt {
    answer: Option<Answer>,
    error: Option<String>,
}

impl Handler for Deliveries {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                outcome = self.deliver(run.job()) => outcome,
                // The worker has the reason why it told the run to stop.
                _ = run.cancelled() => Outcome::Interrupted,
            }
        })
    }
}

impl Deliveries {
    pub(super) const fn new(store: Store, sender: Sender) -> Self {
        Self { store, sender }
    }

    async fn deliver(&self, job: &ClaimedJob) -> Outcome {
        let target = match self.store.webhook_target(&job.kind).await {
            Ok(Some(target)) => target,
            Ok(None) => return Outcome::Hopeless(format!("the webhook {} was removed", job.kind)),
            // The endpoint is not at fault.
            Err(error) => return Outcome::Snoozed(None, Some(error.to_string())),
        };
        let begun = Instant::now();
        let attempt = match &target.disabled {
            Some((at, reason)) => {
                Attempt::failed(format!("the webhook is disabled since {}: {reason}", at.format("%F %TZ")))
            }
            None => self.send(job, &target).await,
        };
        let ms = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
        let is_disabled_now = self.note(job, &target, &attempt, ms).await;
        let status = attempt.answer.as_ref().map(|answer| answer.status);
        let Some(error) = attempt.error else {
            return Outcome::Succeeded(to_raw_value(&json!({ "status": status, "ms": ms })).ok());
        };
        if target.disabled.is_some() || is_disabled_now || status == Some(GONE) {
            return Outcome::Hopeless(error);
        }
        let retry_after = attempt.answer.and_then(|answer| answer.retry_after);
        let nth = usize::try_from(job.attempt).unwrap_or(1);
        Outcome::RetryIn(next_delay(nth, retry_after, rand::random_range(0.0..1.0)), error)
    }

    async fn send(&self, job: &ClaimedJob, target: &WebhookTarget) -> Attempt {
        // A setting may have changed since the URL was accepted.
        let address = match Target::parse(&target.url, self.sender.allowed()) {
            Ok(address) => address,
            Err(error) => return Attempt::failed(error.to_string()),
        };
        let secrets: Vec<Secret> = target.secrets.iter().filter_map(|secret| secret.parse().ok()).collect();
        if secrets.is_empty() {
            return Attempt::failed("the webhook has no secret that can sign; rotate it".to_owned());
        }
        let id = job.fence.id.to_string();
        match self.sender.send(&address, &Message { id: &id, secrets: &secrets, body: job.payload.get() }).await {
            Ok(answer) => Attempt { error: refusal(&answer), answer: Some(answer) },
            Err(error) => Attempt::failed(error.to_string()),
        }
    }

    /// Returns whether this attempt has disabled the webhook. Without its row in the log, the attempt still counts.
    async fn note(&self, job: &ClaimedJob, target: &WebhookTarget, attempt: &Attempt, ms: i32) -> bool {
        let about: About = serde_json::from_str(job.payload.get()).unwrap_or_default();
        let note = AttemptNote {
            webhook: job.kind.clone(),
            revision: target.revision,
            delivery: job.fence.id,
            job: about.data.id,
            event: about.event,
            attempt: job.attempt,
            status: attempt.answer.as_ref().map(|answer| answer.status),
            ms,
            error: attempt.error.clone(),
            answer: attempt.answer.as_ref().map(|answer| kept(&answer.body)),
        };
        match self.store.note_webhook_attempt(&note).await {
            Ok(None) => false,
            Ok(Some(reason)) => {
                tracing::warn!(webhook = %job.kind, reason, "a webhook was disabled");
                true
            }
            Err(error) => {
                tracing::warn!(webhook = %job.kind, %error, "an attempt of a delivery is not in the log");
                false
            }
        }
    }
}

impl Attempt {
    const fn failed(error: String) -> Self {
        Self { answer: None, error: Some(error) }
    }
}

/// Why an answer is no success.
fn refusal(answer: &Answer) -> Option<String> {
    match answer.status {
        200..=299 => None,
        status @ 300..=399 => Some(format!("the endpoint answered {status}; redirects are not followed")),
        status => Some(format!("the endpoint answered {status}")),
    }
}

/// The beginning of an answer, as PostgreSQL can store it.
fn kept(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(KEPT_BYTES)]).replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_of_success_is_a_success() {
        let refused = |status| refusal(&Answer { status, retry_after: None, body: Vec::new() }).is_some();
        assert!([200, 201, 202, 204, 299].into_iter().all(|status| !refused(status)));
        assert!([301, 302, 307, 308, 400, 404, 410, 429, 500, 503].into_iter().all(refused));
    }

    #[test]
    fn what_is_kept_of_an_answer_is_short_text() {
        assert_eq!(kept(b"a\0b"), "a\u{FFFD}b");
        assert_eq!(kept(&[b'x'; 5000]).len(), KEPT_BYTES);
        assert_eq!(kept(b"\xff"), "\u{FFFD}");
    }
}
