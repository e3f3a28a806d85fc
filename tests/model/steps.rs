//! The effect of each action on the world.

use crate::{
    protocol::{Action, Broken, MAX_ATTEMPTS, MAX_CRASHES, Protocol},
    world::{Doing, Ending, Member, Redis, Row, Worker, World, Write, job_id},
};
use leasehold_core::{Event, Lifecycle, State};

impl Protocol {
    pub(crate) fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::ClientCommits(job) => {
                let life = Lifecycle::new(job_id(job), State::Queued, MAX_ATTEMPTS, MAX_CRASHES);
                let has_room = self.has_room_in_line(world);
                world.rows[usize::from(job)] = Some(Row { life, lease_stands: true, settled_by: None });
                if has_room {
                    world.to_push.insert(job);
                } else {
                    world.behind.insert(job);
                }
            }
            Action::ClientPushes(job) => {
                world.to_push.remove(&job);
                world.redis.push(job, false);
            }
            Action::ClientCancels(job) => {
                world.faults.cancels -= 1;
                let stands = world.row(job).is_some_and(|row| row.lease_stands);
                self.apply(world, job, Event::Cancel);
                if let Some(row) = &mut world.rows[usize::from(job)] {
                    row.lease_stands = stands;
                    if row.life.state.is_final() {
                        world.redis.ready.retain(|&other| other != job);
                        world.redis.ack(job);
                    }
                }
            }
            Action::HintIsDoubled(job) => {
                world.faults.doubles -= 1;
                world.seen.redis_harmed = true;
                world.redis.ready.push(job);
            }
            Action::RedisIsLost => {
                world.faults.redis_losses -= 1;
                world.seen.redis_harmed = true;
                world.redis = Redis::default();
            }
            Action::RedisIsCopied => world.copy = Some(world.redis.clone()),
            Action::RedisIsRewound => {
                world.faults.redis_rewinds -= 1;
                world.seen.redis_harmed = true;
                world.redis = world.copy.take().unwrap_or_default();
            }
            Action::WriteArrives(write) => {
                world.wire.remove(&write);
                let counts = self.write_arrives(world, write);
                self.answer_arrives(world, write, counts);
            }
            Action::WriteArrivesAndStays(write) => {
                world.faults.doubles -= 1;
                self.write_arrives(world, write);
            }
            _ => {
                self.worker_step(world, action);
                self.reaper_step(world, action);
            }
        }
    }

    pub(crate) fn worker_step(&self, world: &mut World, action: Action) {
        match action {
            Action::WorkerTakes(number) => {
                if self.is(Broken::CountsBeforeLock) {
                    world.counted.insert(number, self.free_slot(world).is_some());
                }
                let job = world.redis.ready.remove(0);
                world.redis.claimed.push(job);
                world.workers[usize::from(number)].doing = Doing::Took(job);
            }
            Action::WorkerLeases(number) => {
                if let Doing::Took(job) = world.workers[usize::from(number)].doing {
                    world.redis.lease(job);
                    world.workers[usize::from(number)].doing = Doing::Hinted(job);
                }
            }
            Action::WorkerClaims(number) => {
                let (Doing::Took(job) | Doing::Hinted(job)) = world.workers[usize::from(number)].doing else { return };
                // The worker sends take and claim at the same time. When the claim is answered, the lease was requested.
                world.redis.lease(job);
                let claimed = self.claims(world, number, job);
                let epoch = world.row(job).map_or(0, |row| row.life.epoch);
                if !claimed {
                    world.redis.ack(job);
                }
                world.workers[usize::from(number)].doing =
                    if claimed { Doing::Running(job, epoch) } else { Doing::Idle };
            }
            Action::WorkerClaimsFromLine(number, job) => {
                world.faults.redis_unreachable -= 1;
                world.seen.redis_harmed = true;
                if self.claims(world, number, job) {
                    let epoch = world.row(job).map_or(0, |row| row.life.epoch);
                    world.workers[usize::from(number)].doing = Doing::Running(job, epoch);
                }
            }
            Action::HandlerEnds(number, ending) => {
                match ending {
                    Ending::Retry => world.faults.failures -= 1,
                    Ending::Release => world.faults.releases -= 1,
                    Ending::Complete | Ending::Cancel => {}
                }
                let worker = &mut world.workers[usize::from(number)];
                if let Doing::Running(job, epoch) = worker.doing {
                    let write = Write { job, epoch, worker: number, start: worker.start, ending };
                    worker.doing = Doing::Settling(write);
                    world.wire.insert(write);
                    if self.is(Broken::AckBeforeSettle) {
                        world.redis.ack(job);
                    }
                }
            }
            Action::WorkerAcks(number) => {
                if let Doing::Settled(job) = world.workers[usize::from(number)].doing {
                    world.redis.ack(job);
                    // A released job is queued again, so the worker returns its hint instead of removing it.
                    if world.line().any(|other| other == job) {
                        world.redis.push(job, true);
                    }
                    world.workers[usize::from(number)].doing = Doing::Idle;
                }
            }
            Action::WorkerDies(number) => {
                world.faults.crashes -= 1;
                let worker = &mut world.workers[usize::from(number)];
                *worker = Worker { start: worker.start + 1, doing: Doing::Idle };
            }
            _ => {}
        }
    }

    pub(crate) fn reaper_step(&self, world: &mut World, action: Action) {
        match action {
            Action::LeaseRunsOut(job) => {
                if let Some(row) = world.row(job) {
                    if world.is_run_alive(&row.life) {
                        world.faults.pauses -= 1;
                    }
                    world.rows[usize::from(job)] = Some(Row { lease_stands: false, ..row });
                }
            }
            Action::RedisLeaseRunsOut(job) => {
                if world.is_held(job) {
                    world.faults.pauses -= 1;
                    world.seen.redis_harmed = true;
                }
                world.redis.leases.insert(job, Member::RanOut);
            }
            Action::ReaperSees(job) => world.reaper_saw = Some(job),
            Action::ReaperExpires(job) => {
                world.reaper_saw = None;
                if let Some(row) = world.row(job)
                    && row.life.state == State::Running
                {
                    world.seen.standing_lease_expired |= row.lease_stands;
                    self.apply(world, job, Event::Expire);
                }
            }
            Action::ReaperPromotes(job) => {
                let has_room = self.has_room_in_line(world);
                if self.apply(world, job, Event::Promote) && !has_room {
                    world.behind.insert(job);
                }
            }
            Action::Admits(job) => {
                world.behind.remove(&job);
                world.to_push.insert(job);
            }
            Action::ReaperAdopts(job) => {
                world.seen.adopted = true;
                world.redis.leases.insert(job, Member::Leased);
            }
            Action::ReaperReaps(job) => self.reaps(world, job),
            Action::ReaperFills => self.fills(world),
            _ => {}
        }
    }
}
