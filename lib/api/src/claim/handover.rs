//! Runs whose answer may not have arrived at the client. Unless the client shows that it has the answer, they are released: another
//! worker gets the jobs, and the attempts are not spent.

use chrono::{DateTime, Utc};
use leasehold_core::{Fence, QueueName};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// A run that is to be released, and the position of its job in the line.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) queue: QueueName,
    pub(crate) fence: Fence,
    pub(crate) line_at: DateTime<Utc>,
}

/// The runs of this process whose answers may not have arrived.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    /// Each with the number of the last answer that has the run. A claim that is sent again hands its runs over again, and the end of
    /// the connection of the earlier answer then says nothing about them.
    fences: Mutex<HashMap<Fence, u64>>,
    next: AtomicU64,
    releases: mpsc::UnboundedSender<Vec<Release>>,
}

impl Unconfirmed {
    pub(crate) fn new(releases: mpsc::UnboundedSender<Vec<Release>>) -> Self {
        Self { fences: Mutex::default(), next: AtomicU64::new(0), releases }
    }

    fn fences(&self) -> MutexGuard<'_, HashMap<Fence, u64>> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has named these runs: it has the answer.
    pub(crate) fn confirm<'a>(&self, named: impl IntoIterator<Item = &'a Fence>) {
        let mut fences = self.fences();
        for fence in named {
            fences.remove(fence);
        }
    }

    /// No release follows.
    pub(crate) fn end(&self) {
        let _ = self.releases.send(Vec::new());
    }

    /// Releases runs.
    pub(crate) fn release(&self, runs: Vec<Release>) {
        if !runs.is_empty() {
            // Without a receiver the server has stopped: the leases run out.
            let _ = self.releases.send(runs);
        }
    }
}

/// The runs of one answer. If this value is dropped before [`HandedOver::keep`], the runs that the client has not named are
/// released.
#[derive(Debug)]
pub(crate) struct HandedOver {
    number: u64,
    runs: Vec<Release>,
    unconfirmed: Arc<Unconfirmed>,
}

impl HandedOver {
    pub(crate) fn new(runs: Vec<Release>, unconfirmed: &Arc<Unconfirmed>) -> Self {
        let number = unconfirmed.next.fetch_add(1, Ordering::Relaxed);
        unconfirmed.fences().extend(runs.iter().map(|run| (run.fence, number)));
        Self { number, runs, unconfirmed: Arc::clone(unconfirmed) }
    }

    /// The client has the answer.
    pub(crate) fn keep(mut self) {
        drop(self.forget());
    }

    /// The runs that are only in this answer, and that the client has not named.
    fn forget(&mut self) -> Vec<Release> {
        let mut fences = self.unconfirmed.fences();
        let number = self.number;
        let is_ours = |run: &Release| {
            let is_ours = fences.get(&run.fence) == Some(&number);
            if is_ours {
                fences.remove(&run.fence);
            }
            is_ours
        };
        self.runs.drain(..).filter(is_ours).collect()
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        let lost = self.forget();
        self.unconfirmed.release(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{JobId, WorkerId};

    #[test]
    fn only_runs_that_the_client_has_not_named_are_released() {
        let (sender, mut releases) = mpsc::unbounded_channel();
        let unconfirmed = Arc::new(Unconfirmed::new(sender));
        let run = || Release {
            queue: QueueName::default(),
            fence: Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() },
            line_at: DateTime::UNIX_EPOCH,
        };
        let (named, lost) = (run(), run());
        let both = HandedOver::new(vec![named.clone(), lost.clone()], &unconfirmed);
        unconfirmed.confirm([&named.fence]);
        drop(both);
        let released = releases.try_recv().expect("a release");
        assert_eq!(released.iter().map(|run| run.fence).collect::<Vec<_>>(), [lost.fence]);
        let again = run();
        let earlier = HandedOver::new(vec![again.clone()], &unconfirmed);
        let later = HandedOver::new(vec![again], &unconfirmed);
        drop(earlier);
        assert!(releases.try_recv().is_err(), "the run is in a later answer");
        later.keep();
        HandedOver::new(vec![run()], &unconfirmed).keep();
        assert!(releases.try_recv().is_err(), "the client has the answer");
        assert!(unconfirmed.fences().is_empty());
    }
}
