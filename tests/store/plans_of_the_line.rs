//! What the statements that read the line and the leases really read: no more than they answer, whatever lies before it.

use crate::plans::{fill, old_snapshot, start, statement};
use leasehold_store::Kinds;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// How many entries of the line an executed plan has read.
fn entries_read(plan: &Value) -> f64 {
    match plan {
        Value::Array(parts) => parts.iter().map(entries_read).sum(),
        Value::Object(fields) => {
            let number = |name: &str| fields.get(name).and_then(Value::as_f64).unwrap_or_default();
            let rows = number("Actual Rows") + number("Rows Removed by Filter");
            let own = if fields.get("Index Name").and_then(Value::as_str) == Some("job_line_at") { rows } else { 0.0 };
            own * number("Actual Loops") + fields.values().map(entries_read).sum::<f64>()
        }
        _ => 0.0,
    }
}

#[tokio::test]
async fn a_part_of_the_line_is_read_without_reading_the_rest() {
    let fixture = start().await;
    fill(&fixture, 5_000).await;
    fixture.sql("UPDATE leasehold.job SET priority = 9, line_at = run_at - interval '9 hours' WHERE id < '80000000-0000-0000-0000-000000000000'").await;
    let default = crate::fixture::name("default");
    let high = fixture.number("SELECT count(*) FROM leasehold.job WHERE priority = 9 AND state = 'queued'").await;
    let mut connection = fixture.pool().acquire().await.expect("a connection");
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut *connection).await.expect("set");
    let script = format!("PREPARE s AS {};", statement("line_after"));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.expect("prepare");
    for (before, what) in [
        (1000, "far from the next priority"),
        (high - 50, "across two priorities"),
        (high + 1000, "in the last priority"),
    ] {
        let place = fixture.front(&default, &Kinds::All, before).await.expect("line").last.expect("a place");
        let explain = format!(
            "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE s('default', NULL, '{}', '{}', 100)",
            place.line_at, place.id
        );
        let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.expect("a plan");
        let text: String = row.try_get_unchecked(0).expect("a plan");
        let plan: Value = serde_json::from_str(&text).expect("JSON");
        let read = entries_read(&plan);
        assert!((101.0..110.0).contains(&read), "{what}: {read} entries\n{plan}");
    }
    // Resets the connection for its next user.
    sqlx::raw_sql("DEALLOCATE s; RESET plan_cache_mode").execute(&mut *connection).await.expect("reset");
}

/// A hundred thousand jobs of a full limit key stand before a few other jobs. No statement that reads the line walks over them.
#[tokio::test]
async fn jobs_without_room_of_a_limit_key_are_not_walked_over() {
    let fixture = start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, line_at,
                                        limit_keys, limited_by, limited_at)
             SELECT gen_random_uuid(), now() - interval '1 hour', 5, 3, 0, 'default', 'k', '{}', 'queued', 'infinity', '{full}',
                    'full', now() - interval '1 hour' + n * interval '1 microsecond' FROM generate_series(1, 100000) AS n;
             INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
             SELECT gen_random_uuid(), now(), 5, 3, 0, 'default', 'k', '{}', 'queued' FROM generate_series(1, 20)",
        )
        .await;
    for situation in ["never analyzed", "analyzed"] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let mut connection = fixture.pool().acquire().await.expect("a connection");
            let set = format!("BEGIN; SET LOCAL plan_cache_mode = {mode}");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *connection).await.expect("set");
            for (name, parameters) in [
                ("lines", "'{default}', '{4096}', '{1}', '{k}', '{NULL}'"),
                ("line_after", "'default', NULL, '-infinity', '00000000-0000-0000-0000-000000000000', 2000"),
                ("line_after", "'default', '{k}', '-infinity', '00000000-0000-0000-0000-000000000000', 2000"),
                ("claim_line", "'00000000-0000-7000-8000-000000000000', 'default', NULL, 50, 1000, true"),
                ("survey", "NULL"),
            ] {
                let what = format!("{situation}, {mode}: {name}");
                let script = format!("PREPARE s AS {};", statement(name));
                sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.expect(name);
                let explain = format!("SAVEPOINT before; EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE s({parameters})");
                let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.expect(&what);
                let text: String = rows.last().expect("a plan").try_get_unchecked(0).expect("a plan");
                sqlx::raw_sql("ROLLBACK TO before; DEALLOCATE s").execute(&mut *connection).await.expect("rollback");
                let plan: Value = serde_json::from_str(&text).expect("JSON");
                let read = entries_read(&plan);
                assert!((1.0..200.0).contains(&read), "{what}: {read} entries\n{plan}");
            }
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.expect("rollback");
        }
        fixture.sql("VACUUM ANALYZE leasehold.job").await;
    }
    // What brings the jobs back reads only as many as there is room for.
    fixture.sql("SELECT leasehold.set_limit('full', 10)").await;
    assert!(fixture.apply_limits().await.expect("apply"));
    let begun = std::time::Instant::now();
    assert_eq!(fixture.admit(&["full".to_owned()]).await.expect("admit").len(), 10);
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// The number of index and table pages that a statement reads.
async fn pages_read(connection: &mut PgConnection, name: &str, parameters: &str) -> i64 {
    let script = format!("PREPARE s AS {};", statement(name));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.expect(name);
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE s({parameters})");
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await;
    let text: String = row.unwrap_or_else(|error| panic!("{name}: {error}")).try_get_unchecked(0).expect("a plan");
    sqlx::raw_sql("DEALLOCATE s").execute(connection).await.expect("deallocate");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    let pages = |kind: &str| plan[0]["Plan"][kind].as_i64().expect("a number of pages");
    pages("Shared Hit Blocks") + pages("Shared Read Blocks")
}

/// With a scan start, no statement scans the dead entries before the live jobs.
#[tokio::test]
async fn dead_entries_before_the_live_jobs_are_not_scanned() {
    let fixture = start().await;
    let _old = old_snapshot(&fixture).await;
    let jobs = |state: &str, lease: &str, worker: &str| {
        format!(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, line_at,
                                        started_at, epoch, attempt, lease_expires_at, worker)
             SELECT gen_random_uuid(), now() - interval '1 hour', 5, 3, 0, 'default', 'k', '{{}}', '{state}',
                    now() - interval '1 hour', now(), 1, 1, {lease}, {worker} FROM generate_series(1, 5000)"
        )
    };
    fixture.sql(jobs("queued", "NULL", "NULL")).await;
    fixture.sql(jobs("scheduled", "NULL", "NULL")).await;
    fixture.sql(jobs("running", "now() - interval '1 hour'", "gen_random_uuid()")).await;
    fixture.sql("DELETE FROM leasehold.job").await;
    let mut connection = fixture.connection().await;
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.expect("set");
    for (name, since, always) in [
        ("lines", "'{default}', '{100}', '{1}', '{k}', $since", "'{NULL}'"),
        ("leases", "100, $since", "NULL"),
        ("expire", "100, $since, '{}', 1000", "NULL"),
        ("promote", "100, $since", "NULL"),
    ] {
        let recent = if name == "lines" { "ARRAY[now() - interval '1 minute']" } else { "now() - interval '1 minute'" };
        let all = pages_read(&mut connection, name, &since.replace("$since", always)).await;
        let few = pages_read(&mut connection, name, &since.replace("$since", recent)).await;
        assert!(all > 100 && few < 20, "{name}: {few} pages, but {all} without a scan start");
    }
}

/// An admission reads one entry for each lane, and the jobs that it admits, however many wait.
#[tokio::test]
async fn an_admission_reads_lanes_and_not_the_line() {
    let fixture = start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, line_at, fair_key, fair_at)
             SELECT gen_random_uuid(), at, 5, 3, 0, 'default', 'k', '{}', 'queued', 'infinity', 'key' || n % 10000, at
             FROM generate_series(1, 100000) AS n CROSS JOIN LATERAL (SELECT now() - interval '1 hour' + n * interval '1 microsecond') p(at)",
        )
        .await;
    for situation in ["never analyzed", "analyzed"] {
        for (call, most) in [
            ("leasehold.admit_fair('default', NULL, 500)", 20_000),
            ("leasehold.admit_fair('default', '{}', 500)", 4_000),
            ("leasehold.admit_fair('default', '{key1,key2}', 500)", 4_000),
        ] {
            // A new session, because a session that has just worked may not have reported its reads yet.
            let mut connection = fixture.connection().await;
            let script = format!(
                "BEGIN; SELECT {call};
                 SELECT coalesce(seq_scan, 0), coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'job'"
            );
            let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection).await.expect(call);
            let count = |nth| rows.last().expect("counters").try_get_unchecked::<i64, _>(nth).expect("a number");
            assert_eq!(count(0), 0, "{situation}: {call} reads the table");
            assert!(count(1) < most, "{situation}: {call} reads {} rows", count(1));
            sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("commit");
        }
        fixture.sql("VACUUM ANALYZE leasehold.job").await;
        // From now on, urgent jobs wait in the lanes of all keys.
        fixture
            .sql(
                "UPDATE leasehold.job SET priority = 10, fair_at = leasehold.line_at(run_at, 10, queue)
                 WHERE fair_at IS NOT NULL AND id IN (SELECT DISTINCT ON (fair_key) id FROM leasehold.job WHERE fair_at IS NOT NULL)",
            )
            .await;
    }
    assert!(fixture.number("SELECT count(*) FROM leasehold.job WHERE fair_tag IS NOT NULL").await >= 500);
    assert!(
        fixture.number("SELECT count(*) FROM leasehold.job WHERE fair_tag IS NOT NULL AND priority = 10").await >= 50
    );
}

/// To enqueue a job with a limit key, and to bring such jobs back into the line, reads the jobs of this key, however many wait
/// for other keys. The keys are long, so their index is higher than the index of the line, and a planner without statistics
/// would prefer the index of the line.
#[tokio::test]
async fn a_limit_key_is_looked_up_without_reading_the_jobs_of_other_keys() {
    let fixture = start().await;
    fixture.sql("SELECT leasehold.set_limit('x*', 2)").await;
    let enqueue = |jobs: u32| {
        format!(
            "SELECT count(*) FROM leasehold.enqueue_jobs(
                 (SELECT json_agg(json_build_object('kind', 'k', 'limit_keys', json_build_array(repeat('x', 300) || n % 500)))
                  FROM generate_series(1, {jobs}) n), false)"
        )
    };
    fixture.sql(enqueue(3_000)).await;
    let admit =
        "SELECT count(*) FROM leasehold.admit(ARRAY(SELECT repeat('x', 300) || n FROM generate_series(1, 3) n), 10)";
    for call in [enqueue(100), admit.to_owned()] {
        // A new session plans everything now.
        let mut connection = fixture.connection().await;
        let script = format!(
            "BEGIN; {call};
             SELECT coalesce(seq_scan, 0), coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'job'"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection).await.expect("counters");
        let count = |nth| rows.last().expect("counters").try_get_unchecked::<i64, _>(nth).expect("a number");
        assert_eq!(count(0), 0, "{call} reads the table");
        assert!(count(1) < 1_000, "{call} reads {} rows", count(1));
        sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.expect("rollback");
    }
}
