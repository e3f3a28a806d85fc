//! Jobs as JSON, with the field names of `leasehold enqueue --stdin`, for the SQL function that supports all fields.

use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{JobId, Kind, NewJob, ParentFailure, QueueName, Retry, Unique};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fair_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'a str>,
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
            // A missing delay counts as a delay of zero.
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
            batch: job.batch.as_deref(),
            fair_key: job.fair_key.as_deref(),
            traceparent: job.traceparent.as_deref(),
            webhook: job.webhook.as_deref(),
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

/// The same fields, parsed again.
#[derive(Deserialize)]
struct WordsRead {
    id: JobId,
    #[serde(default)]
    id_is_new: bool,
    queue: QueueName,
    kind: Kind,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    payload_text: Option<String>,
    priority: i16,
    #[serde(default)]
    run_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "read_ms")]
    delay: Option<Duration>,
    max_attempts: i32,
    max_crashes: i16,
    #[serde(default, deserialize_with = "read_ms")]
    timeout: Option<Duration>,
    #[serde(default)]
    unique_key: Option<String>,
    #[serde(default)]
    limit_keys: Vec<String>,
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "read_ms")]
    expires_in: Option<Duration>,
    #[serde(default)]
    unique: Option<Unique>,
    #[serde(default)]
    batch: Option<String>,
    #[serde(default)]
    fair_key: Option<String>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default)]
    webhook: Option<String>,
    #[serde(default)]
    depends_on: Vec<JobId>,
    on_parent_failure: String,
}

fn read_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let read = |text: String| {
        let ms = text.strip_suffix("ms").and_then(|ms| ms.parse().ok());
        ms.map(Duration::from_millis).ok_or_else(|| D::Error::custom(format!("{text:?} is no number of ms")))
    };
    text.map(read).transpose()
}

/// The jobs of an array that [`json`] has written.
pub(crate) fn read(json: &str) -> Result<Vec<NewJob>, serde_json::Error> {
    let job = |words: WordsRead| {
        let on_parent_failure: ParentFailure = words.on_parent_failure.parse().map_err(serde_json::Error::custom)?;
        let payload = match (words.payload, words.payload_text) {
            (_, Some(text)) => RawValue::from_string(text)?,
            (Some(payload), None) => payload,
            (None, None) => return Err(serde_json::Error::custom("a job has no payload")),
        };
        Ok(NewJob::new(words.kind, payload).with(|job| {
            job.id = words.id;
            job.id_may_exist = !words.id_is_new;
            job.queue = words.queue;
            job.priority = words.priority;
            job.run_at = words.run_at;
            job.delay = words.delay;
            job.max_attempts = words.max_attempts;
            job.max_crashes = words.max_crashes;
            job.timeout = words.timeout;
            job.unique_key = words.unique_key;
            job.limit_keys = words.limit_keys;
            job.depends_on = words.depends_on;
            job.on_parent_failure = on_parent_failure;
            job.retry = words.retry;
            job.expires_at = words.expires_at;
            job.expires_in = words.expires_in;
            job.unique = words.unique;
            job.batch = words.batch;
            job.fair_key = words.fair_key;
            job.traceparent = words.traceparent;
            job.webhook = words.webhook;
        }))
    };
    serde_json::from_str::<Vec<WordsRead>>(json)?.into_iter().map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_as_they_were_written() {
        let payload = RawValue::from_string(r#"{"b": 1.50,  "a":"\u0000"}"#.to_owned()).expect("JSON");
        let plain = NewJob::new("k".parse().expect("a name"), payload);
        let full = plain.clone().with(|job| {
            job.id_may_exist = true;
            job.queue = "q".parse().expect("a name");
            job.priority = -7;
            job.delay = Some(Duration::from_millis(1500));
            job.timeout = Some(Duration::from_secs(3));
            job.unique_key = Some("key".into());
            job.limit_keys = vec!["limit".into()];
            job.batch = Some("b".into());
            job.fair_key = Some("tenant".into());
            job.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
            job.webhook = Some("crm".into());
            job.depends_on = vec![JobId::new()];
            job.on_parent_failure = ParentFailure::Hold;
            job.retry = Some(Retry::linear(Duration::from_secs(2)));
            job.expires_in = Some(Duration::from_secs(90));
            job.unique = Some(Unique::while_queued().replace());
        });
        let timed = plain.clone().with(|job| {
            job.run_at = Some(DateTime::UNIX_EPOCH);
            job.expires_at = Some(DateTime::UNIX_EPOCH);
        });
        let jobs = [plain, full, timed];
        let again = read(&json(jobs.iter()).expect("JSON")).expect("jobs");
        assert_eq!(format!("{jobs:?}"), format!("{again:?}"));
    }
}
