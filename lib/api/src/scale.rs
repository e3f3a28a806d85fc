//! How many workers a queue needs: for autoscalers that read JSON, such as the scaler `metrics-api` of KEDA, and for people.

use crate::{
    answer::ok,
    api::Api,
    errors::{Code, ErrorBody, Problem, Result},
    extract::{Query, Segment},
};
use axum::{extract::State, response::Response};
use leasehold_client::{Demand, Error as ClientError, suggested_replicas};
use leasehold_core::QueueName;
use serde::Serialize;
use utoipa::ToSchema;

/// The most slots of one worker, and the most workers that an answer suggests.
const SLOTS_MAX: u64 = 10_000;
const REPLICAS_MAX: u64 = 1_000_000;

/// How many slots a queue could use now. The numbers of a queue that was never used are 0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scale {
    #[serde(flatten)]
    #[schema(value_type = DemandView)]
    demand: Demand,
    /// How many workers meet the demand, if each plans to use nine tenths of its slots; within `min` and `max`. `null` if neither the
    /// request nor a live worker says how many slots a worker has.
    suggested_replicas: Option<u64>,
}

/// The numbers of a queue.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "this struct describes the answer; a test compares both")]
pub(crate) struct DemandView {
    queue: String,
    /// The slots that the queue could use: `running` and `waiting`.
    demand: u64,
    /// The jobs that could start now if there were a slot. Jobs that are paused, blocked, scheduled, without room in a limit, or of a
    /// kind that no worker serves are left out.
    waiting: u64,
    /// The runs on workers that are not draining.
    running: u64,
    /// The runs on workers that are draining.
    draining: u64,
    /// The live workers that are not draining, and their slots for this queue.
    workers: u64,
    slots: u64,
    /// For how many seconds the oldest of the waiting jobs has been due; `null` if none waits.
    oldest_s: Option<f64>,
    /// In how many seconds the waiting jobs will have ended at the rate of the last minute; `null` if no job has ended meanwhile.
    drain_s: Option<f64>,
}

/// Show how many slots a queue could use, and how many workers these are
///
/// For autoscalers. While a store is unavailable the answer is 503 and never 0, so that an autoscaler keeps its workers.
#[utoipa::path(get, path = "/v1/queues/{queue}/scale", tag = "queues", operation_id = "scale_queue",
    params(
        ("queue" = String, Path),
        ("slots_per_replica" = Option<u64>, Query, minimum = 1, maximum = 10_000,
            description = "The slots of one worker for this queue; by default as live workers have them"),
        ("min" = Option<u64>, Query, maximum = 1_000_000, description = "The fewest workers to suggest; 0 by default"),
        ("max" = Option<u64>, Query, maximum = 1_000_000, description = "The most workers to suggest"),
    ),
    responses((status = 200, description = "The demand", body = Scale),
              (status = 422, description = "A parameter is not valid", body = ErrorBody),
              (status = 503, description = "A store is unavailable, so the demand is not known", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn scale(
    State(api): State<Api>,
    Segment(queue): Segment<QueueName>,
    mut query: Query,
) -> Result<Response> {
    let slots = query.number("slots_per_replica", 0, 1, SLOTS_MAX);
    let min = query.number("min", 0, 0, REPLICAS_MAX);
    let max = query.number("max", REPLICAS_MAX, min, REPLICAS_MAX);
    query.finish()?;
    let demand = api.client().demand(std::slice::from_ref(&queue)).await.map_err(unknown)?;
    let Some(demand) = demand.into_iter().next() else { return Err(Problem::internal(&"no answer for the queue")) };
    let slots = if slots > 0 { Some(slots as f64) } else { demand.slots_per_worker() };
    let suggested_replicas = suggested_replicas(demand.demand, slots, min, Some(max));
    Ok(ok(&Scale { demand, suggested_replicas }))
}

/// After any failure of a store, the demand is not known.
fn unknown(error: ClientError) -> Problem {
    match error {
        ClientError::Store(error) => {
            tracing::debug!(%error, "the demand of a queue is not known");
            Problem::new(
                Code::Unavailable,
                "a store is unavailable, so the demand is not known: keep the workers, and try again",
            )
        }
        error => error.into(),
    }
}
