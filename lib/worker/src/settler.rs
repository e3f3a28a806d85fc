//! Writes how runs ended. What ends while one write is under way goes with the next: batches grow with the load, and an
//! idle worker adds no delay.

use crate::{hints::Hints, member::Member, run::Run, wait::Waits};
use leasehold_core::{BATCH_MAX, FailPoint, FinishedRun, Settle, Settled, pass};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often the store must refuse a run for good until it is believed.
const REFUSALS_BELIEVED: u32 = 3;

/// A run whose handler has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) run: Run,
    pub(crate) settle: Settle,
}

/// Runs that are written together, and in the same order what is written about each.
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
    pub(crate) member: Arc<Member>,
    pub(crate) hints: mpsc::UnboundedSender<Hints>,
    /// No run is left: what is in the channel is all there is.
    pub(crate) last: CancellationToken,
    /// PostgreSQL was away for longer than can be waited for.
    pub(crate) give_up: CancellationToken,
}

impl Settler {
    /// Settles until [`Settler::last`] and the channel is empty. Returns how many results could not be written.
    pub(crate) async fn run(self, mut ended: mpsc::Receiver<Ended>) -> usize {
        let mut unwritten = 0;
        let mut waiting = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                count = ended.recv_many(&mut waiting, BATCH_MAX) => count,
                () = self.last.cancelled(), if !ended.is_closed() => { ended.close(); continue }
            };
            if count == 0 {
                return unwritten;
            }
            let batch: Batch = waiting.drain(..).collect();
            self.member.runs.settling(batch.runs.iter());
            unwritten += self.settle(batch).await;
        }
    }

    /// Writes one batch, again and again until the store has said of each run what became of it. Sent twice, a run that
    /// was written the first time is answered with [`Settled::Already`]. Returns how many were given up.
    async fn settle(&self, mut batch: Batch) -> usize {
        let mut waits = Waits::new(50, 2000);
        let mut refusals = 0;
        while batch.len() > 0 {
            let answer = tokio::select! {
                biased;
                answer = self.member.store.settle(self.member.id, &batch.finished) => answer,
                () = self.give_up.cancelled() => return batch.len(),
            };
            match answer {
                Ok(answers) => {
                    pass(FailPoint::SettleCommitted);
                    self.member.postgres.answered();
                    batch = self.take_answers(batch, &answers);
                    continue;
                }
                Err(error) if !error.is_refusal() => self.member.postgres.failed(&error),
                // One of its runs must be the reason: each goes by itself, so that it holds up no other.
                Err(_) if batch.len() > 1 => {
                    let mut unwritten = 0;
                    for ended in batch.into_ended() {
                        unwritten += Box::pin(self.settle([ended].into_iter().collect())).await;
                    }
                    return unwritten;
                }
                // A broken connection can look like this as well, so it is not believed the first time.
                Err(error) => {
                    refusals += 1;
                    if refusals >= REFUSALS_BELIEVED {
                        self.refused(&batch, &error);
                        return batch.len();
                    }
                }
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(waits.next(&self.member.chance)) => {}
                () = self.give_up.cancelled() => return batch.len(),
            }
        }
        0
    }

    /// Counts, drops and acks what is decided; returns what must be written in another way.
    fn take_answers(&self, batch: Batch, answers: &[Settled]) -> Batch {
        let counters = &self.member.counters;
        let mut again = Batch::default();
        let mut over = Vec::with_capacity(batch.len());
        let mut hints = Hints::default();
        for (ended, answer) in batch.into_ended().zip(answers) {
            match answer {
                Settled::Done | Settled::Already => {
                    counters.settled(&ended.settle);
                    let into =
                        if matches!(ended.settle, Settle::Release) { &mut hints.release } else { &mut hints.ack };
                    into.push(ended.run.clone());
                }
                Settled::CancelWanted => {
                    again.add(Ended { settle: Settle::Cancel, ..ended });
                    continue;
                }
                // The hint is left alone: it may be another worker's by now.
                Settled::LeaseLost => {
                    if self.member.runs.note_lost(ended.run.fence()) {
                        counters.leases_lost.add(1);
                    }
                    if !matches!(ended.settle, Settle::Release | Settle::Cancel) {
                        counters.late_results_refused.add(1);
                    }
                }
            }
            over.push(ended.run);
        }
        self.member.runs.remove(over.iter());
        // Without a receiver the hints' leases run out, and the reaper drops them.
        drop(self.hints.send(hints));
        again
    }

    /// The store refuses to write this, and not for what the result is: it buries a job whose result it cannot hold. That
    /// is a fault which people must see; the lease will run out, and the job run again.
    fn refused(&self, batch: &Batch, error: &leasehold_store::Error) {
        for run in &batch.runs {
            let fence = run.fence();
            tracing::error!(id = %fence.id, epoch = fence.epoch, %error, "the end of a run cannot be written");
        }
        self.member.runs.remove(batch.runs.iter());
    }
}
