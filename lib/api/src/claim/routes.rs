//! `POST /v1/queues/{queue}/claim`.

use super::waiter::Claimed;
use crate::{
    answer::ok,
    api::Api,
    auth::Caller,
    connection::Connection,
    errors::{DetailCode, ErrorBody, Result},
    extract::{Body, Segment},
    fields::Fields,
};
use axum::{Extension, extract::State, response::Response};
use chrono::{DateTime, Utc};
use leasehold_core::{BATCH_MAX, Kind, PARENTS_MAX_BYTES, QueueName, WorkerId};
use leasehold_ports::Kinds;
use leasehold_store::{HttpClaim, HttpRun};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest wait: below the 60 s after which common proxies give up.
const WAIT_MAX_MS: u64 = 50_000;
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
const MAX_BYTES_DEFAULT: usize = 4 * 1024 * 1024;
const MAX_BYTES_MAX: u64 = 64 * 1024 * 1024;
const KINDS_MAX: usize = 1_000;
const CLAIM_ID_MAX_BYTES: usize = 200;

/// A claim: this worker wants jobs.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct ClaimRequest {
    /// A UUID that the worker makes at its start. A process that starts again is another worker.
    worker: Uuid,
    /// The kinds that the worker can run; every kind if the field is missing.
    kinds: Option<Vec<String>>,
    /// The most jobs to get.
    #[schema(minimum = 1, maximum = 500, default = 1)]
    max: Option<u64>,
    /// How long to wait for a job, in milliseconds.
    #[schema(minimum = 0, maximum = 50_000, default = 20_000)]
    wait_ms: Option<u64>,
    /// The time for which the worker holds a job without a renewal, in milliseconds. By default the setting `worker.lease_ms`.
    #[schema(minimum = 1_000, maximum = 3_600_000)]
    lease_ms: Option<u64>,
    /// The id of the claim, made by the worker. The same id again gives the same jobs that are not settled, with a new lease: the
    /// way to ask again for an answer that was lost. A claim for new jobs needs a new id.
    #[schema(min_length = 1, max_length = 200)]
    claim_id: Option<String>,
    /// The most bytes of payloads in the answer. One job is always allowed.
    #[schema(minimum = 1, maximum = 67_108_864, default = 4_194_304)]
    max_bytes: Option<u64>,
}

/// The jobs of a claim.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimAnswer {
    jobs: Vec<ClaimedJob>,
}

/// A job that the claimed job depends on.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct ParentView {
    id: Uuid,
    /// `null` after the job has left history.
    kind: Option<String>,
    /// `null` after the job has left history.
    state: Option<String>,
    /// The result of a job that has succeeded.
    result: Option<serde_json::Value>,
    /// Only there, and `true`, if the result was left out because the results of all parents together are too large.
    #[schema(nullable = false)]
    is_left_out: Option<bool>,
    /// Whether the claimed job no longer waits for this job.
    met: bool,
    /// What happens when this job ends without success: `cancel`, `hold` or `run`.
    on_parent_failure: String,
}

/// A job that the worker holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedJob {
    id: Uuid,
    /// The number of the claim. Every write about the run names `id`, `epoch` and `worker`.
    epoch: i32,
    worker: Uuid,
    kind: String,
    queue: String,
    #[schema(value_type = serde_json::Value)]
    payload: Box<RawValue>,
    /// The number of this attempt; 1 is the first.
    attempt: i32,
    max_attempts: i32,
    /// How many leases the job has lost.
    crashes: i16,
    /// How long the run may take. The worker watches this time itself.
    timeout_ms: Option<u64>,
    /// By the clock of the database.
    lease_expires_at: DateTime<Utc>,
    /// The jobs that this one depends on, with their results.
    #[schema(value_type = Vec<ParentView>)]
    parents: Vec<leasehold_core::Parent>,
    /// The trace that the job belongs to: `traceparent` of W3C Trace Context.
    traceparent: Option<String>,
}

/// Claim jobs of a queue
///
/// Waits until there is a job, up to `wait_ms`. Without a job the answer is `{"jobs": []}`. If the client closes the connection
/// before it has the answer, its jobs are given to other workers.
#[utoipa::path(post, path = "/v1/queues/{queue}/claim", tag = "workers", operation_id = "claim",
    params(("queue" = String, Path, description = "The name of the queue")), request_body = ClaimRequest,
    responses(
        (status = 200, description = "The jobs that the worker holds now", body = ClaimAnswer),
        (status = 409, description = "The worker is drained", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = 429, description = "Too many claims wait", body = ErrorBody),
        (status = 503, description = "PostgreSQL is unavailable", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn claim(
    State(api): State<Api>,
    caller: Caller,
    Extension(connection): Extension<Arc<Connection>>,
    Segment(queue): Segment<QueueName>,
    Body(fields): Body,
) -> Result<Response> {
    let asked = read(queue, fields, api.settings().lease)?;
    let Claimed { runs, handed_over } = api.dispatcher().claim(asked.claim, asked.max_bytes, asked.wait).await?;
    // If one of these calls fails, the runs are released with `handed_over`. A token may be revoked while its claim waits.
    api.auth().check_again(&caller).await?;
    let mut jobs = Vec::with_capacity(runs.len());
    for run in runs {
        jobs.push(shown(run, &api).await?);
    }
    if let Some(handed_over) = handed_over {
        connection.hand_over(handed_over);
    }
    Ok(ok(&ClaimAnswer { jobs }))
}

struct Asked {
    claim: HttpClaim,
    wait: Duration,
    max_bytes: usize,
}

fn read(queue: QueueName, mut fields: Fields, lease: Duration) -> Result<Asked> {
    let worker: Option<Uuid> = fields.required("worker", "a UUID that the worker makes at its start");
    let kinds = kinds(&mut fields);
    let most = u64::try_from(BATCH_MAX).unwrap_or(u64::MAX);
    let limit = fields.number("max", 1..=most).unwrap_or(1);
    let wait = fields.millis("wait_ms", 0..=WAIT_MAX_MS).unwrap_or(WAIT_DEFAULT);
    let lease = fields.millis("lease_ms", LEASE_MS).unwrap_or(lease);
    let max_bytes = fields.number("max_bytes", 1..=MAX_BYTES_MAX).and_then(|bytes| usize::try_from(bytes).ok());
    let claim_id: Option<String> = fields.value("claim_id", "a string");
    if let Some(id) = &claim_id
        && (id.is_empty() || id.len() > CLAIM_ID_MAX_BYTES || id.contains('\0'))
    {
        fields.refuse(
            "claim_id",
            DetailCode::Invalid,
            format!("must have 1 to {CLAIM_ID_MAX_BYTES} bytes, and no NUL"),
        );
    }
    fields.finish()?;
    let is_named = claim_id.is_some();
    let claim = HttpClaim {
        worker: WorkerId(worker.unwrap_or_default()),
        queue,
        kinds,
        limit: usize::try_from(limit).unwrap_or(1),
        lease,
        claim_id: claim_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        is_named,
    };
    Ok(Asked { claim, wait, max_bytes: max_bytes.unwrap_or(MAX_BYTES_DEFAULT) })
}

fn kinds(fields: &mut Fields) -> Kinds {
    let given: Option<Vec<String>> = fields.value("kinds", "an array of names of kinds");
    let Some(given) = given else { return Kinds::All };
    if given.is_empty() || given.len() > KINDS_MAX {
        fields.refuse(
            "kinds",
            DetailCode::Invalid,
            format!("must have 1 to {KINDS_MAX} names; without it, every kind is meant"),
        );
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for (nth, name) in given.iter().enumerate() {
        match name.parse() {
            Ok(kind) => kinds.push(kind),
            Err(error) => fields.refuse(&format!("kinds/{nth}"), DetailCode::Invalid, format!("{error}")),
        }
    }
    // In one order, so that claims for the same kinds wait in one group.
    kinds.sort();
    kinds.dedup();
    Kinds::Only(kinds)
}

async fn shown(run: HttpRun, api: &Api) -> Result<ClaimedJob> {
    let HttpRun { job, lease_expires_at } = run;
    let parents = match job.has_parents {
        true => api.store().parents(job.fence.id, PARENTS_MAX_BYTES).await?,
        false => Vec::new(),
    };
    Ok(ClaimedJob {
        id: job.fence.id.0,
        epoch: job.fence.epoch,
        worker: job.fence.worker.0,
        kind: job.kind.to_string(),
        queue: job.queue.to_string(),
        payload: job.payload,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        crashes: job.crashes,
        timeout_ms: job.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        lease_expires_at,
        parents,
        traceparent: job.traceparent,
    })
}
