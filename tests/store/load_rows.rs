//! What queues could run, where only PostgreSQL has the feature: lanes of fair keys, several limit keys, rates, unique keys that are
//! held.

use crate::{
    fixture::{Fixture, LEASE, kind, name, new_job},
    loads::all_of,
};
use leasehold_core::{NewJob, OnConflict, QueueName, Settle, Unique, WorkerId};
use leasehold_ports::{Kinds, LoadQuestion, QueueLoad};
use leasehold_store::{FAIR_WINDOW, KeyLimit};
use std::collections::BTreeMap;

impl Fixture {
    async fn everything(&self) -> QueueLoad {
        self.load(all_of(&QueueName::default()), &[]).await
    }

    async fn enqueue_all(&self, jobs: Vec<NewJob>) {
        self.enqueue(&jobs).await.expect("enqueue");
        let mut keys: Vec<String> = jobs.iter().filter_map(|job| job.fair_key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            self.admit_fair(&jobs[0].queue, &keys).await.expect("admit");
        }
    }
}

fn times(count: usize, job: impl Fn() -> NewJob) -> Vec<NewJob> {
    (0..count).map(|_| job()).collect()
}

fn fair(key: &str) -> NewJob {
    new_job().with(|job| job.fair_key = Some(key.to_owned()))
}

fn limited(keys: &[&str]) -> NewJob {
    new_job().with(|job| job.limit_keys = keys.iter().map(|key| (*key).to_owned()).collect())
}

/// How many jobs wait for each set of keys.
fn groups(load: &QueueLoad) -> BTreeMap<String, u64> {
    let mut groups = BTreeMap::new();
    for group in &load.limited {
        *groups.entry(group.keys.join("+")).or_default() += group.waiting;
    }
    groups
}

#[tokio::test]
async fn parked_jobs_count_and_those_of_a_paused_fair_key_do_not() {
    let fixture = Fixture::start().await;
    let many = usize::try_from(FAIR_WINDOW).expect("a count") + 100;
    fixture.enqueue_all(times(many, || fair("big"))).await;
    fixture.enqueue_all(times(7, || fair("small"))).await;
    let parked = fixture.number("SELECT count(*) FROM leasehold.job WHERE fair_at IS NOT NULL").await;
    assert!(parked >= 100, "{parked} jobs are parked");
    assert_eq!(fixture.everything().await.waiting, many as u64 + 7);

    // One job of the key comes back to the line from a worker while the key is paused.
    let worker = WorkerId::new();
    let runs = fixture.claim_line(worker, &QueueName::default(), &Kinds::All, 1, LEASE, true).await.expect("claim");
    assert_eq!(fixture.record(runs[0].fence.id).await.fair_key.as_deref(), Some("big"));
    fixture.pause_fair_key(&QueueName::default(), "big").await.expect("pause");
    fixture.settle_one(runs[0].fence, Settle::Release).await;
    let load = fixture.everything().await;
    assert_eq!((load.waiting, load.running), (7, 0), "{load:?}");
    fixture.resume_fair_key(&QueueName::default(), "big").await.expect("resume");
    assert_eq!(fixture.everything().await.waiting, many as u64 + 7);
}

#[tokio::test]
async fn parked_jobs_with_limit_keys_are_counted_by_key() {
    let fixture = Fixture::start().await;
    fixture.set_running_limit("l", 4).await;
    let both = || fair("f").with(|job| job.limit_keys = vec!["l".to_owned()]);
    let many = usize::try_from(FAIR_WINDOW).expect("a count") + 50;
    fixture.enqueue_all(times(many, both)).await;
    fixture.enqueue_all(times(3, || fair("f"))).await;
    let load = fixture.everything().await;
    assert_eq!(load.waiting, 3, "{load:?}");
    assert_eq!(load.rooms.get("l"), Some(&4), "{load:?}");
    assert!(groups(&load)["l"] >= 4, "{load:?}");
}

#[tokio::test]
async fn keys_of_one_job_are_told_together_with_the_room_of_each() {
    let fixture = Fixture::start().await;
    for (key, most) in [("all", 5), ("t:*", 2)] {
        fixture.set_running_limit(key, most).await;
    }
    for tenant in ["t:1", "t:2", "t:3"] {
        fixture.enqueue_all(times(6, || limited(&[tenant, "all"]))).await;
    }
    fixture.enqueue_all(times(9, || limited(&["t:9"]).with(|job| job.queue = name("other")))).await;
    let load = fixture.everything().await;
    assert_eq!(load.waiting, 0, "{load:?}");
    let rooms: BTreeMap<String, u64> =
        [("all", 5), ("t:1", 2), ("t:2", 2), ("t:3", 2)].map(|(key, room)| (key.to_owned(), room)).into();
    assert_eq!(load.rooms, rooms);
    let groups = groups(&load);
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["t:1+all", "t:2+all", "t:3+all"], "{load:?}");
    assert!(groups.values().all(|waiting| *waiting >= 2), "{load:?}");
    let of_none = LoadQuestion { kinds: Kinds::Only(vec![kind("x")]), ..all_of(&QueueName::default()) };
    assert_eq!(fixture.load(of_none, &[]).await.limited, []);
}

#[tokio::test]
async fn the_tokens_of_a_rate_are_room() {
    let fixture = Fixture::start().await;
    let slow = KeyLimit { rate: Some("1/h".to_owned()), burst: Some(3), ..KeyLimit::default() };
    fixture.set_limit("r", &slow).await.expect("limit");
    fixture.enqueue_all(times(10, || limited(&["r"]))).await;
    assert_eq!(fixture.everything().await.rooms.get("r"), Some(&3));
    let runs = fixture.claim_line(WorkerId::new(), &QueueName::default(), &Kinds::All, 10, LEASE, true).await;
    assert_eq!(runs.expect("claim").len(), 3);
    let load = fixture.everything().await;
    assert_eq!((load.running, groups(&load).len()), (3, 0), "{load:?}");
}

#[tokio::test]
async fn a_job_whose_unique_key_is_held_is_no_demand() {
    let fixture = Fixture::start().await;
    let last = || {
        new_job().with(|job| {
            job.unique_key = Some("u".to_owned());
            job.unique = Some(Unique { on_conflict: OnConflict::KeepLast, ..Unique::default() });
        })
    };
    fixture.enqueue_all(vec![last()]).await;
    assert_eq!(fixture.everything().await.waiting, 1);
    let runs = fixture.claim_line(WorkerId::new(), &QueueName::default(), &Kinds::All, 1, LEASE, true).await;
    assert_eq!(runs.expect("claim").len(), 1);
    fixture.enqueue_all(vec![last(), new_job()]).await;
    let load = fixture.everything().await;
    assert_eq!((load.running, load.waiting), (1, 1), "only the plain job could start: {load:?}");
}
