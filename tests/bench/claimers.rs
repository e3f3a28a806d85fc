//! PostgreSQL's cost of a claim by number of concurrent claimers. By id: somebody hands out the ids, as Redis does for
//! Leasehold. By SKIP LOCKED: from the front of the line past locked rows, as queues that only use PostgreSQL do, and
//! Leasehold without Redis. The statements are the worker's statements. Each claimer has its own connection and
//! completes immediately what it has claimed. There are no worker processes and no Redis, so the only difference is
//! how jobs are found.

use crate::{
    arguments::{Arguments, Claimers},
    growth::{BY_ID, SKIP_LOCKED},
    lab::Lab,
    machine::{Watch, until_quiet},
    results::{Results, Run},
};
use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use leasehold::{JobId, Kind, NewJob, QueueName, Store};
use leasehold_bench::{Costs, Meter};
use leasehold_core::{ClaimedJob, FinishedRun, Settle, WorkerId};
use leasehold_store::Kinds;
use serde_json::{json, value::RawValue};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const LEASE: Duration = Duration::from_secs(60);
/// How long a claimer that found nothing waits: other claimers hold the rest, or the run is over.
const EMPTY_WAIT: Duration = Duration::from_millis(1);

/// The jobs of a run.
struct Jobs {
    queue: QueueName,
    kind: Kind,
    /// The jobs that are not handed out yet, in order.
    ids: Mutex<VecDeque<JobId>>,
    all: usize,
    done: AtomicUsize,
}

pub(crate) async fn measure(arguments: &Arguments, size: &Claimers) -> Result<Results> {
    let mut lab = Lab::open("claimers", arguments).await?;
    for _ in 0..size.rounds {
        for claimers in &size.claimers {
            for way in [BY_ID, SKIP_LOCKED] {
                lab.servers.fresh().await?;
                until_quiet(Duration::from_secs(arguments.quiet_within)).await;
                let watch = Watch::begin(&lab.servers);
                let line = run(&lab, size, *claimers, way).await?;
                let others = watch.end(&lab.servers);
                eprintln!("{way}, {claimers} claimers: {line}; others used {:.0} %", others.share * 100.0);
                lab.results.runs.push(Run::of(way, &claimers.to_string(), line, others.share, others.disturbed));
            }
        }
    }
    Ok(lab.results)
}

async fn run(lab: &Lab, size: &Claimers, claimers: u32, way: &str) -> Result<serde_json::Value> {
    let stores = try_join_all((0..claimers).map(|_| lab.connect_claimer())).await?;
    let store = stores.first().context("at least one claimer")?;
    store.migrate().await?;
    let jobs = enqueue(store, size.n).await?;
    // Connects before the measurement starts.
    try_join_all(stores.iter().map(Store::ping)).await?;
    let mut meter = Meter::open(&lab.servers.database_url(), None).await?;
    let before = meter.read(&[]).await?;
    let begun = Instant::now();
    try_join_all(stores.iter().map(|store| claimer(store, &jobs, size.batch, way == BY_ID))).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let spent = meter.read(&[]).await?.since(&before);
    meter.close().await;
    for store in &stores {
        store.close().await;
    }
    let costs = Costs::per_job(&spent, 0, size.n);
    let cpu = costs.postgres_cpu_us_per_job;
    Ok(json!({ "n": size.n, "jobs_per_s": size.n as f64 / seconds, "postgres_cpu_us_per_job": cpu }))
}

async fn enqueue(store: &Store, count: u64) -> Result<Jobs> {
    let (queue, kind): (QueueName, Kind) = ("bench".parse()?, "noop".parse()?);
    let job =
        || Ok(NewJob { queue: queue.clone(), ..NewJob::new(kind.clone(), RawValue::from_string("null".into())?) });
    let new = (0..count).map(|_| job()).collect::<Result<Vec<_>>>()?;
    let ids: VecDeque<JobId> = store.enqueue(&new).await?.into_iter().map(|enqueued| enqueued.id).collect();
    let all = ids.len();
    Ok(Jobs { queue, kind, ids: Mutex::new(ids), all, done: AtomicUsize::new(0) })
}

/// Claims and completes jobs until all jobs are done, by any claimer.
async fn claimer(store: &Store, jobs: &Jobs, batch: usize, by_id: bool) -> Result<()> {
    let (worker, kinds) = (WorkerId(uuid::Uuid::now_v7()), Kinds::Only(vec![jobs.kind.clone()]));
    while jobs.done.load(Ordering::Relaxed) < jobs.all {
        let claimed = if by_id {
            let ids = jobs.next(batch);
            if ids.is_empty() { Vec::new() } else { store.claim(worker, &jobs.queue, &ids, &kinds, LEASE).await? }
        } else {
            store.claim_line(worker, &jobs.queue, &kinds, batch as i64, LEASE, true).await?
        };
        if claimed.is_empty() {
            tokio::time::sleep(EMPTY_WAIT).await;
            continue;
        }
        let settle = |job: &ClaimedJob| FinishedRun { fence: job.fence, settle: Settle::Complete(None) };
        let finished: Vec<FinishedRun> = claimed.iter().map(settle).collect();
        let settled = store.settle(worker, &finished).await?;
        ensure!(settled.len() == finished.len(), "a settle answered {} of {}", settled.len(), finished.len());
        jobs.done.fetch_add(settled.len(), Ordering::Relaxed);
    }
    Ok(())
}

impl Jobs {
    fn next(&self, batch: usize) -> Vec<JobId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let count = batch.min(ids.len());
        ids.drain(..count).collect()
    }
}
