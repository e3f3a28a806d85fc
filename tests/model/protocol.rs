//! What can happen: every step of every process, and every fault, one at a time, in any order.

use crate::world::{Doing, Ending, Faults, Job, Member, Redis, Row, Seen, Worker, World, Write, job_id, worker_id};
use leasehold_core::{Event, Lifecycle, State};
use stateright::{Model, Property};
use std::collections::BTreeSet;

const MAX_ATTEMPTS: i32 = 3;
const MAX_CRASHES: i16 = 2;

/// A rule of the protocol left out, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A settle is applied to whatever run there is.
    NoFence,
    /// A hint is taken as the right to run, whatever the row says.
    HintGrants,
    /// Nobody looks at `claimed`.
    NoAdoption,
    /// Nobody compares the line with Redis.
    NoHead,
    /// Nobody expires leases.
    NoExpire,
    /// The reaper remembers an expired lease and ends whatever run the job has later.
    ExpireById,
    /// Redis is told before PostgreSQL is.
    AckBeforeSettle,
    /// A settle that finds the job finished counts it as its own.
    AlreadyByAnybody,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) jobs: u8,
    pub(crate) workers: u8,
    pub(crate) faults: Faults,
    pub(crate) broken: Option<Broken>,
}

/// One thing that happens.
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
    /// Written, but the answer is lost: it is sent again.
    WriteArrivesAndStays(Write),
    WorkerAcks(u8),
    WorkerDies(u8),
    LeaseRunsOut(Job),
    RedisLeaseRunsOut(Job),
    ReaperSees(Job),
    ReaperExpires(Job),
    ReaperPromotes(Job),
    ReaperAdopts(Job),
    ReaperReaps(Job),
    ReaperFills,
    RedisIsLost,
    RedisIsCopied,
    RedisIsRewound,
    HintIsDoubled(Job),
}

impl Protocol {
    /// One job and what can go wrong with the settling of it.
    pub(crate) fn settling() -> Self {
        Self::with(
            1,
            Faults { crashes: 1, pauses: 1, doubles: 1, failures: 1, redis_unreachable: 1, ..Faults::default() },
        )
    }

    /// One job and what can happen to Redis.
    pub(crate) fn redis() -> Self {
        Self::with(1, Faults { crashes: 1, redis_losses: 1, redis_rewinds: 1, doubles: 1, ..Faults::default() })
    }

    /// One job, a client that cancels it, and a worker that gives it back.
    pub(crate) fn cancelling() -> Self {
        Self::with(1, Faults { crashes: 1, pauses: 1, cancels: 1, releases: 1, failures: 1, ..Faults::default() })
    }

    /// A job that loses leases until it is dead.
    pub(crate) fn crashing() -> Self {
        Self::with(1, Faults { crashes: 2, pauses: 2, ..Faults::default() })
    }

    /// Two jobs, so that they can get in each other's way, and fewer faults.
    pub(crate) fn two_jobs() -> Self {
        Self::with(2, Faults { crashes: 1, redis_losses: 1, ..Faults::default() })
    }

    fn with(jobs: u8, faults: Faults) -> Self {
        Self { jobs, workers: 2, faults, broken: None }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Applies an event to a row. A refusal changes nothing.
    fn apply(&self, world: &mut World, job: Job, event: Event) -> bool {
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
        true
    }

    fn claims(&self, world: &mut World, number: u8, job: Job) -> bool {
        let start = world.workers[usize::from(number)].start;
        if self.is(Broken::HintGrants)
            && let Some(Row { life, .. }) = world.row(job)
            && life.state != State::Queued
        {
            // What a claim without its condition would do to the row.
            world.seen.illegal = true;
            return true;
        }
        self.apply(world, job, Event::Claim(worker_id(number, start)))
    }

    /// A settle reaches PostgreSQL. Whether its sender may count it as written.
    fn write_arrives(&self, world: &mut World, write: Write) -> bool {
        let Some(row) = world.row(write.job) else { return false };
        let fence = write.fence();
        let current = row.life.fence();
        let fence_used = if self.is(Broken::NoFence) { current.unwrap_or(fence) } else { fence };
        let is_stale = current != Some(fence);
        if self.apply(world, write.job, write.ending.event(fence_used)) {
            world.seen.stale_write_accepted |= is_stale;
            return true;
        }
        let now = world.row(write.job).unwrap_or(row);
        let already = now.life.state != State::Running
            && (now.settled_by == Some(fence) || (self.is(Broken::AlreadyByAnybody) && now.life.state.is_final()));
        world.seen.already |= already;
        world.seen.stale_write_refused |= !already;
        already
    }

    /// The answer reaches the sender if it is still there and waits for it.
    fn answer_arrives(&self, world: &mut World, write: Write, counts: bool) {
        let worker = &mut world.workers[usize::from(write.worker)];
        if worker.start != write.start || worker.doing != Doing::Settling(write) {
            return;
        }
        worker.doing = if self.is(Broken::AckBeforeSettle) { Doing::Idle } else { Doing::Settled(write.job) };
        if counts && write.ending == Ending::Complete {
            world.seen.accepted.insert((write.job, write.epoch));
        }
    }

    fn reaps(&self, world: &mut World, job: Job) {
        let redis = &mut world.redis;
        redis.claimed.retain(|&other| other != job);
        redis.leases.remove(&job);
        match world.rows[usize::from(job)].map(|row| row.life.state) {
            Some(State::Queued) => redis.push(job, true),
            Some(State::Running) => redis.lease(job),
            _ => {}
        }
    }

    fn fills(&self, world: &mut World) {
        let line: Vec<Job> =
            world.jobs().filter(|(_, row)| row.life.state == State::Queued).map(|(job, _)| job).collect();
        for job in line {
            world.redis.push(job, false);
        }
        // A membership that no list and no lease stands for would refuse pushes for ever.
        let held: BTreeSet<Job> = world.redis.ready.iter().chain(&world.redis.claimed).copied().collect();
        world.redis.leases.retain(|job, member| *member != Member::Waiting || held.contains(job));
    }

    /// Ends all faults, lets every process do its work in turn, and says whether everything came to its end.
    fn heals(&self, world: &World) -> bool {
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

    /// Whether an action that was possible a moment ago still is, now that others have been done.
    fn is_possible(&self, world: &World, action: Action) -> bool {
        self.possible(world).contains(&action)
    }

    fn possible(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        self.client_actions(world, &mut actions);
        self.worker_actions(world, &mut actions);
        self.reaper_actions(world, &mut actions);
        self.fault_actions(world, &mut actions);
        actions
    }

    fn client_actions(&self, world: &World, actions: &mut Vec<Action>) {
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

    fn worker_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (number, worker) in (0u8..).zip(&world.workers) {
            match worker.doing {
                Doing::Idle => {
                    if !world.redis.ready.is_empty() {
                        actions.push(Action::WorkerTakes(number));
                    }
                    if world.faults.redis_unreachable > 0 {
                        actions.extend(
                            world
                                .jobs()
                                .filter(|(_, row)| row.life.state == State::Queued)
                                .map(|(job, _)| Action::WorkerClaimsFromLine(number, job)),
                        );
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
                // The write is on its way, and only its answer moves the worker on.
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

    fn reaper_actions(&self, world: &World, actions: &mut Vec<Action>) {
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
        if !self.is(Broken::NoHead) {
            actions.push(Action::ReaperFills);
        }
    }

    /// What can happen to the lease of a run next.
    fn fate_of_lease(&self, world: &World, job: Job, row: &Row) -> Option<Action> {
        if row.lease_stands {
            // Time runs for the leases of the dead; a living worker renews, unless it is paused.
            let runs_out = !world.is_run_alive(&row.life) || world.faults.pauses > 0;
            runs_out.then_some(Action::LeaseRunsOut(job))
        } else if self.is(Broken::ExpireById) {
            world.reaper_saw.is_none().then_some(Action::ReaperSees(job))
        } else {
            (!self.is(Broken::NoExpire)).then_some(Action::ReaperExpires(job))
        }
    }

    fn fault_actions(&self, world: &World, actions: &mut Vec<Action>) {
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

    fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::ClientCommits(job) => {
                let life = Lifecycle::new(job_id(job), State::Queued, MAX_ATTEMPTS, MAX_CRASHES);
                world.rows[usize::from(job)] = Some(Row { life, lease_stands: true, settled_by: None });
                world.to_push.insert(job);
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

    fn worker_step(&self, world: &mut World, action: Action) {
        match action {
            Action::WorkerTakes(number) => {
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
                // The two go side by side: by the time that the claim is answered, the lease has been asked for.
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
                    // A released job is in the line again, and its hint goes back with the acknowledgement.
                    if world.row(job).is_some_and(|row| row.life.state == State::Queued) {
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

    fn reaper_step(&self, world: &mut World, action: Action) {
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
                self.apply(world, job, Event::Promote);
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

/// Every job at its end, and nothing of any in Redis.
fn is_at_rest(world: &World) -> bool {
    world.jobs().all(|(_, row)| row.life.state.is_final()) && world.redis == Redis::default()
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            rows: vec![None; usize::from(self.jobs)],
            to_push: BTreeSet::new(),
            redis: Redis::default(),
            copy: None,
            workers: vec![Worker { start: 0, doing: Doing::Idle }; usize::from(self.workers)],
            wire: BTreeSet::new(),
            faults: self.faults,
            reaper_saw: None,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        *actions = self.possible(world);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.step(&mut next, action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = promises();
        properties.extend(self.witnesses());
        properties
    }
}

/// What holds in every state.
fn promises() -> Vec<Property<Protocol>> {
    vec![
        Property::always("every transition is legal", |_, world: &World| !world.seen.illegal),
        Property::always("a stale write changes nothing", |_, world: &World| !world.seen.stale_write_accepted),
        Property::always("a standing lease is never expired", |_, world: &World| !world.seen.standing_lease_expired),
        Property::always("at most one result is accepted", |_, world: &World| {
            world.jobs().all(|(job, _)| world.seen.accepted.iter().filter(|(of, _)| *of == job).count() <= 1)
        }),
        Property::always("no two workers hold a live lease", |_, world: &World| {
            world.jobs().all(|(job, row)| {
                let holds = |(number, worker): (u8, &Worker)| {
                    row.life.fence().is_some_and(|fence| {
                        worker.doing == Doing::Running(job, fence.epoch)
                            && fence.worker == worker_id(number, worker.start)
                    })
                };
                (0u8..).zip(&world.workers).filter(|&worker| holds(worker)).count() <= 1
            })
        }),
        Property::always("attempts and crashes keep to their limits", |_, world: &World| {
            world.jobs().all(|(_, Row { life, .. })| {
                (0..=MAX_ATTEMPTS).contains(&life.attempt)
                    && (0..=MAX_CRASHES).contains(&life.crashes)
                    && life.attempt <= life.epoch
            })
        }),
        Property::always("an unsettled run is covered in Redis", |_, world: &World| {
            world.seen.redis_harmed
                || world
                    .jobs()
                    .all(|(job, row)| !world.is_run_alive(&row.life) || world.redis.leases.contains_key(&job))
        }),
        Property::always("when faults stop, the line drains", |model: &Protocol, world: &World| model.heals(world)),
    ]
}

impl Protocol {
    /// What must happen in some state, so that no promise is kept by doing nothing.
    fn witnesses(&self) -> Vec<Property<Self>> {
        let mut witnesses = vec![
            Property::sometimes("every job succeeds", |_, world: &World| {
                world.rows.iter().all(|row| row.is_some_and(|row| row.life.state == State::Succeeded))
            }),
            Property::sometimes("a hint is adopted", |_, world: &World| world.seen.adopted),
            Property::sometimes("a job runs twice", |_, world: &World| world.jobs().any(|(_, row)| row.life.epoch > 1)),
        ];
        if self.faults.pauses > 0 {
            witnesses.push(Property::sometimes("a stale write is refused", |_, world: &World| {
                world.seen.stale_write_refused
            }));
        }
        if self.faults.doubles > 0 {
            witnesses
                .push(Property::sometimes("a settle is found already written", |_, world: &World| world.seen.already));
        }
        if self.faults.cancels > 0 {
            witnesses.push(Property::sometimes("a job is cancelled", |_, world: &World| {
                world.jobs().any(|(_, row)| row.life.state == State::Cancelled)
            }));
        }
        if self.faults.crashes >= u8::try_from(MAX_CRASHES).unwrap_or(u8::MAX) {
            witnesses.push(Property::sometimes("a job dies of its crashes", |_, world: &World| {
                world.jobs().any(|(_, row)| row.life.state == State::Dead)
            }));
        }
        witnesses
    }
}
