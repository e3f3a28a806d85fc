//! Fair shares: the keys of a queue take turns according to their weights, no matter which jobs came first, and jobs of one key
//! keep their order.

use crate::fixture::{Fixture, LEASE, concurrently, kind, new_job};
use leasehold_core::{Claimability, ClaimedJob, FinishedRun, JobId, NewJob, QueueName, Settle, WorkerId};
use leasehold_ports::Kinds;
use leasehold_store::FAIR_WINDOW;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{AssertSqlSafe, Connection as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The size of the window of admitted jobs.
pub(crate) const WINDOW: usize = FAIR_WINDOW as usize;

pub(crate) fn of(key: &str) -> NewJob {
    NewJob { fair_key: Some(key.to_owned()), ..new_job() }
}

/// Jobs of a key.
pub(crate) fn jobs(key: &str, count: usize) -> Vec<NewJob> {
    (0..count).map(|_| of(key)).collect()
}

pub(crate) fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

impl Fixture {
    /// Enqueues jobs as a client does: their keys are admitted after the commit.
    pub(crate) async fn enqueue_fair(&self, jobs: &[NewJob]) {
        let answers = self.enqueue(jobs).await.expect("enqueue");
        assert!(answers.iter().all(|answer| answer.line_at.is_none()), "jobs with fair keys are parked");
        let keys: BTreeSet<String> = jobs.iter().filter_map(|job| job.fair_key.clone()).collect();
        let keys: Vec<String> = keys.into_iter().collect();
        self.admit_fair(&jobs[0].queue, &keys).await.expect("admit");
    }

    pub(crate) async fn fair_line(&self) -> Vec<JobId> {
        self.front(&QueueName::default(), &Kinds::All, 5_000).await.expect("line").ids()
    }

    /// Claims the next jobs of the line, and ends them.
    pub(crate) async fn run_next(&self, worker: WorkerId, count: i64) -> Vec<ClaimedJob> {
        let runs =
            self.claim_line(worker, &QueueName::default(), &Kinds::All, count, LEASE, true).await.expect("claim");
        let end = |run: &ClaimedJob| FinishedRun { fence: run.fence, settle: Settle::Complete(None) };
        let ends: Vec<FinishedRun> = runs.iter().map(end).collect();
        self.settle(worker, &ends).await.expect("settle");
        runs
    }

    pub(crate) async fn parked(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.job WHERE fair_at IS NOT NULL").await
    }

    pub(crate) async fn claimability(&self, id: JobId) -> Claimability {
        self.look(&[id], &Kinds::All).await.expect("look")[0].claimability
    }
}

#[tokio::test]
async fn keys_take_turns_and_jobs_of_one_key_keep_their_order() {
    let fixture = Fixture::start().await;
    let big = jobs("big", 2 * WINDOW);
    fixture.enqueue_fair(&big).await;
    let small: Vec<Vec<NewJob>> = (0..5).map(|nth| jobs(&format!("small{nth}"), 20)).collect();
    for jobs in &small {
        fixture.enqueue_fair(jobs).await;
    }
    let owner: HashMap<JobId, usize> = small
        .iter()
        .enumerate()
        .flat_map(|(nth, jobs)| ids(jobs).into_iter().map(move |id| (id, nth)))
        .chain(ids(&big).into_iter().map(|id| (id, 5)))
        .collect();
    let worker = WorkerId::new();
    let mut begun: Vec<Vec<JobId>> = vec![Vec::new(); 6];
    for _ in 0..120 {
        for run in fixture.run_next(worker, 1).await {
            begun[owner[&run.fence.id]].push(run.fence.id);
        }
        let counts = begun.iter().map(Vec::len);
        let (least, most) = (counts.clone().min().expect("six"), counts.max().expect("six"));
        assert!(most - least <= 2, "while all have work, nobody is more than two turns ahead: {begun:?}");
    }
    for (nth, jobs) in small.iter().chain([&big]).enumerate() {
        assert_eq!(begun[nth], ids(jobs)[..begun[nth].len()], "the order within a key");
    }
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn only_a_window_of_jobs_is_in_the_line_and_claims_refuse_the_others() {
    let fixture = Fixture::start().await;
    let jobs = jobs("a", 3 * WINDOW);
    fixture.enqueue_fair(&jobs).await;
    assert_eq!(fixture.fair_line().await, ids(&jobs)[..WINDOW]);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.jobs WHERE state = 'queued'").await, 3 * WINDOW as i64);
    let stats = fixture.stats().await.expect("stats");
    assert_eq!(stats[0].queued, 3 * WINDOW as i64, "parked jobs wait too");
    let last = jobs.last().expect("a job").id;
    assert_eq!(fixture.claimability(last).await, Claimability::Parked);
    let worker = WorkerId::new();
    assert!(fixture.claim(worker, &[last], &Kinds::All, LEASE).await.expect("claim").is_empty());
    assert!(fixture.claim_careful(worker, &[last], &Kinds::All, 1, LEASE).await.expect("claim").is_empty());
    let record = fixture.record(last).await;
    assert_eq!(record.fair_key.as_deref(), Some("a"));
    let moment = fixture.job_moment(last).await.expect("read").expect("a job");
    let share = moment.share.expect("a share");
    assert_eq!((share.before, share.keys, share.at_least), (2 * WINDOW as u64 - 1, 1, false));
}

#[tokio::test]
async fn a_new_key_begins_within_one_round() {
    let fixture = Fixture::start().await;
    for nth in 0..10 {
        fixture.enqueue_fair(&jobs(&format!("old{nth}"), 200)).await;
    }
    let worker = WorkerId::new();
    for _ in 0..10 {
        fixture.run_next(worker, 30).await;
    }
    let newcomer = of("new");
    fixture.enqueue_fair(std::slice::from_ref(&newcomer)).await;
    let place = fixture.fair_line().await.iter().position(|id| *id == newcomer.id).expect("it is in the line");
    assert!(place <= 11, "{place} jobs are before it: more than one round");
}

#[tokio::test]
async fn weights_share_the_queue_three_to_one_and_a_change_applies_to_the_backlog() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    fixture.set_fair_weight(&queue, "a", 3.0).await.expect("weight");
    let (a, b) = (jobs("a", 1_200), jobs("b", 1_200));
    fixture.enqueue_fair(&a).await;
    fixture.enqueue_fair(&b).await;
    let of_a: BTreeSet<JobId> = ids(&a).into_iter().collect();
    let worker = WorkerId::new();
    let begun = async |jobs: i64| {
        let mut begun = Vec::new();
        for _ in 0..jobs / 20 {
            begun.extend(fixture.run_next(worker, 20).await);
        }
        begun.iter().filter(|run| of_a.contains(&run.fence.id)).count()
    };
    let first = begun(400).await;
    assert!((298..=302).contains(&first), "a had {first} of 400");
    fixture.set_fair_weight(&queue, "a", 1.0).await.expect("weight");
    fixture.set_fair_weight(&queue, "b", 3.0).await.expect("weight");
    let then = begun(400).await;
    assert!((98..=102).contains(&then), "a had {then} of 400 after the change");
    let weights = fixture.fair_weights(&queue).await.expect("weights");
    assert_eq!(weights.iter().map(|set| (set.fair_key.as_str(), set.weight)).collect::<Vec<_>>(), [("b", 3.0)]);
    let refused = fixture.set_fair_weight(&queue, "b", 0.0).await.expect_err("a weight of nothing");
    assert!(refused.to_string().contains("from 0.001 to 1000"), "{refused}");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn to_leave_and_to_come_back_gains_nothing() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    fixture.enqueue_fair(&jobs("steady", 300)).await;
    let mut guest = 0;
    for _ in 0..100 {
        // The guest brings one job whenever it has none.
        if fixture.number("SELECT count(*) FROM leasehold.job WHERE fair_key = 'guest'").await == 0 {
            fixture.enqueue_fair(&jobs("guest", 1)).await;
        }
        for run in fixture.run_next(worker, 1).await {
            guest += usize::from(fixture.record(run.fence.id).await.fair_key.as_deref() == Some("guest"));
        }
        fixture.sql("SELECT leasehold.trim_fair(1000)").await;
    }
    assert!((49..=51).contains(&guest), "the guest had {guest} of 100 turns");
}

/// Of two keys that both have work all the time, neither is ahead by more than one job of each, counted by weight, plus what is
/// claimed at the same time. Checked with random keys, weights, jobs and batches.
#[tokio::test]
async fn no_key_is_ahead_of_another_by_more_than_its_turn() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    let keys: Vec<String> = (0..8).map(|nth| format!("key{nth}")).collect();
    let weights: Vec<f64> = (0..8).map(|_| [0.5, 1.0, 1.0, 2.0, 4.0][random.random_range(0..5)]).collect();
    let mut batches: Vec<Vec<NewJob>> = Vec::new();
    for (key, weight) in keys.iter().zip(&weights) {
        fixture.set_fair_weight(&queue, key, *weight).await.expect("weight");
        // All of them have work until the end.
        batches.extend((0..4).map(|_| jobs(key, 150)));
    }
    for nth in (1..batches.len()).rev() {
        batches.swap(nth, random.random_range(0..=nth));
    }
    let mut owner = HashMap::new();
    for batch in &batches {
        owner.extend(batch.iter().map(|job| (job.id, job.fair_key.clone().expect("a key"))));
        fixture.enqueue_fair(batch).await;
    }
    let worker = WorkerId::new();
    let mut got: BTreeMap<String, f64> = keys.iter().map(|key| (key.clone(), 0.0)).collect();
    for _ in 0..40 {
        let count = random.random_range(1..=30);
        for run in fixture.run_next(worker, count).await {
            *got.get_mut(&owner[&run.fence.id]).expect("a key") += 1.0;
        }
        let turns: Vec<f64> = keys.iter().zip(&weights).map(|(key, weight)| got[key] / weight).collect();
        let (least, most) =
            turns.iter().fold((f64::MAX, 0.0_f64), |(least, most), &turn| (least.min(turn), most.max(turn)));
        assert!(most - least <= 4.0, "{turns:?}");
    }
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn locked_rows_hold_up_nobody_else() {
    let fixture = Fixture::start().await;
    let (a, b) = (jobs("a", 3 * WINDOW), jobs("b", 3 * WINDOW));
    fixture.enqueue_fair(&a).await;
    fixture.enqueue_fair(&b).await;
    // An admitted row, and the next parked rows of one key.
    let in_line = fixture.fair_line().await;
    let mut other = fixture.connection().await;
    let mut transaction = other.begin().await.expect("begin");
    let lock = format!(
        "SELECT FROM leasehold.job WHERE id = '{}' OR id IN (
            SELECT id FROM leasehold.job WHERE fair_key = 'b' AND fair_at IS NOT NULL ORDER BY fair_at, id LIMIT 50) FOR UPDATE",
        in_line[0]
    );
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.expect("lock");
    let worker = WorkerId::new();
    let mut begun = 0;
    for _ in 0..150 {
        begun += fixture.run_next(worker, 20).await.len();
    }
    assert!(begun >= 2_900, "only {begun} of 2,949 jobs ran while 51 rows were locked");
    // A new key does not get more than its turn because of the row that is stuck.
    fixture.enqueue_fair(&jobs("c", WINDOW)).await;
    transaction.rollback().await.expect("rollback");
    while !fixture.run_next(worker, 50).await.is_empty() {}
    fixture.admit_fair_next("", 10).await.expect("admit");
    while !fixture.run_next(worker, 50).await.is_empty() {}
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn a_kind_that_nobody_runs_takes_no_room_of_others() {
    let fixture = Fixture::start().await;
    let foreign: Vec<NewJob> =
        jobs("a", WINDOW + 5).into_iter().map(|job| NewJob { kind: kind("nobody"), ..job }).collect();
    fixture.enqueue_fair(&foreign).await;
    let own = jobs("a", 5);
    fixture.enqueue_fair(&own).await;
    let kinds = Kinds::Only(vec![kind("k")]);
    assert_eq!(fixture.front(&QueueName::default(), &kinds, 100).await.expect("line").ids().len(), 5);
}

#[tokio::test]
async fn many_admitters_at_once_admit_each_job_once() {
    let fixture = Fixture::with_connections(16).await;
    let batches: Vec<Vec<NewJob>> = (0..16).map(|nth| jobs(&format!("key{nth}"), 200)).collect();
    concurrently(batches.iter().map(|jobs| fixture.enqueue_fair(jobs))).await;
    let queue = QueueName::default();
    concurrently((0..64).map(|_| fixture.admit_fair(&queue, &[]))).await;
    let in_line = fixture.fair_line().await.len();
    assert!((WINDOW / 2..=WINDOW * 3 / 2).contains(&in_line), "{in_line} are in the line");
    let twice = "SELECT count(*) FROM (SELECT FROM leasehold.job WHERE fair_tag IS NOT NULL GROUP BY fair_key, fair_tag HAVING count(*) > 1) t";
    assert_eq!(fixture.number(twice).await, 0, "no tag was given twice");
    let nth = "SELECT count(*) - count(DISTINCT fair_nth) FROM leasehold.job WHERE fair_tag IS NOT NULL";
    assert_eq!(fixture.number(nth).await, 0, "no number was given twice");
    let worker = WorkerId::new();
    let mut begun = 0;
    loop {
        let runs = fixture.run_next(worker, 50).await.len();
        begun += runs;
        if runs == 0 && fixture.admit_fair_next("", 10).await.expect("admit").waiting.is_empty() {
            break;
        }
    }
    assert_eq!(begun, 3_200);
    fixture.keeps_the_invariants().await;
}
