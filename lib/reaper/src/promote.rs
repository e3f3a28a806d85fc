//! Moves scheduled jobs that are due into the line, and pushes their hints.
//!
//! PostgreSQL's clock decides which jobs are due. The answer says when the next job is due, and the reaper runs this step again at
//! that moment. If a hint is not pushed, because Redis is unavailable or this process dies, the head step pushes it.
//!
//! While more jobs are due than one statement moves, each queue gets its share: a million jobs of one queue delay the due jobs
//! of another queue by a few statements only.

use crate::{
    by_queue::by_queue,
    error::Error,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, FailPoint, QueueName, pass};
use leasehold_ports::{Hint, Promoted};
use std::time::Duration;
use tokio::time::Instant;

/// While due jobs remain, one statement out of this number is for the shares of the queues.
const SHARE_EVERY: usize = 4;
/// The most queues that one such statement reads.
const QUEUES_AT_ONCE: i64 = 50;

#[derive(Debug, Default)]
pub(crate) struct Promote {
    /// The queue after which the next statement for shares begins.
    after: Option<QueueName>,
    /// How many queues the last such statement found.
    queues: i64,
}

#[async_trait]
impl Step for Promote {
    fn name(&self) -> &'static str {
        "promote"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let scan_start = tick.shared.known().schedule;
        for nth in 0..BATCHES_PER_TICK {
            if nth % SHARE_EVERY == 1 {
                self.promote_share(tick).await?;
            }
            let asked_at = Instant::now();
            let promoted = tick.store()?.promote(BATCH_MAX as i64, scan_start.at).await?;
            let is_all = promoted.jobs.len() < BATCH_MAX;
            let next_in = if is_all { promoted.next_in } else { Some(Duration::ZERO) };
            tick.shared.due().learn(next_in.map(|next_in| asked_at + next_in));
            finish(tick, promoted).await?;
            if is_all {
                if let Some(time) = tick.began {
                    tick.shared.known().schedule.done(scan_start, time);
                }
                break;
            }
        }
        Ok(Ran::Done)
    }
}

impl Promote {
    async fn promote_share(&mut self, tick: &Tick) -> Result<(), Error> {
        let limit = BATCH_MAX as i64 / self.queues.clamp(1, QUEUES_AT_ONCE);
        let share = tick.store()?.promote_share(limit, self.after.as_ref(), QUEUES_AT_ONCE).await?;
        // After the last queue, the next statement begins with the first one.
        self.after = share.last.filter(|_| share.queues == QUEUES_AT_ONCE);
        self.queues = share.queues;
        finish(tick, share.promoted).await
    }
}

/// Counts the jobs and pushes their hints.
async fn finish(tick: &Tick, promoted: Promoted) -> Result<(), Error> {
    let batch = promoted.jobs.len();
    tick.counts.found(batch as u64);
    tick.counts.changed(batch as u64);
    tick.shared.watch.count_late(&promoted.lateness);
    if batch > 0 {
        pass(FailPoint::PromoteCommitted);
    }
    if let Some(handoff) = tick.handoff.as_deref() {
        // The other jobs wait for room of a limit key.
        let in_line = promoted.jobs.into_iter().filter(|job| job.is_in_line);
        let hints = in_line.map(|job| (job.queue, Hint::at(job.id, job.line_at)));
        for (queue, hints) in by_queue(hints) {
            handoff.push(&queue, &hints).await?;
        }
    }
    Ok(())
}
