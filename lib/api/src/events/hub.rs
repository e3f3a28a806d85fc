//! The queues and jobs that clients of this server watch. The first client starts the attendant, which ends after the
//! last client has disconnected.

use super::{attendant, ring::Ring};
use crate::api::Api;
use leasehold_core::{JobId, QueueName};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The queues and jobs that a client watches. All conditions must hold; `None` means: any.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) queue: Option<QueueName>,
    pub(super) job: Option<JobId>,
}

/// The events of this server.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    pub(super) ring: Ring,
    watched: Mutex<AllWatched>,
}

/// The queues and jobs that all clients together watch, with the number of clients.
#[derive(Debug, Default)]
struct AllWatched {
    jobs: HashMap<JobId, usize>,
    queues: HashMap<QueueName, usize>,
    /// Clients that watch every queue.
    all: usize,
    is_attended: bool,
}

/// The queues and jobs that the attendant must read.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) jobs: Vec<JobId>,
    pub(super) queues: Vec<QueueName>,
    pub(super) all_queues: bool,
}

/// A client watches until this is dropped.
#[derive(Debug)]
pub(super) struct Watching {
    hub: Arc<Hub>,
    watched: Watched,
}

impl Hub {
    fn watched(&self) -> MutexGuard<'_, AllWatched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches for a client.
    pub(super) fn watch(self: &Arc<Self>, api: &Api, watched: Watched) -> Watching {
        let is_first = {
            let mut all = self.watched();
            match (&watched.job, &watched.queue) {
                (Some(job), _) => *all.jobs.entry(*job).or_default() += 1,
                (None, Some(queue)) => *all.queues.entry(queue.clone()).or_default() += 1,
                (None, None) => all.all += 1,
            }
            !std::mem::replace(&mut all.is_attended, true)
        };
        if is_first {
            tokio::spawn(attendant::attend(api.clone(), Arc::clone(self)));
        }
        Watching { hub: Arc::clone(self), watched }
    }

    /// The queues and jobs that clients watch now.
    pub(super) fn wanted(&self) -> Wanted {
        let all = self.watched();
        Wanted {
            jobs: all.jobs.keys().copied().collect(),
            queues: all.queues.keys().cloned().collect(),
            all_queues: all.all > 0,
        }
    }

    /// Whether the attendant may end. Afterwards the next client starts another one.
    pub(super) fn leave(&self) -> bool {
        let mut all = self.watched();
        all.is_attended = !(all.jobs.is_empty() && all.queues.is_empty() && all.all == 0);
        !all.is_attended
    }
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && !self.has_queues()
    }

    /// Whether a client watches a queue, and not only jobs by their ids.
    pub(super) fn has_queues(&self) -> bool {
        self.all_queues || !self.queues.is_empty()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut all = self.hub.watched();
        match (&self.watched.job, &self.watched.queue) {
            (Some(job), _) => leave(&mut all.jobs, job),
            (None, Some(queue)) => leave(&mut all.queues, queue),
            (None, None) => all.all = all.all.saturating_sub(1),
        }
    }
}

fn leave<K: Hash + Eq>(clients: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = clients.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            clients.remove(key);
        }
    }
}
