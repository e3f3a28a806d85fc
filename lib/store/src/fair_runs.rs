//! The runs that this process has claimed and whose jobs have fair keys. When such runs end, the line of their queue may need more
//! jobs, and the store brings them.
//!
//! Correctness does not need this memory: if the process dies, a reaper finds the queue.

use leasehold_core::{Epoch, Fence, JobId, QueueName};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A run that is not settled after this time has probably lost its lease. If it is settled nevertheless, a reaper finds its queue.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// The number of stored runs from which old runs are removed.
const MANY: usize = 4096;

/// The number of ended runs of a queue after which its line is checked: a small part of the window of admitted jobs.
const RUNS_BETWEEN: u32 = 32;
/// After this time, one ended run is enough.
const TIME_BETWEEN: Duration = Duration::from_millis(10);

/// The fair runs of this process.
#[derive(Debug, Default)]
pub(crate) struct FairRuns {
    /// A process without such runs reads only this flag.
    any: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    runs: BTreeMap<(JobId, Epoch), (Instant, QueueName)>,
    queues: HashMap<QueueName, LastRead>,
}

/// When the line of a queue was last checked, and how many runs have ended since then.
#[derive(Debug)]
struct LastRead {
    at: Option<Instant>,
    ended: u32,
}

impl FairRuns {
    /// These runs have begun.
    pub(crate) fn begun(&self, runs: impl IntoIterator<Item = (Fence, QueueName)>) {
        let now = Instant::now();
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_none() {
            return;
        }
        self.any.store(true, Relaxed);
        let known = &mut self.known.lock().unwrap_or_else(PoisonError::into_inner).runs;
        known.extend(runs.map(|(fence, queue)| ((fence.id, fence.epoch), (now, queue))));
        if known.len() > MANY {
            known.retain(|_, (begun, _)| begun.elapsed() < KEPT_FOR);
        }
    }

    /// These runs have ended. Returns the queues whose lines must be checked now.
    pub(crate) fn ended(&self, runs: impl IntoIterator<Item = Fence>) -> Vec<QueueName> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        for fence in runs {
            if let Some((_, queue)) = known.runs.remove(&(fence.id, fence.epoch)) {
                known.queues.entry(queue).or_insert(LastRead { at: None, ended: 0 }).ended += 1;
            }
        }
        let is_due = |last_read: &LastRead| {
            last_read.ended >= RUNS_BETWEEN
                || (last_read.ended > 0 && last_read.at.is_none_or(|at| at.elapsed() >= TIME_BETWEEN))
        };
        let mut due: Vec<QueueName> = Vec::new();
        for (queue, last_read) in known.queues.iter_mut().filter(|(_, last_read)| is_due(last_read)) {
            *last_read = LastRead { at: Some(Instant::now()), ended: 0 };
            due.push(queue.clone());
        }
        due.sort_unstable();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::WorkerId;

    #[test]
    fn a_queue_is_looked_at_after_its_first_run_and_then_after_many() {
        let runs = FairRuns::default();
        let worker = WorkerId::new();
        let queue: QueueName = "q".parse().expect("a name");
        let fences: Vec<Fence> = (0..100).map(|_| Fence { id: JobId::new(), epoch: 1, worker }).collect();
        assert!(runs.ended(fences.iter().copied()).is_empty(), "none of them is fair");
        runs.begun(fences.iter().map(|fence| (*fence, queue.clone())));
        assert_eq!(runs.ended([fences[0]]), std::slice::from_ref(&queue));
        assert_eq!(runs.ended(fences[1..=32].iter().copied()), [queue]);
        assert!(runs.ended(fences[..=32].iter().copied()).is_empty(), "they have ended already");
    }
}
