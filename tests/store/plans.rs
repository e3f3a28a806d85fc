//! The plans of the statements, taken from their files. A verb that names its jobs must find them by primary key and
//! never scan the table, the line or the leases, whatever statistics the planner has. A plan that depends on statistics
//! works until the statistics are outdated.

use crate::fixture::{Fixture, LEASE, new_job};
use leasehold_core::{NewJob, WorkerId};
use leasehold_store::Kinds;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{collections::BTreeSet, fs, path::Path};
use uuid::Uuid;

/// The statements that name their jobs, with parameters for a batch.
const BY_ID: [(&str, &str); 23] = [
    ("claim", "$worker, $ids, NULL, 1000, 'default'"),
    ("claim", "$worker, $ids, '{k,other}', 1000, 'default'"),
    ("claim_careful", "$worker, $ids, NULL, 1000, 10, 'default'"),
    ("claim_careful", "$worker, $ids, '{k,other}', 1000, 10, 'default'"),
    ("look", "$ids, NULL"),
    ("look", "$ids, '{k,other}'"),
    ("renew", "$worker, $ids, $ones, 1000"),
    ("complete", "$worker, $ids, $ones, $texts"),
    ("complete_careful", "$worker, $ids, $ones, $texts"),
    ("complete_then", "$worker, $ids, $ones, $texts, $texts"),
    ("complete_in", "$worker, $id, 1, NULL, NULL"),
    ("report", "$worker, $ids, $ones, $ones, $texts"),
    ("retry", "$worker, $ids, $ones, $ones, $texts"),
    ("snooze", "$worker, $ids, $ones, $ones, $texts"),
    ("release", "$worker, $ids, $ones"),
    ("bury", "$worker, $ids, $ones, $texts"),
    ("cancel_run", "$worker, $ids, $ones"),
    ("settle_again", "$worker, $ids, $ones, $texts, $texts"),
    ("unblock", "$ids"),
    ("revive", "$ids, '200ms'"),
    ("note_repairs", "$worker, $ids, $ones, 'running', 0, 'a note'"),
    ("lockers", "$ids"),
    ("note_repairs", "$worker, $ids, $ones, NULL, 1000, 'a note'"),
];

/// The statements that scan one index, the name of this index, and other indexes that they may use.
const BY_INDEX: [(&str, &str, &[&str]); 32] = [
    ("claim_limited_line", "$worker, 'default', NULL, 10, 1000", &["job_limited_line"]),
    ("claim_limited_line", "$worker, 'default', '{k,other}', 10, 1000", &["job_limited_line"]),
    ("reorder_line", "'default', $id, 1000", &["job_pkey"]),
    ("reorder_jobs", "'default', $ids", &["job_pkey"]),
    ("batches", "NULL, 100", &["job_batch"]),
    ("batch_moment", "'b'", &["job_batch"]),
    ("batch_live", "'b', $id, 1000", &["job_batch"]),
    ("batch_jobs", "'b', NULL, NULL, NULL, $id, 100", &["job_batch", "job_pkey"]),
    ("bulk_cancel", "'default', NULL, '{queued,running}', now(), NULL, NULL, $id, 1000", &["job_pkey"]),
    ("bulk_place", "'default', 'k', '{queued}', now(), '%x%', 'b', $id, 1000, 5, NULL", &["job_pkey"]),
    ("bulk_find", "NULL, 'k', '{scheduled}', now(), NULL, NULL, $id, 1000", &["job_pkey"]),
    ("bulk_find_finished", "NULL, NULL, '{dead}', now(), NULL, NULL, '-infinity', $id, 1000", &[]),
    ("lines", "'{default,other}', '{4096,10}', '{1,1,2}', '{k,other,k}', '{NULL,now,NULL}'", &["job_line_at"]),
    ("line_after", "'default', NULL, now(), $id, 2000", &["job_line_at"]),
    ("line_after", "'default', '{k,other}', now(), $id, 2000", &["job_line_at"]),
    ("claim_line", "$worker, 'default', NULL, 10, 1000, true", &["job_line_at", "job_in_danger", "job_begun_key"]),
    (
        "claim_line",
        "$worker, 'default', '{k,other}', 10, 1000, false",
        &["job_line_at", "job_in_danger", "job_begun_key"],
    ),
    ("queues_in_line", "'{default,other}'", &["job_line_at"]),
    ("survey", "NULL", &["job_due", "job_lease", "job_line_at"]),
    ("survey_slices", "'{\"\",q}', '{q,NULL}'", &["job_line_at"]),
    ("fingerprint", "'{\"\",q}', '{q,NULL}', 1000", &["job_due", "job_lease", "job_line_at"]),
    ("position", "$id, 1000", &["job_line_at", "job_pkey"]),
    ("expire", "100, now(), '{}', 1000", &["job_lease", "job_pkey"]),
    ("promote", "100, now()", &["job_due", "job_pkey"]),
    ("promote_share", "10, '', 20", &["job_due_in_queue", "job_pkey"]),
    ("lapse", "100", &["job_overdue", "job_pkey"]),
    ("cancel_wanted", "100", &["job_cancel_wanted"]),
    ("held", "$worker", &["job_lease"]),
    ("leases", "100, now()", &["job_lease"]),
    ("job", "$id", &["job_pkey"]),
    ("explain", "$id", &["job_begun_key", "job_pkey"]),
    ("jobs", "NULL, NULL, NULL, NULL, 100", &["job_lease", "job_off_clock", "job_pkey"]),
];

/// What puts statements together when the store is built.
#[path = "../../lib/store/build/expand.rs"]
mod expand;

fn statement(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store/sql");
    let path = folder.join(name).with_extension("sql");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    expand::expand(&text, &folder.join("parts")).expect("the parts")
}

#[test]
fn a_part_takes_what_it_is_given_and_no_more() {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store/sql/parts");
    let expanded = |include: &str| expand::expand(&format!("A\n  {include}\nB\n"), &parts);
    let text =
        expanded("-- include finish: state = 'dead'; error = t.error;\n  --     from = gone g JOIN target t ON true")
            .expect("text");
    assert!(
        text.starts_with("A\n  INSERT INTO leasehold.history AS h (")
            && text.ends_with("  FROM gone g JOIN target t ON true\nB\n"),
        "{text}"
    );
    assert!(
        text.contains("NULL::json") && text.contains("'dead'") && text.contains("t.error") && !text.contains('$'),
        "{text}"
    );
    for (include, told) in [
        ("-- include finish", "state is not given"),
        ("-- include finish: state = 1; stat = 2", "takes no stat"),
        ("-- include finishes: state = 1", "finishes.sql"),
    ] {
        let error = expanded(include).expect_err(include);
        assert!(error.contains(told), "{error}");
    }
}

/// The indexes of `leasehold.job` that a plan uses, and `seq scan` if the plan reads the table itself.
fn uses(plan: &Value, found: &mut BTreeSet<String>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| uses(part, found)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            if text("Index Name").starts_with("job_") {
                let walked = text("Index Name") == "job_pkey" && !fields.contains_key("Index Cond");
                found.insert(format!("{}{}", text("Index Name"), if walked { ", all of it" } else { "" }));
            } else if text("Relation Name") == "job" && text("Node Type").contains("Seq Scan") {
                found.insert("seq scan".to_owned());
            }
            fields.values().for_each(|part| uses(part, found));
        }
        _ => {}
    }
}

async fn plan(connection: &mut PgConnection, name: &str, parameters: &str, ids: &[Uuid]) -> (BTreeSet<String>, Value) {
    let count = ids.len();
    let list = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
    let parameters = parameters
        .replace("$worker", "'00000000-0000-7000-8000-000000000000'")
        .replace("$ids", &format!("'{{{list}}}'"))
        .replace("$id", &format!("'{}'", ids[0]))
        .replace("$ones", &format!("array_fill(1, ARRAY[{count}])"))
        .replace("$texts", &format!("array_fill('null'::text, ARRAY[{count}])"));
    let call = if parameters.is_empty() { "EXECUTE s".to_owned() } else { format!("EXECUTE s({parameters})") };
    let script = format!("PREPARE s AS {};", statement(name));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.expect(name);
    let explain = format!("EXPLAIN (FORMAT JSON) {call}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await;
    let text: String = row.unwrap_or_else(|error| panic!("{name}: {error}")).try_get_unchecked(0).expect("a plan");
    sqlx::raw_sql("DEALLOCATE s").execute(connection).await.expect("deallocate");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = BTreeSet::new();
    uses(&plan, &mut found);
    (found, plan)
}

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

/// All statements, planned in each way that the store's connections may plan them: with custom plans for batches of
/// several sizes, and with a generic plan. If the table is not tiny, also with a generic plan without our settings, as
/// behind a pooler that does not pass the settings on.
async fn check(fixture: &Fixture, situation: &str) {
    let mut ours = fixture.pool().acquire().await.expect("a connection");
    let mut once = fixture.pool().acquire().await.expect("a connection");
    let mut bare = fixture.connection().await;
    for connection in [&mut *once, &mut bare] {
        sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(connection).await.expect("set");
    }
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM leasehold.job ORDER BY md5(id::text) LIMIT 500")
        .fetch_all(&mut *ours)
        .await
        .expect("ids");
    let pages = fixture.number("SELECT pg_relation_size('leasehold.job') / 8192").await;
    for size in [1, 50, 500].map(|size| ids.len().min(size)) {
        for (name, parameters) in BY_ID {
            let seen = plan(&mut ours, name, parameters, &ids[..size]).await;
            finds_by_id(seen, &format!("{situation}, {pages} pages, {size} ids: {name}"));
        }
    }
    for (name, parameters) in BY_ID {
        let seen = plan(&mut once, name, parameters, &ids[..50.min(ids.len())]).await;
        finds_by_id(seen, &format!("{situation}, {pages} pages, any ids: {name}"));
    }
    if pages >= 200 {
        for (name, parameters) in BY_ID {
            let seen = plan(&mut bare, name, parameters, &ids[..50]).await;
            finds_by_id(seen, &format!("{situation}, {pages} pages, any ids, no settings: {name}"));
        }
    }
    for (name, parameters, indexes) in BY_INDEX {
        // The page of a list always gets a custom plan.
        let whens: &mut [(&str, &mut PgConnection)] = match name {
            "jobs" => &mut [("", &mut ours)],
            _ => &mut [("", &mut ours), (", any parameters", &mut once)],
        };
        for (when, connection) in whens {
            let (found, plan) = plan(connection, name, parameters, &ids[..1]).await;
            let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
            assert_eq!(found, indexes.iter().copied().collect(), "{situation}, {pages} pages{when}: {name}\n{plan}");
        }
    }
    // Resets the connection for its next user.
    sqlx::raw_sql("RESET plan_cache_mode").execute(&mut *once).await.expect("reset");
}

fn finds_by_id((found, plan): (BTreeSet<String>, Value), what: &str) {
    // Revive searches live jobs for the unique key. A claim that finds a job in danger checks whether its worker
    // already runs one. A claim of a job of which only one may run checks whether another one has begun.
    let also = |index: &str| {
        ["job_unique_key", "job_begun_key"].contains(&index)
            || (index == "job_in_danger" && what.ends_with(": claim_careful"))
    };
    let found: BTreeSet<&str> = found.iter().map(String::as_str).filter(|index| !also(index)).collect();
    assert_eq!(found, ["job_pkey"].into(), "{what}\n{plan}");
}

/// Jobs in the line, and a few running and scheduled ones.
async fn fill(fixture: &Fixture, count: u32) {
    fixture
        .sql(format!(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
             SELECT gen_random_uuid(), now() + n * interval '1 microsecond', 5, 3, 0, 'default', 'k', '{{}}',
                    CASE WHEN n % 100 = 1 THEN 'scheduled' ELSE 'queued' END::leasehold.job_state
             FROM generate_series(1, {count}) AS n"
        ))
        .await;
    let worker = WorkerId::new();
    fixture
        .claim_line(worker, &crate::fixture::name("default"), &Kinds::All, i64::from(count / 50), LEASE, true)
        .await
        .expect("claim_line");
}

/// The statements about schedules that must not read all of them, and the index that they use.
const OF_SCHEDULES: [(&str, &str, &str); 4] = [
    ("schedule_due", "100, NULL", "schedule_due"),
    ("schedule_pause", "'s1', '200ms'", "schedule_pkey"),
    ("schedule_resume", "'s1', 1, now(), '200ms'", "schedule_pkey"),
    ("schedule_remove", "'s1', '200ms'", "schedule_pkey"),
];

#[tokio::test]
async fn a_schedule_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    let insert = "INSERT INTO leasehold.schedule (name, every_ms, kind, next_at)
                  SELECT 's' || n, 60000, 'k', now() + n * interval '1 second' FROM generate_series(-50, 10000) AS n";
    fixture.sql(insert).await;
    for situation in ["never analyzed", "analyzed"] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let mut connection = fixture.connection().await;
            let set = format!("SET plan_cache_mode = {mode}");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.expect("set");
            for (name, parameters, index) in OF_SCHEDULES {
                let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil()]).await;
                let text = plan.to_string();
                let is_found = text.contains(&format!(r#""Index Name":"{index}""#)) && !text.contains("Seq Scan");
                assert!(is_found, "{situation}, {mode}: {name}\n{plan}");
            }
        }
        fixture.sql("ANALYZE leasehold.schedule").await;
    }
}

/// The statements about one pause, which must not read all of them.
const OF_PAUSES: [(&str, &str); 3] =
    [("pause_kind", "'q', 'k1', '200ms'"), ("resume_kind", "'q', 'k1', '200ms'"), ("paused_kinds", "'q'")];

#[tokio::test]
async fn a_pause_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    let insert = "INSERT INTO leasehold.pause (queue, what, name)
                  SELECT 'q' || n % 1000, 'kind', 'k' || n FROM generate_series(1, 10000) AS n";
    fixture.sql(insert).await;
    fixture.sql("ANALYZE leasehold.pause").await;
    let mut connection = fixture.connection().await;
    for (name, parameters) in OF_PAUSES {
        let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil()]).await;
        assert!(!plan.to_string().contains("Seq Scan"), "{name}\n{plan}");
    }
    // A claim reads the pauses of its queue once, whether there are any or not.
    for queue in ["default", "q7"] {
        let jobs: Vec<NewJob> = (0..3).map(|_| NewJob { queue: crate::fixture::name(queue), ..new_job() }).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let list = jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(",");
        let script = format!(
            "PREPARE s AS {}; EXPLAIN (ANALYZE, FORMAT JSON)
             EXECUTE s('00000000-0000-7000-8000-000000000000', '{{{list}}}', NULL, 1000, '{queue}')",
            statement("claim")
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection).await.expect("a plan");
        let plan: Value = rows[0].get(0);
        let mut asks = Vec::new();
        loops_of_pauses(&plan, &mut asks);
        assert_eq!(asks, [1], "queue {queue}\n{plan}");
        sqlx::raw_sql("DEALLOCATE s").execute(&mut connection).await.expect("deallocate");
    }
}

/// How often each scan of the pauses ran, in the order of the plan.
fn loops_of_pauses(plan: &Value, found: &mut Vec<u64>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| loops_of_pauses(part, found)),
        Value::Object(fields) => {
            if fields.get("Relation Name").and_then(Value::as_str) == Some("pause") {
                found.extend(fields.get("Actual Loops").and_then(Value::as_u64));
            }
            fields.values().for_each(|part| loops_of_pauses(part, found));
        }
        _ => {}
    }
}

/// The statements about graphs that must not read all edges.
const OF_GRAPHS: [(&str, &str); 3] = [("parents", "$id, 1000"), ("graph", "$id, 100"), ("graph_edges", "$ids")];

#[tokio::test]
async fn an_edge_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    fixture.sql("ALTER TABLE leasehold.edge SET (autovacuum_enabled = off)").await;
    let insert = "INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure)
                  SELECT gen_random_uuid(), gen_random_uuid(), 1, 'cancel' FROM generate_series(1, 50000)";
    fixture.sql(insert).await;
    for situation in ["never analyzed", "analyzed"] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let mut connection = fixture.connection().await;
            let set = format!("SET plan_cache_mode = {mode}");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.expect("set");
            for (name, parameters) in OF_GRAPHS {
                let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil(), Uuid::max()]).await;
                let is_found = plan.to_string().contains(r#""Index Name":"edge_"#);
                assert!(is_found && !reads_all_edges(&plan), "{situation}, {mode}: {name}\n{plan}");
            }
        }
        fixture.sql("ANALYZE leasehold.edge").await;
    }
}

fn reads_all_edges(plan: &Value) -> bool {
    match plan {
        Value::Array(parts) => parts.iter().any(reads_all_edges),
        Value::Object(fields) => {
            let is = |name: &str, text: &str| fields.get(name).and_then(Value::as_str) == Some(text);
            is("Relation Name", "edge") && is("Node Type", "Seq Scan") || fields.values().any(reads_all_edges)
        }
        _ => false,
    }
}

/// A database without autovacuum, so that statistics change only on request.
async fn start() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.sql("ALTER TABLE leasehold.job SET (autovacuum_enabled = off)").await;
    fixture
}

/// The statements about finished jobs that must not read all of them, and a part of the name of the index that they use. The day
/// of retain_trim has no partition, so the default one is read.
const OF_HISTORY: [(&str, &str, &str); 3] = [
    (
        "bulk_find_finished",
        "NULL, NULL, '{dead}', now(), NULL, NULL, '-infinity', $id, 1000",
        "state_created_at_id_idx",
    ),
    ("dead_errors", "NULL, NULL, NULL, 1000, 20", "state_created_at_id_idx"),
    ("retain_trim", "'q', '2000-01-01', $id, 1000", "history_default_pkey"),
];

/// Whether a plan scans a partition of history itself.
fn reads_history(plan: &Value) -> bool {
    match plan {
        Value::Array(parts) => parts.iter().any(reads_history),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            text("Node Type") == "Seq Scan" && text("Relation Name").starts_with("history")
                || fields.values().any(reads_history)
        }
        _ => false,
    }
}

/// The search for dead jobs reads the index of the jobs that did not succeed, in its order, whatever else is in history.
#[tokio::test]
async fn dead_jobs_are_found_without_reading_the_others() {
    let fixture = start().await;
    let fill = |state: &str, count: u32| {
        format!(
            "INSERT INTO leasehold.history (id, run_at, created_at, finished_at, worker, epoch, attempt, max_attempts, crashes,
                                            max_crashes, state, priority, queue, kind, payload)
             SELECT gen_random_uuid(), now(), now() - n * interval '1 ms', now(), gen_random_uuid(), 1, 1, 5, 0, 3, '{state}', 0,
                    'default', 'k', '{{}}' FROM generate_series(1, {count}) AS n"
        )
    };
    fixture.sql(fill("succeeded", 50_000)).await;
    fixture.sql(fill("dead", 5_000)).await;
    let mut connection = fixture.pool().acquire().await.expect("a connection");
    for situation in ["never analyzed", "analyzed"] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let set = format!("SET plan_cache_mode = {mode}");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *connection).await.expect("set");
            for (name, parameters, index) in OF_HISTORY {
                let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil()]).await;
                let is_found = plan.to_string().contains(index) && !reads_history(&plan);
                assert!(is_found, "{situation}, {mode}: {name}\n{plan}");
            }
        }
        fixture.sql("ANALYZE leasehold.history").await;
    }
    sqlx::raw_sql("RESET plan_cache_mode").execute(&mut *connection).await.expect("reset");
}

#[tokio::test]
async fn on_a_fresh_table_never_analyzed() {
    let fixture = start().await;
    for _ in 0..6 {
        fill(&fixture, 300).await;
        check(&fixture, "fresh").await;
    }
}

#[tokio::test]
async fn with_a_long_line() {
    let fixture = start().await;
    fill(&fixture, 100_000).await;
    check(&fixture, "100,000 jobs, never analyzed").await;
    fixture.sql("ANALYZE leasehold.job").await;
    check(&fixture, "100,000 jobs, analyzed").await;
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
    let begun = std::time::Instant::now();
    assert_eq!(fixture.admit(&["full".to_owned()]).await.expect("admit").len(), 10);
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn with_statistics_from_when_it_was_empty() {
    let fixture = start().await;
    fixture.sql("ANALYZE leasehold.job").await;
    for _ in 0..3 {
        fill(&fixture, 5_000).await;
        check(&fixture, "analyzed when empty").await;
    }
}

#[tokio::test]
async fn with_statistics_from_when_nothing_was_running() {
    let fixture = start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
              SELECT gen_random_uuid(), now(), 5, 3, 0, 'default', 'k', '{}', 'queued' FROM generate_series(1, 5000)",
        )
        .await;
    fixture.sql("VACUUM ANALYZE leasehold.job").await;
    fill(&fixture, 5_000).await;
    check(&fixture, "analyzed when all were queued").await;
}

/// A transaction that stays open: PostgreSQL cannot remove rows that die from now on.
async fn old_snapshot(fixture: &Fixture) -> PgConnection {
    let mut old = fixture.connection().await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.job")
        .execute(&mut old)
        .await
        .expect("a snapshot");
    old
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

/// A backup or a forgotten session: PostgreSQL cannot remove rows that have died since.
#[tokio::test]
async fn with_an_old_snapshot_open() {
    let fixture = start().await;
    let _old = old_snapshot(&fixture).await;
    for _ in 0..4 {
        fill(&fixture, 5_000).await;
        fixture.sql("DELETE FROM leasehold.job WHERE state = 'queued' AND md5(id::text) < 'e'").await;
        fixture.sql("VACUUM ANALYZE leasehold.job").await;
        check(&fixture, "an old snapshot").await;
    }
}
