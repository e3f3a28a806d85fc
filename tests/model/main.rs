//! An exhaustive check of the protocol: two stores, workers, a reaper, a client, and every fault at every moment.
//!
//! PostgreSQL's side of the model is [`leasehold_core::Lifecycle::apply`]. Other tests compare the statements of the store
//! with the same function. Each property must hold in *every* reachable state. From each state the fleet must also heal
//! when faults stop. Broken variants of the protocol show that the checks can fail.

mod limits;
mod possible;
mod promises;
mod protocol;
mod steps;
mod world;

use protocol::{Action, Broken, Protocol};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use world::{Doing, Redis, Seen, Worker, World};

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
            slots: BTreeMap::new(),
            behind: BTreeSet::new(),
            counted: BTreeMap::new(),
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
        let mut properties = promises::promises();
        properties.extend(self.witnesses());
        properties
    }
}

/// Checks all states of a model and prints their number. If a property fails, prints the shortest way to the failure.
fn check(name: &str, model: Protocol, states_pinned: usize) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{name}: {states} states, {} deep", checker.max_depth());
    checker.assert_properties();
    assert_eq!(
        states, states_pinned,
        "{name}: another number of states means that the model checks something else than before"
    );
}

/// Runs a broken variant until `property` fails, and prints the shortest way there.
fn must_fail(broken: Broken, property: &'static str, model: Protocol) {
    let checker = Protocol { broken: Some(broken), ..model }
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let Some(path) = checker.discovery(property) else {
        panic!("{broken:?} was not found: {property:?} held in all {} states", checker.unique_state_count());
    };
    println!("{broken:?} is found: {property:?} fails after these steps:");
    for action in path.into_actions() {
        println!("    {action:?}");
    }
}

#[test]
fn settling() {
    check("settling", Protocol::settling(), 655_538);
}

#[test]
fn redis() {
    check("redis", Protocol::redis(), 597_489);
}

#[test]
fn cancelling() {
    check("cancelling", Protocol::cancelling(), 314_698);
}

#[test]
fn crashing() {
    check("crashing", Protocol::crashing(), 119_230);
}

#[test]
fn two_jobs() {
    check("two_jobs", Protocol::two_jobs(), 859_982);
}

#[test]
fn limited() {
    check("limited", Protocol::limited(), 214_120);
}

#[test]
fn without_slots_a_limit_is_exceeded() {
    must_fail(Broken::LimitIsIgnored, "no limit is exceeded", Protocol::limited());
}

#[test]
fn counting_before_the_lock_exceeds_a_limit() {
    must_fail(Broken::CountsBeforeLock, "no limit is exceeded", Protocol::limited());
}

#[test]
fn slots_that_a_settle_must_free_leak() {
    must_fail(Broken::SettleFreesSlots, "when faults stop, the line drains", Protocol::limited());
}

#[test]
fn without_admit_a_job_stays_behind_the_line() {
    must_fail(Broken::NoAdmit, "when faults stop, the line drains", Protocol::limited());
}

#[test]
fn without_a_fence_a_stale_result_is_accepted() {
    must_fail(Broken::NoFence, "a stale write changes nothing", Protocol::settling());
}

#[test]
fn without_a_condition_on_claim_a_hint_grants_a_job_twice() {
    must_fail(Broken::HintGrants, "every transition is legal", Protocol::redis());
}

#[test]
fn without_adoption_a_hint_is_stuck_in_claimed() {
    must_fail(Broken::NoAdoption, "when faults stop, the line drains", Protocol::settling());
}

#[test]
fn without_the_head_a_lost_redis_is_never_filled() {
    must_fail(Broken::NoHead, "when faults stop, the line drains", Protocol::redis());
}

#[test]
fn expiring_by_id_alone_ends_a_valid_lease() {
    must_fail(Broken::ExpireById, "a standing lease is never expired", Protocol::cancelling());
}

#[test]
fn acknowledging_before_settling_leaves_a_run_uncovered() {
    must_fail(Broken::AckBeforeSettle, "an unsettled run is covered in Redis", Protocol::settling());
}

#[test]
fn if_any_finished_job_counts_as_own_two_workers_are_told_of_success() {
    must_fail(Broken::AlreadyByAnybody, "at most one result is accepted", Protocol::settling());
}

#[test]
fn without_expire_a_dead_worker_keeps_its_job() {
    must_fail(Broken::NoExpire, "when faults stop, the line drains", Protocol::crashing());
}
