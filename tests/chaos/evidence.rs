//! Evidence of a run, collected from outside: rows, keys, the handlers' log, the client's ledger.

use crate::{load::Ledger, members::Tally, moments::Moments};
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use leasehold::Job as _;
use leasehold_core::TrailEntry;
use leasehold_handoff::{Handoff, Settings as HandoffSettings};
use leasehold_store::{Settings, Store};
use leasehold_tests::{BatchCallback, Key, LogLine, Probe, Stores, all_keys};
use redis::aio::MultiplexedConnection;
use sqlx::{PgConnection, types::Json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long the stores may take to agree after all work has ended.
const AT_REST_WITHIN: Duration = Duration::from_secs(15);

/// One row of the view `leasehold.jobs`: a probe.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) state: String,
    pub(crate) epoch: i32,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) crashes: i16,
    pub(crate) max_crashes: i16,
    pub(crate) worker: Option<Uuid>,
    /// The result of a probe is the epoch of its run.
    pub(crate) result: Option<i32>,
    pub(crate) trail: Json<Vec<TrailEntry>>,
    pub(crate) unique_key: Option<String>,
    pub(crate) batch: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

leasehold_store::from_row!(Row {
    id,
    state,
    epoch,
    attempt,
    max_attempts,
    crashes,
    max_crashes,
    worker,
    result,
    trail,
    unique_key,
    batch,
    created_at,
    finished_at,
});

/// A dependency.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) child: Uuid,
    pub(crate) parent: Uuid,
    /// The child starts whatever the end of the parent is.
    pub(crate) runs_after_failure: bool,
}

leasehold_store::from_row!(Edge { child, parent, runs_after_failure });

/// A job that a batch enqueued as its callback.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) state: String,
    pub(crate) payload: Json<BatchCallback>,
}

leasehold_store::from_row!(Callback { state, payload });

/// All evidence that the checker judges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) ledger: Ledger,
    pub(crate) rows: Vec<Row>,
    pub(crate) edges: Vec<Edge>,
    /// The names of the batches that have callbacks for each event.
    pub(crate) batches: Vec<String>,
    pub(crate) callbacks: Vec<Callback>,
    pub(crate) log: Vec<LogLine>,
    /// Hints and leases that Redis still holds although no job is live.
    pub(crate) left_in_redis: Vec<String>,
    /// What the store's own checks and doctor report.
    pub(crate) violations: Vec<String>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) ended_badly: Vec<String>,
    pub(crate) moments: Moments,
    /// Jobs in the line at the start of the fault.
    pub(crate) queued_at_fault: usize,
    /// The time until the line was empty; `None`: the line never became empty.
    pub(crate) drained_s: Option<f64>,
    /// The time from the empty line until Redis held no more hints.
    pub(crate) agreed_s: Option<f64>,
}

impl Row {
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "dead" | "cancelled")
    }
}

/// The rows of probes. The scenario judges jobs of other kinds.
pub(crate) async fn rows(connection: &mut PgConnection) -> Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT id, state, epoch, attempt, max_attempts, crashes, max_crashes, worker,
                (result #>> '{}')::integer AS result, coalesce(trail, '[]') AS trail,
                unique_key, batch, created_at, finished_at
         FROM leasehold.jobs WHERE kind = $1",
    )
    .bind(Probe::KIND)
    .fetch_all(connection)
    .await
    .context("reading all probes")
}

pub(crate) async fn edges(connection: &mut PgConnection) -> Result<Vec<Edge>> {
    sqlx::query_as("SELECT child, parent, on_parent_failure = 'run' AS runs_after_failure FROM leasehold.edge")
        .fetch_all(connection)
        .await
        .context("reading all dependencies")
}

pub(crate) async fn batches(connection: &mut PgConnection) -> Result<Vec<String>> {
    let query = "SELECT name::text FROM leasehold.batch
                 WHERE on_success IS NOT NULL AND on_complete IS NOT NULL AND on_death IS NOT NULL";
    sqlx::query_scalar(query).fetch_all(connection).await.context("reading all batches")
}

pub(crate) async fn callbacks(connection: &mut PgConnection) -> Result<Vec<Callback>> {
    let query = "SELECT state, payload FROM leasehold.jobs WHERE kind = $1";
    sqlx::query_as(query).bind(BatchCallback::KIND).fetch_all(connection).await.context("reading all callbacks")
}

/// Waits until Redis holds no hint and no lease. Returns how long that took, or what is left.
pub(crate) async fn redis_at_rest(
    redis: &mut MultiplexedConnection,
    lease_ms: u64,
) -> Result<(Option<f64>, Vec<String>)> {
    // The leases of a lost worker run out first. The next reaper tick then handles them.
    let within = Duration::from_millis(lease_ms * 2) + AT_REST_WITHIN;
    let begun = Instant::now();
    loop {
        let left = hints_in(redis).await;
        if left.is_empty() {
            return Ok((Some(begun.elapsed().as_secs_f64()), left));
        }
        if begun.elapsed() > within {
            return Ok((None, left));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The suffixes of the keys that contain kinds and no hints: the kinds that are served, and the kinds that were served
/// recently.
const OF_KINDS: [&str; 2] = [":kinds", ":served"];

async fn hints_in(redis: &mut MultiplexedConnection) -> Vec<String> {
    let mut hints = Vec::new();
    for (name, key) in all_keys(redis).await {
        if !name.contains('}') || OF_KINDS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        match key {
            Key::List(ids) => hints.extend(ids.iter().map(|id| format!("{id} in {name}"))),
            Key::SortedSet(members) => {
                hints.extend(members.iter().map(|(id, score)| format!("{id} in {name} until {score}")));
            }
            _ => {}
        }
    }
    hints
}

/// Runs the product's own checks until they find nothing. A transient finding (a worker that has not announced itself
/// yet) is not an error.
pub(crate) async fn violations_at_rest(stores: &Stores) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let found = violations(stores).await?;
        if found.is_empty() || begun.elapsed() > AT_REST_WITHIN {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Runs the product's own checks once, on the live system, directly and not through the proxies.
async fn violations(stores: &Stores) -> Result<Vec<String>> {
    let settings = Settings {
        url: stores.database.url.as_str().into(),
        max_connections: 2,
        pooler: leasehold_store::Pooler::None,
        acquire_timeout: Duration::from_secs(10),
        lock_timeout: leasehold_store::LOCK_TIMEOUT,
        application_name: "chaos".to_owned(),
    };
    let store = Store::connect(&settings).await?;
    let settings = HandoffSettings {
        ca_file: None,
        key_prefix: leasehold_handoff::KeyPrefix::default(),
        url: stores.redis.url.as_str().into(),
        head_max: 4096,
        max_connections: 2,
        timeout: Duration::from_secs(5),
    };
    let handoff = Handoff::connect(&settings).await?;
    let rows = store.violations().await?;
    let examined = leasehold_reaper::examine(&store, &handoff).await?;
    let of_rows =
        rows.into_iter().map(|violation| format!("{}: {:?} {}", violation.check, violation.id, violation.detail));
    let of_doctor =
        examined.findings.into_iter().map(|finding| format!("doctor, {}: {}", finding.check, finding.detail));
    Ok(of_rows.chain(of_doctor).collect())
}
