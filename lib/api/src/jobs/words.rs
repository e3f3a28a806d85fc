//! The fields of a job: for the description of the interface, and for errors that name the bad fields.

use crate::{
    api::ReadJob,
    errors::{Detail, DetailCode, Problem, pointer_in},
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
    /// The share of the queue that the job counts against, such as a tenant.
    pub(crate) fair_key: Option<String>,
    /// The id of a webhook that is also notified when this job ends, even if its filter does not match. It must exist.
    pub(crate) webhook: Option<String>,
    /// The trace that the job belongs to, as W3C Trace Context 00. It overrides the header `traceparent`.
    pub(crate) traceparent: Option<String>,
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
    fair_key: Option<String>,
    #[schema(nullable = false)]
    progress: Option<serde_json::Value>,
    /// The webhook that the job names. Lists leave it out.
    #[schema(nullable = false)]
    webhook: Option<String>,
    /// Unusual events in the life of the job, such as lost leases and manual changes.
    trail: Vec<serde_json::Value>,
}

/// The fields of a job, as messages name them.
const WORDS: &[&str] = &[
    "kind",
    "queue",
    "payload",
    "priority",
    "delay",
    "run_at",
    "unique_key",
    "unique",
    "limit_key",
    "limit_keys",
    "batch",
    "fair_key",
    "webhook",
    "traceparent",
    "max_attempts",
    "timeout",
    "retry",
    "expires_at",
    "expires_in",
    "id",
    "depends_on",
    "on_parent_failure",
];

/// A job that PostgreSQL has refused: the problem names the field. `jobs`: the pointers and the texts of the jobs of
/// the request. A message about one value is about the jobs that have this value.
pub(crate) fn late(problem: Problem, jobs: &[(String, &str)]) -> Problem {
    let problem = problem.at_words(WORDS);
    let [detail] = problem.details.as_slice() else { return problem };
    let (pointer, message) = (detail.pointer.clone(), detail.message.clone());
    if let [(element, _)] = jobs {
        return problem.below(element);
    }
    // An id, or a name in quotes.
    let values = message.split([' ', ',', ';']).map(|word| word.trim_matches('\'')).filter(|word| word.len() >= 2);
    let quoted: Vec<String> = values.map(|value| format!("\"{value}\"")).collect();
    let word = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    let has = |text: &str| {
        let words: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
        words.get(word).is_some_and(|given| quoted.iter().any(|value| given.get().contains(value)))
    };
    let of_these: Vec<Detail> = jobs
        .iter()
        .filter(|(_, text)| has(text))
        .map(|(element, _)| Detail::new(format!("{element}{pointer}"), DetailCode::Invalid, message.clone()))
        .collect();
    if of_these.is_empty() {
        return Problem::invalid(vec![Detail::new("/jobs", DetailCode::Invalid, message)]);
    }
    Problem::invalid(of_these)
}

/// The problems of the fields of a job. The parser of a job stops at the first bad field, so each field is also parsed
/// alone.
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
        let quoted = serde_json::Value::from(name.as_str());
        let alone = match name.as_str() {
            "kind" => format!("{{\"kind\":{}}}", value.get()),
            // The rule of a key is read with the key, which may be a part of the payload.
            "unique" => {
                let others = ["unique_key", "payload"].map(|other| words.get(other).map(|value| (other, value.get())));
                let others: String =
                    others.into_iter().flatten().map(|(other, value)| format!(",\"{other}\":{value}")).collect();
                format!("{{\"kind\":\"k\",\"unique\":{}{others}}}", value.get())
            }
            _ => format!("{{\"kind\":\"k\",{quoted}:{}}}", value.get()),
        };
        let Err(error) = read(&alone) else { continue };
        let error = clear(&error);
        let is_unknown = error.starts_with("unknown field");
        let field = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        // If a field has inner fields, the message names the bad inner field.
        let inner = pointer_in(&error, WORDS).filter(|inner| inner.starts_with(&format!("{field}/")));
        let place = format!("{pointer}{}", inner.as_deref().unwrap_or(&field));
        // The error of a rule may be about its key, which is read alone too.
        let is_about = |found: String| found.starts_with("/unique") && found != "/unique_key";
        if is_unknown && !WORDS.contains(&name.as_str()) {
            bad.push(Detail::new(place, DetailCode::Unknown, "there is no such field"));
        } else if name != "unique" || pointer_in(&error, WORDS).is_none_or(is_about) {
            bad.push(Detail::new(place, DetailCode::Invalid, error));
        }
    }
    // Fields that exclude each other. An error of the parser is about one field, which was found above.
    if !error.starts_with("not a job: ") {
        for part in parts(&clear(error)) {
            let place = format!("{pointer}{}", pointer_in(&part, WORDS).unwrap_or_default());
            let is_known = |bad: &Detail| place.starts_with(&bad.pointer) || bad.pointer.starts_with(&place);
            if !bad.iter().any(is_known) {
                bad.push(Detail::new(place, DetailCode::Invalid, part));
            }
        }
    }
    if bad.is_empty() {
        bad.push(Detail::new(pointer, DetailCode::Invalid, clear(error)));
    }
    bad
}

/// The sentences of an error: each begins with the name of a field.
fn parts(error: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in error.split("; ") {
        let first = piece.split([' ', '.']).next().unwrap_or_default();
        match parts.last_mut() {
            Some(last) if !WORDS.contains(&first) => last.extend(["; ", piece]),
            _ => parts.push(piece.to_owned()),
        }
    }
    parts
}

/// The text without the parts that only make sense on a command line.
fn clear(error: &str) -> String {
    let text = error.strip_prefix("not a job: ").unwrap_or(error);
    text.split(" at column ").next().unwrap_or(text).to_owned()
}

/// Reads a job of a request.
pub(crate) fn read_job(read: ReadJob, pointer: &str, text: &str) -> Result<NewJob, Vec<Detail>> {
    read(text).map_err(|error| refused(read, pointer, text, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_sentence_for_each_field() {
        let error = "priority is 500; it must be from -100 to 100; unique.fields needs a payload that is a JSON object";
        assert_eq!(parts(error).len(), 2);
        assert_eq!(pointer_in(&parts(error)[1], WORDS).as_deref(), Some("/unique/fields"));
        assert_eq!(pointer_in("the batch 'kind' is sealed", WORDS).as_deref(), Some("/batch"));
        assert_eq!(pointer_in("nothing of this sort", WORDS), None);
    }

    #[test]
    fn a_job_that_was_refused_late_is_found_by_its_value() {
        let parent = Uuid::now_v7();
        let problem = || {
            Problem::invalid(vec![Detail::new(
                "",
                DetailCode::Invalid,
                format!("depends_on names {parent}, and no job"),
            )])
        };
        let (with, without) = (format!(r#"{{"kind":"b","depends_on":["{parent}"]}}"#), r#"{"kind":"a"}"#);
        let jobs = [("/jobs/0".to_owned(), without), ("/jobs/1".to_owned(), with.as_str())];
        assert_eq!(late(problem(), &jobs).details[0].pointer, "/jobs/1/depends_on");
        assert_eq!(late(problem(), &jobs[..1]).details[0].pointer, "/jobs/0/depends_on");
        assert_eq!(late(problem(), &[("".to_owned(), with.as_str())]).details[0].pointer, "/depends_on");
        assert_eq!(late(problem(), &[jobs[0].clone(), jobs[0].clone()]).details[0].pointer, "/jobs");
    }
}
