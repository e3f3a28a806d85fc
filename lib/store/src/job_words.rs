//! Jobs as JSON, with the words of a line of `leasehold enqueue --stdin`, for the function that knows all words.

use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{JobId, NewJob, Retry, Unique};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::time::Duration;

#[derive(Serialize)]
struct Words<'a> {
    id: JobId,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    id_is_new: bool,
    queue: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    /// A payload with an escape such as `\u0000`. PostgreSQL cannot take a part of JSON that has such an escape anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_text: Option<&'a str>,
    priority: i16,
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    run_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "ms", skip_serializing_if = "Option::is_none")]
    delay: Option<Duration>,
    max_attempts: i32,
    max_crashes: i16,
    #[serde(serialize_with = "ms", skip_serializing_if = "Option::is_none")]
    timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    limit_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "ms", skip_serializing_if = "Option::is_none")]
    expires_in: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<&'a Unique>,
    #[serde(skip_serializing_if = "<[JobId]>::is_empty")]
    depends_on: &'a [JobId],
    on_parent_failure: &'static str,
}

impl<'a> Words<'a> {
    fn of(job: &'a NewJob) -> Self {
        let has_escape = job.payload.get().contains("\\u");
        Self {
            id: job.id,
            id_is_new: !job.id_may_exist,
            queue: job.queue.as_str(),
            kind: job.kind.as_str(),
            payload: (!has_escape).then_some(&*job.payload),
            payload_text: has_escape.then(|| job.payload.get()),
            priority: job.priority,
            run_at: job.run_at,
            // No delay is a delay of nothing.
            delay: job.delay.filter(|delay| job.run_at.is_none() && delay.as_millis() > 0),
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            timeout: job.timeout,
            unique_key: job.unique_key.as_deref(),
            limit_keys: &job.limit_keys,
            retry: job.retry,
            expires_at: job.expires_at,
            expires_in: job.expires_in.filter(|_| job.expires_at.is_none()),
            unique: job.unique.as_ref(),
            depends_on: &job.depends_on,
            on_parent_failure: job.on_parent_failure.as_str(),
        }
    }
}

fn ms<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}ms", duration.unwrap_or_default().as_millis()))
}

fn time<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

/// An array of these jobs.
pub(crate) fn json<'a>(jobs: impl Iterator<Item = &'a NewJob>) -> Result<String, serde_json::Error> {
    serde_json::to_string(&jobs.map(Words::of).collect::<Vec<_>>())
}
