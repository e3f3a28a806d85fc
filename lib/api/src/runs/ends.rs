//! How an HTTP worker reports that a run has ended.

use crate::{
    api::Api,
    errors::DetailCode,
    fields::Fields,
    jobs::{NewJobWords, read_job},
};
use leasehold_core::{
    DELAY_MAX, FOLLOWING_MAX, Fence, JobId, NewJob, Outcome, RESERVED, RESULT_MAX_BYTES, Settle, Success, Tries,
    WorkerId, check_following, is_reserved,
};
use leasehold_telemetry::traces;
use serde_json::value::RawValue;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// The fence of a run, and that the run has succeeded.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct CompleteRequest {
    worker: Uuid,
    epoch: i32,
    /// Any JSON, at most 1 MiB.
    result: Option<serde_json::Value>,
    /// Jobs that are made together with the success, or not at all.
    #[schema(max_items = 1000)]
    enqueue: Option<Vec<NewJobWords>>,
}

/// The fence of a run, and that the run has failed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct FailRequest {
    worker: Uuid,
    epoch: i32,
    /// What went wrong. The last 8 KiB are kept.
    error: String,
    /// The job can never succeed: it becomes dead without another attempt.
    never: Option<bool>,
    /// The delay before the next attempt. The default is the delay that the job's `retry` gives.
    #[schema(minimum = 0)]
    delay_ms: Option<u64>,
}

/// The fence of a run, and that the job runs again later. The attempt is given back.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct SnoozeRequest {
    worker: Uuid,
    epoch: i32,
    #[schema(minimum = 0)]
    delay_ms: Option<u64>,
    reason: Option<String>,
}

/// The fence of a run, and that the worker gives the job back. The attempt is given back.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct ReleaseRequest {
    worker: Uuid,
    epoch: i32,
}

/// One of the ways to end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Complete,
    Fail,
    Snooze,
    Release,
}

impl std::str::FromStr for Way {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "complete" => Ok(Self::Complete),
            "fail" => Ok(Self::Fail),
            "snooze" => Ok(Self::Snooze),
            "release" => Ok(Self::Release),
            _ => Err("it is none of these words"),
        }
    }
}

/// How a run ends.
#[derive(Clone, Debug)]
pub(super) enum RequestedEnd {
    Complete { result: Option<Box<RawValue>>, then: Vec<NewJob> },
    Fail { error: String, never: bool, delay: Option<Duration> },
    Snooze { delay: Option<Duration>, reason: Option<String> },
    Release,
}

/// The worker of a request.
pub(super) fn worker_of(fields: &mut Fields) -> WorkerId {
    let worker: Option<Uuid> = fields.required("worker", "the UUID of the worker");
    WorkerId(worker.unwrap_or_default())
}

/// The fence of a run: its job is in the path, or in the field `id`.
pub(super) fn fence_of(fields: &mut Fields, id: Option<JobId>, worker: WorkerId) -> Fence {
    let id = id.or_else(|| fields.required("id", "the UUID of a job").map(JobId)).unwrap_or(JobId(Uuid::nil()));
    let epoch: Option<i32> = fields.required("epoch", "the epoch of the claim");
    Fence { id, epoch: epoch.unwrap_or_default(), worker }
}

impl RequestedEnd {
    /// Reads the fields of one way to end a run.
    pub(super) fn read(way: Way, fields: &mut Fields, pointer: &str, api: &Api) -> Self {
        match way {
            Way::Complete => Self::read_complete(fields, pointer, api),
            Way::Fail => Self::Fail {
                error: fields.required("error", "a string").unwrap_or_default(),
                never: fields.value("never", "true or false").unwrap_or_default(),
                delay: delay(fields),
            },
            Way::Snooze => Self::Snooze { delay: delay(fields), reason: fields.value("reason", "a string") },
            Way::Release => Self::Release,
        }
    }

    fn read_complete(fields: &mut Fields, pointer: &str, api: &Api) -> Self {
        let result = fields.raw("result");
        if let Some(result) = &result
            && result.get().len() > RESULT_MAX_BYTES
        {
            let bytes = result.get().len();
            fields.refuse(
                "result",
                DetailCode::Invalid,
                format!("is {bytes} bytes long; at most {RESULT_MAX_BYTES} are allowed"),
            );
        }
        if result.as_ref().is_some_and(|result| is_reserved(result.get())) {
            let message = format!("begins with {RESERVED}, which is reserved for encrypted results");
            fields.refuse("result", DetailCode::Invalid, message);
        }
        let mut then = Vec::new();
        for (nth, job) in fields.array("enqueue", FOLLOWING_MAX).iter().enumerate() {
            match read_job(api.settings().read_job, &format!("{pointer}/enqueue/{nth}"), job.get()) {
                Ok(mut job) => {
                    // The worker has sent the trace of its run with this request.
                    job.traceparent = job.traceparent.or_else(traces::current);
                    then.push(job);
                }
                Err(bad) => fields.add(bad),
            }
        }
        if let Err(problem) = check_following(&then) {
            fields.refuse("enqueue", DetailCode::Invalid, problem);
        }
        Self::Complete { result, then }
    }

    /// The jobs that are made together with the success.
    pub(super) fn then(&self) -> &[NewJob] {
        match self {
            Self::Complete { then, .. } => then,
            _ => &[],
        }
    }

    /// What to write. `random` gives a retry its jitter.
    pub(super) fn settle(self, tries: &Tries, random: f64) -> Settle {
        let outcome = match self {
            Self::Complete { result, then } if !then.is_empty() => {
                return Settle::CompleteThen(Box::new(Success { result, then }));
            }
            Self::Complete { result, .. } => Outcome::Succeeded(result),
            Self::Fail { error, never: true, .. } => Outcome::Hopeless(error),
            Self::Fail { error, delay: Some(delay), .. } => {
                let settle = Outcome::Failed(error).settle(tries, random);
                return match settle {
                    Some(Settle::Retry { error, .. }) => Settle::Retry { delay, error },
                    settle => settle.unwrap_or(Settle::Release),
                };
            }
            Self::Fail { error, .. } => Outcome::Failed(error),
            Self::Snooze { delay, reason } => Outcome::Snoozed(delay, reason),
            Self::Release => Outcome::Interrupted,
        };
        outcome.settle(tries, random).unwrap_or(Settle::Release)
    }

    /// Other ends that the same request may have had when it was sent before: the job had fewer attempts left, or a cancel was
    /// wanted.
    pub(super) fn as_before(&self) -> Vec<Settle> {
        match self {
            Self::Complete { .. } => Vec::new(),
            Self::Fail { error, .. } => vec![
                Settle::Retry { delay: Duration::ZERO, error: error.clone() },
                Settle::Bury { error: error.clone() },
                Settle::Cancel,
            ],
            Self::Snooze { .. } | Self::Release => vec![Settle::Cancel],
        }
    }
}

fn delay(fields: &mut Fields) -> Option<Duration> {
    let most = u64::try_from(DELAY_MAX.as_millis()).unwrap_or(u64::MAX);
    fields.millis("delay_ms", 0..=most)
}
