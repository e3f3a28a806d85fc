//! Batches: who joins, what is counted, and that each callback is made once, whatever happens to the jobs and to the reapers.

use crate::fixture::{Fixture, concurrently, kind, name, neutral, new_job, retry};
use crate::subject::connect;
use leasehold_core::{FinishedRun, JobId, NewJob, Settle, Settled, State, WorkerId};
use leasehold_ports::Class;
use leasehold_store::{Batch, BatchSeal, JobFilter, Kinds, Sealed, Store};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::Connection;
use std::{collections::BTreeMap, time::Duration};

fn of_batch(batch: &str) -> NewJob {
    NewJob { batch: Some(batch.to_owned()), ..new_job() }
}

/// All three callbacks, in a separate queue.
fn seal() -> BatchSeal {
    BatchSeal {
        on_success: Some(kind("on-success")),
        on_complete: Some(kind("on-complete")),
        on_death: Some(kind("on-death")),
        queue: name("callbacks"),
    }
}

impl Fixture {
    async fn batch(&self, name: &str) -> Batch {
        self.batches(Some(name), 1).await.expect("batches").pop().expect("the batch exists")
    }

    async fn joins(&self, batch: &str) -> JobId {
        let job = of_batch(batch);
        assert!(self.enqueue(std::slice::from_ref(&job)).await.expect("enqueue")[0].inserted);
        job.id
    }

    async fn settles(&self, id: JobId, settle: Settle) {
        let fence = self.claim_one(WorkerId::new(), id).await.fence;
        assert_eq!(self.settle_one(fence, settle).await, Settled::Done);
    }

    /// The kinds of all callbacks, and how often each was made.
    async fn callbacks(&self) -> BTreeMap<String, usize> {
        let filter = JobFilter { queue: Some(name("callbacks")), limit: 1000, ..JobFilter::default() };
        let mut made = BTreeMap::new();
        for job in self.jobs(&filter).await.expect("jobs") {
            *made.entry(job.kind).or_default() += 1;
        }
        made
    }

    /// How many jobs of a batch are in each state, counted from the rows.
    async fn counted(&self, batch: &str, state: State) -> i64 {
        let count = "SELECT count(*) FROM leasehold.jobs WHERE batch =";
        self.number(format!("{count} '{batch}' AND state = '{state}'")).await
    }
}

fn made(kinds: &[&str]) -> BTreeMap<String, usize> {
    kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect()
}

#[tokio::test]
async fn jobs_join_a_batch_until_it_is_sealed() {
    let fixture = Fixture::start().await;
    let first = fixture.joins("b").await;
    fixture.settles(first, Settle::Complete(None)).await;
    let second = of_batch("b");
    fixture.enqueue(&[second.clone(), new_job()]).await.expect("enqueue");
    let batch = fixture.batch("b").await;
    assert_eq!((batch.queued, batch.succeeded, batch.total(), batch.sealed_at), (1, 1, 2, None));
    assert_eq!(fixture.record(first).await.batch.as_deref(), Some("b"));

    // Without a seal, jobs may still come: no callback.
    fixture.settles(second.id, Settle::Complete(None)).await;
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 0);

    assert_eq!(fixture.seal_batch("b", &seal()).await.expect("seal"), Sealed::Now);
    assert_eq!(fixture.seal_batch("b", &seal()).await.expect("seal"), Sealed::Already);
    assert_eq!(fixture.seal_batch("b", &BatchSeal::default()).await.expect("seal"), Sealed::Otherwise);
    assert_eq!(fixture.seal_batch("none", &seal()).await.expect("seal"), Sealed::Unknown);
    let refused = neutral(fixture.enqueue(&[of_batch("b")]).await.expect_err("a sealed batch"));
    assert!(refused.to_string().contains("sealed"), "{refused}");
    assert_ne!(refused.class, Class::Transient);
    // A job that was sent before is no new job.
    for sent in [second.clone(), NewJob { id: first, ..of_batch("b") }] {
        let again = NewJob { id_may_exist: true, ..sent };
        assert!(!fixture.enqueue(&[again]).await.expect("sent again")[0].inserted);
    }

    let callbacks = fixture.end_batches(10).await.expect("end_batches");
    assert_eq!(callbacks.iter().map(|job| job.queue.as_str()).collect::<Vec<_>>(), ["callbacks", "callbacks"]);
    assert_eq!(fixture.callbacks().await, made(&["on-success", "on-complete"]));
    let batch = fixture.batch("b").await;
    let payload = fixture.record(batch.success_job.expect("a callback")).await.payload;
    let payload: serde_json::Value = serde_json::from_str(payload.get()).expect("JSON");
    assert_eq!(
        payload,
        serde_json::json!({"batch": "b", "event": "success", "succeeded": 2, "dead": 0, "cancelled": 0})
    );
    assert!(batch.completed_at.is_some() && batch.death_job.is_none());
    fixture.keeps_the_invariants().await;
}

/// Lines of one `enqueue --stdin`: somebody who repeats them after the refusal must not have jobs twice.
#[tokio::test]
async fn jobs_that_are_sent_together_are_accepted_together_or_not_at_all() {
    let fixture = Fixture::start().await;
    fixture.joins("b").await;
    assert_eq!(fixture.seal_batch("b", &seal()).await.expect("seal"), Sealed::Now);
    let orphan = NewJob { depends_on: vec![JobId::new()], ..new_job() };
    for bad in [of_batch("b"), orphan] {
        let jobs = [new_job(), bad, new_job()];
        let refused = neutral(fixture.enqueue(&jobs).await.expect_err("one of them is refused"));
        assert!(!refused.to_string().contains("were accepted"), "{refused}");
        for job in &jobs {
            assert!(fixture.job(job.id).await.expect("a look").is_none(), "{refused}");
        }
    }
    let jobs = [new_job(), of_batch("c"), new_job()];
    assert!(fixture.enqueue(&jobs).await.expect("enqueue").iter().all(|answer| answer.inserted));
}

/// A seal waits for the transactions that add jobs, so no job is added behind it.
#[tokio::test]
async fn a_seal_waits_for_a_transaction_that_adds_a_job() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    let mut adding = connection.begin().await.expect("begin");
    let job = of_batch("b");
    Store::enqueue_in(&mut adding, std::slice::from_ref(&job)).await.expect("enqueue");
    let sealing = async {
        // The row of the batch is not committed: until then there is no such batch.
        while fixture.seal_batch("b", &seal()).await.expect("seal") == Sealed::Unknown {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(sealing, async { adding.commit().await.expect("commit") });
    assert_eq!(fixture.batch("b").await.queued, 1);

    // The batch exists: the seal waits for the lock of the job that joins.
    let first = fixture.joins("c").await;
    let mut adding = connection.begin().await.expect("begin");
    Store::enqueue_in(&mut adding, &[of_batch("c")]).await.expect("enqueue");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%seal_batch%' AND datname = current_database()";
    let commit = async {
        leasehold_tests::eventually("the seal waits", Duration::from_secs(20), async || {
            let count = fixture.number(waiting).await;
            if count == 1 { Ok(()) } else { Err(count) }
        })
        .await;
        adding.commit().await.expect("commit");
    };
    let callbacks = seal();
    let (sealed, ()) = tokio::join!(fixture.seal_batch("c", &callbacks), commit);
    assert_eq!(sealed.expect("seal"), Sealed::Now);
    fixture.settles(first, Settle::Complete(None)).await;
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 0, "the other job is live");
    assert_eq!(fixture.batch("c").await.total(), 2);
}

/// Every way in which a job ends or comes back is counted.
#[tokio::test]
async fn every_end_counts() {
    let fixture = Fixture::start().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(fixture.joins("b").await);
    }
    let expires = NewJob { expires_in: Some(Duration::from_secs(600)), ..of_batch("b") };
    let purged = NewJob { queue: name("purged"), ..of_batch("b") };
    fixture.enqueue(&[expires, purged]).await.expect("enqueue");
    fixture.seal_batch("b", &seal()).await.expect("seal");

    fixture.settles(ids[0], Settle::Complete(None)).await;
    fixture.cancel(&[ids[1]]).await.expect("cancel");
    fixture.claim_one(WorkerId::new(), ids[2]).await;
    fixture.end_lease(ids[2]).await;
    fixture.set_max_attempts(ids[2], 1).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 1);
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 1, "the first death");
    assert_eq!(fixture.callbacks().await, made(&["on-death"]));
    fixture.settles(ids[3], Settle::Bury { error: "it failed".into() }).await;
    fixture.settles(ids[4], retry()).await;
    let run = fixture.claim_one(WorkerId::new(), ids[5]).await.fence;
    fixture.cancel(&[ids[5]]).await.expect("cancel");
    assert_eq!(fixture.settle_one(run, Settle::Cancel).await, Settled::Done);
    fixture.make_overdue().await;
    assert_eq!(fixture.lapse(10).await.expect("lapse").len(), 1);
    fixture.purge(&name("purged"), 10).await.expect("purge");
    let batch = fixture.batch("b").await;
    assert_eq!((batch.succeeded, batch.dead, batch.cancelled), (1, 2, 4), "{batch:?}");
    assert_eq!((batch.scheduled, batch.queued, batch.live()), (1, 1, 2), "{batch:?}");
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 0, "two jobs are live");

    // A revived job is live again. So the batch is not complete.
    fixture.revive(&[ids[1]]).await.expect("revive");
    fixture.cancel(&[ids[4], ids[6]]).await.expect("cancel");
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 0, "the revived job is live");
    fixture.settles(ids[1], Settle::Complete(None)).await;
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 1);
    assert_eq!(fixture.callbacks().await, made(&["on-complete", "on-death"]), "not all have succeeded");

    // A job that is revived after the end is counted, and the callbacks are not made again.
    fixture.revive(&[ids[3]]).await.expect("revive");
    assert_eq!(fixture.batch("b").await.queued, 1);
    fixture.settles(ids[3], Settle::Complete(None)).await;
    assert_eq!(fixture.end_batches(10).await.expect("end_batches").len(), 0);
    for state in [State::Succeeded, State::Dead, State::Cancelled] {
        let batch = fixture.batch("b").await;
        let shown = match state {
            State::Succeeded => batch.succeeded,
            State::Dead => batch.dead,
            _ => batch.cancelled,
        };
        assert_eq!(shown, fixture.counted("b", state).await, "{state}");
    }
    fixture.keeps_the_invariants().await;
}

/// Sixteen clients settle jobs of one batch while another session holds the row of the batch: no settle needs this row.
#[tokio::test]
async fn settles_of_one_batch_do_not_wait_for_each_other() {
    let fixture = Fixture::with_connections(17).await;
    let jobs: Vec<NewJob> = (0..160).map(|_| of_batch("b")).collect();
    fixture.enqueue(&jobs).await.expect("enqueue");
    let mut other = fixture.connection().await;
    sqlx::raw_sql("BEGIN; SELECT FROM leasehold.batch FOR UPDATE").execute(&mut other).await.expect("locked");
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    concurrently(ids.chunks(10).map(async |ids| {
        let worker = WorkerId::new();
        let claimed = fixture.claim(worker, ids, &Kinds::All, Duration::from_secs(600)).await.expect("claim");
        let runs: Vec<FinishedRun> =
            claimed.iter().map(|job| FinishedRun { fence: job.fence, settle: Settle::Complete(None) }).collect();
        let settled = fixture.settle(worker, &runs).await.expect("settle");
        assert!(settled.iter().all(|answer| *answer == Settled::Done) && settled.len() == 10);
    }))
    .await;
    assert_eq!(fixture.batch("b").await.succeeded, 160);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("commit");
}

#[tokio::test]
async fn the_message_names_the_batch_that_a_transaction_holds() {
    let fixture = Fixture::start().await;
    let mut other = fixture.connection().await;
    let mut transaction = other.begin().await.expect("begin");
    Store::enqueue_in(&mut transaction, &[of_batch("b")]).await.expect("a batch that is not committed");
    let held = neutral(fixture.enqueue(&[of_batch("b")]).await.expect_err("the batch is held")).to_string();
    assert!(held.contains("batch \"b\" is held by an open transaction"), "{held}");
    transaction.rollback().await.expect("rollback");
}

/// Random batches with random ends, while several reapers call the step and some of them are killed in it.
#[tokio::test]
async fn each_callback_is_made_once_under_random_ends_and_kills() {
    for seed in 0..4 {
        let fixture = Fixture::with_connections(12).await;
        let mut dice = StdRng::seed_from_u64(seed);
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        let mut ends: Vec<(JobId, u8)> = Vec::new();
        for nth in 0..10 {
            let batch = format!("batch {nth}");
            // Some batches have only successes.
            let kinds = if dice.random_bool(0.4) { 1 } else { 3 };
            let mut of_this = Vec::new();
            for _ in 0..dice.random_range(1..6) {
                of_this.push(dice.random_range(0..kinds));
                ends.push((fixture.joins(&batch).await, *of_this.last().expect("an end")));
            }
            assert_eq!(fixture.seal_batch(&batch, &seal()).await.expect("seal"), Sealed::Now);
            *wanted.entry("on-complete".into()).or_default() += 1;
            if of_this.iter().all(|end| *end == 0) {
                *wanted.entry("on-success".into()).or_default() += 1;
            }
            if of_this.contains(&1) {
                *wanted.entry("on-death".into()).or_default() += 1;
            }
        }
        let ending = concurrently(ends.iter().map(async |(id, end)| match end {
            0 => fixture.settles(*id, Settle::Complete(None)).await,
            1 => fixture.settles(*id, Settle::Bury { error: "it failed".into() }).await,
            _ => drop(fixture.cancel(&[*id]).await.expect("cancel")),
        }));
        // Separate connections, so that only reapers lose their sessions.
        let reapers = connect(&fixture.database, 3).await;
        let reaping = concurrently((0..3).map(async |_| {
            for _ in 0..30 {
                // A killed session is an error here. The next tick continues the work.
                drop(reapers.end_batches(3).await);
            }
        }));
        let killing = async {
            let mut killer = fixture.connection().await;
            for _ in 0..60 {
                let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                            WHERE query LIKE '%leasehold.end_batches(%' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()";
                sqlx::query(kill).execute(&mut killer).await.expect("kill");
            }
        };
        tokio::join!(ending, reaping, killing);
        // A killed session keeps its locks until it has ended, and a step skips batches that are locked.
        let open = "SELECT count(*) FROM leasehold.batch WHERE completed_at IS NULL";
        let ended = async {
            while fixture.number(open).await > 0 {
                fixture.end_batches(3).await.expect("end_batches");
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        assert!(ended.is_ok(), "seed {seed}: batches are open");
        assert_eq!(fixture.callbacks().await, wanted, "seed {seed}");
        fixture.keeps_the_invariants().await;
    }
}

#[tokio::test]
async fn a_batch_is_forgotten_when_its_jobs_have_left_history() {
    let fixture = Fixture::start().await;
    for (batch, settle) in [("old", Settle::Complete(None)), ("kept", Settle::Complete(None)), ("live", retry())] {
        let id = fixture.joins(batch).await;
        fixture.settles(id, settle).await;
    }
    fixture.joins("fresh").await;
    let retain = async || fixture.retain(Duration::from_secs(30 * 86_400)).await.expect("retain").batches_deleted;
    fixture.sql("UPDATE leasehold.batch SET created_at = now() - interval '2 days' WHERE name <> 'fresh'").await;
    assert_eq!(retain().await, 0, "the jobs are in history");
    fixture
        .sql("DELETE FROM leasehold.history WHERE batch = 'old'; DELETE FROM leasehold.job WHERE batch = 'fresh'")
        .await;
    assert_eq!(retain().await, 1);
    let left: Vec<String> =
        fixture.batches(None, 10).await.expect("batches").into_iter().map(|batch| batch.name).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.contains(&"old".to_owned()), "{left:?}");
}

#[tokio::test]
async fn sql_and_a_list_know_the_batch() {
    let fixture = Fixture::start().await;
    fixture
        .sql("SELECT leasehold.enqueue('k', '{}', batch => 'b'), leasehold.enqueue('other', '{}', batch => 'b')")
        .await;
    fixture.sql(r#"SELECT leasehold.enqueue_many('[{"kind": "k", "batch": "b"}, {"kind": "k"}]')"#).await;
    fixture.sql(r#"SELECT leasehold.enqueue_graph('{"jobs": [{"name": "x", "kind": "k", "batch": "b"}]}')"#).await;
    let all = JobFilter { batch: Some("b".into()), limit: 10, ..JobFilter::default() };
    let jobs = fixture.jobs(&all).await.expect("jobs");
    assert_eq!(jobs.len(), 4);
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = fixture.jobs(&JobFilter { before, limit: 1, ..all.clone() }).await.expect("jobs");
        let Some(job) = page.first() else { break };
        pages.push(job.id);
        before = Some(job.id);
    }
    assert_eq!(pages, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let other = JobFilter { kind: Some(kind("other")), ..all };
    assert_eq!(fixture.jobs(&other).await.expect("jobs").len(), 1);
    let refused = neutral(fixture.enqueue(&[of_batch("")]).await.expect_err("no name"));
    assert!(refused.to_string().contains("batch is empty"), "{refused}");
}
