//! Writes the ends of runs that stopping workers left, because other transactions held locks on the jobs' rows.
//!
//! `expire` skips such runs. A run whose row is still locked is tried again at the next tick.

use crate::{
    by_queue::by_queue,
    children::push,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, Fence, FinishedRun, Settle, Settled, WorkerId};
use leasehold_ports::{Deferred, Hint, ReaperStore, Waiting};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct DeferredSettles;

#[async_trait]
impl Step for DeferredSettles {
    fn name(&self) -> &'static str {
        "deferred"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_deferred
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        write(tick).await?;
        Ok(Ran::Done)
    }
}

async fn write(tick: &Tick) -> Result<(), Error> {
    let store = tick.store()?;
    let left = store.deferred(BATCH_MAX as i64).await?;
    if left.is_empty() {
        return Ok(());
    }
    tick.counts.found(left.len() as u64);
    let mut by_worker = BTreeMap::<WorkerId, Vec<Deferred>>::new();
    for end in left {
        by_worker.entry(end.run.fence.worker).or_default().push(end);
    }
    for (worker, ends) in by_worker {
        let mut unblocked = Vec::new();
        let decided = settle(store, worker, ends, &mut unblocked).await?;
        let fences: Vec<Fence> = decided.iter().map(|(end, _)| end.run.fence).collect();
        store.deferred_done(&fences).await?;
        tick.counts.changed(fences.len() as u64);
        tell_redis(tick, decided, unblocked).await?;
    }
    Ok(())
}

/// Writes the ends that one worker left, and returns the ends that are decided. If the store refuses the batch, each end is
/// written alone. An end that the store refuses alone is given up, and the lease of its run runs out.
async fn settle(
    store: &dyn ReaperStore,
    worker: WorkerId,
    ends: Vec<Deferred>,
    unblocked: &mut Vec<Waiting>,
) -> Result<Vec<(Deferred, Settled)>, Error> {
    let mut decided = Vec::new();
    let runs: Vec<FinishedRun> = ends.iter().map(|end| end.run.clone()).collect();
    match store.settle(worker, &runs).await {
        Ok(settled) => {
            unblocked.extend(settled.unblocked);
            for (end, answer) in ends.into_iter().zip(settled.answers) {
                match answer {
                    Settled::Locked => {}
                    Settled::CancelWanted => {
                        let run = FinishedRun { fence: end.run.fence, settle: Settle::Cancel };
                        decided
                            .extend(Box::pin(settle(store, worker, vec![Deferred { run, ..end }], unblocked)).await?);
                    }
                    Settled::Done | Settled::Already | Settled::LeaseLost => decided.push((end, answer)),
                }
            }
        }
        Err(error) if error.is_refusal() && ends.len() > 1 => {
            for end in ends {
                decided.extend(Box::pin(settle(store, worker, vec![end], unblocked)).await?);
            }
        }
        Err(error) if error.is_refusal() => {
            for end in ends {
                let fence = end.run.fence;
                tracing::error!(id = %fence.id, epoch = fence.epoch, %error, "the end of a run cannot be written");
                decided.push((end, Settled::LeaseLost));
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(decided)
}

/// Jobs that waited for these runs get their hints. Hints of released jobs return to the head. The hints of the other jobs are
/// removed from Redis.
async fn tell_redis(tick: &Tick, decided: Vec<(Deferred, Settled)>, unblocked: Vec<Waiting>) -> Result<(), Error> {
    let Some(handoff) = tick.handoff.as_deref() else { return Ok(()) };
    push(handoff, unblocked).await?;
    let written = decided.into_iter().filter(|(_, answer)| matches!(answer, Settled::Done | Settled::Already));
    let (released, ended): (Vec<Deferred>, Vec<Deferred>) =
        written.map(|(end, _)| end).partition(|end| matches!(end.run.settle, Settle::Release));
    for (queue, hints) in by_queue(released.into_iter().map(|end| (end.queue, Hint::unused(end.run.fence.id)))) {
        handoff.release(&queue, &hints).await?;
    }
    let ended = by_queue(ended.into_iter().map(|end| (end.queue, end.run.fence.id)));
    Ok(handoff.ack(&ended.into_iter().collect::<Vec<_>>()).await?)
}
