//! The plans of the statements about schedules, pauses, graphs and history: none reads a whole table.

use crate::{
    fixture::{Fixture, name, new_job},
    plans::{plan, start, statement},
};
use leasehold_core::NewJob;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

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
    // A claim reads the pauses of its queue, whether there are any or not.
    for (queue, claim, expected) in [
        ("default", "claim", [1].as_slice()),
        ("q7", "claim", &[1]),
        // The kinds of its queue once; the fair keys not at all, as none of the jobs has one.
        ("default", "claim_any", &[1, 0]),
        ("q7", "claim_any", &[1, 0]),
    ] {
        let jobs: Vec<NewJob> = (0..3).map(|_| NewJob { queue: name(queue), ..new_job() }).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let list = jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(",");
        let script = format!(
            "PREPARE s AS {}; EXPLAIN (ANALYZE, FORMAT JSON)
             EXECUTE s('00000000-0000-7000-8000-000000000000', '{{{list}}}', NULL, 1000, '{queue}')",
            statement(claim)
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection).await.expect("a plan");
        let plan: Value = rows[0].get(0);
        let mut asks = Vec::new();
        loops_of_pauses(&plan, &mut asks);
        assert_eq!(asks, expected, "{claim}, queue {queue}\n{plan}");
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

/// The statements about one token, about the newest rows of the audit, and about its oldest rows.
const OF_TOKENS: [(&str, &str, &str); 6] = [
    ("token_rotate", "'t1', 'x', 1000, NULL", "token_pkey"),
    ("token_revoke", "'t1'", "token_pkey"),
    ("token_used", "'{t1}'", "token_pkey"),
    ("audit", "NULL, 100", "audit_pkey"),
    ("audit", "1000, 100", "audit_pkey"),
    ("trim_audit", "1000", "Result"),
];

#[tokio::test]
async fn a_token_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    fixture
        .sql("INSERT INTO leasehold.token (id, name, scopes, hash) SELECT 't' || n, 'n', '{read}', sha256('x') FROM generate_series(1, 10000) AS n")
        .await;
    fixture
        .sql("INSERT INTO leasehold.audit (actor, action, target) SELECT 'a', 'b', 'c' FROM generate_series(1, 10000)")
        .await;
    fixture.sql("ANALYZE leasehold.token, leasehold.audit").await;
    let mut connection = fixture.connection().await;
    for (name, parameters, index) in OF_TOKENS {
        let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::nil()]).await;
        let text = plan.to_string();
        assert!(text.contains(index) && !text.contains("Seq Scan"), "{name}\n{plan}");
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
                assert!(is_found && !reads_all(&plan, "edge"), "{situation}, {mode}: {name}\n{plan}");
            }
        }
        fixture.sql("ANALYZE leasehold.edge").await;
    }
}

/// Whether a plan scans a table from its beginning to its end.
fn reads_all(plan: &Value, table: &str) -> bool {
    match plan {
        Value::Array(parts) => parts.iter().any(|part| reads_all(part, table)),
        Value::Object(fields) => {
            let is = |name: &str, text: &str| fields.get(name).and_then(Value::as_str) == Some(text);
            is("Relation Name", table) && is("Node Type", "Seq Scan")
                || fields.values().any(|part| reads_all(part, table))
        }
        _ => false,
    }
}

/// The statements about webhooks that must not read all of the log, and the index that they use.
const OF_WEBHOOKS: [(&str, &str, &str); 8] = [
    ("webhook_attempts", "'w7', $id, 50", "webhook_attempt_pkey"),
    ("webhook_attempts", "'w7', NULL, 50", "webhook_attempt_pkey"),
    ("webhook_replayable", "'w7', now() - interval '1 hour', now(), NULL, '{dead}', 500, NULL", "webhook_attempt_pkey"),
    ("webhook_trim", "7, 5000", "webhook_attempt_at"),
    ("webhook_target", "'w7'", "webhook_secret_of"),
    ("webhooks", "'w7'", "webhook_attempt_pkey"),
    ("webhook_remove", "'w7'", "webhook_secret_of"),
    ("retain_job_webhooks", "604800, 5000", "job_webhook_created"),
];

#[tokio::test]
async fn the_log_of_webhooks_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.webhook (id, url, queue, kinds, states)
             SELECT 'w' || n, 'https://example.com', '*', '{}', '{dead}' FROM generate_series(1, 1000) n;
             INSERT INTO leasehold.webhook_secret (id, webhook, secret)
             SELECT gen_random_uuid(), 'w' || n, 'whsec_' FROM generate_series(1, 1000) n;
             INSERT INTO leasehold.webhook_attempt (id, webhook, delivery, event, attempt, ms)
             SELECT leasehold.new_id(), 'w' || n % 20, gen_random_uuid(), 'job.dead', 1, 1 FROM generate_series(1, 50000) n;
             INSERT INTO leasehold.job_webhook (job, webhook) SELECT gen_random_uuid(), 'w7' FROM generate_series(1, 50000) n;
             ANALYZE leasehold.webhook, leasehold.webhook_secret, leasehold.webhook_attempt, leasehold.job_webhook",
        )
        .await;
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let mut connection = fixture.connection().await;
        let set = format!("SET plan_cache_mode = {mode}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.expect("set");
        for (name, parameters, index) in OF_WEBHOOKS {
            let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::max()]).await;
            let text = plan.to_string();
            let is_found = text.contains(&format!(r#""Index Name":"{index}""#));
            let reads_all = ["webhook_attempt", "job_webhook"].iter().any(|table| reads_all(&plan, table));
            assert!(is_found && !reads_all, "{mode}: {name}\n{plan}");
        }
    }
}

/// The statements about operations that must not read all of them, and the index that they use.
const OF_OPERATIONS: [(&str, &str, &str); 7] = [
    ("operation_new", "'cancel', NULL, NULL, '{}', 'http', '{}', 100", "operation_open"),
    ("operation_take", "$id, 15000", "operation_open"),
    ("operation_hold", "$id, $id, 1, 15000", "operation_pkey"),
    ("operation_advance", "$id, $id, 1, '{}', '{}', 1, 1, 1", "operation_pkey"),
    ("operation_cancel", "$id", "operation_"),
    ("operations", "NULL, 50", "operation_pkey"),
    ("operation_trim", "1000", "operation_finished"),
];

#[tokio::test]
async fn an_operation_is_found_without_reading_all() {
    let fixture = Fixture::start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.operation (id, action, filter, actor, cursor, state, finished_at)
             SELECT leasehold.new_id(), 'cancel', '{}', 'http', '{}', 'done', now() FROM generate_series(1, 20000) n;
             ANALYZE leasehold.operation",
        )
        .await;
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let mut connection = fixture.connection().await;
        let set = format!("SET plan_cache_mode = {mode}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.expect("set");
        for (name, parameters, index) in OF_OPERATIONS {
            let (_, plan) = plan(&mut connection, name, parameters, &[Uuid::max()]).await;
            let is_found = plan.to_string().contains(&format!(r#""Index Name":"{index}"#));
            assert!(is_found && !reads_all(&plan, "operation"), "{mode}: {name}\n{plan}");
        }
    }
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
