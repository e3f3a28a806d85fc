//! How jobs are enqueued: the same for every queue that is compared.

use super::{Plan, kind, queue};
use crate::{context::Context, failure::Failure, output::progress};
use futures_util::{TryStreamExt as _, stream};
use leasehold::{Client, NewJob};
use serde_json::value::RawValue;
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The number of jobs in one bulk enqueue, and the number of bulk enqueues in progress at the same time.
const CHUNK: u64 = 500;
const IN_FLIGHT: usize = 4;
/// The limit of waiting jobs when the time is given instead of the number: enough that no worker idles, and few enough
/// that the whole path is measured and not only the enqueues.
const WAITING_MAX: u64 = 10_000;
const FULL_FOR: Duration = Duration::from_millis(1);

/// Enqueues the number of jobs that the plan names.
pub(crate) async fn all(plan: &Plan, context: &Context, client: &Client) -> Result<(), Failure> {
    let bar = progress::bar(plan.jobs).with_message("enqueue");
    let chunks = (0..plan.jobs).step_by(CHUNK as usize).map(|first| first..plan.jobs.min(first + CHUNK));
    stream::iter(chunks.map(Ok))
        .try_for_each_concurrent(IN_FLIGHT, |nths: Range<u64>| {
            let bar = &bar;
            async move {
                let count = nths.end - nths.start;
                chunk(plan, context, client, nths).await?;
                bar.inc(count);
                Ok::<_, Failure>(())
            }
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}

/// Enqueues until the given time, at most this limit ahead of the workers. Returns the number of jobs.
pub(crate) async fn until(
    end: Instant,
    done: &AtomicU64,
    plan: &Plan,
    context: &Context,
    client: &Client,
) -> Result<u64, Failure> {
    let (sent, bar) = (AtomicU64::new(0), progress::counter().with_message("flow"));
    stream::iter((0..IN_FLIGHT).map(Ok))
        .try_for_each_concurrent(IN_FLIGHT, |_| {
            let (sent, bar) = (&sent, &bar);
            async move {
                while Instant::now() < end {
                    if sent.load(Ordering::Relaxed) >= done.load(Ordering::Relaxed) + WAITING_MAX {
                        sleep(FULL_FOR).await;
                        continue;
                    }
                    let first = sent.fetch_add(CHUNK, Ordering::Relaxed);
                    chunk(plan, context, client, first..first + CHUNK).await?;
                    bar.inc(CHUNK);
                }
                Ok::<_, Failure>(())
            }
        })
        .await?;
    bar.finish_and_clear();
    Ok(sent.into_inner())
}

/// Enqueues one job with this payload.
pub(crate) async fn one(context: &Context, client: &Client, payload: &str) -> Result<(), Failure> {
    client.enqueue_many(&[job(payload)?]).await.map(drop).map_err(|error| context.failure(&error))
}

async fn chunk(plan: &Plan, context: &Context, client: &Client, nths: Range<u64>) -> Result<(), Failure> {
    let fair_key = |nth: u64| (plan.fair_keys > 0).then(|| format!("key{}", nth % plan.fair_keys));
    let jobs = nths.map(|nth| Ok(job("null")?.with(|job| job.fair_key = fair_key(nth))));
    let jobs = jobs.collect::<Result<Vec<_>, Failure>>()?;
    client.enqueue_many(&jobs).await.map(drop).map_err(|error| context.failure(&error))
}

fn job(payload: &str) -> Result<NewJob, Failure> {
    let payload = RawValue::from_string(payload.to_owned()).map_err(|error| Failure::new(error.to_string()))?;
    let queue = queue()?;
    Ok(NewJob::new(kind()?, payload).with(|job| job.queue = queue))
}
