//! The flags that describe a job, and the job that they describe.

use crate::{failure::Failure, numbers, times, word_flags::WordFlags};
use chrono::{DateTime, Utc};
use leasehold::{JobId, Kind, NewJob, ParentFailure, QueueName};
use leasehold_core::{
    MAX_ATTEMPTS_DEFAULT, MAX_ATTEMPTS_MAX, PAYLOAD_MAX_BYTES, PRIORITY_MAX, PRIORITY_MIN, json_problem,
};
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
          value_parser = numbers::within::<i16>(i64::from(PRIORITY_MIN)..=i64::from(PRIORITY_MAX)))]
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
    /// Start a job only while this key has room: see `leasehold limit set`. Repeatable, up to eight keys
    #[arg(long, value_name = "KEY")]
    pub(crate) limit_key: Vec<String>,
    /// The batch: a group of jobs by name, see `leasehold batch`
    #[arg(long, value_name = "NAME")]
    pub(crate) batch: Option<String>,
    /// The key that shares the queue fairly with other keys, such as a tenant: see `leasehold queue weight`
    #[arg(long, value_name = "KEY")]
    pub(crate) fair_key: Option<String>,
    /// Also notify this webhook when the job ends, even if its filter does not match: see `leasehold webhook`
    #[arg(long, value_name = "ID")]
    pub(crate) webhook: Option<String>,
    /// The trace that the job belongs to, as W3C Trace Context 00; its run gets it
    #[arg(long, value_name = "00-TRACE-PARENT-FLAGS")]
    pub(crate) traceparent: Option<String>,
    /// How many attempts a job may spend
    #[arg(long, value_name = "N", default_value_t = leasehold_core::MAX_ATTEMPTS_DEFAULT,
          value_parser = numbers::within::<i32>(1..=i64::from(MAX_ATTEMPTS_MAX)))]
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
    /// The jobs that must succeed first. A transaction of your own that enqueues such a job with SQL keeps them from ending while
    /// it is open
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',', conflicts_with_all = ["delay", "at"])]
    pub(crate) depends_on: Vec<JobId>,
    /// What happens to the job when one of them ends without success: cancel cancels the job, hold waits until the other job
    /// is retried and succeeds, run starts the job anyway
    #[arg(long, value_name = "cancel|hold|run", default_value_t)]
    pub(crate) on_parent_failure: ParentFailure,
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
        fair_key: None,
        webhook: None,
        traceparent: None,
        max_attempts: MAX_ATTEMPTS_DEFAULT,
        timeout: None,
        words: WordFlags::default(),
        expires_at: None,
        id: None,
        depends_on: Vec::new(),
        on_parent_failure: ParentFailure::default(),
    }
}

/// The job that the flags describe.
pub(crate) fn from_flags(flags: &JobFlags) -> Result<NewJob, Failure> {
    let payload = json(&read_payload(&flags.payload)?)?;
    let mut job = NewJob::new(flags.kind.clone().ok_or_else(|| Failure::usage("no kind: give --kind"))?, payload);
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

pub(crate) fn take_flags(job: &mut NewJob, flags: &JobFlags) {
    job.queue = flags.queue.clone();
    job.priority = flags.priority;
    job.delay = flags.delay;
    job.run_at = flags.at;
    job.limit_keys.clone_from(&flags.limit_key);
    job.batch.clone_from(&flags.batch);
    job.fair_key.clone_from(&flags.fair_key);
    job.webhook.clone_from(&flags.webhook);
    job.traceparent.clone_from(&flags.traceparent);
    job.max_attempts = flags.max_attempts;
    job.timeout = flags.timeout;
    flags.words.give_to(job);
    job.expires_at = flags.expires_at;
    job.depends_on.clone_from(&flags.depends_on);
    job.on_parent_failure = flags.on_parent_failure;
}

pub(crate) fn checked(job: NewJob) -> Result<NewJob, Failure> {
    job.validate().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(job)
}

pub(crate) fn json(text: &str) -> Result<Box<RawValue>, Failure> {
    let parsed: Result<Box<RawValue>, _> = serde_json::from_str(text);
    parsed.map_err(|error| Failure::usage(format!("the payload is no JSON: {}", json_problem(&error))))
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
