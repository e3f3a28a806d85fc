//! Fair shares and the order of jobs: within a key by priority and time, beside limits, and beside plain jobs.

use crate::{
    fair::{WINDOW, ids, jobs},
    fixture::{Fixture, name, new_job, retry},
};
use leasehold_core::{Claimability, JobId, NewJob, Place, QueueName, Settle, WorkerId};
use leasehold_ports::STRICT_PRIORITY_STEP;
use leasehold_store::KeyLimit;
use std::collections::{BTreeMap, HashMap};

#[tokio::test]
async fn a_retry_goes_back_to_the_lane_and_a_release_keeps_its_place() {
    let fixture = Fixture::start().await;
    let jobs = jobs("a", 3);
    fixture.enqueue_fair(&jobs).await;
    let worker = WorkerId::new();
    let run = fixture.claim_one(worker, jobs[0].id).await;
    fixture.settle_one(run.fence, Settle::Release).await;
    assert_eq!(fixture.fair_line().await, ids(&jobs), "it is where it was");
    let run = fixture.claim_one(worker, jobs[0].id).await;
    fixture.settle_one(run.fence, retry()).await;
    let due = fixture.promote(10, None).await.expect("promote").jobs;
    assert_eq!(
        due.iter().map(|job| (job.id, job.is_in_line)).collect::<Vec<_>>(),
        [(jobs[0].id, true)],
        "admitted at once"
    );
    let line = fixture.fair_line().await;
    assert_eq!(line.last(), Some(&jobs[0].id), "it has paid for another turn");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_job_needs_its_turn_and_then_room_of_its_limit_key() {
    let fixture = Fixture::start().await;
    fixture.set_limit("one", &KeyLimit { running: Some(1), ..KeyLimit::default() }).await.expect("limit");
    let limited: Vec<NewJob> =
        jobs("a", 4).into_iter().map(|job| NewJob { limit_keys: vec!["one".into()], ..job }).collect();
    fixture.enqueue_fair(&limited).await;
    fixture.enqueue_fair(&jobs("b", 2)).await;
    let line = fixture.fair_line().await;
    assert_eq!(line.len(), 3, "one of a, which has room, and both of b");
    assert_eq!(fixture.claimability(limited[1].id).await, Claimability::KeyFull);
    let worker = WorkerId::new();
    let mut begun = 0;
    while begun < 6 {
        let runs = fixture.run_next(worker, 10).await;
        assert!(!runs.is_empty(), "{begun} of 6 ran");
        begun += runs.len();
    }
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn the_priority_orders_a_lane_and_a_move_parks_in_the_new_queue() {
    let fixture = Fixture::start().await;
    let waiting = jobs("a", WINDOW + 10);
    fixture.enqueue_fair(&waiting).await;
    let urgent = waiting[WINDOW + 9].id;
    let placed = fixture.place(&[urgent], &Place::Priority(5)).await.expect("place");
    assert!(placed[0].changed && placed[0].line_at.is_none(), "it stays parked");
    let admitted = waiting[0].id;
    let placed = fixture.place(&[admitted], &Place::Priority(-5)).await.expect("place");
    assert!(placed[0].changed, "an admitted job keeps its turn until a reaper looks");
    assert_eq!(fixture.fair_line().await[0], admitted);
    fixture.admit_fair_next("", 10).await.expect("a tick");
    let line = fixture.fair_line().await;
    assert_eq!((line[0], line[1], line.len()), (urgent, waiting[1].id, WINDOW), "the urgent job has the first turn");
    assert!(!line.contains(&admitted), "the other one is in the lane, behind all others");
    let moved = fixture.place(&[waiting[WINDOW + 8].id], &Place::Queue(name("other"))).await.expect("move");
    assert!(moved[0].changed && moved[0].line_at.is_none());
    let admitted = fixture.admit_fair_next("", 10).await.expect("admit").waiting;
    assert_eq!(admitted.iter().map(|job| job.queue.as_str()).collect::<Vec<_>>(), ["other"]);
    fixture.keeps_the_invariants().await;
}

/// Jobs of a key, with a priority.
fn jobs_with(key: &str, count: usize, priority: i16) -> Vec<NewJob> {
    jobs(key, count).into_iter().map(|job| NewJob { priority, ..job }).collect()
}

#[tokio::test]
async fn an_urgent_job_is_the_next_of_its_key() {
    for step in [None, Some(STRICT_PRIORITY_STEP)] {
        let fixture = Fixture::start().await;
        let queue = QueueName::default();
        if let Some(step) = step {
            fixture.set_priority_step(&queue, step).await.expect("a step");
        }
        // One window that is full, and later one that has room.
        for key in [jobs("a", 2 * WINDOW), jobs("a", 10)] {
            fixture.sql("TRUNCATE leasehold.job, leasehold.fair_tag, leasehold.fair_window CASCADE").await;
            fixture.enqueue_fair(&key).await;
            let urgent = jobs_with("a", 1, 100);
            fixture.enqueue(&urgent).await.expect("enqueue");
            let admitted = fixture.admit_fair(&queue, &["a".to_owned()]).await.expect("admit");
            let told: Vec<bool> = admitted.iter().filter(|job| job.id == key[0].id).map(|job| job.is_in_line).collect();
            assert_eq!(told, [false, true], "its old hint is forgotten before the new one comes");
            let line = fixture.fair_line().await;
            assert_eq!(line[0], urgent[0].id);
            assert_eq!(line[1..], ids(&key)[..line.len() - 1], "the others keep their order");
            assert_eq!(fixture.position(urgent[0].id, 1_000).await.expect("read"), Some(0));
            // The priorities of a parked job and of an admitted job are raised. Their order follows their positions.
            let (last, third) = (key[key.len() - 1].id, key[2].id);
            fixture.place(&[last], &Place::Priority(90)).await.expect("place");
            fixture.place(&[third], &Place::Priority(80)).await.expect("place");
            fixture.admit_fair_next("", 10).await.expect("a tick");
            let line = fixture.fair_line().await;
            assert_eq!(line[..5], [urgent[0].id, last, third, key[0].id, key[1].id]);
            assert_eq!(fixture.position(third, 1_000).await.expect("read"), Some(2));
            assert!(fixture.admit_fair_next("", 10).await.expect("a tick").waiting.is_empty(), "all is in order");
            fixture.keeps_the_invariants().await;
            let worker = WorkerId::new();
            let mut begun = Vec::new();
            while begun.len() <= key.len() {
                let runs = fixture.run_next(worker, 20).await;
                assert!(!runs.is_empty(), "{} have begun", begun.len());
                begun.extend(runs.into_iter().map(|run| run.fence.id));
            }
            let rest: Vec<JobId> = ids(&key).into_iter().filter(|id| *id != last && *id != third).collect();
            assert_eq!(begun, [&[urgent[0].id, last, third], &rest[..]].concat());
        }
    }
}

#[tokio::test]
async fn urgent_jobs_of_a_key_gain_nothing_against_other_keys() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    fixture.set_fair_weight(&queue, "b", 2.0).await.expect("weight");
    let mut owner = HashMap::new();
    for key in ["a", "b", "c"] {
        let jobs = jobs(key, 2 * WINDOW);
        owner.extend(ids(&jobs).into_iter().map(|id| (id, key)));
        fixture.enqueue_fair(&jobs).await;
    }
    let urgent = jobs_with("a", 60, 50);
    owner.extend(ids(&urgent).into_iter().map(|id| (id, "a")));
    fixture.enqueue_fair(&urgent[..1]).await;
    fixture.enqueue_fair(&urgent[1..]).await;
    let worker = WorkerId::new();
    let (mut got, mut of_a) = (BTreeMap::<&str, i64>::new(), Vec::new());
    for nth in 1..=40 {
        for run in fixture.run_next(worker, 10).await {
            let key = owner[&run.fence.id];
            *got.entry(key).or_insert(0) += 1;
            if key == "a" {
                of_a.push(run.fence.id);
            }
        }
        let (a, b, c) = (got["a"], got["b"], got["c"]);
        assert!((a - c).abs() <= 2 && (b - 2 * a).abs() <= 4, "after {nth} rounds: {got:?}");
    }
    assert_eq!(of_a[..60], ids(&urgent), "and they are the first of their key");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn plain_jobs_and_fair_jobs_of_one_queue_go_by_the_time_at_which_they_came() {
    let fixture = Fixture::start().await;
    let plain: Vec<NewJob> = (0..30).map(|_| new_job()).collect();
    fixture.enqueue(&plain[..10]).await.expect("enqueue");
    let fair = jobs("a", 10);
    fixture.enqueue_fair(&fair).await;
    fixture.enqueue(&plain[10..]).await.expect("enqueue");
    let wanted = [&ids(&plain[..10])[..], &ids(&fair), &ids(&plain[10..])].concat();
    assert_eq!(fixture.fair_line().await, wanted);
}
