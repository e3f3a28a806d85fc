//! Illegal rows cannot exist: for each named CHECK there is a row that only this CHECK refuses.

use crate::fixture::Fixture;
use sqlx::AssertSqlSafe;
use std::{collections::BTreeSet, fs, path::Path};

/// Columns of legal rows. Each test changes one of them to an illegal value.
const QUEUED: &str = "id = gen_random_uuid(); run_at = now(); max_attempts = 5; max_crashes = 3; state = 'queued';
    priority = 0; queue = 'q'; kind = 'k'; payload = '1'";
const RUNNING: &str =
    "worker = gen_random_uuid(); lease_expires_at = now(); started_at = now(); epoch = 1; attempt = 1;
    state = 'running'";
const SUCCEEDED: &str =
    "id = gen_random_uuid(); run_at = now(); created_at = now(); finished_at = now(); max_attempts = 5;
    max_crashes = 3; state = 'succeeded'; priority = 0; queue = 'q'; kind = 'k'; payload = '1'; epoch = 1; attempt = 1;
    crashes = 0; worker = gen_random_uuid()";

/// A legal edge.
const EDGE: &str =
    "child = '00000000-0000-7000-8000-000000000001'; parent = gen_random_uuid(); nth = 1; on_parent_failure = 'hold'";

/// An `INSERT` statement. If a column is given twice, the last value counts.
fn insert(table: &str, parts: &[&str]) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for pair in parts.iter().flat_map(|part| part.split(';')) {
        let (name, value) = pair.trim().split_once(" = ").expect("name = value");
        columns.retain(|(other, _)| *other != name);
        columns.push((name, value));
    }
    let (names, values): (Vec<&str>, Vec<&str>) = columns.into_iter().unzip();
    format!("INSERT INTO leasehold.{table} ({}) VALUES ({})", names.join(", "), values.join(", "))
}

#[tokio::test]
async fn every_check_refuses_its_illegal_row() {
    let fixture = Fixture::start().await;
    for legal in [insert("job", &[QUEUED]), insert("job", &[QUEUED, RUNNING]), insert("history", &[SUCCEEDED])] {
        fixture.sql(legal).await;
    }
    let queued = |spoiled: &str| insert("job", &[QUEUED, spoiled]);
    let running = |spoiled: &str| insert("job", &[QUEUED, RUNNING, spoiled]);
    let finished = |spoiled: &str| insert("history", &[SUCCEEDED, spoiled]);
    let schedule =
        |spoiled: &str| insert("schedule", &["name = 's'; every_ms = 1000; kind = 'k'; next_at = now()", spoiled]);
    fixture.sql(schedule("name = 'legal'")).await;
    let webhook = |spoiled: &str| {
        insert(
            "webhook",
            &["id = 'w'; url = 'https://example.com'; queue = 'q*'; kinds = '{}'; states = '{dead}'", spoiled],
        )
    };
    fixture.sql(webhook("id = 'legal'")).await;
    let trace = |text: &str| insert("trace", &[&format!("job = gen_random_uuid(); traceparent = '{text}'")]);
    fixture.sql(trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")).await;
    let operation = |spoiled: &str| {
        let legal = "id = gen_random_uuid(); action = 'cancel'; filter = '{}'; actor = 'http'; cursor = '{}'";
        insert("operation", &[legal, spoiled])
    };
    fixture.sql(operation("state = 'waiting'")).await;
    let edge = |spoiled: &str| insert("edge", &[EDGE, spoiled]);
    fixture.sql(edge("nth = 1")).await;
    let token = |spoiled: &str| {
        let legal = "id = 'i'; name = 'n'; scopes = '{read}'; hash = sha256('x')";
        insert("token", &[legal, spoiled])
    };
    fixture.sql(token("id = 'legal'")).await;
    let cases = [
        ("live_jobs_only", queued("state = 'dead'")),
        ("worker_exactly_while_running", queued("worker = gen_random_uuid()")),
        ("worker_exactly_while_running", running("worker = NULL")),
        ("lease_exactly_while_running", queued("lease_expires_at = now()")),
        ("lease_exactly_while_running", running("lease_expires_at = NULL")),
        ("cancel_wanted_only_while_running", queued("cancel_requested_at = now()")),
        ("running_was_claimed", running("epoch = 0; attempt = 0")),
        ("running_was_claimed", running("attempt = 0")),
        ("running_was_claimed", running("started_at = NULL")),
        ("attempts_within_limit", running("attempt = 6; epoch = 6")),
        ("attempts_within_limit", queued("attempt = -1")),
        ("waiting_has_an_attempt_left", queued("attempt = 5; epoch = 5")),
        ("crashes_within_limit", queued("crashes = 3")),
        ("crashes_within_limit", queued("crashes = -1")),
        ("attempts_never_pass_claims", queued("attempt = 2; epoch = 1")),
        ("max_attempts_is_from_1_to_10000", queued("max_attempts = 10001")),
        ("max_attempts_is_from_1_to_10000", running("max_attempts = 10001")),
        ("timeout_is_positive", queued("timeout_ms = 0")),
        ("finished_jobs_only", finished("state = 'queued'")),
        ("success_was_claimed_by_a_worker", finished("worker = NULL")),
        ("success_was_claimed_by_a_worker", finished("epoch = 0")),
        ("result_only_of_success", finished("state = 'dead'; result = '1'")),
        ("name_is_1_to_128_of_its_alphabet", queued("queue = 'a{b}'")),
        ("name_is_1_to_128_of_its_alphabet", queued("kind = ''")),
        ("name_is_1_to_128_of_its_alphabet", queued("queue = repeat('x', 129)")),
        ("key_is_1_to_512_bytes", queued("unique_key = ''")),
        ("key_is_1_to_512_bytes", queued("limit_key = ''")),
        ("payload_is_at_most_1_mib", queued("payload = to_json(repeat('x', 1048577))")),
        ("priority_is_from_minus_100_to_100", queued("priority = 101")),
        (
            "verb_ends_a_run",
            insert(
                "deferred_settle",
                &["id = gen_random_uuid(); epoch = 1; worker = gen_random_uuid(); queue = 'q'; verb = 'promote'"],
            ),
        ),
        ("priority_step_is_from_0_to_60_years", insert("queue", &["name = 'q'; priority_step = interval '-1s'"])),
        ("dead_letter_is_another_queue", insert("queue", &["name = 'q'; dead_letter = 'q'"])),
        ("keep_days_is_from_1_to_36500", insert("queue", &["name = 'q'; keep_days = 0"])),
        ("schedule_has_cron_or_every", schedule("cron = '* * * * *'; timezone = 'UTC'")),
        ("schedule_has_cron_or_every", schedule("every_ms = NULL")),
        ("timezone_exactly_with_cron", schedule("timezone = 'UTC'")),
        ("cron_is_1_to_200_bytes", schedule("every_ms = NULL; cron = ''; timezone = 'UTC'")),
        ("every_is_from_1_s_to_10_years", schedule("every_ms = 999")),
        ("missed_limit_is_from_0_to_500", schedule("missed_limit = 501")),
        ("next_tick_exactly_unless_paused", schedule("next_at = NULL")),
        ("next_tick_exactly_unless_paused", schedule("paused_at = now()")),
        ("schedule_max_attempts_is_from_1_to_10000", schedule("max_attempts = 0")),
        ("schedule_timeout_is_up_to_24_days", schedule("timeout_ms = 0")),
        ("no_job_is_its_own_parent", edge("parent = '00000000-0000-7000-8000-000000000001'")),
        ("shard_is_from_0_to_31", insert("edge_count", &["child = gen_random_uuid(); shard = 32; unmet = 1"])),
        ("unmet_is_not_negative", insert("edge_count", &["child = gen_random_uuid(); shard = 0; unmet = -1"])),
        ("ended_parent_has_ended", insert("ended_parent", &["parent = gen_random_uuid(); state = 'queued'"])),
        ("schedule_expires_in_is_up_to_100_years", schedule("expires_in_ms = 0")),
        ("limit_keys_are_1_to_8", queued("limit_keys = '{}'")),
        ("limit_keys_are_1_to_8", queued("limit_keys = array_fill('x'::text, ARRAY[9])")),
        ("limit_keys_are_1_to_8", queued("limit_keys = ARRAY['x', NULL]")),
        ("limited_run_has_its_slots", running("limit_keys = '{k}'")),
        ("limited_waits_behind_the_line", queued("limit_keys = '{k}'; limited_by = 'k'; limited_at = now()")),
        ("fair_key_is_1_to_512_bytes", queued("fair_key = ''")),
        ("parked_waits_behind_the_line", queued("fair_key = 'a'; fair_at = now()")),
        ("admitted_has_a_fair_key", queued("fair_tag = 1")),
        (
            "fair_weight_is_from_a_thousandth_to_1000",
            insert("fair_weight", &["queue = 'q'; fair_key = 'a'; weight = 0"]),
        ),
        ("key_limit_limits_something", insert("key_limit", &["key = 'k'"])),
        ("key_limit_running_is_from_0_to_1000000", insert("key_limit", &["key = 'k'; running = -1"])),
        ("key_limit_rate_is_positive", insert("key_limit", &["key = 'k'; rate = 0; rate_text = '0/s'; burst = 1"])),
        ("key_limit_burst_exactly_with_rate", insert("key_limit", &["key = 'k'; running = 1; burst = 1"])),
        (
            "key_limit_burst_is_from_1_to_1000000",
            insert("key_limit", &["key = 'k'; rate = 1; rate_text = '1/s'; burst = 0"]),
        ),
        ("pause_is_of_a_kind_or_a_fair_key", insert("pause", &["queue = 'q'; what = 'queue'; name = 'n'"])),
        ("pause_has_a_name", insert("pause", &["queue = 'q'; what = 'kind'; name = ''"])),
        ("slot_is_not_negative", insert("limit_slot", &["key = 'k'; slot = -1; job = gen_random_uuid(); epoch = 1"])),
        ("only_a_sealed_batch_is_complete", insert("batch", &["name = 'b'; completed_at = now()"])),
        ("only_a_complete_batch_has_callbacks", insert("batch", &["name = 'b'; success_job = gen_random_uuid()"])),
        ("token_hash_is_sha256", token("hash = 'x'")),
        ("token_hash_is_sha256", token("old_hash = 'x'; old_hash_until = now()")),
        ("token_has_a_name_and_scopes", token("name = ''")),
        ("token_has_a_name_and_scopes", token("scopes = '{}'")),
        ("token_overlap_has_an_end", token("old_hash = sha256('x')")),
        ("webhook_url_is_1_to_2048_bytes", webhook("url = ''")),
        ("webhook_queue_is_a_name_or_a_pattern", webhook("queue = '*x'")),
        ("webhook_states_are_final", webhook("states = '{queued}'")),
        ("webhook_states_are_final", webhook("states = '{}'")),
        ("webhook_is_disabled_for_a_reason", webhook("disabled_at = now()")),
        ("traceparent_is_of_version_00", trace("x")),
        ("traceparent_is_of_version_00", trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01")),
        (
            "job_noted_has_no_rows",
            insert("job_noted", &[QUEUED, "created_at = now(); epoch = 0; attempt = 0; crashes = 0; line_at = now()"]),
        ),
        ("operation_action_has_its_argument", operation("action = 'priority'")),
        ("operation_action_has_its_argument", operation("action = 'move'; priority = 1")),
        ("operation_action_has_its_argument", operation("action = 'purge'")),
        ("operation_state_is_known", operation("state = 'ended'")),
        ("operation_runs_on_a_lease", operation("state = 'running'; worker = gen_random_uuid()")),
        ("operation_runs_on_a_lease", operation("lease_expires_at = now()")),
        ("operation_ends_once", operation("state = 'done'")),
        ("operation_ends_once", operation("finished_at = now()")),
        ("operation_fails_for_a_reason", operation("state = 'failed'; finished_at = now()")),
        ("operation_fails_for_a_reason", operation("reason = 'none'")),
        ("watch_has_one_row", insert("watch", &["one_row = false; kept_at = now()"])),
        ("minutes_until_has_one_row", insert("minutes_until", &["one_row = false; until = now()"])),
    ];
    let mut proven = BTreeSet::new();
    for (check, illegal) in cases {
        let refused = sqlx::query(AssertSqlSafe(illegal.clone())).execute(fixture.pool()).await;
        let error = refused.map(drop).expect_err(&illegal);
        let by = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(by.as_deref(), Some(check), "{illegal}: {error}");
        proven.insert(check.to_owned());
    }
    // One CHECK calls a function, whose rules have names too.
    let named: Vec<String> = sqlx::query_scalar(
        "SELECT conname::text FROM pg_constraint
         WHERE connamespace = 'leasehold'::regnamespace AND contype = 'c' AND conname <> 'limits_and_shares_are_legal'
         UNION
         SELECT rule[1] FROM pg_proc, regexp_matches(prosrc, 'THEN ''(\\w+)''', 'g') AS rule
         WHERE proname = 'limits_and_shares_are_legal'",
    )
    .fetch_all(fixture.pool())
    .await
    .expect("constraints");
    assert_eq!(proven, named.into_iter().collect(), "each CHECK must be proven by a row");
}

async fn columns(fixture: &Fixture, table: &str) -> BTreeSet<String> {
    let query = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('leasehold.' || $1) AND attnum > 0
                 AND NOT attisdropped";
    let columns: Vec<String> = sqlx::query_scalar(query).bind(table).fetch_all(fixture.pool()).await.expect("columns");
    columns.into_iter().collect()
}

/// What a finished job keeps: all that a live one has, but for what only a run has. And one place says so.
#[tokio::test]
async fn a_finished_job_keeps_the_columns_of_a_live_one() {
    let fixture = Fixture::start().await;
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (live, finished) = (columns(&fixture, "job").await, columns(&fixture, "history").await);
    assert_eq!(
        &live - &finished,
        set(&[
            "lease_expires_at",
            "cancel_requested_at",
            "line_at",
            "begun_key",
            "limited_by",
            "limited_at",
            "limit_epoch",
            "fair_at",
            "fair_tag",
            "fair_nth"
        ])
    );
    assert_eq!(&finished - &live, set(&["finished_at", "result"]));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store");
    let part = fs::read_to_string(folder.join("sql/parts/finish.sql")).expect("the part");
    let list = part.split("AS h (").nth(1).and_then(|rest| rest.split(')').next()).expect("a list of columns");
    let list: Vec<&str> = list.split(',').map(str::trim).collect();
    assert_eq!(set(&list), finished);
    let values =
        part.split("\nSELECT ").nth(1).and_then(|rest| rest.split("\nFROM ").next()).expect("a list of values");
    // The key of a job that has begun is in its second place.
    let values = values.replace("coalesce(g.unique_key, g.begun_key)", "g.unique_key");
    let values: Vec<&str> = values.split(',').map(str::trim).collect();
    assert_eq!(values.len(), list.len());
    let own = [
        ("finished_at", "now()"),
        ("state", "$state"),
        ("crashes", "$crashes"),
        ("result", "$result"),
        ("last_error", "$error"),
        ("trail", "$trail"),
    ];
    for (column, value) in list.iter().zip(values) {
        let wanted =
            own.iter().find(|(name, _)| name == column).map_or(format!("g.{column}"), |(_, value)| (*value).to_owned());
        assert_eq!(value, wanted, "the value of {column}");
    }
    for file in ["sql", "functions"].iter().flat_map(|name| fs::read_dir(folder.join(name)).expect("the folder")) {
        let path = file.expect("an entry").path();
        let inserts =
            path.is_file() && fs::read_to_string(&path).expect("a file").contains("INSERT INTO leasehold.history");
        assert!(!inserts, "{}: put in the part `finish`", path.display());
    }
}

/// What a revived job keeps. A new column of a job must be in one of the two lists.
#[tokio::test]
async fn a_revived_job_has_each_column_of_a_live_one_or_begins_it_anew() {
    let fixture = Fixture::start().await;
    let begins_anew = [
        "attempt",
        "begun_key",
        "cancel_requested_at",
        "crashes",
        "expires_at",
        "fair_nth",
        "fair_tag",
        "lease_expires_at",
        "limit_epoch",
        "progress",
        "retry_until",
        "started_at",
        "worker",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store");
    let statement = fs::read_to_string(folder.join("sql/revive.sql")).expect("the statement");
    let list = statement.split("AS j (").nth(1).and_then(|rest| rest.split(')').next()).expect("a list of columns");
    let list = list.split(',').map(str::trim);
    let said: BTreeSet<String> = list.chain(begins_anew).map(str::to_owned).collect();
    assert_eq!(said, columns(&fixture, "job").await);
}
