//! Writes how runs ended. Runs that end during one write go into the next write: batches grow with the load, and an
//! idle worker adds no delay.

use crate::{jitter::Waits, run::Run, runs::Ended, settled_hints::SettledHints, worker_state::WorkerState};
use leasehold_core::{BATCH_MAX, FailPoint, FinishedRun, Settle, Settled, pass};
use leasehold_ports::{Class, Deferred, SettledRuns};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// The first and the longest pause before the end of a run is sent again, if another transaction has locked its row.
const LOCKED_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How long a stopping worker tries to write to locked rows.
const WAIT_FOR_LOCKS: Duration = Duration::from_secs(1);
/// How long a stopping worker tries to leave for the reaper the results that it could not write.
const DEFER_WITHIN: Duration = Duration::from_secs(5);
/// How often in a row a batch must fail before the worker believes that results cannot be written.
const FAILURES_BELIEVED: u32 = 2;
/// How often the store must refuse a run permanently before the worker believes the refusal.
const REFUSALS_BELIEVED: u32 = 3;

/// The undecided part of a batch.
#[derive(Debug, Default)]
struct Left {
    /// Runs whose rows other transactions have locked.
    locked: Vec<Ended>,
    /// Runs that were given up, because PostgreSQL was unavailable for too long.
    unwritten: Vec<Ended>,
}

impl Left {
    fn and_unwritten(mut self, batch: Batch) -> Self {
        self.unwritten.extend(batch.into_ended());
        self
    }
}

/// Runs that are written together, and the writes about them in the same order.
#[derive(Debug, Default)]
struct Batch {
    runs: Vec<Run>,
    finished: Vec<FinishedRun>,
}

impl Batch {
    fn add(&mut self, Ended { run, settle }: Ended) {
        self.finished.push(FinishedRun { fence: run.fence(), settle });
        self.runs.push(run);
    }

    fn len(&self) -> usize {
        self.runs.len()
    }

    fn into_ended(self) -> impl Iterator<Item = Ended> {
        self.runs.into_iter().zip(self.finished).map(|(run, FinishedRun { settle, .. })| Ended { run, settle })
    }
}

impl FromIterator<Ended> for Batch {
    fn from_iter<T: IntoIterator<Item = Ended>>(ended: T) -> Self {
        let mut batch = Self::default();
        ended.into_iter().for_each(|ended| batch.add(ended));
        batch
    }
}

/// Writes how runs ended.
pub(crate) struct Settler {
    pub(crate) state: Arc<WorkerState>,
    pub(crate) hints: mpsc::UnboundedSender<SettledHints>,
    /// No run is left: the channel holds all results that will come.
    pub(crate) last: CancellationToken,
    /// PostgreSQL has been unavailable, or a table has been locked, for longer than the worker may wait.
    pub(crate) give_up: CancellationToken,
}

const fn is_success(settle: &Settle) -> bool {
    matches!(settle, Settle::Complete(_) | Settle::CompleteThen(_))
}

/// Runs whose rows other transactions have locked. They are written later, and no other run waits for them.
#[derive(Default)]
struct HeldUp {
    runs: Vec<Ended>,
    due: Option<Instant>,
    tries: u32,
}

impl HeldUp {
    fn add(&mut self, runs: Vec<Ended>) {
        if runs.is_empty() {
            return;
        }
        self.runs.extend(runs);
        if self.due.is_some() {
            return;
        }
        let (first, longest) = LOCKED_PAUSE;
        let pause = (first * 2u32.saturating_pow(self.tries.min(16))).min(longest);
        self.tries += 1;
        self.due = Some(Instant::now() + pause);
    }

    fn take_due(&mut self) -> Vec<Ended> {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return Vec::new();
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Ended> {
        self.due = None;
        std::mem::take(&mut self.runs)
    }
}

impl Settler {
    /// Writes until [`Settler::last`] is cancelled and the channel is empty. Returns how many results could not be
    /// written.
    pub(crate) async fn run(self, mut ended: mpsc::Receiver<Ended>) -> usize {
        let mut unwritten = Vec::new();
        let mut held_up = HeldUp::default();
        let mut waiting = Vec::new();
        loop {
            let due = held_up.due;
            let count = tokio::select! {
                biased;
                count = ended.recv_many(&mut waiting, BATCH_MAX) => count,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    waiting = held_up.take_due();
                    waiting.len()
                }
                () = self.last.cancelled(), if !ended.is_closed() => { ended.close(); continue }
            };
            if count == 0 {
                break;
            }
            let batch: Batch = waiting.drain(..).collect();
            self.state.runs.settling(batch.runs.iter());
            let left = self.settle(batch).await;
            if left.locked.is_empty() && held_up.runs.is_empty() {
                held_up.tries = 0;
            }
            held_up.add(left.locked);
            unwritten.extend(left.unwritten);
        }
        // The worker stops. The locks may stay for longer than the worker may wait.
        let give_up_at = Instant::now() + WAIT_FOR_LOCKS;
        while !held_up.runs.is_empty() && Instant::now() < give_up_at {
            sleep(LOCKED_PAUSE.0).await;
            let left = self.settle(held_up.take().into_iter().collect()).await;
            unwritten.extend(left.unwritten);
            held_up.add(left.locked);
        }
        unwritten.extend(held_up.take());
        self.defer(unwritten).await
    }

    /// Stores the results that could not be written in a separate table. A reaper writes them later, so the stop spends
    /// no attempt of these jobs. Returns the number of results that are stored nowhere.
    async fn defer(&self, unwritten: Vec<Ended>) -> usize {
        if unwritten.is_empty() {
            return 0;
        }
        let ends: Vec<Deferred> = unwritten.iter().map(Ended::deferred).collect();
        match timeout(DEFER_WITHIN, self.state.store.defer(&ends)).await {
            Ok(Ok(())) => {
                self.state.counters.deferred.add(ends.len());
                self.state.runs.remove(unwritten.iter().map(|ended| &ended.run));
                0
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "results were not left for the reaper");
                ends.len()
            }
            Err(_) => ends.len(),
        }
    }

    /// Writes one batch, again and again, until the store has answered for each run: the result, or that the row is
    /// locked. If a run is sent twice and was written the first time, the answer is [`Settled::Already`].
    async fn settle(&self, mut batch: Batch) -> Left {
        let mut waits = Waits::new(50, 2000);
        let (mut refusals, mut failures) = (0, 0);
        let mut left = Left::default();
        while batch.len() > 0 {
            let sent_at = Instant::now();
            let answer = tokio::select! {
                biased;
                answer = self.state.store.settle(self.state.id, &batch.finished) => answer,
                () = self.give_up.cancelled() => return left.and_unwritten(batch),
            };
            match answer {
                Ok(answers) => {
                    pass(FailPoint::SettleCommitted);
                    self.state.postgres.results_written();
                    self.state.measures.settles.answered(sent_at.elapsed(), batch.len());
                    batch = self.take_answers(batch, answers, &mut left.locked);
                    continue;
                }
                // The lock on a table may stay for longer than a stopping worker may wait. Results can still be left for the reaper.
                Err(error) if error.class == Class::Locked && self.last.is_cancelled() => {
                    self.state.postgres.failed(&error);
                    self.give_up.cancel();
                }
                Err(error) if !error.is_refusal() => {
                    failures += 1;
                    // A single failure may be a broken connection.
                    if failures < FAILURES_BELIEVED {
                        self.state.postgres.failed(&error);
                    } else {
                        self.state.postgres.results_refused(&error);
                    }
                }
                // One of the runs must be the cause. Each run is now written alone, so that this run does not block the
                // others.
                Err(_) if batch.len() > 1 => {
                    for ended in batch.into_ended() {
                        let of_one = Box::pin(self.settle([ended].into_iter().collect())).await;
                        left.locked.extend(of_one.locked);
                        left.unwritten.extend(of_one.unwritten);
                    }
                    return left;
                }
                // A broken connection can look like a refusal, so the first refusal is not believed.
                Err(error) => {
                    refusals += 1;
                    if refusals >= REFUSALS_BELIEVED {
                        self.state.postgres.results_written();
                        self.refused(&batch, &error);
                        return left;
                    }
                }
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(waits.next(&self.state.jitter)) => {}
                () = self.give_up.cancelled() => return left.and_unwritten(batch),
            }
        }
        left
    }

    /// Counts, drops and acks the decided runs. Returns the runs that must be written in another way, and adds to
    /// `locked` the runs that must be written later.
    fn take_answers(&self, batch: Batch, settled: SettledRuns, locked: &mut Vec<Ended>) -> Batch {
        let counters = &self.state.counters;
        let mut again = Batch::default();
        let mut over = Vec::with_capacity(batch.len());
        let mut hints = SettledHints { unblocked: settled.unblocked, ..SettledHints::default() };
        for (ended, answer) in batch.into_ended().zip(settled.answers) {
            match answer {
                Settled::Done | Settled::Already => {
                    counters.settled(&ended.settle);
                    if is_success(&ended.settle) {
                        hints.unblocked.extend(ended.run.take_in_line());
                    }
                    if let Settle::Retry { delay, .. } | Settle::Snooze { delay, .. } = &ended.settle {
                        hints.next_due = Some(hints.next_due.map_or(*delay, |before| before.min(*delay)));
                    }
                    if ended.settle.ending().final_state().is_some() && self.state.awaited.is_wanted() {
                        hints.ended.push(ended.run.fence().id);
                    }
                    // A job that follows and is due soon needs no tick of a reaper either.
                    if let Settle::CompleteThen(success) = &ended.settle
                        && let Some(delay) = success.then.iter().filter_map(|job| job.delay).min()
                    {
                        hints.next_due = Some(hints.next_due.map_or(delay, |before| before.min(delay)));
                    }
                    let into =
                        if matches!(ended.settle, Settle::Release) { &mut hints.release } else { &mut hints.ack };
                    into.push(ended.run.clone());
                }
                Settled::CancelWanted => {
                    again.add(Ended { settle: Settle::Cancel, ..ended });
                    continue;
                }
                Settled::Locked => {
                    counters.settles_held_up.add(1);
                    locked.push(ended);
                    continue;
                }
                // The transaction of the handler may have ended the run. Then a success is answered as written already.
                // A run that has ended cannot be ended again, so this writes nothing.
                Settled::LeaseLost if ended.run.is_completed() && !is_success(&ended.settle) => {
                    again.add(Ended { settle: Settle::Complete(None), ..ended });
                    continue;
                }
                // The hint stays as it is: it may belong to another worker now.
                Settled::LeaseLost => {
                    if self.state.runs.note_lost(ended.run.fence()) {
                        counters.leases_lost.add(1);
                    }
                    if !matches!(ended.settle, Settle::Release | Settle::Cancel) {
                        counters.stale_writes_refused.add(1);
                    }
                }
            }
            over.push(ended.run);
        }
        self.state.runs.remove(over.iter());
        // Without a receiver, the leases of the hints run out, and the reaper removes the hints.
        drop(self.hints.send(hints));
        again
    }

    /// The store refuses this write, and not because of its result: the store buries a job whose result it cannot hold.
    /// This is a fault that an operator must see. The lease will run out, and the job runs again.
    fn refused(&self, batch: &Batch, error: &leasehold_ports::Error) {
        for run in &batch.runs {
            let fence = run.fence();
            tracing::error!(id = %fence.id, epoch = fence.epoch, %error, "the end of a run cannot be written");
        }
        self.state.runs.remove(batch.runs.iter());
    }
}
