//! From flags, or from a line of input, to a job that can be sent.

use crate::{failure::Failure, times, word_flags::WordFlags};
use chrono::{DateTime, Utc};
use leasehold::{JobId, Kind, NamedJob, NewJob, ParentFailure, QueueName, Retry, Unique};
use leasehold_core::{MAX_ATTEMPTS_DEFAULT, MAX_ATTEMPTS_MAX, PAYLOAD_MAX_BYTES, PRIORITY_MAX, PRIORITY_MIN};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{fs::File, io::Read, time::Duration};

/// The flags that describe a job.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct JobFlags {
    /// The kind: which handler runs the job
    #[arg(long, required_unless_present = "stdin")]
    pub(crate) kind: Option<Kind>,
    /// The queue
    #[arg(long, default_value = "default")]
    pub(crate) queue: QueueName,
    /// The payload for the handler: JSON, @FILE to read JSON from a file, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    pub(crate) payload: String,
    /// The priority, from -100 to 100. Each point is a head start of one hour in the line, or of what `queue set` says
    #[arg(long, default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i16).range(i64::from(PRIORITY_MIN)..=i64::from(PRIORITY_MAX)))]
    pub(crate) priority: i16,
    /// Start the job after this delay, such as 10s or 1h30m
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration, conflicts_with = "at")]
    pub(crate) delay: Option<Duration>,
    /// Start the job at this time: 2030-01-31T08:00:00Z, or 2030-01-31 08:00 in the local zone
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// While a live job has this key, print the id of that job and make no new job
    #[arg(long, value_name = "KEY")]
    pub(crate) unique_key: Option<String>,
    /// Start the job only while this key has room: see `leasehold limit set`. May be given up to eight times
    #[arg(long, value_name = "KEY")]
    pub(crate) limit_key: Vec<String>,
    /// The batch of the job: a group of jobs by name, see `leasehold batch`
    #[arg(long, value_name = "NAME")]
    pub(crate) batch: Option<String>,
    /// How many attempts the job may spend
    #[arg(long, value_name = "N", default_value_t = leasehold_core::MAX_ATTEMPTS_DEFAULT,
          value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_ATTEMPTS_MAX)))]
    pub(crate) max_attempts: i32,
    /// How long one run may take, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) words: WordFlags,
    /// Cancel the job if it has not begun by this time: 2030-01-31T08:00:00Z, or 2030-01-31 08:00 in the local zone
    #[arg(long, value_name = "TIME", value_parser = times::time, conflicts_with = "expires_in")]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// The id of the job. If a job with this id exists, print the id and make no new job
    #[arg(long)]
    pub(crate) id: Option<JobId>,
    /// The jobs that must succeed first
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',', conflicts_with_all = ["delay", "at"])]
    pub(crate) depends_on: Vec<JobId>,
    /// What happens to the job when one of them ends without success: cancel cancels the job, hold waits until the other job
    /// is retried and succeeds, run starts the job anyway
    #[arg(long, value_name = "cancel|hold|run", default_value_t)]
    pub(crate) on_parent_failure: ParentFailure,
}

/// A line of input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, deserialize_with = "line_fields::kind")]
    kind: Option<Kind>,
    #[serde(default, deserialize_with = "line_fields::queue")]
    queue: Option<QueueName>,
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
    use serde_json::Value;

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

/// The values of fields that a line does not have, where no flags say so.
pub(crate) fn defaults(queue: &QueueName) -> JobFlags {
    JobFlags {
        kind: None,
        queue: queue.clone(),
        payload: "{}".to_owned(),
        priority: 0,
        delay: None,
        at: None,
        unique_key: None,
        limit_key: Vec::new(),
        batch: None,
        max_attempts: MAX_ATTEMPTS_DEFAULT,
        timeout: None,
        words: WordFlags::default(),
        expires_at: None,
        id: None,
        depends_on: Vec::new(),
        on_parent_failure: ParentFailure::default(),
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

/// The job that the flags describe.
pub(crate) fn from_flags(flags: &JobFlags) -> Result<NewJob, Failure> {
    let payload = json(&read_payload(&flags.payload)?)?;
    let mut job = NewJob::new(kind_of(flags, None)?, payload);
    take_flags(&mut job, flags);
    if let Some(id) = flags.id {
        (job.id, job.id_may_exist) = (id, true);
    }
    job.unique_key.clone_from(&flags.unique_key);
    if let (None, Some(flag)) = (&job.unique_key, flags.words.unique_flag_without_fields()) {
        return Err(Failure::usage(format!(
            "{flag} needs a unique key: give --unique-key, --unique-fields or --unique-payload too"
        )));
    }
    checked(job)
}

/// The job that a line describes. The flags are the defaults of the line.
pub(crate) fn from_line(line: &str, flags: &JobFlags) -> Result<NewJob, Failure> {
    let line = parsed(line)?;
    if line.name.is_some() || line.after.is_some() {
        return Err(Failure::usage("name and after belong to `leasehold graph submit`; a line has depends_on"));
    }
    job_of(line, flags)
}

/// The job of a graph that a JSON object describes.
pub(crate) fn from_node(node: &str, flags: &JobFlags) -> Result<NamedJob, Failure> {
    let mut line = parsed(node)?;
    let (name, after) = (line.name.take().unwrap_or_default(), line.after.take().unwrap_or_default());
    let job = job_of(line, flags).map_err(|failure| if name.is_empty() { failure } else { failure.of(&name) })?;
    Ok(NamedJob { name, after, job })
}

fn parsed(line: &str) -> Result<Line, Failure> {
    // Serde also reads a struct from an array.
    if !line.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() {
        return Err(Failure::usage("not a job: a line must be a JSON object"));
    }
    serde_json::from_str(line).map_err(|error| {
        // The parser sees one line only and says "line 1". A user would take that for a line number of the file.
        let text = error.to_string();
        let (problem, place) = text.split_once(" at line 1 column ").unwrap_or((&text, ""));
        let place = if place.is_empty() { String::new() } else { format!(" at column {place}") };
        Failure::usage(format!("not a job: {problem}{place}"))
    })
}

fn job_of(line: Line, flags: &JobFlags) -> Result<NewJob, Failure> {
    let payload = match line.payload {
        Some(payload) => payload,
        None => json(&flags.payload)?,
    };
    let mut job = NewJob::new(kind_of(flags, line.kind)?, payload);
    take_flags(&mut job, flags);
    job.queue = line.queue.unwrap_or(job.queue);
    job.priority = line.priority.unwrap_or(job.priority);
    job.max_attempts = line.max_attempts.unwrap_or(job.max_attempts);
    if line.limit_key.is_some() || line.limit_keys.is_some() {
        job.limit_keys = line.limit_key.into_iter().chain(line.limit_keys.unwrap_or_default()).collect();
    }
    job.batch = line.batch.or(job.batch);
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

fn kind_of(flags: &JobFlags, own: Option<Kind>) -> Result<Kind, Failure> {
    own.or_else(|| flags.kind.clone()).ok_or_else(|| Failure::usage("no kind, and no --kind was given"))
}

fn take_flags(job: &mut NewJob, flags: &JobFlags) {
    job.queue = flags.queue.clone();
    job.priority = flags.priority;
    job.delay = flags.delay;
    job.run_at = flags.at;
    job.limit_keys.clone_from(&flags.limit_key);
    job.batch.clone_from(&flags.batch);
    job.max_attempts = flags.max_attempts;
    job.timeout = flags.timeout;
    flags.words.give_to(job);
    job.expires_at = flags.expires_at;
    job.depends_on.clone_from(&flags.depends_on);
    job.on_parent_failure = flags.on_parent_failure;
}

fn checked(job: NewJob) -> Result<NewJob, Failure> {
    job.validate().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(job)
}

fn json(text: &str) -> Result<Box<RawValue>, Failure> {
    let parsed: Result<Box<RawValue>, _> = serde_json::from_str(text);
    parsed.map_err(|error| Failure::usage(format!("the payload is no JSON: {error}")))
}

fn read_payload(given: &str) -> Result<String, Failure> {
    let (name, input): (_, Box<dyn Read>) = match given.strip_prefix('@') {
        Some(path) => {
            let file = File::open(path)
                .map_err(|error| Failure::usage(format!("cannot read the payload from {path}: {error}")))?;
            (path, Box::new(file))
        }
        None if given == "-" => ("standard input", Box::new(std::io::stdin())),
        None => return Ok(given.to_owned()),
    };
    let mut bytes = Vec::new();
    // One more than allowed, which the check of the job then refuses.
    let limit = PAYLOAD_MAX_BYTES as u64 + 1024;
    input
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("cannot read the payload from {name}: {error}")))?;
    if bytes.len() as u64 == limit {
        return Err(Failure::usage(format!("the payload in {name} is longer than {PAYLOAD_MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("the payload in {name} is not UTF-8")))
}
