//! The driver of a measurement: schema, reaper, enqueues, and the clock.

use super::{
    Mode, Plan, enqueues,
    figures::{Delays, Figures},
    meters::{self, Meters},
    pace, wall_ms,
    workers::Workers,
};
use crate::{context::Context, failure::Failure, output::progress};
use leasehold::{Client, Store};
use leasehold_bench::Costs;
use leasehold_client::Pair;
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A measurement that takes this much longer than planned has failed.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long `flow` lets the workers idle before it begins.
const IDLES_FOR: Duration = Duration::from_secs(1);
/// How long `latency` waits for the last jobs.
const LAST_JOBS_WITHIN: Duration = Duration::from_secs(10);

/// The values that every mode uses.
struct Scene<'a> {
    plan: &'a Plan,
    context: &'a Context,
    client: Client,
    store: Store,
    meters: Meters,
}

/// Runs the whole measurement.
pub(crate) async fn measure(plan: &Plan, context: &Context) -> Result<(Figures, Option<Costs>), Failure> {
    let redis_url = Some(plan.redis_url()?).filter(|url| *url != super::NO_REDIS);
    prepare(plan, context).await?;
    // Connect before all other processes. Otherwise their work until now would count as a cost.
    let meters = Meters::open(plan, redis_url).await?;
    let pair = Pair::connect(&plan.config, "leasehold bench").await.map_err(|error| context.failure(&error))?;
    let client = Client::connect(&plan.config).await.map_err(|error| context.failure(&error))?;
    let stop = CancellationToken::new();
    let reaper = tokio::spawn(context.reaper(&pair)?.run(stop.clone()));
    let store = pair.store;

    let mut scene = Scene { plan, context, client, store, meters };
    let figures = match plan.mode {
        Mode::Flow => scene.flow().await,
        Mode::Latency => scene.latency().await,
        // The floor is no job queue and has no queue tables.
        Mode::Drain | Mode::Floor => scene.drain().await,
    };
    stop.cancel();
    let _ = reaper.await;
    let Scene { client, store, meters, .. } = scene;
    // The handlers have seen all single jobs, but some jobs may not be settled yet.
    if figures.is_ok() && plan.mode != Mode::Latency && !is_empty(&store, context).await? {
        return Err(Failure::new("some jobs neither wait in a line nor run: the figures would be wrong"));
    }
    drop(client);
    store.close().await;
    let figures = figures?;
    let jobs = if let Figures::FlowForATime { jobs, .. } = figures { jobs } else { plan.jobs };
    Ok((figures, meters.costs(jobs).await?))
}

/// Creates the schema, in a database without live jobs.
async fn prepare(plan: &Plan, context: &Context) -> Result<(), Failure> {
    let store = connect(plan, context).await?;
    store.migrate().await.map_err(|error| context.store_failure(error))?;
    if !is_empty(&store, context).await? {
        return Err(Failure::usage("bench needs an empty queue, but this database has live jobs"));
    }
    store.close().await;
    Ok(())
}

async fn connect(plan: &Plan, context: &Context) -> Result<Store, Failure> {
    let missing = || Failure::usage("bench needs PG_URL and REDIS_URL, or database.url and redis.url");
    let settings = plan.config.store_settings("leasehold bench").ok_or_else(missing)?;
    Store::connect(&settings).await.map_err(|error| context.store_failure(error))
}

impl Scene<'_> {
    async fn drain(&mut self) -> Result<Figures, Failure> {
        let jobs = self.plan.jobs;
        self.meters.begin(&[]).await?;
        let begun = Instant::now();
        enqueues::all(self.plan, self.context, &self.client).await?;
        let enqueue_per_s = rate(jobs, begun.elapsed());
        self.meters.end(&[]).await?;

        let mut workers = Workers::start(self.plan).await?;
        meters::begin(&mut self.meters, &workers).await?;
        workers.begin().await?;
        let (before_ready, begun) = (workers.done(), Instant::now());
        let took = self.finish(jobs, &mut workers).await? - begun;
        let drain_per_s = rate(jobs - before_ready, took);
        meters::end(&mut self.meters, &workers).await?;
        let progress = workers.progress_since(begun);
        let (first_tenth_per_s, last_tenth_per_s) = pace::first_and_last_tenth(&progress, took);
        workers.end().await;
        Ok(Figures::Drain { enqueue_per_s, drain_per_s, before_ready, first_tenth_per_s, last_tenth_per_s })
    }

    async fn flow(&mut self) -> Result<Figures, Failure> {
        let mut workers = self.idle_workers().await?;
        meters::begin(&mut self.meters, &workers).await?;
        let begun = Instant::now();
        let figures = match self.plan.time {
            Some(time) => self.flow_for(time, begun, &mut workers).await?,
            None => {
                let enqueued = enqueues::all(self.plan, self.context, &self.client);
                let (enqueued, finished) = tokio::join!(enqueued, self.finish(self.plan.jobs, &mut workers));
                enqueued?;
                Figures::Flow { flow_per_s: rate(self.plan.jobs, finished? - begun) }
            }
        };
        meters::end(&mut self.meters, &workers).await?;
        workers.end().await;
        Ok(figures)
    }

    async fn flow_for(&self, time: Duration, begun: Instant, workers: &mut Workers) -> Result<Figures, Failure> {
        let done = workers.counter();
        let mut enqueued = pin!(enqueues::until(begun + time, &done, self.plan, self.context, &self.client));
        let jobs = loop {
            tokio::select! {
                jobs = &mut enqueued => break jobs?,
                heard = workers.hear() => heard?,
            }
        };
        let flow_per_s = rate(jobs, self.finish(jobs, workers).await? - begun);
        let tenths_per_s = pace::tenths(&workers.progress_since(begun), time);
        Ok(Figures::FlowForATime { flow_per_s, jobs, seconds: time.as_secs(), tenths_per_s })
    }

    async fn latency(&mut self) -> Result<Figures, Failure> {
        let mut workers = self.idle_workers().await?;
        meters::begin(&mut self.meters, &workers).await?;
        let bar = progress::bar(self.plan.jobs).with_message("latency");
        for _ in 0..self.plan.jobs {
            enqueues::one(self.context, &self.client, &wall_ms().to_string()).await?;
            bar.inc(1);
            sleep(self.plan.gap).await;
        }
        bar.finish_and_clear();
        workers.wait_until_done(self.plan.jobs, Instant::now() + LAST_JOBS_WITHIN).await?;
        meters::end(&mut self.meters, &workers).await?;
        let mut delays_ms = std::mem::take(&mut workers.delays_ms);
        workers.end().await;
        delays_ms.sort_by(f64::total_cmp);
        Ok(Figures::Latency { seen: delays_ms.len(), delays: Delays::of(&delays_ms) })
    }

    async fn idle_workers(&self) -> Result<Workers, Failure> {
        let mut workers = Workers::start(self.plan).await?;
        workers.begin().await?;
        sleep(IDLES_FOR).await;
        Ok(workers)
    }

    /// Waits until every handler has run *and* PostgreSQL holds no live job. Returns the time when the last question
    /// was asked, because the answer may take long where dead rows must be kept.
    async fn finish(&self, jobs: u64, workers: &mut Workers) -> Result<Instant, Failure> {
        if !workers.wait_until_done(jobs, Instant::now() + PATIENCE).await? {
            return Err(Failure::new(format!("only {} of {jobs} jobs were run", workers.done())));
        }
        loop {
            let asked = Instant::now();
            if self.nothing_waits_or_runs().await? {
                return Ok(asked);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Two short questions. `stats` also counts the jobs that finished in the last minute. After a large measurement it
    /// would take a noticeable part of the measured time.
    async fn nothing_waits_or_runs(&self) -> Result<bool, Failure> {
        let (lines, leases) = tokio::join!(self.store.survey(None), self.store.leases(1, None));
        let failed = |error| self.context.store_failure(error);
        Ok(lines.map_err(failed)?.lines.is_empty() && leases.map_err(failed)?.is_empty())
    }
}

async fn is_empty(store: &Store, context: &Context) -> Result<bool, Failure> {
    let stats = store.stats().await.map_err(|error| context.store_failure(error))?;
    Ok(stats.iter().all(|queue| queue.queued + queue.running + queue.scheduled + queue.blocked == 0))
}

fn rate(jobs: u64, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
