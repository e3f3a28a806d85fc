//! A job as it is written on the command line or in a line of input, made into one that can be sent.

use crate::{failure::Failure, times};
use chrono::{DateTime, Utc};
use leasehold::{JobId, Kind, NewJob, QueueName};
use leasehold_core::{MAX_ATTEMPTS_MAX, PAYLOAD_MAX_BYTES, PRIORITY_MAX, PRIORITY_MIN};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{fs::File, io::Read, time::Duration};

/// What can be said about a job by flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct JobFlags {
    /// Which handler runs it
    #[arg(long, required_unless_present = "stdin")]
    pub(crate) kind: Option<Kind>,
    /// Where it waits
    #[arg(long, default_value = "default")]
    pub(crate) queue: QueueName,
    /// What the handler is given: JSON, @FILE to read it from a file, or - from standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    pub(crate) payload: String,
    /// From -100 to 100, higher first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i16).range(i64::from(PRIORITY_MIN)..=i64::from(PRIORITY_MAX)))]
    pub(crate) priority: i16,
    /// Not before this long from now, such as 10s or 1h30m
    #[arg(long, value_parser = times::duration, conflicts_with = "at")]
    pub(crate) delay: Option<Duration>,
    /// Not before this time: 2030-01-31T08:00:00Z, or 2030-01-31 08:00 in the local zone
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// While a live job has this key, that job is the answer and no other is made
    #[arg(long, value_name = "KEY")]
    pub(crate) unique_key: Option<String>,
    /// Reserved: this version stores the key and enforces no limit
    #[arg(long, value_name = "KEY")]
    pub(crate) limit_key: Option<String>,
    /// Attempts it may spend
    #[arg(long, value_name = "N", default_value_t = leasehold_core::MAX_ATTEMPTS_DEFAULT,
          value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_ATTEMPTS_MAX)))]
    pub(crate) max_attempts: i32,
    /// How long one run may take, such as 30s [default: for ever]
    #[arg(long, value_parser = times::duration)]
    pub(crate) timeout: Option<Duration>,
    /// The id of the job; if there is one of this id already, it is the answer and no other is made
    #[arg(long)]
    pub(crate) id: Option<JobId>,
}

/// A line of input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: Option<Kind>,
    queue: Option<QueueName>,
    payload: Option<Box<RawValue>>,
    priority: Option<i16>,
    delay: Option<String>,
    run_at: Option<String>,
    unique_key: Option<String>,
    limit_key: Option<String>,
    max_attempts: Option<i32>,
    timeout: Option<String>,
    id: Option<JobId>,
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
    checked(job)
}

/// The job that a line describes; the flags say what the line does not.
pub(crate) fn from_line(line: &str, flags: &JobFlags) -> Result<NewJob, Failure> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        // Every input is line 1 to the parser, which would read as a line number of the file.
        let text = error.to_string();
        let (problem, place) = text.split_once(" at line 1 column ").unwrap_or((&text, ""));
        let place = if place.is_empty() { String::new() } else { format!(" at column {place}") };
        Failure::usage(format!("not a job: {problem}{place}"))
    })?;
    let payload = match line.payload {
        Some(payload) => payload,
        None => json(&flags.payload)?,
    };
    let mut job = NewJob::new(kind_of(flags, line.kind)?, payload);
    take_flags(&mut job, flags);
    job.queue = line.queue.unwrap_or(job.queue);
    job.priority = line.priority.unwrap_or(job.priority);
    job.max_attempts = line.max_attempts.unwrap_or(job.max_attempts);
    job.limit_key = line.limit_key.or(job.limit_key);
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
    if let Some(id) = line.id {
        (job.id, job.id_may_exist) = (id, true);
    }
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
    job.limit_key.clone_from(&flags.limit_key);
    job.max_attempts = flags.max_attempts;
    job.timeout = flags.timeout;
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
