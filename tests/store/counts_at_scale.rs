//! The cost of reading the counts depends on the number of queues and kinds, and not on the number of jobs, folds or dead rows.
//! Changes of open transactions are counted when these transactions end, no matter how long that takes.

use crate::{
    fixture::{Fixture, name},
    loads::all_of,
    plans::{plan, statement},
    sessions_of_users::Session,
};
use leasehold_servers::PostgresOptions;
use leasehold_tests::Database;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Row};
use std::{fs, path::Path};
use uuid::Uuid;

/// How many queues there are, each with one kind.
const QUEUES: u32 = 10_000;

impl Fixture {
    /// How many blocks a statement reads.
    async fn blocks(&self, name: &str, parameters: &str) -> i64 {
        let mut connection = self.pool().acquire().await.expect("a connection");
        let script = format!("PREPARE s AS {};", statement(name));
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.expect(name);
        let call = if parameters.is_empty() { "EXECUTE s".to_owned() } else { format!("EXECUTE s({parameters})") };
        // The first call also reads the catalog, for the plans of functions.
        sqlx::raw_sql(AssertSqlSafe(call.clone())).execute(&mut *connection).await.expect(name);
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}");
        let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.expect(name);
        sqlx::raw_sql("DEALLOCATE s").execute(&mut *connection).await.expect("deallocate");
        let text: String = row.try_get_unchecked(0).expect("a plan");
        let plan: Value = serde_json::from_str(&text).expect("JSON");
        let read = |what: &str| plan[0]["Plan"][what].as_i64().expect("a number");
        read("Shared Hit Blocks") + read("Shared Read Blocks")
    }

    /// Inserts so many jobs for each of so many queues.
    async fn fill_queues(&self, queues: u32, jobs: u32) {
        self.sql(format!(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
             SELECT gen_random_uuid(), now(), 5, 3, 0, 'queue' || q, 'k', '1', 'queued'
             FROM generate_series(1, {queues}) q, generate_series(1, {jobs})"
        ))
        .await;
    }

    /// Folds immediately.
    async fn fold_now(&self) {
        self.sql("UPDATE leasehold.count_change SET at = at - interval '6 seconds'").await;
        assert!(self.fold_counts().await.expect("a fold") > 0);
    }
}

#[tokio::test]
async fn a_reader_reads_no_jobs_no_old_folds_and_no_dead_rows() {
    let fixture = Fixture::start().await;
    fixture.fill_queues(QUEUES, 1).await;
    fixture.fold_now().await;
    fixture.sql("VACUUM ANALYZE leasehold.job, leasehold.folded_count, leasehold.count_change").await;
    let one_queue = "'{queue7}', '{NULL}', '{NULL}', '{}'";
    let (all, one) = (fixture.blocks("stats", "").await, fixture.blocks("queue_load", one_queue).await);
    assert!(one < 100, "{one} blocks for one of {QUEUES} queues");

    // From now on no process may remove a row.
    let mut old = Session::of(&fixture).await;
    old.says("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.job").await;
    for _ in 0..20 {
        // A statement for each queue makes as many changes.
        fixture.fill_queues(QUEUES / 10, 5).await;
        fixture.fold_now().await;
    }
    fixture.sql("UPDATE leasehold.count_fold SET at = at - interval '2 minutes'").await;
    fixture.fill_queues(1, 1).await;
    fixture.fold_now().await;
    let kept = fixture.number("SELECT count(*) FROM leasehold.count_fold").await;
    assert_eq!(kept, 2, "the folds before the last minute are deleted");
    let (all_now, one_now) = (fixture.blocks("stats", "").await, fixture.blocks("queue_load", one_queue).await);
    assert!(all_now <= all * 2, "{all} blocks before, {all_now} with dead rows and ten times as many jobs");
    // Some 25 blocks before, and 42 to 62 now. With the dead rows there would be thousands.
    assert!(one_now < 100, "{one} blocks before, {one_now} with dead rows and ten times as many jobs");
}

/// An empty table gets the same plans that a full table needs.
#[tokio::test]
async fn counts_are_found_by_index_in_a_new_schema() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.pool().acquire().await.expect("a connection");
    for (name, parameters) in [("stats", ""), ("queue_load", "'{a}', '{NULL}', '{NULL}', '{}'")] {
        let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil()]).await;
        let text = plan.to_string();
        for index in ["count_fold_pkey", "count_change_xact"] {
            assert!(text.contains(index), "{name} does not use {index}: {text}");
        }
        for table in ["count_change", "count_fold", "folded_count"] {
            let scans = format!(
                "\"Node Type\":\"Seq Scan\",\"Parallel Aware\":false,\"Async Capable\":false,\"Relation Name\":\"{table}\""
            );
            assert!(!text.contains(&scans), "{name} reads all of {table}: {text}");
        }
    }
    // The look of a reaper is a function, whose plans no EXPLAIN shows.
    let mut look = connection.begin().await.expect("a transaction");
    sqlx::raw_sql("SELECT leasehold.reaper_work()").execute(&mut *look).await.expect("a look");
    let scanned: Vec<String> = sqlx::query_scalar(
        "SELECT s.relname::text FROM pg_stat_xact_user_tables s
         WHERE s.seq_scan > 0 AND s.relname IN ('count_change', 'count_fold', 'http_claim')",
    )
    .fetch_all(&mut *look)
    .await
    .expect("the scans");
    assert!(scanned.is_empty(), "the look of a reaper reads all of {scanned:?}");
}

/// A prepared transaction may stay open for hours, over folds and over a restart.
#[tokio::test]
async fn a_prepared_transaction_is_counted_when_it_commits() {
    let settings = vec!["max_prepared_transactions=5".to_owned()];
    let options = PostgresOptions { fsync: false, max_connections: 40, password: false, settings };
    let fixture = Fixture::on(Database::start_apart(options).await, 8).await;
    let mut session = Session::of(&fixture).await;
    let ends = [("one", "COMMIT PREPARED", 1), ("two", "ROLLBACK PREPARED", 1), ("three", "COMMIT PREPARED", 2)];
    for (transaction, end, counted) in ends {
        session.says("BEGIN; SELECT leasehold.enqueue('k', '{}', queue => 'two_phases')").await;
        session.says(&format!("PREPARE TRANSACTION '{transaction}'")).await;
        for _ in 0..3 {
            fixture.queued().await;
            fixture.fold_now().await;
        }
        session.says(&format!("{end} '{transaction}'")).await;
        let waiting = fixture.load(all_of(&name("two_phases")), &[]).await.waiting;
        assert_eq!(waiting, counted, "transaction {transaction}, apart from the fold");
        fixture.queued().await;
        fixture.fold_now().await;
        let waiting = fixture.load(all_of(&name("two_phases")), &[]).await.waiting;
        assert_eq!(waiting, counted, "transaction {transaction}, folded");
    }
    let broken = fixture.violations().await.expect("violations");
    assert!(broken.is_empty(), "{broken:?}");
}

/// Every statement that ends a job notes the end, and this test knows every statement that names `job_noted`.
#[test]
fn every_statement_that_ends_jobs_notes_the_ends() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store");
    let (mut ending, mut by_themselves) = (Vec::new(), Vec::new());
    for folder in ["sql", "functions"] {
        for entry in fs::read_dir(store.join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "sql") {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let text = fs::read_to_string(&path).expect("the text");
            if text.contains("-- include finish") || text.contains("INSERT INTO leasehold.history") {
                assert!(
                    text.contains("-- include note_ended") || ["complete", "complete_alike"].contains(&&*name),
                    "{name} does not note the ends of jobs"
                );
                ending.push(name.clone());
            }
            if text.contains(" leasehold.job_noted j") {
                by_themselves.push(name);
            }
        }
    }
    by_themselves.sort_unstable();
    assert_eq!(by_themselves, ["claim", "claim_any", "complete", "complete_alike", "renew", "report"]);
    assert_eq!(ending.len(), 13, "{ending:?}");
}
