//! The bodies of the paths of webhooks.

use crate::{api::Api, errors::DetailCode, fields::Fields};
use chrono::{DateTime, Utc};
use leasehold_client::{Webhook, WebhookAttempt};
use leasehold_core::{Kind, State};
use leasehold_webhooks::{Secret, Target};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// The most kinds of one webhook.
const KINDS_MAX: usize = 100;
/// How long the earlier secret signs too, by default and at the most.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A webhook to make.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct NewWebhookWords {
    /// The id: 1 to 128 letters, digits and `. _ : / -`. Made by the server by default.
    id: Option<String>,
    /// Where messages go: `https://…` or `http://…`, without a user. Only public addresses, unless a setting allows others.
    url: String,
    /// The queue of the jobs, or a pattern that ends in `*`.
    #[schema(default = "*")]
    queue: Option<String>,
    /// The kinds of the jobs; every kind by default.
    #[schema(max_items = 100)]
    kinds: Option<Vec<String>>,
    /// The final states of the jobs: `succeeded`, `dead`, `cancelled`. All three by default.
    states: Option<Vec<String>>,
    /// `whsec_` and the base64 of 24 to 64 bytes. Made by the server by default.
    secret: Option<String>,
}

/// The changes of a webhook. A field that is left out stays as it is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct WebhookChanges {
    url: Option<String>,
    queue: Option<String>,
    /// An empty array: every kind.
    kinds: Option<Vec<String>>,
    states: Option<Vec<String>>,
    /// `true` also resets the count of failures.
    enabled: Option<bool>,
}

/// A webhook.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes `Webhook`, which a crate below has")]
pub(crate) struct WebhookView {
    id: String,
    url: String,
    queue: String,
    kinds: Vec<String>,
    states: Vec<String>,
    /// Whether ends of jobs make deliveries now.
    active: bool,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    /// The first failure since the last success.
    failing_since: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    last_status: Option<i32>,
    last_error: Option<String>,
    /// Until then the secret before the last rotation signs too.
    previous_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

/// All webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookList {
    #[schema(value_type = Vec<WebhookView>)]
    pub(super) webhooks: Vec<Webhook>,
}

/// A new webhook with its secret, which is shown only now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    #[schema(value_type = WebhookView)]
    pub(super) webhook: Webhook,
    pub(super) secret: String,
}

/// How to rotate the secret of a webhook.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct Rotation {
    /// How long the earlier secret signs too, such as `24h`. At most 30 days.
    #[schema(default = "24h")]
    overlap: Option<String>,
    /// The new secret. Made by the server by default.
    secret: Option<String>,
}

/// A new secret, which is shown only now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rotated {
    pub(super) secret: String,
    /// Until then the earlier secret signs too.
    pub(super) previous_secret_until: DateTime<Utc>,
}

/// One attempt of a delivery.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes `WebhookAttempt`, which a crate below has")]
pub(crate) struct AttemptView {
    id: Uuid,
    /// The delivery: its job, and the header `webhook-id`.
    delivery: Uuid,
    /// The job that has ended; `null`: a test.
    job: Option<Uuid>,
    event: String,
    attempt: i32,
    /// The status of the answer; `null`: there was no answer.
    status: Option<i32>,
    ms: i32,
    /// `null`: the attempt has succeeded.
    error: Option<String>,
    /// The beginning of the answer.
    answer: Option<String>,
    at: DateTime<Utc>,
    /// The state of the delivery now.
    state: Option<String>,
}

/// A page of the log, the newest attempt first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptPage {
    #[schema(value_type = Vec<AttemptView>)]
    pub(super) deliveries: Vec<WebhookAttempt>,
    /// The parameter `cursor` of the next page; `null` on the last page.
    pub(super) next: Option<String>,
}

/// A message that was put into the line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestDelivery {
    pub(super) delivery: Uuid,
}

/// Which deliveries to send again: one by its id, or those that were tried within a time.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct ReplayWords {
    /// One delivery, in any state.
    delivery: Option<Uuid>,
    /// Deliveries that were tried at this time or later.
    since: Option<DateTime<Utc>>,
    /// Deliveries that were tried before this time; now by default.
    until: Option<DateTime<Utc>>,
    /// Deliveries that have ended in one of these states; `["dead"]` by default.
    states: Option<Vec<String>>,
    /// The value `next` of the answer before.
    after: Option<String>,
    /// How many deliveries are sent again at the most.
    #[schema(minimum = 1, maximum = 10_000, default = 1_000)]
    limit: Option<u64>,
}

/// The deliveries that are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayedWords {
    pub(super) replayed: usize,
    /// If there may be more deliveries: the value of `after` for the next request.
    pub(super) next: Option<String>,
}

/// The rule for the field `url`.
pub(super) const A_URL: &str = "a URL such as https://example.com/hooks";

/// Refuses a URL to which no webhook may go.
pub(super) fn check_url(fields: &mut Fields, api: &Api, url: Option<&String>) {
    if let Some(Err(error)) = url.map(|url| Target::parse(url, &api.settings().webhooks.allowed)) {
        fields.refuse("url", DetailCode::Invalid, error.to_string());
    }
}

/// The name of a queue, or a pattern.
pub(super) fn queue(fields: &mut Fields) -> Option<String> {
    let queue: String = fields.value("queue", "the name of a queue, or a pattern that ends in *")?;
    if let Err(error) = leasehold_client::check_webhook_queue(&queue) {
        fields.refuse("queue", DetailCode::Invalid, error.to_string());
    }
    Some(queue)
}

pub(super) fn kinds(fields: &mut Fields) -> Option<Vec<Kind>> {
    let kinds = parsed(fields, "kinds", "the name of a kind")?;
    if kinds.len() > KINDS_MAX {
        fields.refuse(
            "kinds",
            DetailCode::Invalid,
            format!("has {} names; at most {KINDS_MAX} are allowed", kinds.len()),
        );
    }
    Some(kinds)
}

pub(super) fn states(fields: &mut Fields) -> Option<Vec<State>> {
    let states: Vec<State> = parsed(fields, "states", "succeeded, dead or cancelled")?;
    if states.is_empty() || !states.iter().all(|state| state.is_final()) {
        fields.refuse("states", DetailCode::Invalid, "must have one or more of succeeded, dead and cancelled");
    }
    Some(states)
}

pub(super) fn secret(fields: &mut Fields) -> Secret {
    fields.parsed("secret", "a secret").unwrap_or_else(Secret::generate)
}

pub(super) fn overlap(fields: &mut Fields, api: &Api) -> Duration {
    let Some(text) = fields.value::<String>("overlap", "a duration such as 24h") else { return OVERLAP };
    match (api.settings().read_duration)(&text) {
        Ok(overlap) if overlap <= OVERLAP_MAX => return overlap,
        Ok(_) => fields.refuse("overlap", DetailCode::Invalid, "must be at most 30 days"),
        Err(error) => fields.refuse("overlap", DetailCode::Invalid, error),
    }
    OVERLAP
}

/// An array of texts in the form of a type.
fn parsed<T: std::str::FromStr>(fields: &mut Fields, name: &str, wanted: &str) -> Option<Vec<T>>
where
    T::Err: ToString,
{
    let texts: Vec<String> = fields.value(name, &format!("an array; each element is {wanted}"))?;
    let mut words = Vec::with_capacity(texts.len());
    for (nth, text) in texts.iter().enumerate() {
        match text.parse::<T>() {
            Ok(word) => words.push(word),
            Err(error) => {
                let problem = format!("must be {wanted}: {}", error.to_string());
                fields.refuse(&format!("{name}/{nth}"), DetailCode::Invalid, problem);
            }
        }
    }
    Some(words)
}
