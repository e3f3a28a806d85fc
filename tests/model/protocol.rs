//! The protocol as a model: its bounds, its rules for rows and keys, and the check that it heals. `possible` has the next
//! possible actions, `steps` has the effect of each action, and `promises` has the properties.

use crate::world::{Doing, Ending, Faults, Job, Member, Redis, Row, World, Write, worker_id};
use leasehold_core::{Event, State};
use std::collections::BTreeSet;

pub(crate) const MAX_ATTEMPTS: i32 = 3;
pub(crate) const MAX_CRASHES: i16 = 2;

/// A rule of the protocol that is left out, to show that the checks notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A settle is applied to any run of the job.
    NoFence,
    /// A worker runs the job of every hint, in any state of the row.
    HintGrants,
    /// No step reads `claimed`.
    NoAdoption,
    /// No step compares the line with Redis.
    NoHead,
    /// No step expires leases.
    NoExpire,
    /// The reaper remembers a job with an expired lease, and later ends any run of this job.
    ExpireById,
    /// The worker acknowledges the hint before it settles the run.
    AckBeforeSettle,
    /// A settle that finds the job finished counts it as its own.
    AlreadyByAnybody,
    /// A claim does not ask for a free slot.
    LimitIsIgnored,
    /// A worker looks whether the key has room, and claims later.
    CountsBeforeLock,
    /// A slot is free only after the settle of its run, so the run of a dead worker keeps its slot.
    SettleFreesSlots,
    /// No step brings jobs from behind the line.
    NoAdmit,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) jobs: u8,
    pub(crate) workers: u8,
    pub(crate) faults: Faults,
    /// The most runs at the same time; `None`: any number.
    pub(crate) limit: Option<u8>,
    pub(crate) broken: Option<Broken>,
}

/// One step of a process, or one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    ClientCommits(Job),
    ClientPushes(Job),
    ClientCancels(Job),
    WorkerTakes(u8),
    WorkerLeases(u8),
    WorkerClaims(u8),
    WorkerClaimsFromLine(u8, Job),
    HandlerEnds(u8, Ending),
    WriteArrives(Write),
    /// PostgreSQL executes the write, the answer is lost, and the worker sends the write again.
    WriteArrivesAndStays(Write),
    WorkerAcks(u8),
    WorkerDies(u8),
    LeaseRunsOut(Job),
    RedisLeaseRunsOut(Job),
    ReaperSees(Job),
    ReaperExpires(Job),
    ReaperPromotes(Job),
    /// A reaper, or the process that ended a run, brings a job from behind the line.
    Admits(Job),
    ReaperAdopts(Job),
    ReaperReaps(Job),
    ReaperFills,
    RedisIsLost,
    RedisIsCopied,
    RedisIsRewound,
    HintIsDoubled(Job),
}

impl Protocol {
    /// One job, and faults around its settle.
    pub(crate) fn settling() -> Self {
        Self::with(
            1,
            Faults { crashes: 1, pauses: 1, doubles: 1, failures: 1, redis_unreachable: 1, ..Faults::default() },
        )
    }

    /// One job, and faults of Redis.
    pub(crate) fn redis() -> Self {
        Self::with(1, Faults { crashes: 1, redis_losses: 1, redis_rewinds: 1, doubles: 1, ..Faults::default() })
    }

    /// One job, a client that cancels it, and a worker that releases it.
    pub(crate) fn cancelling() -> Self {
        Self::with(1, Faults { crashes: 1, pauses: 1, cancels: 1, releases: 1, failures: 1, ..Faults::default() })
    }

    /// A job that loses leases until it is dead.
    pub(crate) fn crashing() -> Self {
        Self::with(1, Faults { crashes: 2, pauses: 2, ..Faults::default() })
    }

    /// Two jobs that can be in each other's way, and fewer faults.
    pub(crate) fn two_jobs() -> Self {
        Self::with(2, Faults { crashes: 1, redis_losses: 1, ..Faults::default() })
    }

    /// Two jobs, of which only one may run at a time.
    pub(crate) fn limited() -> Self {
        let faults = Faults { pauses: 1, redis_unreachable: 1, ..Faults::default() };
        Self { limit: Some(1), ..Self::with(2, faults) }
    }

    fn with(jobs: u8, faults: Faults) -> Self {
        Self { jobs, workers: 2, faults, limit: None, broken: None }
    }

    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Applies an event to a row. A refusal changes nothing.
    pub(crate) fn apply(&self, world: &mut World, job: Job, event: Event) -> bool {
        let Some(row) = world.row(job) else { return false };
        let Ok(life) = row.life.apply(event) else { return false };
        let settled_by = match event {
            Event::Complete(fence) | Event::Retry(fence) | Event::Release(fence) | Event::CancelRun(fence) => {
                Some(fence)
            }
            Event::Expire => None,
            _ => row.settled_by,
        };
        world.rows[usize::from(job)] = Some(Row { life, lease_stands: true, settled_by });
        if life.state != State::Queued {
            world.behind.remove(&job);
        }
        true
    }

    pub(crate) fn claims(&self, world: &mut World, number: u8, job: Job) -> bool {
        let start = world.workers[usize::from(number)].start;
        if self.is(Broken::HintGrants)
            && let Some(Row { life, .. }) = world.row(job)
            && life.state != State::Queued
        {
            // A claim without its condition would change the row.
            world.seen.illegal = true;
            return true;
        }
        if world.behind.contains(&job) {
            return false;
        }
        let Some(slot) = self.slot_for(world, number) else {
            if world.row(job).is_some_and(|row| row.life.state == State::Queued) {
                world.behind.insert(job);
            }
            return false;
        };
        let claimed = self.apply(world, job, Event::Claim(worker_id(number, start)));
        if let (true, Some(slot), Some(row)) = (claimed, slot, world.row(job)) {
            world.slots.insert(slot, (job, row.life.epoch));
        }
        claimed
    }

    /// A settle reaches PostgreSQL. Returns whether its sender may count the settle as written.
    pub(crate) fn write_arrives(&self, world: &mut World, write: Write) -> bool {
        let Some(row) = world.row(write.job) else { return false };
        let fence = write.fence();
        let current = row.life.fence();
        let fence_used = if self.is(Broken::NoFence) { current.unwrap_or(fence) } else { fence };
        let is_stale = current != Some(fence);
        if self.apply(world, write.job, write.ending.event(fence_used)) {
            world.seen.stale_write_accepted |= is_stale;
            if self.is(Broken::SettleFreesSlots) {
                world.slots.retain(|_, (job, _)| *job != write.job);
            }
            return true;
        }
        let now = world.row(write.job).unwrap_or(row);
        let already = now.life.state != State::Running
            && (now.settled_by == Some(fence) || (self.is(Broken::AlreadyByAnybody) && now.life.state.is_final()));
        world.seen.already |= already;
        world.seen.stale_write_refused |= !already;
        already
    }

    /// The answer reaches the sender, if the sender still waits for it.
    pub(crate) fn answer_arrives(&self, world: &mut World, write: Write, counts: bool) {
        let worker = &mut world.workers[usize::from(write.worker)];
        if worker.start != write.start || worker.doing != Doing::Settling(write) {
            return;
        }
        worker.doing = if self.is(Broken::AckBeforeSettle) { Doing::Idle } else { Doing::Settled(write.job) };
        if counts && write.ending == Ending::Complete {
            world.seen.accepted.insert((write.job, write.epoch));
        }
    }

    pub(crate) fn reaps(&self, world: &mut World, job: Job) {
        let redis = &mut world.redis;
        redis.claimed.retain(|&other| other != job);
        redis.leases.remove(&job);
        match world.rows[usize::from(job)].map(|row| row.life.state) {
            Some(State::Queued) if world.behind.contains(&job) => {}
            Some(State::Queued) => redis.push(job, true),
            Some(State::Running) => redis.lease(job),
            _ => {}
        }
    }

    pub(crate) fn fills(&self, world: &mut World) {
        let line: Vec<Job> = world.line().collect();
        for job in line {
            world.redis.push(job, false);
        }
        // If the set had a waiting id that is in no list, every push of this id would be refused.
        let held: BTreeSet<Job> = world.redis.ready.iter().chain(&world.redis.claimed).copied().collect();
        world.redis.leases.retain(|job, member| *member != Member::Waiting || held.contains(job));
    }

    /// Ends all faults, lets every process work in turn, and returns whether every job reached its end.
    pub(crate) fn heals(&self, world: &World) -> bool {
        let mut world = world.clone();
        world.faults = Faults::default();
        for job in 0..self.jobs {
            if world.row(job).is_none() {
                self.step(&mut world, Action::ClientCommits(job));
            }
        }
        for _ in 0..24 {
            if is_at_rest(&world) {
                return true;
            }
            for action in self.possible(&world) {
                let is_a_choice_not_to_finish = match action {
                    Action::ReaperSees(_) | Action::ClientPushes(_) => true,
                    Action::HandlerEnds(_, ending) => !matches!(ending, Ending::Complete | Ending::Cancel),
                    _ => false,
                };
                if !is_a_choice_not_to_finish && self.is_possible(&world, action) {
                    self.step(&mut world, action);
                }
            }
        }
        is_at_rest(&world)
    }

    /// Whether an action is still possible after the actions before it.
    pub(crate) fn is_possible(&self, world: &World, action: Action) -> bool {
        self.possible(world).contains(&action)
    }
}

/// Whether every job is final and Redis is empty.
fn is_at_rest(world: &World) -> bool {
    world.jobs().all(|(_, row)| row.life.state.is_final()) && world.redis == Redis::default()
}
