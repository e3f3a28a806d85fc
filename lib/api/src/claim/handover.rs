//! Runs whose answer may not have arrived at the client. Unless the client shows that it has the answer, they are released: another
//! worker gets the jobs, and the attempts are not spent.

use super::delivery::Deliveries;
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

/// A run that must be released, and the position of its job in the line.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) queue: QueueName,
    pub(crate) fence: Fence,
    pub(crate) line_at: DateTime<Utc>,
}

/// What will happen to a run whose answer may not have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The run is in the answer of this number. If the claim is sent again, its runs are in a new answer. Then the end of the
    /// connection of the earlier answer no longer affects these jobs.
    InAnswer(u64),
    /// The run will be released, unless another answer contains it before that.
    Lost,
}

/// The runs of this process whose answers may not have arrived.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    fences: Mutex<HashMap<Fence, Fate>>,
    next: AtomicU64,
    releases: mpsc::UnboundedSender<Vec<Release>>,
    pub(super) deliveries: Deliveries,
}

impl Unconfirmed {
    pub(crate) fn new(releases: mpsc::UnboundedSender<Vec<Release>>, deliveries: Deliveries) -> Self {
        Self { fences: Mutex::default(), next: AtomicU64::new(0), releases, deliveries }
    }

    fn fences(&self) -> MutexGuard<'_, HashMap<Fence, Fate>> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has named these runs: it has the answer.
    pub(crate) fn confirm<'a>(&self, named: impl IntoIterator<Item = &'a Fence>) {
        let mut fences = self.fences();
        for fence in named {
            fences.remove(fence);
        }
    }

    /// Ends this object: no answer and no release follows.
    pub(crate) fn end(&self) {
        self.deliveries.end();
        let _ = self.releases.send(Vec::new());
    }

    /// Releases the runs among these that are in no answer.
    pub(crate) fn release(&self, mut runs: Vec<Release>) {
        {
            let mut fences = self.fences();
            runs.retain(|run| *fences.entry(run.fence).or_insert(Fate::Lost) == Fate::Lost);
        }
        self.send(runs);
    }

    /// The runs among these that must still be released: the client has not named them, and no later answer has them.
    pub(crate) fn still_lost(&self, runs: &mut Vec<Release>) {
        let fences = self.fences();
        runs.retain(|run| fences.get(&run.fence) == Some(&Fate::Lost));
    }

    /// The runs are released, or their leases will run out.
    pub(crate) fn forget(&self, runs: &[Release]) {
        let mut fences = self.fences();
        for run in runs {
            if fences.get(&run.fence) == Some(&Fate::Lost) {
                fences.remove(&run.fence);
            }
        }
    }

    fn send(&self, runs: Vec<Release>) {
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
        unconfirmed.fences().extend(runs.iter().map(|run| (run.fence, Fate::InAnswer(number))));
        unconfirmed.deliveries.begin(number, runs.iter().map(|run| run.fence).collect());
        Self { number, runs, unconfirmed: Arc::clone(unconfirmed) }
    }

    /// The answer was written completely. It is not known whether the client gets it.
    pub(crate) fn written(&self) {
        self.unconfirmed.deliveries.written(self.number);
    }

    /// The client has the answer.
    pub(crate) fn keep(mut self) {
        self.written();
        let ours = Fate::InAnswer(self.number);
        let mut fences = self.unconfirmed.fences();
        for run in self.runs.drain(..) {
            if fences.get(&run.fence) == Some(&ours) {
                fences.remove(&run.fence);
            }
        }
    }

    /// The runs that are only in this answer, and that the client has not named. From now on they count as lost.
    fn lose(&mut self) -> Vec<Release> {
        let ours = Fate::InAnswer(self.number);
        let mut fences = self.unconfirmed.fences();
        let is_ours = |run: &Release| match fences.get_mut(&run.fence) {
            Some(fate) if *fate == ours => {
                *fate = Fate::Lost;
                true
            }
            _ => false,
        };
        self.runs.drain(..).filter(is_ours).collect()
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.unconfirmed.deliveries.give_up(self.number);
        let lost = self.lose();
        self.unconfirmed.send(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{JobId, WorkerId};

    fn unconfirmed(releases: mpsc::UnboundedSender<Vec<Release>>) -> Arc<Unconfirmed> {
        Arc::new(Unconfirmed::new(releases, Deliveries::new(mpsc::unbounded_channel().0)))
    }

    #[test]
    fn only_runs_that_the_client_has_not_named_are_released() {
        let (sender, mut releases) = mpsc::unbounded_channel();
        let unconfirmed = unconfirmed(sender);
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
        unconfirmed.forget(&released);
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

    #[test]
    fn a_lost_run_that_is_handed_over_again_is_not_released() {
        let (sender, mut releases) = mpsc::unbounded_channel();
        let unconfirmed = unconfirmed(sender);
        let fence = Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
        let run = Release { queue: QueueName::default(), fence, line_at: DateTime::UNIX_EPOCH };
        drop(HandedOver::new(vec![run.clone()], &unconfirmed));
        let mut lost = releases.try_recv().expect("a release");
        unconfirmed.still_lost(&mut lost);
        assert_eq!(lost.len(), 1, "nobody has the run");
        let again = HandedOver::new(vec![run.clone()], &unconfirmed);
        unconfirmed.release(vec![run]);
        assert!(releases.try_recv().is_err(), "an answer has the run");
        unconfirmed.forget(&lost);
        unconfirmed.still_lost(&mut lost);
        assert!(lost.is_empty(), "an answer has the run");
        again.keep();
        assert!(unconfirmed.fences().is_empty());
    }
}
