//! The words of a job: for the description of the interface, and for errors that name the bad ones.

use crate::{
    api::ReadJob,
    errors::{Detail, DetailCode},
};
use chrono::{DateTime, Utc};
use leasehold_core::NewJob;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job to be enqueued: the words of a line of `leasehold enqueue --stdin`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct NewJobWords {
    /// Says which handler runs the job.
    pub(crate) kind: String,
    #[schema(default = "default")]
    pub(crate) queue: Option<String>,
    /// Any JSON, stored unchanged. At most 1 MiB and 100 levels.
    pub(crate) payload: Option<serde_json::Value>,
    #[schema(minimum = -100, maximum = 100, default = 0)]
    pub(crate) priority: Option<i16>,
    /// A delay before the earliest start, such as `10s` or `1h30m`.
    pub(crate) delay: Option<String>,
    /// The earliest start. Not together with `delay`.
    pub(crate) run_at: Option<String>,
    /// While a live job has this key, no other job gets it.
    pub(crate) unique_key: Option<String>,
    /// How the key is held: `while`, `on_conflict`, `until`, `for`, `fields`, `payload`, `longest_wait`.
    pub(crate) unique: Option<serde_json::Value>,
    pub(crate) limit_key: Option<String>,
    #[schema(max_items = 8)]
    pub(crate) limit_keys: Option<Vec<String>>,
    /// The batch of the job.
    pub(crate) batch: Option<String>,
    #[schema(minimum = 1, maximum = 10_000, default = 5)]
    pub(crate) max_attempts: Option<i32>,
    /// How long one run may take, such as `30s`.
    pub(crate) timeout: Option<String>,
    /// When a failed job is tried again: `strategy`, `base`, `cap`, `for`.
    pub(crate) retry: Option<serde_json::Value>,
    /// The job is cancelled if it has not begun by then.
    pub(crate) expires_at: Option<String>,
    /// The same as a time from now, such as `1h`.
    pub(crate) expires_in: Option<String>,
    /// The id of the job. If a job with this id exists, the answer is that job.
    pub(crate) id: Option<Uuid>,
    /// The jobs that must succeed first.
    pub(crate) depends_on: Option<Vec<Uuid>>,
    /// What happens when one of them ends without success: `cancel`, `hold` or `run`.
    pub(crate) on_parent_failure: Option<String>,
}

/// A job, live or finished.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct JobView {
    id: Uuid,
    queue: String,
    kind: String,
    /// `blocked`, `scheduled`, `queued`, `running`, `succeeded`, `dead` or `cancelled`.
    state: String,
    priority: i16,
    payload: serde_json::Value,
    result: Option<serde_json::Value>,
    last_error: Option<String>,
    attempt: i32,
    max_attempts: i32,
    crashes: i16,
    max_crashes: i16,
    epoch: i32,
    worker: Option<Uuid>,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    lease_expires_at: Option<DateTime<Utc>>,
    cancel_requested_at: Option<DateTime<Utc>>,
    timeout_ms: Option<i32>,
    unique_key: Option<String>,
    limit_key: Option<String>,
    limit_keys: Option<Vec<String>>,
    retry: Option<serde_json::Value>,
    retry_until: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    unique_rule: Option<String>,
    batch: Option<String>,
    #[schema(nullable = false)]
    progress: Option<serde_json::Value>,
    /// What has happened to the job beside its ordinary way.
    trail: Vec<serde_json::Value>,
}

/// What is wrong with the words of a job. The reader of a job stops at the first bad word, so each word is read alone too.
pub(crate) fn refused<T>(
    read: impl Fn(&str) -> Result<T, String>,
    pointer: &str,
    text: &str,
    error: &str,
) -> Vec<Detail> {
    let Ok(words) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text) else {
        return vec![Detail::new(pointer, DetailCode::Invalid, clear(error))];
    };
    let mut bad = Vec::new();
    if !words.contains_key("kind") {
        bad.push(Detail::new(format!("{pointer}/kind"), DetailCode::Required, "is required"));
    }
    for (name, value) in &words {
        let alone = match name.as_str() {
            "kind" => format!("{{\"kind\":{}}}", value.get()),
            name => format!("{{\"kind\":\"k\",{}:{}}}", serde_json::Value::from(name), value.get()),
        };
        let Err(error) = read(&alone) else { continue };
        let error = clear(&error);
        let is_unknown = error.starts_with("unknown field");
        let name = name.replace('~', "~0").replace('/', "~1");
        bad.push(match is_unknown {
            true => Detail::new(format!("{pointer}/{name}"), DetailCode::Unknown, "there is no such field"),
            false => Detail::new(format!("{pointer}/{name}"), DetailCode::Invalid, error),
        });
    }
    if bad.is_empty() {
        // Words that do not go together.
        bad.push(Detail::new(pointer, DetailCode::Invalid, clear(error)));
    }
    bad
}

/// The text without what only makes sense on a command line.
fn clear(error: &str) -> String {
    let text = error.strip_prefix("not a job: ").unwrap_or(error);
    text.split(" at column ").next().unwrap_or(text).to_owned()
}

/// Reads a job of a request.
pub(crate) fn read_job(read: ReadJob, pointer: &str, text: &str) -> Result<NewJob, Vec<Detail>> {
    read(text).map_err(|error| refused(read, pointer, text, &error))
}
