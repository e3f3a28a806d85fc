//! look: why hints were not claimed.

use crate::fixture::{Fixture, LEASE, kind, name, new_job};
use leasehold_core::{Claimability, JobId, NewJob, Settle, State, Unique, WorkerId};
use leasehold_ports::{Claims, Kinds};
use std::{collections::BTreeMap, time::Duration};

#[tokio::test]
async fn reports_the_status_of_live_jobs() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (running, finished) = (fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(finished, Settle::Complete(None)).await;
    let mut paused = new_job();
    paused.queue = name("paused");
    fixture.enqueue(std::slice::from_ref(&paused)).await.expect("enqueue");
    fixture.pause(&name("paused")).await.expect("pause");
    let looked = fixture.look(&[running.id, finished.id, paused.id, JobId::new()], &Kinds::All).await.expect("look");
    assert_eq!(looked.len(), 2);
    for job in looked {
        if job.id == running.id {
            let lease_ms = i64::try_from(LEASE.as_millis()).expect("fits");
            assert!(job.lease_ms_left.is_some_and(|left| left > 0 && left <= lease_ms), "{job:?}");
            assert_eq!((job.state, job.claimability), (State::Running, Claimability::NotQueued));
        } else {
            let seen = (job.state, job.claimability, job.lease_ms_left);
            assert_eq!(seen, (State::Queued, Claimability::Paused, None));
        }
    }
}

/// Look, claim and the rules in lib/core agree for each state, pause, kind and number of crashes.
#[tokio::test]
async fn claim_takes_exactly_the_jobs_that_look_calls_claimable() {
    let fixture = Fixture::start().await;
    let mut wanted = BTreeMap::new();
    for state in [State::Blocked, State::Scheduled, State::Queued, State::Running] {
        for (is_paused, is_served, crashes) in [
            (false, true, 0),
            (false, true, 1),
            (false, true, 2),
            (false, false, 0),
            (false, false, 2),
            (true, true, 0),
            (true, true, 1),
            (true, false, 0),
        ] {
            let job = NewJob {
                queue: name(if is_paused { "paused" } else { "open" }),
                kind: kind(if is_served { "mine" } else { "other" }),
                delay: (state == State::Scheduled).then_some(Duration::from_secs(3600)),
                ..NewJob::new(kind("mine"), crate::fixture::json("1"))
            };
            fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
            match state {
                State::Running => drop(fixture.claim_one(WorkerId::new(), job.id).await),
                State::Blocked => fixture.block(job.id).await,
                _ => {}
            }
            fixture.set_crashes(job.id, crashes).await;
            wanted.insert(job.id, Claimability::of(state, is_paused, is_served, crashes, 3));
        }
    }
    let unique = |kind_name: &str| NewJob {
        kind: kind(kind_name),
        queue: name("open"),
        unique_key: Some(kind_name.to_owned()),
        unique: Some(Unique::keep_last()),
        ..NewJob::new(kind("mine"), crate::fixture::json("1"))
    };
    for (kind_name, is_key_held) in [("mine", true), ("other", true)] {
        let (begun, waits) = (unique(kind_name), unique(kind_name));
        fixture.enqueue(std::slice::from_ref(&begun)).await.expect("enqueue");
        fixture.claim_one(WorkerId::new(), begun.id).await;
        fixture.enqueue(std::slice::from_ref(&waits)).await.expect("enqueue");
        let of = |state, is_key_held| Claimability::of(state, false, kind_name == "mine", 0, 3).but(false, is_key_held);
        wanted.insert(begun.id, of(State::Running, false));
        wanted.insert(waits.id, of(State::Queued, is_key_held));
    }
    for kind_name in ["mine", "other"] {
        let overdue = NewJob { expires_in: Some(LEASE), unique_key: None, unique: None, ..unique(kind_name) };
        fixture.enqueue(std::slice::from_ref(&overdue)).await.expect("enqueue");
        wanted.insert(overdue.id, Claimability::of(State::Queued, false, kind_name == "mine", 0, 3).but(true, false));
    }
    for kind_name in ["mine", "other"] {
        let limited = |keys: &str| NewJob {
            limit_keys: vec![keys.to_owned()],
            unique_key: None,
            unique: None,
            ..unique(kind_name)
        };
        let (free, full) = (limited("free"), limited("full"));
        fixture.set_running_limit("full", 0).await;
        fixture.enqueue(&[free.clone(), full.clone()]).await.expect("enqueue");
        let of = |has_room| Claimability::of(State::Queued, false, kind_name == "mine", 0, 3).limited(true, has_room);
        wanted.insert(free.id, of(true));
        wanted.insert(full.id, of(false));
    }
    fixture.make_overdue().await;
    fixture.pause(&name("paused")).await.expect("pause");
    for one in Claimability::ALL {
        let is_there = wanted.values().any(|other| *other == one);
        // A store in memory parks no job. `fair.rs` has the parked ones.
        let is_elsewhere = matches!(one, Claimability::Finished | Claimability::Parked);
        assert_eq!(is_there, !is_elsewhere, "{one:?}");
    }
    let ids: Vec<JobId> = wanted.keys().copied().collect();
    let mine = Kinds::Only(vec![kind("mine")]);
    let looked = fixture.look(&ids, &mine).await.expect("look");
    assert_eq!(looked.into_iter().map(|job| (job.id, job.claimability)).collect::<BTreeMap<_, _>>(), wanted);

    let mut claimed: Vec<JobId> = Vec::new();
    for queue in ["open", "paused"] {
        let jobs = Claims::claim(&*fixture, WorkerId::new(), &name(queue), &ids, &mine, LEASE).await.expect("claim");
        claimed.extend(jobs.into_iter().map(|job| job.fence.id));
    }
    claimed.sort_unstable();
    let takes = wanted.iter().filter(|(_, claimability)| claimability.may_be_claimed());
    assert_eq!(claimed, takes.map(|(id, _)| *id).collect::<Vec<_>>());
}
