//! Parents that end at the same time, children that are enqueued in the meantime, and random graphs.

use crate::{
    fixture::{Fixture, LEASE, concurrently, new_job},
    graphs::{bury, child_of, ids},
};
use leasehold_core::{FinishedRun, JobId, NewJob, ParentFailure, Settle, Settled, State, WorkerId, run_order};
use leasehold_ports::Kinds;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;

use ParentFailure::{Cancel, Hold, Run};

#[tokio::test]
async fn many_parents_that_settle_at_once_unblock_their_child_once() {
    let fixture = Fixture::start().await;
    for count in [8, 33, 200] {
        let parents: Vec<NewJob> = (0..count).map(|_| new_job()).collect();
        let all: Vec<JobId> = parents.iter().map(|job| job.id).collect();
        fixture.enqueue(&parents).await.expect("enqueue");
        let child = fixture.child(&all, Cancel).await;
        let worker = WorkerId::new();
        let mut runs = Vec::new();
        for batch in all.chunks(50) {
            runs.extend(fixture.claim(worker, batch, &Kinds::All, LEASE).await.expect("claim"));
        }
        assert_eq!(runs.len(), count);
        let ends: Vec<FinishedRun> =
            runs.iter().map(|run| FinishedRun { fence: run.fence, settle: Settle::Complete(None) }).collect();
        let settles = ends.chunks(count.div_ceil(16)).map(|batch| fixture.settle(worker, batch));
        let mut unblocked = Vec::new();
        for settled in concurrently(settles).await {
            let settled = settled.expect("settle");
            assert!(settled.iter().all(|answer| *answer == Settled::Done), "{settled:?}");
            unblocked.extend(ids(&settled.unblocked));
        }
        // A counter that was busy for too long is left to a reaper.
        fixture.tell_all().await;
        assert!(unblocked.is_empty() || unblocked == [child], "{unblocked:?}");
        assert_eq!(fixture.state(child).await, State::Queued, "{count} parents");
        fixture.ends(child, Settle::Complete(None)).await;
    }
    fixture.keeps_the_invariants().await;
}

/// A child is enqueued while its parent ends. Whichever is first, the child gets its end, exactly once.
#[tokio::test]
async fn a_child_that_is_enqueued_while_its_parent_settles_is_not_forgotten() {
    let fixture = Fixture::with_connections(12).await;
    for round in 0..28 {
        let parent = fixture.queued().await;
        if round % 3 == 0 {
            // The parent is already marked, so the children take shared locks.
            fixture.child(&[parent], Run).await;
        }
        let fence = fixture.claim_one(WorkerId::new(), parent).await.fence;
        let settle = if round % 2 == 0 { Settle::Complete(None) } else { bury() };
        let children: Vec<NewJob> = [Cancel, Hold, Run].map(|policy| child_of(&[parent], policy)).to_vec();
        let ends = async {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            loop {
                match fixture.settle_one(fence, settle.clone()).await {
                    Settled::Locked => {}
                    answer => return answer,
                }
            }
        };
        let enqueues = concurrently(children.iter().map(|job| fixture.enqueue(std::slice::from_ref(job))));
        let (settled, enqueued) = tokio::join!(ends, enqueues);
        assert_eq!(settled, Settled::Done);
        for answer in enqueued {
            answer.expect("enqueue");
        }
        fixture.tell_all().await;
        for job in &children {
            let wanted = match (round % 2 == 0, job.on_parent_failure) {
                (true, _) | (false, Run) => State::Queued,
                (false, Cancel) => State::Cancelled,
                (false, Hold) => State::Blocked,
                (false, other) => panic!("this test does not know {other}"),
            };
            assert_eq!(fixture.state(job.id).await, wanted, "round {round}, {}", job.on_parent_failure);
        }
        fixture.keeps_the_invariants().await;
    }
}

/// What must become of each job of a graph, when these jobs do not succeed.
fn fates(jobs: &[NewJob], ends: &BTreeMap<JobId, State>) -> BTreeMap<JobId, State> {
    let mut fates: BTreeMap<JobId, State> = BTreeMap::new();
    for nth in run_order(jobs).expect("no cycle") {
        let job = &jobs[nth];
        let parents: Vec<State> = job.depends_on.iter().map(|id| fates[id]).collect();
        let is_met = |state: &State| state.is_final() && job.on_parent_failure.is_met_by(*state);
        let fate = if parents.iter().all(is_met) {
            ends[&job.id]
        } else if job.on_parent_failure == Cancel && parents.iter().any(|state| state.is_final() && !is_met(state)) {
            State::Cancelled
        } else {
            State::Blocked
        };
        fates.insert(job.id, fate);
    }
    fates
}

/// Random graphs with random ends: each job runs if and only if the ends of its parents say so. Several workers end the runs at
/// the same time, in random batches. Some leases run out, and some waiting jobs are cancelled.
#[tokio::test]
async fn random_graphs_run_as_the_ends_of_their_parents_say() {
    for seed in 0..5 {
        let mut dice = StdRng::seed_from_u64(seed);
        let fixture = Fixture::start().await;
        let mut jobs: Vec<NewJob> = Vec::new();
        let mut wanted: BTreeMap<JobId, State> = BTreeMap::new();
        for nth in 0..dice.random_range(20..60_usize) {
            let policy = ParentFailure::ALL[dice.random_range(0..3)];
            let mut job = child_of(&[], policy);
            for _ in 0..dice.random_range(0..4) {
                let Some(parent) = nth.checked_sub(dice.random_range(1..12)) else { continue };
                if !job.depends_on.contains(&jobs[parent].id) {
                    job.depends_on.push(jobs[parent].id);
                }
            }
            let end = match dice.random_range(0..10) {
                0 | 1 => State::Dead,
                2 => State::Cancelled,
                _ => State::Succeeded,
            };
            wanted.insert(job.id, end);
            jobs.push(job);
        }
        // A part of the graph is enqueued at first, the rest while the first part runs.
        let (first, rest) = jobs.split_at(dice.random_range(1..jobs.len()));
        fixture.enqueue_graph(first).await.expect("enqueue");
        let mut rest = Some(rest).filter(|rest| !rest.is_empty());
        loop {
            let mut queued = Vec::new();
            let there = jobs.len() - rest.map_or(0, <[NewJob]>::len);
            for job in &jobs[..there] {
                if fixture.state(job.id).await == State::Queued {
                    queued.push(job.id);
                }
            }
            if queued.is_empty() && rest.is_none() {
                break;
            }
            let more = rest.take_if(|_| queued.is_empty() || dice.random_bool(0.3));
            let (mut runs, mut calls) = (Vec::new(), Vec::new());
            for id in queued {
                if wanted[&id] == State::Cancelled && dice.random_bool(0.5) {
                    calls.push(id);
                    continue;
                }
                let worker = WorkerId::new();
                let run = fixture.claim_one(worker, id).await;
                let settle = match wanted[&id] {
                    State::Succeeded => Settle::Complete(None),
                    State::Dead => bury(),
                    _ => {
                        fixture.cancel(&[id]).await.expect("cancel");
                        Settle::Cancel
                    }
                };
                // A lease that runs out brings the job back, and its worker is too late.
                if dice.random_bool(0.15) && wanted[&id] != State::Cancelled {
                    fixture.end_lease(id).await;
                    fixture.expire(100, None).await.expect("expire");
                    assert_eq!(fixture.settle_one(run.fence, settle).await, Settled::LeaseLost);
                    continue;
                }
                runs.push(FinishedRun { fence: run.fence, settle });
            }
            let settles = concurrently(runs.iter().map(|run| async {
                while fixture.settle_one(run.fence, run.settle.clone()).await == Settled::Locked {}
            }));
            let enqueue = async {
                if let Some(more) = more {
                    fixture.enqueue_graph(more).await.expect("enqueue");
                }
            };
            let cancel = async {
                fixture.cancel(&calls).await.expect("cancel");
            };
            tokio::join!(settles, enqueue, cancel);
            fixture.tell_all().await;
            // Crashes are the subject of other tests.
            for job in &jobs {
                fixture.set_crashes(job.id, 0).await;
            }
        }
        for (id, fate) in fates(&jobs, &wanted) {
            let record = fixture.record(id).await;
            assert_eq!(record.state, fate, "seed {seed}, job {id}: {record:?}");
            let ran = record.started_at.is_some();
            assert!(ran || fate != State::Succeeded && fate != State::Dead, "seed {seed}, job {id}");
        }
        fixture.keeps_the_invariants().await;
    }
}
