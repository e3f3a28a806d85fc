//! Runs whose answer may not have arrived at the client. Unless the client shows that it has the answer, they are released: another
//! worker gets the jobs, and the attempts are not spent.

use chrono::{DateTime, Utc};
use leasehold_core::{Fence, QueueName};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    fences: Mutex<HashSet<Fence>>,
    releases: mpsc::UnboundedSender<Vec<Release>>,
}

impl Unconfirmed {
    pub(crate) fn new(releases: mpsc::UnboundedSender<Vec<Release>>) -> Self {
        Self { fences: Mutex::default(), releases }
    }

    fn fences(&self) -> MutexGuard<'_, HashSet<Fence>> {
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
    runs: Vec<Release>,
    unconfirmed: Arc<Unconfirmed>,
}

impl HandedOver {
    pub(crate) fn new(runs: Vec<Release>, unconfirmed: &Arc<Unconfirmed>) -> Self {
        unconfirmed.fences().extend(runs.iter().map(|run| run.fence));
        Self { runs, unconfirmed: Arc::clone(unconfirmed) }
    }

    /// The client has the answer.
    pub(crate) fn keep(mut self) {
        self.unconfirmed.confirm(self.runs.iter().map(|run| &run.fence));
        self.runs.clear();
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let mut fences = self.unconfirmed.fences();
        let lost: Vec<Release> = self.runs.drain(..).filter(|run| fences.remove(&run.fence)).collect();
        drop(fences);
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
        HandedOver::new(vec![run()], &unconfirmed).keep();
        assert!(releases.try_recv().is_err(), "the client has the answer");
        assert!(unconfirmed.fences().is_empty());
    }
}
