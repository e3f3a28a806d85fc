//! Webhooks: as a list, one webhook, and the log of its deliveries.

use super::{human, table};
use leasehold_client::{Webhook, WebhookAttempt};

fn health(webhook: &Webhook) -> String {
    match (webhook.disabled_at, webhook.failing_since) {
        (Some(_), _) => "disabled".to_owned(),
        (None, Some(since)) => format!("failing since {}", human::from_now(since)),
        (None, None) if !webhook.active => "not active yet".to_owned(),
        (None, None) => "active".to_owned(),
    }
}

fn or_every(kinds: &[String]) -> String {
    if kinds.is_empty() { "every".to_owned() } else { kinds.join(", ") }
}

/// One line for each webhook.
pub(crate) fn list(webhooks: &[Webhook]) -> String {
    if webhooks.is_empty() {
        return "no webhooks".to_owned();
    }
    table(
        ["id", "url", "queue", "kinds", "states", "health"],
        webhooks.iter().map(|webhook| {
            [
                webhook.id.clone(),
                webhook.url.clone(),
                webhook.queue.clone(),
                or_every(&webhook.kinds),
                webhook.states.join(", "),
                health(webhook),
            ]
        }),
    )
}

/// All fields of one webhook.
pub(crate) fn card(webhook: &Webhook) -> String {
    let status = webhook.last_status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let last = webhook.last_attempt_at.map_or_else(
        || "none".to_owned(),
        |at| format!("{}, {}", human::from_now(at), webhook.last_error.clone().unwrap_or(status)),
    );
    let mut lines = vec![
        ("id", webhook.id.clone()),
        ("url", webhook.url.clone()),
        ("queue", webhook.queue.clone()),
        ("kinds", or_every(&webhook.kinds)),
        ("states", webhook.states.join(", ")),
        ("health", health(webhook)),
    ];
    if let (Some(at), Some(reason)) = (webhook.disabled_at, &webhook.disabled_reason) {
        lines.push(("disabled", format!("{}: {reason}", human::time(at))));
    }
    lines.push(("last attempt", last));
    lines.push(("changed", human::time(webhook.changed_at)));
    lines.into_iter().map(|(name, value)| format!("{name:<12}  {value}")).collect::<Vec<_>>().join("\n")
}

/// One line for each attempt.
pub(crate) fn deliveries(attempts: &[WebhookAttempt]) -> String {
    if attempts.is_empty() {
        return "no deliveries".to_owned();
    }
    table(
        ["delivery", "event", "job", "attempt", "status", "ms", "at", "delivery is", "error"],
        attempts.iter().map(|attempt| {
            [
                attempt.delivery.to_string(),
                attempt.event.clone(),
                attempt.job.map_or_else(|| "-".to_owned(), |job| job.to_string()),
                attempt.attempt.to_string(),
                attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
                attempt.ms.to_string(),
                human::from_now(attempt.at),
                attempt.state.clone().unwrap_or_else(|| "no longer kept".to_owned()),
                attempt.error.clone().unwrap_or_default(),
            ]
        }),
    )
}
