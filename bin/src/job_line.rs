//! The job that a JSON object describes: a line of standard input or of file descriptor 3, or a part of a request over HTTP.

use crate::{
    failure::Failure,
    job_flags::{JobFlags, checked, defaults, json, take_flags},
    times,
};
use leasehold::{JobId, Kind, NamedJob, NewJob, ParentFailure, QueueName, Retry, Unique};
use leasehold_core::{MAX_ATTEMPTS_MAX, PRIORITY_MAX, PRIORITY_MIN, json_problem};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The words that only a job in a graph may have, as they stand in the list of all words.
const OF_GRAPHS: &str = ", `name`, `after`";

/// A line of input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, deserialize_with = "line_fields::kind")]
    kind: Option<Kind>,
    #[serde(default, deserialize_with = "line_fields::queue")]
    queue: Option<QueueName>,
    /// `null` is a payload too.
    #[serde(default, deserialize_with = "line_fields::payload")]
    payload: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "line_fields::priority")]
    priority: Option<i16>,
    #[serde(default, deserialize_with = "line_fields::delay")]
    delay: Option<String>,
    #[serde(default, deserialize_with = "line_fields::run_at")]
    run_at: Option<String>,
    #[serde(default, deserialize_with = "line_fields::unique_key")]
    unique_key: Option<String>,
    #[serde(default, deserialize_with = "line_fields::limit_key")]
    limit_key: Option<String>,
    #[serde(default, deserialize_with = "line_fields::limit_keys")]
    limit_keys: Option<Vec<String>>,
    #[serde(default, deserialize_with = "line_fields::batch")]
    batch: Option<String>,
    #[serde(default, deserialize_with = "line_fields::fair_key")]
    fair_key: Option<String>,
    #[serde(default, deserialize_with = "line_fields::webhook")]
    webhook: Option<String>,
    #[serde(default, deserialize_with = "line_fields::traceparent")]
    traceparent: Option<String>,
    #[serde(default, deserialize_with = "line_fields::max_attempts")]
    max_attempts: Option<i32>,
    #[serde(default, deserialize_with = "line_fields::timeout")]
    timeout: Option<String>,
    retry: Option<Retry>,
    #[serde(default, deserialize_with = "line_fields::expires_at")]
    expires_at: Option<String>,
    #[serde(default, deserialize_with = "line_fields::expires_in")]
    expires_in: Option<String>,
    unique: Option<Unique>,
    #[serde(default, deserialize_with = "line_fields::id")]
    id: Option<JobId>,
    #[serde(default, deserialize_with = "line_fields::depends_on")]
    depends_on: Option<Vec<JobId>>,
    #[serde(default, deserialize_with = "line_fields::on_parent_failure")]
    on_parent_failure: Option<ParentFailure>,
    /// Only of a job in a graph.
    #[serde(default, deserialize_with = "line_fields::name")]
    name: Option<String>,
    /// Only of a job in a graph.
    #[serde(default, deserialize_with = "line_fields::after")]
    after: Option<Vec<String>>,
}

/// The fields of a line. Their errors name the field and its type in JSON, not a type of Rust.
mod line_fields {
    use super::{JobId, Kind, MAX_ATTEMPTS_MAX, PRIORITY_MAX, PRIORITY_MIN, ParentFailure, QueueName};
    use serde::{
        Deserialize, Deserializer,
        de::{DeserializeOwned, Error},
    };
    use serde_json::{Value, value::RawValue};

    fn text<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D, name: &str) -> Result<Option<T>, D::Error> {
        match Value::deserialize(from)? {
            Value::Null => Ok(None),
            text @ Value::String(_) => {
                serde_json::from_value(text).map(Some).map_err(|error| D::Error::custom(format!("{name} {error}")))
            }
            _ => Err(D::Error::custom(format!("{name} must be a string"))),
        }
    }

    fn number<'de, D, T>(from: D, name: &str, min: i64, max: i64) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: DeserializeOwned,
    {
        let value = Value::deserialize(from)?;
        serde_json::from_value(value)
            .map_err(|_| D::Error::custom(format!("{name} must be a number from {min} to {max}")))
    }

    pub(super) fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Kind>, D::Error> {
        text(from, "kind")
    }

    pub(super) fn queue<'de, D: Deserializer<'de>>(from: D) -> Result<Option<QueueName>, D::Error> {
        text(from, "queue")
    }

    pub(super) fn payload<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
        Box::<RawValue>::deserialize(from).map(Some)
    }

    pub(super) fn priority<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i16>, D::Error> {
        number(from, "priority", PRIORITY_MIN.into(), PRIORITY_MAX.into())
    }

    pub(super) fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "delay")
    }

    pub(super) fn run_at<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "run_at")
    }

    pub(super) fn unique_key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "unique_key")
    }

    pub(super) fn limit_key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "limit_key")
    }

    pub(super) fn limit_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
        let keys: Result<Option<Vec<String>>, _> = serde_json::from_value(Value::deserialize(from)?);
        keys.map_err(|_| D::Error::custom("limit_keys must be an array of strings"))
    }

    pub(super) fn batch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "batch")
    }

    pub(super) fn fair_key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "fair_key")
    }

    pub(super) fn webhook<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "webhook")
    }

    pub(super) fn traceparent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "traceparent")
    }

    pub(super) fn max_attempts<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
        number(from, "max_attempts", 1, MAX_ATTEMPTS_MAX.into())
    }

    pub(super) fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "timeout")
    }

    pub(super) fn expires_at<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "expires_at")
    }

    pub(super) fn expires_in<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "expires_in")
    }

    pub(super) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<JobId>, D::Error> {
        text(from, "id")
    }

    fn texts<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D, name: &str) -> Result<Option<Vec<T>>, D::Error> {
        match Value::deserialize(from)? {
            Value::Null => Ok(None),
            texts @ Value::Array(_) => {
                serde_json::from_value(texts).map(Some).map_err(|error| D::Error::custom(format!("{name}: {error}")))
            }
            _ => Err(D::Error::custom(format!("{name} must be an array of strings"))),
        }
    }

    pub(super) fn depends_on<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<JobId>>, D::Error> {
        texts(from, "depends_on")
    }

    pub(super) fn on_parent_failure<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ParentFailure>, D::Error> {
        let word: Option<String> = text(from, "on_parent_failure")?;
        let policy = word.map(|word| word.parse()).transpose();
        policy.map_err(|error: String| D::Error::custom(format!("on_parent_failure {error}")))
    }

    pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        text(from, "name")
    }

    pub(super) fn after<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
        texts(from, "after")
    }
}

/// The job that a command enqueues on its file descriptor 3, or that a client sends over HTTP.
pub(crate) fn from_command(line: &str) -> Result<NewJob, String> {
    from_line(line, &defaults(&QueueName::default())).map_err(|failure| failure.to_string())
}

/// The job of a graph that a client sends over HTTP.
pub(crate) fn node_from_request(node: &str) -> Result<NamedJob, String> {
    from_node(node, &defaults(&QueueName::default())).map_err(|failure| failure.to_string())
}

/// The job that a line describes. The flags are the defaults of the line.
pub(crate) fn from_line(line: &str, flags: &JobFlags) -> Result<NewJob, Failure> {
    let line = parsed(line).map_err(|failure| failure.without(OF_GRAPHS))?;
    if line.name.is_some() || line.after.is_some() {
        return Err(Failure::usage("name and after belong to `leasehold graph submit`; a line has depends_on"));
    }
    job_of(line, flags)
}

/// The job of a graph that a JSON object describes.
pub(crate) fn from_node(node: &str, flags: &JobFlags) -> Result<NamedJob, Failure> {
    let mut line = parsed(node)?;
    let (name, after) = (line.name.take().unwrap_or_default(), line.after.take().unwrap_or_default());
    Ok(NamedJob::new(name, job_of(line, flags)?).after(after))
}

fn parsed(line: &str) -> Result<Line, Failure> {
    // Serde also reads a struct from an array.
    if !line.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() {
        return Err(Failure::usage("not a job: a line must be a JSON object"));
    }
    serde_json::from_str(line).map_err(|error| {
        // The parser sees one line only and says "line 1". A user would take that for a line number of the file.
        let text = json_problem(&error);
        let (problem, place) = text.split_once(" at line 1 column ").unwrap_or((&text, ""));
        let place = if place.is_empty() { String::new() } else { format!(" at column {place}") };
        let said = if error.is_data() { "" } else { "the line is no JSON: " };
        Failure::usage(format!("not a job: {said}{problem}{place}"))
    })
}

fn job_of(line: Line, flags: &JobFlags) -> Result<NewJob, Failure> {
    let payload = match line.payload {
        Some(payload) => payload,
        None => json(&flags.payload)?,
    };
    let kind = line.kind.or_else(|| flags.kind.clone()).ok_or_else(|| Failure::usage("kind is missing"))?;
    let mut job = NewJob::new(kind, payload);
    take_flags(&mut job, flags);
    job.queue = line.queue.unwrap_or(job.queue);
    job.priority = line.priority.unwrap_or(job.priority);
    job.max_attempts = line.max_attempts.unwrap_or(job.max_attempts);
    if line.limit_key.is_some() || line.limit_keys.is_some() {
        job.limit_keys = line.limit_key.into_iter().chain(line.limit_keys.unwrap_or_default()).collect();
    }
    job.batch = line.batch.or(job.batch);
    job.fair_key = line.fair_key.or(job.fair_key);
    job.webhook = line.webhook.or(job.webhook);
    job.traceparent = line.traceparent.or(job.traceparent);
    job.unique_key = line.unique_key;
    let field = |name: &'static str| move |problem: String| Failure::usage(format!("{name} {problem}"));
    if line.delay.is_some() && line.run_at.is_some() {
        return Err(Failure::usage("delay and run_at cannot be given together: each says when the job may run"));
    }
    if let Some(delay) = line.delay {
        (job.delay, job.run_at) = (Some(times::duration(&delay).map_err(field("delay"))?), None);
    }
    if let Some(time) = line.run_at {
        (job.delay, job.run_at) = (None, Some(times::time(&time).map_err(field("run_at"))?));
    }
    if let Some(timeout) = line.timeout {
        job.timeout = Some(times::duration(&timeout).map_err(field("timeout"))?);
    }
    job.retry = line.retry.or(job.retry);
    job.unique = line.unique.or(job.unique);
    if line.expires_at.is_some() && line.expires_in.is_some() {
        return Err(Failure::usage(
            "expires_at and expires_in cannot be given together: each says when the job expires",
        ));
    }
    if let Some(time) = line.expires_at {
        (job.expires_in, job.expires_at) = (None, Some(times::time(&time).map_err(field("expires_at"))?));
    }
    if let Some(time) = line.expires_in {
        (job.expires_in, job.expires_at) = (Some(times::duration(&time).map_err(field("expires_in"))?), None);
    }
    if let Some(id) = line.id {
        (job.id, job.id_may_exist) = (id, true);
    }
    job.depends_on = line.depends_on.unwrap_or(job.depends_on);
    job.on_parent_failure = line.on_parent_failure.unwrap_or(job.on_parent_failure);
    checked(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::enqueue;

    /// The fields of a line, as its parser lists them.
    fn fields() -> Vec<String> {
        let said = parsed(r#"{"no such field": 1}"#).err().expect("it is refused").to_string();
        let list = said.split("expected one of ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(names.len() > 20, "{said}");
        names
    }

    #[test]
    fn the_help_of_enqueue_lists_every_field_of_a_line() {
        let command = <enqueue::Args as clap::Args>::augment_args(clap::Command::new("enqueue"));
        let help = command.get_after_help().expect("a text after the flags").to_string();
        let help = help.split("With --stdin").nth(1).expect("the fields");
        let words: Vec<&str> = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        // These two belong to `leasehold graph submit`.
        for field in fields().iter().filter(|field| *field != "name" && *field != "after") {
            assert!(words.contains(&field.as_str()), "enqueue --help does not mention {field}");
        }
    }
}
