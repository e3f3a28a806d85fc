//! The counts of jobs: after any change of jobs they equal a full count of all jobs, before a fold and after it.

use crate::{
    fixture::{Fixture, LEASE, kind, name, new_job},
    sessions_of_users::{Session, open},
};
use leasehold_core::{FinishedRun, JobId, NewJob, Place, QueueName, Settle, WorkerId};
use leasehold_ports::{Claims, Kinds};
use leasehold_store::QueueStats;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const QUEUES: [&str; 3] = ["a", "b", "c"];
/// The programs of the random test, and the number of calls that each of them makes.
const PROGRAMS: u64 = 4;
const CALLS: u32 = 120;

impl Fixture {
    /// No count differs from the rows. The check has one snapshot, so it may run while jobs move.
    async fn counts_are_right(&self) {
        let found = self.violations().await.expect("violations");
        let wrong: Vec<_> = found.iter().filter(|found| found.check == "counts_differ").collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    async fn stats_of(&self, queue: &str) -> QueueStats {
        let stats = self.stats().await.expect("stats");
        stats.into_iter().find(|of| of.queue == queue).unwrap_or_else(|| panic!("{queue} is not listed"))
    }

    /// The counts of a queue: blocked, scheduled, queued, running.
    async fn live_in(&self, queue: &str) -> [i64; 4] {
        let of = self.stats_of(queue).await;
        [of.blocked, of.scheduled, of.queued, of.running]
    }

    /// The jobs of a queue that ended in the last minute: succeeded, dead, cancelled.
    async fn ended_in(&self, queue: &str) -> [i64; 3] {
        let of = self.stats_of(queue).await;
        [of.succeeded_last_minute, of.dead_last_minute, of.cancelled_last_minute]
    }

    /// Folds, whatever the time.
    async fn fold(&self) {
        self.sql("UPDATE leasehold.count_change SET at = at - interval '6 seconds'").await;
        self.fold_counts().await.expect("a fold");
        let left = self.number("SELECT count(*) FROM leasehold.count_change").await;
        assert_eq!(left, 0, "all changes are folded");
    }
}

fn any(random: &mut StdRng, most: usize) -> usize {
    random.random_range(0..most)
}

fn a_queue(random: &mut StdRng) -> QueueName {
    name(QUEUES[any(random, QUEUES.len())])
}

/// Some jobs with different words.
fn some_jobs(random: &mut StdRng) -> Vec<NewJob> {
    let queue = a_queue(random);
    let job = |random: &mut StdRng| {
        new_job().with(|job| {
            job.queue = queue.clone();
            job.kind = kind(["k", "l"][any(random, 2)]);
            match any(random, 8) {
                0 => job.delay = Some(Duration::from_secs(600)),
                1 => job.priority = 7,
                2 => job.unique_key = Some(format!("key {}", any(random, 4))),
                3 => job.limit_keys = vec!["limit".to_owned()],
                4 => job.fair_key = Some("fair".to_owned()),
                5 => job.max_attempts = 1,
                _ => {}
            }
        })
    };
    (0..=any(random, 6)).map(|_| job(random)).collect()
}

/// One program: calls whatever changes jobs, in a random order.
async fn program(fixture: &Fixture, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let worker = WorkerId::new();
    let mut known: Vec<JobId> = Vec::new();
    for _ in 0..CALLS {
        let some = |random: &mut StdRng, known: &[JobId]| -> Vec<JobId> {
            (0..5.min(known.len())).map(|_| known[any(random, known.len())]).collect()
        };
        match any(&mut random, 12) {
            0..=2 => {
                let jobs = some_jobs(&mut random);
                known.extend(jobs.iter().map(|job| job.id));
                fixture.enqueue(&jobs).await.expect("enqueue");
            }
            3..=5 => {
                let queue = a_queue(&mut random);
                let most = 1 + any(&mut random, 6);
                let runs = Claims::claim_line(&**fixture, worker, &queue, &Kinds::All, most as i64, LEASE, true).await;
                let runs = runs.expect("claim");
                let mut ends = Vec::new();
                for run in runs {
                    let settle = match any(&mut random, 7) {
                        0 => Settle::Retry { delay: Duration::ZERO, error: "no".into() },
                        1 => Settle::Release,
                        2 => Settle::Bury { error: "no".into() },
                        3 => continue,
                        _ => Settle::Complete(None),
                    };
                    ends.push(FinishedRun { fence: run.fence, settle });
                }
                fixture.settle(worker, &ends).await.expect("settle");
            }
            6 => {
                let ids = some(&mut random, &known);
                fixture.cancel_free(&ids, None).await.map(drop).expect("cancel");
            }
            7 => {
                let ids = some(&mut random, &known);
                fixture.revive_free(&ids).await.map(drop).expect("revive");
            }
            8 => {
                let ids = some(&mut random, &known);
                let place = match any(&mut random, 2) {
                    0 => Place::Priority(3),
                    _ => Place::Queue(a_queue(&mut random)),
                };
                fixture.place(&ids, &place).await.expect("place");
            }
            9 => {
                let queue = a_queue(&mut random);
                fixture.purge(&queue, 3).await.expect("purge");
            }
            10 => {
                fixture
                    .sql(
                        "UPDATE leasehold.job SET run_at = now() - interval '1 second' WHERE id = ANY (ARRAY(
                             SELECT id FROM leasehold.job WHERE state = 'scheduled' LIMIT 5 FOR UPDATE SKIP LOCKED));
                         UPDATE leasehold.job SET lease_expires_at = now() - interval '1 second' WHERE id = ANY (ARRAY(
                             SELECT id FROM leasehold.job WHERE state = 'running' LIMIT 2 FOR UPDATE SKIP LOCKED))",
                    )
                    .await;
                fixture.promote(10, None).await.expect("promote");
                fixture.expire(10, None).await.expect("expire");
                fixture.lapse(10).await.expect("lapse");
            }
            _ => by_sql(fixture, &mut random).await,
        }
    }
}

/// Transactions of a user: some are rolled back, in whole or to a savepoint, and some end with their session.
async fn by_sql(fixture: &Fixture, random: &mut StdRng) {
    let enqueue = |queue: &str| format!("SELECT leasehold.enqueue('k', '{{}}', queue => '{queue}')");
    let (one, other) = (enqueue(QUEUES[any(random, 3)]), enqueue(QUEUES[any(random, 3)]));
    let mut session = open(fixture, &one).await;
    match any(random, 5) {
        0 => session.says("COMMIT").await,
        1 => session.says("ROLLBACK").await,
        2 => session.says(&format!("SAVEPOINT s; {other}; ROLLBACK TO s; COMMIT")).await,
        3 => session.says(&format!("SAVEPOINT s; {other}; RELEASE s; COMMIT")).await,
        _ => {
            let pid = session.pid().await;
            fixture.sql(format!("SELECT pg_terminate_backend({pid}, 10000)")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_right_whatever_happens_and_whoever_folds() {
    let fixture = Fixture::with_connections(16).await;
    fixture.sql("INSERT INTO leasehold.key_limit (key, running) VALUES ('limit', 2)").await;
    fixture.sql("INSERT INTO leasehold.queue (name, fair) VALUES ('a', true)").await;
    let is_over = AtomicBool::new(false);
    let programs = async {
        let all = (0..PROGRAMS).map(|seed| program(&fixture, seed));
        futures_util::future::join_all(all).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let folding = async {
        let (mut folded, mut round) = (0, 0_u32);
        while !is_over.load(Ordering::Relaxed) {
            round += 1;
            if round.is_multiple_of(40) {
                fixture.recount().await.expect("a recount");
            }
            folded += fixture.fold_counts().await.expect("a fold");
        }
        folded
    };
    let looking = async {
        let mut looks = 0;
        while !is_over.load(Ordering::Relaxed) {
            fixture.counts_are_right().await;
            looks += 1;
        }
        looks
    };
    let ((), folded, looks) = tokio::join!(programs, folding, looking);
    fixture.counts_are_right().await;
    fixture.fold().await;
    fixture.counts_are_right().await;
    assert!(folded > 0 && looks > 0, "{folded} changes were folded, and {looks} looks found nothing");
    assert!(fixture.number("SELECT count(*) FROM leasehold.history").await > 0);
}

#[tokio::test]
async fn a_transaction_sees_its_own_changes_and_others_see_them_when_it_commits() {
    let fixture = Fixture::start().await;
    fixture.queued().await;
    let mut session = open(&fixture, "SELECT leasehold.enqueue('k', '{}')").await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 1, 0]);
    // The fold sees that the transaction is open, and a later reader counts its changes apart.
    fixture.fold_while_open().await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 1, 0]);
    session.says("COMMIT").await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
    fixture.fold().await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
    let snapshots = fixture.number("SELECT count(*) FROM leasehold.count_fold").await;
    assert_eq!(snapshots, 3, "the first fold, and two more");
}

impl Fixture {
    /// Folds what can be seen: the changes of open transactions are left.
    async fn fold_while_open(&self) {
        self.sql("UPDATE leasehold.count_change SET at = at - interval '6 seconds'").await;
        assert!(self.fold_counts().await.expect("a fold") > 0);
    }
}

/// Rows that a reader of an old snapshot may still need stay in the tables. Others do not read them.
#[tokio::test]
async fn an_old_snapshot_sees_its_own_counts() {
    let fixture = Fixture::start().await;
    fixture.queued().await;
    let mut old = Session::of(&fixture).await;
    let counts = sum_of("queued");
    old.says(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM ({counts}) s")).await;
    for _ in 0..3 {
        fixture.queued().await;
        fixture.fold().await;
    }
    assert_eq!(fixture.live_in("default").await, [0, 0, 4, 0]);
    old.says(&format!("DO $$ BEGIN ASSERT ({counts}) = 1; END $$; COMMIT")).await;
    assert_eq!(fixture.number(counts).await, 4);
}

/// The sum of a count, from the folds and the changes.
fn sum_of(state: &str) -> String {
    format!(
        "SELECT (coalesce((SELECT sum({state}) FROM leasehold.folded_count WHERE fold = (SELECT max(fold) FROM leasehold.count_fold)), 0)
             + coalesce((SELECT sum(CASE WHEN state = '{state}' THEN jobs ELSE -jobs END) FROM leasehold.count_change
                         WHERE '{state}' IN (state, from_state)), 0))::bigint"
    )
}

/// Each row costs a batch of one job some 260 bytes of WAL: the row, its index entry, and their end in a fold.
#[tokio::test]
async fn a_plain_job_notes_three_changes() {
    let fixture = Fixture::start().await;
    let fence = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 0, 1]);
    fixture.settle_one(fence, Settle::Complete(None)).await;
    assert_eq!(fixture.live_in("default").await, [0; 4]);
    let noted = fixture.number("SELECT count(*) FROM leasehold.count_change").await;
    assert_eq!(noted, 3, "enqueued, claimed, succeeded");
}

/// Jobs with rules are claimed beside plain ones. The first such job of a queue costs a second statement; then one statement
/// claims both.
#[tokio::test]
async fn jobs_with_rules_are_claimed_beside_plain_ones() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for seen_before in [false, true] {
        let jobs = [
            new_job().with(|job| job.retry = Some(Default::default())),
            new_job().with(|job| job.expires_in = Some(Duration::from_secs(60))),
            new_job(),
        ];
        fixture.enqueue(&jobs).await.expect("enqueue");
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        fixture.sql("DELETE FROM leasehold.count_change").await;
        let claimed = fixture.claim(worker, &ids, &Kinds::All, LEASE).await.expect("claim");
        assert_eq!(claimed.iter().map(|job| job.fence.id).collect::<Vec<_>>(), ids);
        let together = "SELECT coalesce(sum(jobs), 0)::bigint FROM leasehold.count_change WHERE from_state = 'queued'";
        // Only the first of both statements notes its changes itself.
        assert_eq!(fixture.number(together).await, if seen_before { 3 } else { 2 });
    }
}

#[tokio::test]
async fn ends_are_counted_for_a_minute() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    fixture.settle_one(fence, Settle::Complete(None)).await;
    assert_eq!(fixture.ended_in("default").await, [1, 0, 0], "before a fold");
    fixture.fold().await;
    assert_eq!(fixture.ended_in("default").await, [1, 0, 0], "after a fold");
    let fence = fixture.running(worker).await;
    fixture.settle_one(fence, Settle::Bury { error: String::new() }).await;
    assert_eq!(fixture.ended_in("default").await, [1, 1, 0], "in a fold and apart from it");
    fixture.fold().await;
    // A minute later.
    fixture.queued().await;
    fixture.sql("UPDATE leasehold.count_fold SET at = at - interval '1 minute'").await;
    assert_eq!(fixture.ended_in("default").await, [0, 0, 0]);
    let cancelled = fixture.queued().await;
    fixture.cancel(&[cancelled]).await.expect("cancel");
    fixture.fold().await;
    assert_eq!(fixture.ended_in("default").await, [0, 0, 1]);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.count_fold").await, 2, "older folds are deleted");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.folded_count").await, 2);
}

/// The names of queues that are no longer used must not stay for ever, and a queue that is used again begins at zero.
#[tokio::test]
async fn a_queue_without_jobs_is_forgotten_and_counted_again() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    fixture.settle_one(fence, Settle::Complete(None)).await;
    fixture.fold().await;
    fixture.sql("UPDATE leasehold.folded_count SET ended_at = ended_at - interval '3 minutes'").await;
    fixture.sql("UPDATE leasehold.count_fold SET at = at - interval '3 minutes'").await;
    fixture.enqueue(&[new_job().with(|job| job.queue = name("other"))]).await.expect("enqueue");
    fixture.fold().await;
    let names = "SELECT count(*) FROM leasehold.folded_count WHERE queue = 'default' AND fold = (SELECT max(fold) FROM leasehold.count_fold)";
    assert_eq!(fixture.number(names).await, 0, "the queue is left out");
    let fence = fixture.running(worker).await;
    fixture.settle_one(fence, Settle::Complete(None)).await;
    assert_eq!(fixture.ended_in("default").await, [1, 0, 0]);
    fixture.fold().await;
    assert_eq!(fixture.ended_in("default").await, [1, 0, 0]);
    fixture.counts_are_right().await;
}

/// After a restore into a new server, transaction ids begin again.
#[tokio::test]
async fn a_fold_of_another_server_is_replaced_by_a_count() {
    let fixture = Fixture::start().await;
    fixture.queued().await;
    fixture.fold().await;
    fixture.sql("UPDATE leasehold.count_fold SET snapshot = '900000000000:900000000000:'").await;
    fixture.queued().await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 1, 0], "the new changes are not seen yet");
    assert!(fixture.fold_counts().await.expect("a fold") > 0);
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
    fixture.counts_are_right().await;
}

#[tokio::test]
async fn a_table_that_is_emptied_counts_as_empty() {
    let fixture = Fixture::start().await;
    for _ in 0..3 {
        fixture.queued().await;
    }
    fixture.fold().await;
    fixture.queued().await;
    fixture.sql("TRUNCATE leasehold.job").await;
    fixture.counts_are_right().await;
    fixture.fold().await;
    fixture.counts_are_right().await;
    assert!(fixture.stats().await.expect("stats").is_empty());
}

/// A snapshot does not say whether it shows the changes of its own transaction.
#[tokio::test]
async fn a_transaction_that_has_written_does_not_fold() {
    let fixture = Fixture::start().await;
    let mut session = open(&fixture, "SELECT leasehold.enqueue('k', '{}')").await;
    let refused = session.asks("SELECT leasehold.fold_counts()").await.expect_err("an error");
    assert!(refused.contains("must be the first statement of its transaction"), "{refused}");
    session.says("ROLLBACK").await;
    fixture.counts_are_right().await;
}

/// Two reapers, and one that is slow.
#[tokio::test]
async fn one_session_folds_at_a_time_and_the_other_does_not_wait() {
    let fixture = Fixture::start().await;
    fixture.queued().await;
    let mut session = open(&fixture, "SELECT leasehold.fold_counts(true)").await;
    assert_eq!(fixture.fold_counts().await.expect("no error"), 0);
    assert!(!fixture.recount().await.expect("no error"), "another session is changing the counts");
    fixture.queued().await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
    session.says("COMMIT").await;
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
    assert!(fixture.recount().await.expect("a recount"));
    assert_eq!(fixture.live_in("default").await, [0, 0, 2, 0]);
}
