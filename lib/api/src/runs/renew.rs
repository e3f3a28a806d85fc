//! Renews leases.

use super::{
    ends::{fence_of, worker_of},
    settle::lease_lost,
};
use crate::{
    answer::ok,
    api::Api,
    auth::{Caller, denied_runs},
    errors::{ErrorBody, Problem, Result},
    extract::{Body, Segment},
    fields::Fields,
    limits::JOBS_MAX,
};
use axum::{extract::State, response::Response};
use leasehold_core::{Fence, JobId, QueueName, WorkerId};
use leasehold_ports::Renewed;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use utoipa::ToSchema;
use uuid::Uuid;

const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;

/// The fence of a run whose lease is renewed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct RenewRequest {
    worker: Uuid,
    epoch: i32,
    /// The new length of the lease, from now on. By default the setting `worker.lease_ms`.
    #[schema(minimum = 1_000, maximum = 3_600_000)]
    lease_ms: Option<u64>,
}

/// A run of the worker.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct RunFence {
    id: Uuid,
    epoch: i32,
}

/// The runs of a worker whose leases are renewed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the body; the fields are read one by one")]
pub(crate) struct RenewAllRequest {
    worker: Uuid,
    #[schema(minimum = 1_000, maximum = 3_600_000)]
    lease_ms: Option<u64>,
    #[schema(max_items = 1000)]
    runs: Vec<RunFence>,
}

/// The worker still holds the job.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct RenewAnswer {
    /// `false`: an open transaction of another session holds the job. The lease stands and was not extended: renew again soon.
    renewed: bool,
    /// Somebody has cancelled the job: stop the work, and release the run. The job is cancelled then.
    cancel_wanted: bool,
    /// The worker is drained: it should end its runs and claim nothing.
    quiet: bool,
    /// The length of the lease from now on, if it was extended.
    lease_ms: u64,
}

/// The answer for one run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RenewedRun {
    id: Uuid,
    epoch: i32,
    #[serde(flatten)]
    answer: RenewedOrLost,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RenewedOrLost {
    Renewed(RenewAnswer),
    Lost(ErrorBody),
}

/// The answers, in the order of the runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RenewAllAnswer {
    runs: Vec<RenewedRun>,
    /// The worker is drained: it should end its runs and claim nothing.
    quiet: bool,
}

/// Renew the lease of a run
///
/// Also says whether somebody has cancelled the job.
#[utoipa::path(post, path = "/v1/jobs/{id}/renew", tag = "workers", operation_id = "renew", params(("id" = Uuid, Path)),
    request_body = RenewRequest,
    responses(
        (status = 200, description = "The worker still holds the job", body = RenewAnswer),
        (status = 409, description = "The lease is lost: drop the run", body = ErrorBody),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn renew(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<JobId>,
    Body(mut fields): Body,
) -> Result<Response> {
    let worker = worker_of(&mut fields);
    let fence = fence_of(&mut fields, Some(id), worker);
    let lease = fields.millis("lease_ms", LEASE_MS).unwrap_or(api.settings().lease);
    fields.finish()?;
    let answer = renewed(&api, &caller, worker, &[fence], lease).await?.pop().unwrap_or_else(|| Err(lease_lost()))?;
    Ok(ok(&answer))
}

/// Renew the leases of up to 1,000 runs of a worker
#[utoipa::path(post, path = "/v1/leases/renew", tag = "workers", operation_id = "renew_all", request_body = RenewAllRequest,
    responses(
        (status = 200, description = "An answer for each run", body = RenewAllAnswer),
        (status = 422, description = "A field is not valid", body = ErrorBody),
        (status = "default", description = "Any other error", body = ErrorBody),
    ))]
pub(crate) async fn renew_all(State(api): State<Api>, caller: Caller, Body(mut fields): Body) -> Result<Response> {
    let worker = worker_of(&mut fields);
    let lease = fields.millis("lease_ms", LEASE_MS).unwrap_or(api.settings().lease);
    let mut fences = Vec::new();
    for (nth, run) in fields.required_array("runs", JOBS_MAX).iter().enumerate() {
        let mut run = Fields::of_element(format!("/runs/{nth}"), run);
        fences.push(fence_of(&mut run, None, worker));
        fields.add(run.into_details());
    }
    fields.finish()?;
    let answers = renewed(&api, &caller, worker, &fences, lease).await?;
    let quiet = api.dispatcher().is_drained(worker).await?;
    let runs = fences.iter().zip(answers).map(|(fence, answer)| RenewedRun {
        id: fence.id.0,
        epoch: fence.epoch,
        answer: match answer {
            Ok(answer) => RenewedOrLost::Renewed(answer),
            Err(error) => RenewedOrLost::Lost(ErrorBody { error }),
        },
    });
    Ok(ok(&RenewAllAnswer { runs: runs.collect(), quiet }))
}

/// Renews leases. The answers have the order of the fences.
async fn renewed(
    api: &Api,
    caller: &Caller,
    worker: WorkerId,
    fences: &[Fence],
    lease: Duration,
) -> Result<Vec<std::result::Result<RenewAnswer, Problem>>> {
    let denied = denied_runs(api, caller, fences).await?;
    let allowed: Vec<Fence> = fences.iter().filter(|fence| !denied.contains_key(&fence.id)).copied().collect();
    api.dispatcher().confirm(&allowed);
    let held: HashMap<(JobId, i32), Renewed> =
        api.store().renew(worker, &allowed, lease).await?.into_iter().map(|run| ((run.id, run.epoch), run)).collect();
    let held_fences = held.keys().map(|(id, epoch)| Fence { id: *id, epoch: *epoch, worker });
    api.dispatcher().renewed(worker, held_fences, lease);
    let quiet = api.dispatcher().is_drained(worker).await?;
    renew_hints(api, held.keys().map(|(id, _)| *id).collect(), lease);
    let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    let answer = |fence: &Fence| match held.get(&(fence.id, fence.epoch)) {
        Some(run) => Ok(RenewAnswer { renewed: !run.locked, cancel_wanted: run.cancel_wanted, quiet, lease_ms }),
        None => Err(denied.get(&fence.id).cloned().unwrap_or_else(lease_lost)),
    };
    Ok(fences.iter().map(answer).collect())
}

/// Redis keeps these hints for the same time: this only saves other workers useless claims of the jobs.
fn renew_hints(api: &Api, ids: Vec<JobId>, lease: Duration) {
    let Some(head) = api.dispatcher().head().cloned().filter(|_| !ids.is_empty()) else { return };
    let api = api.clone();
    tokio::spawn(async move {
        let Ok(facts) = api.store().run_facts(&ids).await else { return };
        let mut by_queue: BTreeMap<QueueName, Vec<JobId>> = BTreeMap::new();
        for (id, facts) in facts {
            by_queue.entry(facts.queue).or_default().push(id);
        }
        if let Err(error) = head.renew(&by_queue.into_iter().collect::<Vec<_>>(), lease).await {
            api.dispatcher().redis_failed(&error);
        }
    });
}
