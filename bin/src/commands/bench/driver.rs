//! The clock of a measurement: schema, reaper, enqueues, and when all is done.

use super::{Figures, Mode, Plan, kind, queue, wall_ms, workers::Workers};
use crate::{context::Context, failure::Failure, output::progress};
use futures_util::{TryStreamExt as _, stream};
use leasehold::{Client, NewJob, Store};
use leasehold_reaper::Reaper;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Jobs in one bulk enqueue, and how many of those are under way at once: the same for every queue that is compared.
const CHUNK: u64 = 500;
const IN_FLIGHT: usize = 4;
/// A measurement that takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long flow lets the workers idle before it begins.
const IDLES_FOR: Duration = Duration::from_secs(1);
/// How long latency waits for the last jobs.
const LAST_JOBS_WITHIN: Duration = Duration::from_secs(10);

/// Does the whole measurement.
pub(crate) async fn measure(plan: &Plan, context: &Context) -> Result<Figures, Failure> {
    let missing = || Failure::usage("bench needs PG_URL and REDIS_URL, or database.url and redis.url");
    let settings = plan.config.store_settings("leasehold bench").ok_or_else(missing)?;
    let handoff_settings = plan.config.handoff_settings().ok_or_else(missing)?;
    let store = Store::connect(&settings).await.map_err(|error| context.store_failure(error))?;
    store.migrate().await.map_err(|error| context.store_failure(error))?;
    if !is_empty(&store, context).await? {
        return Err(Failure::usage("bench wants an empty queue, and this database has live jobs"));
    }
    let client = Client::connect(&plan.config).await.map_err(|error| context.failure(&error))?;
    let handoff =
        leasehold::handoff_or_later(&handoff_settings).await.map_err(|error| context.handoff_failure(&error))?;
    let stop = CancellationToken::new();
    let reaper = tokio::spawn(Reaper::new(store.clone(), handoff, context.reaper_settings()).run(stop.clone()));

    let figures = match plan.mode {
        Mode::Drain => drain(plan, context, &client, &store).await,
        Mode::Flow => flow(plan, context, &client, &store).await,
        Mode::Latency => latency(plan, context, &client).await,
    };
    stop.cancel();
    let _ = reaper.await;
    figures
}

async fn drain(plan: &Plan, context: &Context, client: &Client, store: &Store) -> Result<Figures, Failure> {
    let begun = Instant::now();
    enqueue_all(plan, context, client).await?;
    let enqueue_per_s = rate(plan.jobs, begun);
    let mut workers = Workers::start(plan).await?;
    workers.begin().await?;
    let before_ready = workers.done;
    let begun = Instant::now();
    finish(plan, context, &mut workers, store).await?;
    Ok(Figures::Drain { enqueue_per_s, drain_per_s: rate(plan.jobs - before_ready, begun), before_ready })
}

async fn flow(plan: &Plan, context: &Context, client: &Client, store: &Store) -> Result<Figures, Failure> {
    let mut workers = Workers::start(plan).await?;
    workers.begin().await?;
    sleep(IDLES_FOR).await;
    let begun = Instant::now();
    let (enqueued, finished) =
        tokio::join!(enqueue_all(plan, context, client), finish(plan, context, &mut workers, store));
    enqueued?;
    finished?;
    Ok(Figures::Flow { flow_per_s: rate(plan.jobs, begun) })
}

async fn latency(plan: &Plan, context: &Context, client: &Client) -> Result<Figures, Failure> {
    let mut workers = Workers::start(plan).await?;
    workers.begin().await?;
    sleep(IDLES_FOR).await;
    let bar = progress::bar(plan.jobs).with_message("latency");
    for _ in 0..plan.jobs {
        let job = job(&wall_ms().to_string())?;
        client.enqueue_many(&[job]).await.map_err(|error| context.failure(&error))?;
        bar.inc(1);
        sleep(plan.gap).await;
    }
    bar.finish_and_clear();
    workers.wait_until_done(plan.jobs, Instant::now() + LAST_JOBS_WITHIN).await?;
    let mut delays = std::mem::take(&mut workers.delays_ms);
    delays.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let nth = (delays.len() as f64 * part).ceil() as usize;
        delays.get(nth.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    };
    Ok(Figures::Latency { seen: delays.len(), p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99) })
}

async fn enqueue_all(plan: &Plan, context: &Context, client: &Client) -> Result<(), Failure> {
    let bar = progress::bar(plan.jobs).with_message("enqueue");
    let chunks = (0..plan.jobs).step_by(CHUNK as usize).map(|first| CHUNK.min(plan.jobs - first));
    stream::iter(chunks.map(Ok))
        .try_for_each_concurrent(IN_FLIGHT, |count| {
            let bar = &bar;
            async move {
                let jobs = (0..count).map(|_| job("null")).collect::<Result<Vec<_>, _>>()?;
                client.enqueue_many(&jobs).await.map_err(|error| context.failure(&error))?;
                bar.inc(count);
                Ok::<_, Failure>(())
            }
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}

/// Waits until every handler has run *and* PostgreSQL holds no live job.
async fn finish(plan: &Plan, context: &Context, workers: &mut Workers, store: &Store) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    if !workers.wait_until_done(plan.jobs, until).await? {
        return Err(Failure::new(format!("only {} of {} jobs were run", workers.done, plan.jobs)));
    }
    while !is_empty(store, context).await? {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn is_empty(store: &Store, context: &Context) -> Result<bool, Failure> {
    let stats = store.stats().await.map_err(|error| context.store_failure(error))?;
    Ok(stats.iter().all(|queue| queue.queued + queue.running + queue.scheduled + queue.blocked == 0))
}

fn job(payload: &str) -> Result<NewJob, Failure> {
    let payload = RawValue::from_string(payload.to_owned()).map_err(|error| Failure::new(error.to_string()))?;
    Ok(NewJob { queue: queue()?, ..NewJob::new(kind()?, payload) })
}

fn rate(jobs: u64, since: Instant) -> f64 {
    jobs as f64 / since.elapsed().as_secs_f64()
}
