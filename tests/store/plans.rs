//! The plans of the statements, taken from their files. A verb that names its jobs must find them by primary key and
//! never scan the table, the line or the leases, whatever statistics the planner has. A plan that depends on statistics
//! works until the statistics are outdated.

use crate::fixture::{Fixture, LEASE};
use leasehold_core::WorkerId;
use leasehold_store::Kinds;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{collections::BTreeSet, fs, path::Path};
use uuid::Uuid;

/// The statements that name their jobs, with parameters for a batch.
const BY_ID: [(&str, &str); 30] = [
    ("runs", "$ids"),
    ("encrypted_among", "$ids"),
    ("http_note", "$worker, 'c', $ids, 1000"),
    ("http_recall", "$worker, 'c', 1000, 'default'"),
    ("claim", "$worker, $ids, NULL, 1000, 'default'"),
    ("claim", "$worker, $ids, '{k,other}', 1000, 'default'"),
    ("claim_any", "$worker, $ids, NULL, 1000, 'default'"),
    ("claim_any", "$worker, $ids, '{k,other}', 1000, 'default'"),
    ("claim_careful", "$worker, $ids, NULL, 1000, 10, 'default'"),
    ("claim_careful", "$worker, $ids, '{k,other}', 1000, 10, 'default'"),
    ("look", "$ids, NULL"),
    ("look", "$ids, '{k,other}'"),
    ("renew", "$worker, $ids, $ones, 1000"),
    ("complete", "$worker, $ids, $ones, $texts"),
    ("complete_alike", "$worker, $ids, 1"),
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
const BY_INDEX: [(&str, &str, &[&str]); 39] = [
    ("retain_http", "1000", &["job_pkey"]),
    ("claim_limited_line", "$worker, 'default', NULL, 10, 1000, 20", &["job_with_limits"]),
    ("next_token", "'default', NULL", &["job_with_limits"]),
    ("next_token", "'default', '{k,other}'", &["job_with_limits"]),
    ("tokens_of_jobs", "$ids", &["job_pkey", "job_by_limit"]),
    ("claim_limited_line", "$worker, 'default', '{k,other}', 10, 1000, 20", &["job_with_limits"]),
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
    // The function of the same name plans its statements without sequential scans.
    ("queue_load", "'{default,other}', '{NULL,[]}', '{NULL,1000}', '{}'", &[]),
    ("fair_share", "$id, 1000", &["job_parked", "job_pkey"]),
    ("survey", "NULL", &["job_due", "job_lease", "job_line_at"]),
    ("survey_slices", "'{\"\",q}', '{q,NULL}'", &["job_line_at"]),
    ("fingerprint", "'{\"\",q}', '{q,NULL}', 1000", &["job_due", "job_lease", "job_line_at"]),
    ("position", "$id, 1000", &["job_line_at", "job_pkey"]),
    ("expire", "100, now(), '{}', 1000", &["job_lease", "job_pkey"]),
    ("promote", "100, now()", &["job_due", "job_pkey"]),
    ("promote_share", "10, '', 20", &["job_due_in_queue", "job_pkey"]),
    ("lapse", "100", &["job_overdue", "job_pkey"]),
    ("http_undelivered", "100", &["job_pkey"]),
    ("cancel_wanted", "100", &["job_cancel_wanted"]),
    ("held", "$worker", &["job_lease"]),
    ("leases", "100, now()", &["job_lease"]),
    ("job", "$id", &["job_pkey", "job_webhook_pkey"]),
    ("explain", "$id", &["job_begun_key", "job_pkey"]),
    ("jobs", "NULL, NULL, NULL, NULL, 100", &["job_lease", "job_not_on_clock", "job_pkey"]),
];

/// What puts statements together when the store is built.
#[path = "../../lib/store/build/expand.rs"]
mod expand;

pub(crate) fn statement(name: &str) -> String {
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

pub(crate) async fn plan(
    connection: &mut PgConnection,
    name: &str,
    parameters: &str,
    ids: &[Uuid],
) -> (BTreeSet<String>, Value) {
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
    // already runs one. If only one job with a unique key may run, its claim checks whether another job with this key
    // has begun.
    let also = |index: &str| {
        ["job_unique_key", "job_begun_key"].contains(&index)
            || (index == "job_in_danger" && what.ends_with(": claim_careful"))
    };
    let found: BTreeSet<&str> = found.iter().map(String::as_str).filter(|index| !also(index)).collect();
    assert_eq!(found, ["job_pkey"].into(), "{what}\n{plan}");
}

/// Jobs in the line, and a few running and scheduled ones.
pub(crate) async fn fill(fixture: &Fixture, count: u32) {
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

/// A database without autovacuum, so that statistics change only on request.
pub(crate) async fn start() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.sql("ALTER TABLE leasehold.job SET (autovacuum_enabled = off)").await;
    fixture
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
pub(crate) async fn old_snapshot(fixture: &Fixture) -> PgConnection {
    let mut old = fixture.connection().await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.job")
        .execute(&mut old)
        .await
        .expect("a snapshot");
    old
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
