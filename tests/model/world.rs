//! What there is: rows, keys, workers, and writes on their way.

use leasehold_core::{Epoch, Event, Fence, JobId, Lifecycle, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A job of the model, by number.
pub(crate) type Job = u8;

/// The row of a job and what decides about it beside its lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) life: Lifecycle,
    /// The lease has not run out. Means something only while running.
    pub(crate) lease_stands: bool,
    /// Who ended the last run, as the trail and history keep it.
    pub(crate) settled_by: Option<Fence>,
}

/// A member of the leases zset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Member {
    /// Score +inf.
    Waiting,
    /// A deadline to come.
    Leased,
    /// A deadline gone by.
    RanOut,
}

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Redis {
    pub(crate) ready: Vec<Job>,
    pub(crate) claimed: Vec<Job>,
    pub(crate) leases: BTreeMap<Job, Member>,
}

impl Redis {
    /// A push: refused when the id is held already.
    pub(crate) fn push(&mut self, job: Job, front: bool) {
        if self.leases.contains_key(&job) {
            return;
        }
        self.leases.insert(job, Member::Waiting);
        self.ready.insert(if front { 0 } else { self.ready.len() }, job);
    }

    /// Forgets an id wherever it is leased; a hint of it that waits in a list stays, and is dropped on claim.
    pub(crate) fn ack(&mut self, job: Job) {
        self.leases.remove(&job);
        self.claimed.retain(|&other| other != job);
    }

    /// Puts the lease of a taken hint on record.
    pub(crate) fn lease(&mut self, job: Job) {
        self.claimed.retain(|&other| other != job);
        self.leases.insert(job, Member::Leased);
    }
}

/// How a handler's run came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Ending {
    Complete,
    Retry,
    Release,
    Cancel,
}

impl Ending {
    pub(crate) fn event(self, fence: Fence) -> Event {
        match self {
            Self::Complete => Event::Complete(fence),
            Self::Retry => Event::Retry(fence),
            Self::Release => Event::Release(fence),
            Self::Cancel => Event::CancelRun(fence),
        }
    }
}

/// A settle that was sent. It arrives some time, also after the death of its sender, and perhaps twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) job: Job,
    pub(crate) epoch: Epoch,
    pub(crate) worker: u8,
    pub(crate) start: u8,
    pub(crate) ending: Ending,
}

impl Write {
    pub(crate) fn fence(&self) -> Fence {
        Fence { id: job_id(self.job), epoch: self.epoch, worker: worker_id(self.worker, self.start) }
    }
}

/// Where a worker process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Idle,
    /// `BLMOVE` has answered; no lease yet.
    Took(Job),
    /// Leased in Redis; not claimed yet.
    Hinted(Job),
    /// In the handler.
    Running(Job, Epoch),
    /// The settle is sent, the answer is not here.
    Settling(Write),
    /// The settle is answered; Redis is not told yet.
    Settled(Job),
}

/// A worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// Counts starts: each is a worker of its own.
    pub(crate) start: u8,
    pub(crate) doing: Doing,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Faults {
    pub(crate) crashes: u8,
    pub(crate) pauses: u8,
    pub(crate) redis_losses: u8,
    pub(crate) redis_rewinds: u8,
    pub(crate) doubles: u8,
    pub(crate) redis_unreachable: u8,
    pub(crate) cancels: u8,
    pub(crate) failures: u8,
    pub(crate) releases: u8,
}

/// What has been seen on the way: for the checks only, no part of the protocol reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    /// Which runs were told that their result counts.
    pub(crate) accepted: BTreeSet<(Job, Epoch)>,
    pub(crate) stale_write_accepted: bool,
    pub(crate) stale_write_refused: bool,
    pub(crate) standing_lease_expired: bool,
    pub(crate) illegal: bool,
    pub(crate) redis_harmed: bool,
    pub(crate) adopted: bool,
    pub(crate) already: bool,
}

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// `None`: not submitted.
    pub(crate) rows: Vec<Option<Row>>,
    /// Submitted, and its hint not pushed yet.
    pub(crate) to_push: BTreeSet<Job>,
    pub(crate) redis: Redis,
    /// An old copy of Redis that may take over.
    pub(crate) copy: Option<Redis>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) wire: BTreeSet<Write>,
    pub(crate) faults: Faults,
    /// A job that a reaper saw expired; only a broken one acts on it later.
    pub(crate) reaper_saw: Option<Job>,
    pub(crate) seen: Seen,
}

pub(crate) fn job_id(job: Job) -> JobId {
    JobId(Uuid::from_u128(u128::from(job) + 1))
}

pub(crate) fn worker_id(worker: u8, start: u8) -> WorkerId {
    WorkerId(Uuid::from_u128((u128::from(worker) + 1) << 16 | u128::from(start)))
}

impl World {
    pub(crate) fn row(&self, job: Job) -> Option<Row> {
        self.rows[usize::from(job)]
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = (Job, Row)> + '_ {
        (0u8..).zip(&self.rows).filter_map(|(job, row)| row.map(|row| (job, row)))
    }

    /// Whether a living worker process still has to do with this job, in PostgreSQL's or in Redis' eyes.
    pub(crate) fn is_held(&self, job: Job) -> bool {
        self.workers.iter().any(|worker| match worker.doing {
            Doing::Idle => false,
            Doing::Took(held) | Doing::Hinted(held) | Doing::Running(held, _) | Doing::Settled(held) => held == job,
            Doing::Settling(write) => write.job == job,
        })
    }

    /// Whether the worker that the row names lives and still works on that claim.
    pub(crate) fn is_run_alive(&self, life: &Lifecycle) -> bool {
        (0u8..).zip(&self.workers).any(|(number, worker)| {
            Some(worker_id(number, worker.start)) == life.worker
                && match worker.doing {
                    Doing::Running(job, epoch) => job_id(job) == life.id && epoch == life.epoch,
                    Doing::Settling(write) => job_id(write.job) == life.id && write.epoch == life.epoch,
                    _ => false,
                }
        })
    }
}
