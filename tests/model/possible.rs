//! The next possible actions in a world: steps of the client, the workers and the reaper, and faults that may still happen.

use crate::{
    protocol::{Action, Broken, Protocol},
    world::{Doing, Ending, Job, Member, Redis, Row, World},
};
use leasehold_core::State;

impl Protocol {
    pub(crate) fn possible(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        self.client_actions(world, &mut actions);
        self.worker_actions(world, &mut actions);
        self.reaper_actions(world, &mut actions);
        self.fault_actions(world, &mut actions);
        actions
    }

    pub(crate) fn client_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for job in 0..self.jobs {
            match world.row(job) {
                None => actions.push(Action::ClientCommits(job)),
                Some(row) if world.faults.cancels > 0 && !row.life.state.is_final() && !row.life.cancel_wanted => {
                    actions.push(Action::ClientCancels(job))
                }
                Some(_) => {}
            }
        }
        actions.extend(world.to_push.iter().map(|&job| Action::ClientPushes(job)));
    }

    pub(crate) fn worker_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (number, worker) in (0u8..).zip(&world.workers) {
            match worker.doing {
                Doing::Idle => {
                    if !world.redis.ready.is_empty() {
                        actions.push(Action::WorkerTakes(number));
                    }
                    if world.faults.redis_unreachable > 0 {
                        actions.extend(world.line().map(|job| Action::WorkerClaimsFromLine(number, job)));
                    }
                }
                Doing::Took(_) => actions.extend([Action::WorkerLeases(number), Action::WorkerClaims(number)]),
                Doing::Hinted(_) => actions.push(Action::WorkerClaims(number)),
                Doing::Running(job, _) => {
                    let cancel_wanted = world.row(job).is_some_and(|row| row.life.cancel_wanted);
                    actions.push(Action::HandlerEnds(number, Ending::Complete));
                    if world.faults.failures > 0 {
                        actions.push(Action::HandlerEnds(number, Ending::Retry));
                    }
                    if world.faults.releases > 0 {
                        actions.push(Action::HandlerEnds(number, Ending::Release));
                    }
                    if cancel_wanted {
                        actions.push(Action::HandlerEnds(number, Ending::Cancel));
                    }
                }
                // The write is in flight. The worker continues only after the answer.
                Doing::Settling(_) => {}
                Doing::Settled(_) => actions.push(Action::WorkerAcks(number)),
            }
        }
        for &write in &world.wire {
            actions.push(Action::WriteArrives(write));
            if world.faults.doubles > 0 {
                actions.push(Action::WriteArrivesAndStays(write));
            }
        }
    }

    pub(crate) fn reaper_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (job, row) in world.jobs() {
            match row.life.state {
                State::Running => actions.extend(self.fate_of_lease(world, job, &row)),
                State::Scheduled => actions.push(Action::ReaperPromotes(job)),
                _ => {}
            }
        }
        if let Some(job) = world.reaper_saw {
            actions.push(Action::ReaperExpires(job));
        }
        let redis = &world.redis;
        for (&job, &member) in &redis.leases {
            match member {
                Member::Leased if !world.is_held(job) || world.faults.pauses > 0 => {
                    actions.push(Action::RedisLeaseRunsOut(job))
                }
                Member::RanOut => actions.push(Action::ReaperReaps(job)),
                _ => {}
            }
        }
        if !self.is(Broken::NoAdoption) {
            actions.extend(
                redis
                    .claimed
                    .iter()
                    .filter(|job| !matches!(redis.leases.get(job), Some(Member::Leased | Member::RanOut)))
                    .map(|&job| Action::ReaperAdopts(job)),
            );
        }
        if !self.is(Broken::NoAdmit) && self.has_room_in_line(world) {
            actions.extend(world.behind.first().map(|&job| Action::Admits(job)));
        }
        if !self.is(Broken::NoHead) {
            actions.push(Action::ReaperFills);
        }
    }

    /// The next possible action on the lease of a run.
    pub(crate) fn fate_of_lease(&self, world: &World, job: Job, row: &Row) -> Option<Action> {
        if row.lease_stands {
            // The lease of a dead worker can run out. A live worker renews its lease, unless it is paused.
            let runs_out = !world.is_run_alive(&row.life) || world.faults.pauses > 0;
            runs_out.then_some(Action::LeaseRunsOut(job))
        } else if self.is(Broken::ExpireById) {
            world.reaper_saw.is_none().then_some(Action::ReaperSees(job))
        } else {
            (!self.is(Broken::NoExpire)).then_some(Action::ReaperExpires(job))
        }
    }

    pub(crate) fn fault_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let faults = world.faults;
        if faults.crashes > 0 {
            actions.extend(
                (0..self.workers)
                    .filter(|&number| world.workers[usize::from(number)].doing != Doing::Idle)
                    .map(Action::WorkerDies),
            );
        }
        if faults.redis_losses > 0 && world.redis != Redis::default() {
            actions.push(Action::RedisIsLost);
        }
        if faults.redis_rewinds > 0 {
            match &world.copy {
                None if world.redis != Redis::default() => actions.push(Action::RedisIsCopied),
                Some(copy) if *copy != world.redis => actions.push(Action::RedisIsRewound),
                _ => {}
            }
        }
        if faults.doubles > 0 {
            actions.extend((0..self.jobs).map(Action::HintIsDoubled));
        }
    }
}
