//! Unique keys under random interleavings of enqueue, claim, settle, cancel, expire and promote by several connections: of each
//! key at most one job runs and at most one waits, and the job that waits is the last one that was enqueued.
//!
//! Each seed is one mix of rules and ends. The interleaving is the server's, so a seed does not repeat a run exactly; what must
//! hold does not depend on it.

use crate::fixture::{Fixture, LEASE, json, name, new_job};
use leasehold_core::{Fence, JobId, NewJob, Settle, Settled, State, Unique, WorkerId};
use leasehold_ports::{Claims, Kinds};
use sqlx::Row;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const KEYS: usize = 3;
const SUBMISSIONS: u32 = 60;

/// A small generator of random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What all connections have seen together.
#[derive(Default)]
struct Seen {
    /// The last number that was accepted for each job.
    submitted: Mutex<BTreeMap<JobId, u32>>,
    /// The number that each job had in each of its runs.
    claimed: Mutex<Vec<(JobId, u32)>>,
    is_over: AtomicBool,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// Enqueues the numbers of one key in order, so the last number is known.
async fn submit(fixture: &Fixture, seen: &Seen, key: usize, unique: &Unique, mut dice: Dice) {
    for number in 0..SUBMISSIONS {
        let job = NewJob {
            unique_key: Some(format!("key {key}")),
            unique: Some(unique.clone()),
            payload: json(&number.to_string()),
            delay: (dice.roll(4) == 0).then_some(Duration::from_millis(5)),
            max_attempts: 3,
            ..new_job()
        };
        let answer = fixture.enqueue(&[job]).await.expect("enqueue").remove(0);
        assert!(answer.inserted || answer.replaced, "the first place can always be had: {answer:?}");
        let before = seen.submitted.lock().expect("unpoisoned").insert(answer.id, number);
        assert_eq!(before.is_some(), answer.replaced, "{answer:?}");
        if dice.roll(3) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Claims jobs in all ways, and ends their runs in all ways.
async fn work(fixture: &Fixture, seen: &Seen, mut dice: Dice) {
    let worker = WorkerId::new();
    let mut runs: Vec<Fence> = Vec::new();
    while seen.goes_on() || !runs.is_empty() {
        let ids: Vec<JobId> = seen.submitted.lock().expect("unpoisoned").keys().rev().take(9).copied().collect();
        let claimed = match dice.roll(3) {
            0 => Claims::claim_line(&**fixture, worker, &name("default"), &Kinds::All, 2, LEASE, true).await,
            1 => fixture.claim_careful(worker, &ids, &Kinds::All, 2, LEASE).await,
            _ => fixture.claim(worker, &ids, &Kinds::All, LEASE).await,
        };
        for job in claimed.expect("claim") {
            let number = job.payload.get().parse().expect("a number");
            seen.claimed.lock().expect("unpoisoned").push((job.fence.id, number));
            runs.push(job.fence);
        }
        if runs.is_empty() {
            continue;
        }
        let fence = runs.swap_remove(dice.roll(runs.len() as u64) as usize);
        let settle = match dice.roll(8) {
            0 => Settle::Retry { delay: Duration::ZERO, error: "no".into() },
            1 => Settle::Snooze { delay: Duration::from_millis(dice.roll(5)), reason: None },
            2 => Settle::Release,
            3 => Settle::Bury { error: "no".into() },
            4 => {
                fixture.end_lease(fence.id).await;
                continue;
            }
            _ => Settle::Complete(None),
        };
        loop {
            match fixture.settle_one(fence, settle.clone()).await {
                Settled::Locked => {}
                Settled::CancelWanted => drop(fixture.settle_one(fence, Settle::Cancel).await),
                _ => break,
            }
        }
    }
}

/// Does what a reaper does, and cancels a job now and then.
async fn tend(fixture: &Fixture, seen: &Seen, mut dice: Dice) {
    while seen.goes_on() {
        fixture.promote(100, None).await.expect("promote");
        fixture.expire(100, None).await.expect("expire");
        let newest = seen.submitted.lock().expect("unpoisoned").keys().next_back().copied();
        if let Some(id) = newest.filter(|_| dice.roll(10) == 0) {
            fixture.cancel(&[id]).await.expect("cancel");
        }
    }
}

/// Counts the jobs of each key in one snapshot after the other.
async fn observe(fixture: &Fixture, seen: &Seen, is_serial: bool) -> u32 {
    let query = "SELECT coalesce(unique_key, begun_key)::text, count(*) FILTER (WHERE state = 'running'),
                        count(*) FILTER (WHERE begun_key IS NOT NULL), count(*) FILTER (WHERE unique_key IS NOT NULL)
                 FROM leasehold.job GROUP BY 1";
    let mut both = 0;
    while seen.goes_on() {
        for row in sqlx::query(query).fetch_all(fixture.pool()).await.expect("a snapshot") {
            let [running, begun, waiting]: [i64; 3] = [1, 2, 3].map(|column| row.get(column));
            let what = format!("{}: {running} run, {begun} have begun, {waiting} wait", row.get::<String, _>(0));
            assert!(waiting <= 1, "{what}");
            assert!(!is_serial || running <= 1 && begun <= 1, "{what}");
            both += u32::from(begun == 1 && waiting == 1);
        }
    }
    both
}

/// Returns how often a snapshot has seen a job that waits beside one that has begun.
async fn random_interleaving(seed: u64, unique: Unique, is_serial: bool) -> u32 {
    let fixture = Fixture::with_connections(12).await;
    let seen = Seen::default();
    let dice =
        |nth: u64| Dice((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (nth + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9));
    let submissions = async {
        let of_key = |key| submit(&fixture, &seen, key, &unique, dice(key as u64));
        crate::fixture::concurrently((0..KEYS).map(of_key)).await;
        seen.is_over.store(true, Ordering::Relaxed);
    };
    let workers = crate::fixture::concurrently((0..3).map(|nth| work(&fixture, &seen, dice(10 + nth))));
    let (.., both) =
        tokio::join!(submissions, workers, tend(&fixture, &seen, dice(20)), observe(&fixture, &seen, is_serial));

    let submitted = seen.submitted.into_inner().expect("unpoisoned");
    let claimed = seen.claimed.into_inner().expect("unpoisoned");
    assert!(claimed.len() > KEYS && submitted.len() > KEYS, "seed {seed}: {claimed:?}");
    for (id, number) in &claimed {
        assert_eq!(
            submitted.get(id),
            Some(number),
            "seed {seed}: {id} did not run with the last number that it was given"
        );
    }
    // The last number of each key was given to a job that waits, has run, or was cancelled: it was not lost.
    let last: Vec<JobId> =
        submitted.iter().filter(|(_, number)| **number == SUBMISSIONS - 1).map(|(id, _)| *id).collect();
    assert_eq!(last.len(), KEYS, "seed {seed}");
    for id in last {
        let record = fixture.record(id).await;
        let has_run = claimed.iter().any(|(other, _)| *other == id);
        let waits = matches!(record.state, State::Queued | State::Scheduled);
        assert!(has_run || waits || record.state == State::Cancelled, "seed {seed}: {record:?}");
        assert_eq!(record.payload.get(), (SUBMISSIONS - 1).to_string());
    }
    assert!(fixture.violations().await.expect("violations").is_empty());
    both
}

/// The interleavings of some seeds. One of them alone may pass without the moment in which a job waits beside one that has begun.
async fn random_interleavings(seeds: std::ops::Range<u64>, unique: Unique, is_serial: bool) {
    let mut both = 0;
    for seed in seeds {
        both += random_interleaving(seed, unique.clone(), is_serial).await;
    }
    assert!(both > 0, "no snapshot has seen a job that waits beside one that has begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_last_has_one_that_runs_and_one_that_waits() {
    random_interleavings(0..3, Unique::keep_last(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_queued_one_waits_and_replacements_are_not_lost() {
    random_interleavings(10..13, Unique::while_queued().replace(), false).await;
}
