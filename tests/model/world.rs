//! The state of the model: rows, keys, workers, and writes in flight.

use leasehold_core::{Epoch, Event, Fence, JobId, Lifecycle, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A job of the model, by number.
pub(crate) type Job = u8;

/// The row of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) life: Lifecycle,
    /// The lease has not run out. Only meaningful while the job runs.
    pub(crate) lease_stands: bool,
    /// The fence that ended the last run, as in the trail and in history.
    pub(crate) settled_by: Option<Fence>,
}

/// A member of the leases zset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Member {
    /// Score +inf.
    Waiting,
    /// A deadline in the future.
    Leased,
    /// A deadline in the past.
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
    /// Pushes a hint. A hint that Redis already has is refused.
    pub(crate) fn push(&mut self, job: Job, front: bool) {
        if self.leases.contains_key(&job) {
            return;
        }
        self.leases.insert(job, Member::Waiting);
        self.ready.insert(if front { 0 } else { self.ready.len() }, job);
    }

    /// Forgets a leased id. If a hint of the same id waits in `ready`, it stays there, and a claim drops it.
    pub(crate) fn ack(&mut self, job: Job) {
        self.leases.remove(&job);
        self.claimed.retain(|&other| other != job);
    }

    /// Leases a taken hint.
    pub(crate) fn lease(&mut self, job: Job) {
        self.claimed.retain(|&other| other != job);
        self.leases.insert(job, Member::Leased);
    }
}

/// How a run ended.
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

/// A settle in flight. It arrives at some time, perhaps after the death of its sender, and perhaps twice.
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

/// The current activity of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Idle,
    /// `BLMOVE` has answered, and there is no lease yet.
    Took(Job),
    /// The hint is leased in Redis, and the job is not claimed yet.
    Hinted(Job),
    /// The handler runs.
    Running(Job, Epoch),
    /// The settle was sent and is not answered.
    Settling(Write),
    /// The settle was answered, and the hint is not acknowledged yet.
    Settled(Job),
}

/// A worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// The number of starts. Each start is another worker.
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

/// What the checks remember about the way to a state. The protocol does not read this.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    /// The runs whose worker was told that its result counts.
    pub(crate) accepted: BTreeSet<(Job, Epoch)>,
    pub(crate) stale_write_accepted: bool,
    pub(crate) stale_write_refused: bool,
    pub(crate) standing_lease_expired: bool,
    pub(crate) illegal: bool,
    pub(crate) redis_harmed: bool,
    pub(crate) adopted: bool,
    pub(crate) already: bool,
}

/// One state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// `None` for a job that was not enqueued yet.
    pub(crate) rows: Vec<Option<Row>>,
    /// Jobs that were enqueued and whose hints were not pushed yet.
    pub(crate) to_push: BTreeSet<Job>,
    pub(crate) redis: Redis,
    /// An old copy of Redis that may replace Redis.
    pub(crate) copy: Option<Redis>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) wire: BTreeSet<Write>,
    pub(crate) faults: Faults,
    /// The run that was the last one to get each slot of the limit key. It holds the slot while its job runs with its epoch.
    pub(crate) slots: BTreeMap<u8, (Job, Epoch)>,
    /// Queued jobs that wait behind the line, because the limit key has no room.
    pub(crate) behind: BTreeSet<Job>,
    /// Whether the key had room when a worker looked. Only the broken worker uses it later.
    pub(crate) counted: BTreeMap<u8, bool>,
    /// A job whose lease a reaper found expired. Only the broken reaper uses it later.
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

    /// Whether a live worker process holds a hint or a run of this job.
    pub(crate) fn is_held(&self, job: Job) -> bool {
        self.workers.iter().any(|worker| match worker.doing {
            Doing::Idle => false,
            Doing::Took(held) | Doing::Hinted(held) | Doing::Running(held, _) | Doing::Settled(held) => held == job,
            Doing::Settling(write) => write.job == job,
        })
    }

    /// Whether the worker in the row is alive and still works on this run.
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
