//! One set of limits: leasehold.enqueue refuses what lib/core refuses. What it accepts, it stores as the client does.
//! Every reader can also read rows that exceed all limits, which an operator or an older version wrote.

use crate::fixture::{Fixture, json, name, new_job};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{
    JobId, KEY_MAX_BYTES, MAX_ATTEMPTS_MAX, NAME_MAX_BYTES, NewJob, PAYLOAD_MAX_BYTES, PAYLOAD_MAX_DEPTH, RUN_AT_END_S,
    TIMEOUT_MAX, WorkerId,
};
use leasehold_store::JobFilter;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use std::{fs, path::Path, time::Duration};
use uuid::Uuid;

/// The parameters of an enqueue, in a form for both entrances.
#[derive(Clone, Debug)]
struct Call {
    id: Option<u128>,
    kind: String,
    queue: String,
    payload: String,
    priority: i32,
    /// µs since 1970
    run_at: Option<i64>,
    max_attempts: i32,
    /// µs
    timeout: Option<u64>,
    unique_key: Option<String>,
    limit_key: Option<String>,
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("k".to_owned()),
        2 => "[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,20}",
        1 => "[ -~\\n\u{0}ä€]{0,4}",
        1 => (NAME_MAX_BYTES - 1..=NAME_MAX_BYTES + 1).prop_map(|length| "n".repeat(length)),
    ]
}

fn keys() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(String::new())),
        2 => "[ -~\\n\u{0}ä€]{1,4}".prop_map(Some),
        1 => (KEY_MAX_BYTES - 1..=KEY_MAX_BYTES + 1).prop_map(|length| Some("k".repeat(length))),
        1 => (KEY_MAX_BYTES / 3 - 1..=KEY_MAX_BYTES / 3 + 1).prop_map(|length| Some("€".repeat(length))),
        1 => Just(Some("k".repeat(3000))),
    ]
}

fn payloads() -> impl Strategy<Value = String> {
    let depth = PAYLOAD_MAX_DEPTH;
    prop_oneof![
        4 => Just(r#"{"n": 1,  "n": 2}"#.to_owned()),
        1 => prop_oneof![
            Just(r#""\u0000""#), Just(r#"{"\u0000":"\ud800"}"#), Just("1e999"), Just("-0.0"), Just("{"), Just(""),
            Just("nul"), Just("[1,]"), Just("\"\n\""), Just("'a'"), Just("01"), Just("\"\\x\""), Just("NaN"),
        ].prop_map(str::to_owned),
        1 => (depth - 1..=depth + 1).prop_map(|levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels))),
        1 => (depth - 1..=depth + 1).prop_map(|levels| format!("{}1{}", r#"{"[\"[":"#.repeat(levels), "}".repeat(levels))),
        1 => (depth..=2 * depth).prop_map(|count| format!("[{}1]", r#"[],{"a":"[[\\"},"#.repeat(count))),
        1 => (PAYLOAD_MAX_BYTES - 1..=PAYLOAD_MAX_BYTES + 1).prop_map(|bytes| format!("\"{}\"", "x".repeat(bytes - 2))),
    ]
}

fn times() -> impl Strategy<Value = Option<i64>> {
    let second = 1_000_000;
    prop_oneof![
        4 => Just(None),
        2 => (0..RUN_AT_END_S * second).prop_map(Some),
        1 => (-1..=1_i64).prop_map(Some),
        1 => (-1..=1_i64).prop_map(move |by| Some(RUN_AT_END_S * second + by)),
        1 => (-60_000_000_000_i64..8_000_000_000_000).prop_map(move |seconds| Some(seconds * second)),
    ]
}

fn timeouts() -> impl Strategy<Value = Option<u64>> {
    let longest = u64::try_from(TIMEOUT_MAX.as_micros()).expect("in range");
    prop_oneof![
        4 => Just(None),
        1 => (0..2_500_u64).prop_map(Some),
        2 => (1_000..longest).prop_map(Some),
        1 => (longest - 2..=longest + 2).prop_map(Some),
        1 => any::<u32>().prop_map(|seconds| Some(u64::from(seconds) * 1_000_000)),
    ]
}

fn calls() -> impl Strategy<Value = Call> {
    let number =
        |around: i32| prop_oneof![3 => 1..=around, 1 => around - 1..=around + 1, 1 => any::<i32>(), 1 => -1..=1];
    let priority = prop_oneof![3 => -100..=100, 1 => -102..=-99, 1 => 99..=102, 1 => any::<i32>()];
    let id = prop_oneof![2 => Just(None), 1 => any::<u128>().prop_map(Some)];
    (id, names(), names(), payloads(), priority, times(), number(MAX_ATTEMPTS_MAX), timeouts(), keys(), keys())
        .prop_map(|(id, kind, queue, payload, priority, run_at, max_attempts, timeout, unique_key, limit_key)| Call {
            id,
            kind,
            queue,
            payload,
            priority,
            run_at,
            max_attempts,
            timeout,
            unique_key,
            limit_key,
        })
}

/// The job that lib/core makes of the parameters, as a program would.
fn by_core(call: &Call) -> Option<NewJob> {
    let payload = RawValue::from_string(call.payload.clone()).ok()?;
    let run_at = match call.run_at {
        Some(micros) => Some(DateTime::<Utc>::from_timestamp_micros(micros)?),
        None => None,
    };
    let job = NewJob {
        queue: call.queue.parse().ok()?,
        priority: call.priority.try_into().ok()?,
        run_at,
        max_attempts: call.max_attempts,
        timeout: call.timeout.map(Duration::from_micros),
        unique_key: call.unique_key.clone(),
        limit_keys: call.limit_key.iter().cloned().collect(),
        ..NewJob::new(call.kind.parse().ok()?, payload)
    };
    job.validate().ok().map(|()| job)
}

/// Calls the function. The caller's transaction is rolled back if the function refuses.
async fn by_sql(connection: &mut PgConnection, call: &Call) -> Result<JobId, sqlx::Error> {
    let query = "SELECT leasehold.enqueue($1, $2::text, queue => $3, priority => $4,
                        run_at => timestamptz 'epoch' + ($5::bigint / 86400000000)::integer * interval '1 day'
                                  + ($5::bigint % 86400000000) * interval '1 microsecond', max_attempts => $6,
                        timeout => $7::bigint * interval '1 microsecond', unique_key => $8, limit_key => $9, id => $10)";
    sqlx::query_scalar::<_, Uuid>(query)
        .bind(&call.kind)
        .bind(&call.payload)
        .bind(&call.queue)
        .bind(call.priority)
        .bind(call.run_at)
        .bind(call.max_attempts)
        .bind(call.timeout.map(|micros| i64::try_from(micros).expect("in range")))
        .bind(&call.unique_key)
        .bind(&call.limit_key)
        .bind(call.id.map(Uuid::from_u128))
        .fetch_one(connection)
        .await
        .map(JobId)
}

#[tokio::test]
async fn all_entrances_refuse_and_store_the_same() {
    let fixture = Fixture::start().await;
    let mut connection = fixture.connection().await;
    // A day has 24 hours in this time zone.
    sqlx::raw_sql("SET timezone = 'UTC'").execute(&mut connection).await.expect("set");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..150 {
        let call = calls().new_tree(&mut runner).expect("a call").current();
        let shown = format!("{call:?}");
        let shown = &shown[..shown.floor_char_boundary(2000)];
        match (by_core(&call), by_sql(&mut connection, &call).await) {
            (None, Err(sqlx::Error::Database(_))) => refused += 1,
            (Some(job), Ok(id)) => {
                accepted += 1;
                let there = fixture.record(id).await;
                fixture.sql("TRUNCATE leasehold.job").await;
                // A new id goes through the client's own INSERT, one that may exist through the function.
                for id_may_exist in [false, true] {
                    let job = NewJob { id_may_exist, ..job.clone() };
                    let answer = fixture.enqueue(std::slice::from_ref(&job)).await.expect("as core says")[0].clone();
                    assert!(answer.inserted, "{shown}");
                    let mut ours = fixture.record(answer.id).await;
                    if call.run_at.is_none() {
                        assert_eq!((there.run_at, ours.run_at), (there.created_at, ours.created_at));
                        ours.run_at = there.run_at;
                    }
                    (ours.id, ours.created_at) = (there.id, there.created_at);
                    assert_eq!(format!("{there:?}"), format!("{ours:?}"), "{shown}");
                    fixture.sql("TRUNCATE leasehold.job").await;
                }
            }
            (core, sql) => panic!("core: {core:?}, SQL: {sql:?}\n{shown}"),
        }
    }
    assert!(accepted > 10 && refused > 30, "{accepted} accepted, {refused} refused");
}

/// The three places that insert a job: the function beneath all others, and the two statements of the client that spare
/// plain jobs its cost. A column that one of them does not know would be lost if that one enqueues the job.
#[test]
fn all_entrances_insert_the_same_columns() {
    let columns = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list = text.split("INSERT INTO leasehold.job AS j (").nth(1).and_then(|rest| rest.split(')').next());
        let list = list.unwrap_or_else(|| panic!("{file}: no INSERT"));
        list.split(',').map(|column| column.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut of_function = columns("functions/enqueue_spec.sql");
    // A job with parents or children always takes the way through the function.
    of_function.retain(|column| !["is_parent", "unmet"].contains(&column.as_str()));
    assert!(of_function.len() > 10, "{of_function:?}");
    // Jobs with words that few jobs have are enqueued by the function alone: `NewJob::has_rare_words`.
    let (common, rare) = of_function.split_at(of_function.len() - 9);
    let words = [
        "retry",
        "expires_at",
        "unique_rule",
        "limit_keys",
        "limited_by",
        "limited_at",
        "batch",
        "fair_key",
        "fair_at",
    ];
    assert_eq!(rare, words);
    for file in ["sql/enqueue_new.sql", "sql/enqueue.sql"] {
        let mut of_file = columns(file);
        // Only these two, which insert many jobs in one statement, spare the indexes a computation: see migration 41.
        of_file.retain(|column| column != "on_clock");
        assert_eq!(of_file, common, "{file}");
    }
    // No function and no statement beside these inserts a job that is new. The deliveries of webhooks have nothing to validate.
    for folder in ["functions", "sql"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/store").join(folder);
        for file in fs::read_dir(path).expect("the folder").map(|entry| entry.expect("an entry").path()) {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let inserts =
                file.is_file() && fs::read_to_string(&file).expect("a file").contains("INSERT INTO leasehold.job ");
            let may = ["enqueue_spec", "enqueue_new", "enqueue", "revive", "webhook_ended"].contains(&name);
            assert!(!inserts || may, "{folder}/{name} inserts jobs past enqueue_spec");
        }
    }
}

#[test]
fn delays_have_a_maximum() {
    let day = Duration::from_secs(86_400);
    let job = |delay| NewJob { delay: Some(delay), ..new_job() };
    assert_eq!(job(100 * 365 * day).validate(), Ok(()));
    let refused = job(100 * 365 * day + Duration::from_secs(1)).validate().expect_err("too long");
    assert_eq!(refused.to_string(), "delay is 3153600001 s; it must be at most 36500 days");
}

/// Times that only an operator by hand, or an older version, can write.
const EXTREME_TIMES: [&str; 7] = [
    "infinity",
    "-infinity",
    "294276-12-31 23:59:59.999999+00",
    "262143-06-01+00",
    "10000-01-01+00",
    "4713-01-01 00:00:00+00 BC",
    "0001-12-31+00 BC",
];

#[tokio::test]
async fn no_reader_fails_on_any_content_of_a_table() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for time in EXTREME_TIMES {
        for columns in [
            format!("state = 'queued', run_at = '{time}'"),
            format!("state = 'scheduled', run_at = '{time}', created_at = '{time}'"),
            "state = 'queued', trail = '{\"by\": \"hand\"}'".to_owned(),
            "state = 'queued', trail = '[1, {\"at\": \"soon\"}, null]'".to_owned(),
            format!(
                "state = 'running', worker = '{worker}', lease_expires_at = '{time}', started_at = '{time}', epoch = 1,
                 attempt = 1, cancel_requested_at = '{time}'"
            ),
        ] {
            let id = fixture.queued().await;
            fixture.sql(format!("UPDATE leasehold.job SET {columns} WHERE id = '{id}'")).await;
        }
        fixture
            .sql(format!(
                "INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, epoch, attempt, max_attempts,
                                                state, priority, crashes, max_crashes, queue, kind, payload)
                 SELECT gen_random_uuid(), '{time}', '{time}', '{time}', '{time}', 1, 1, 5, 'dead', 0, 0, 3, 'q', 'k', '1'"
            ))
            .await;
    }
    let all = fixture.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("jobs");
    assert_eq!(all.len(), 6 * EXTREME_TIMES.len());
    for job in &all {
        let one = fixture.record(job.id).await;
        let text = serde_json::to_string(&one).expect("JSON");
        let again: leasehold_core::JobRecord = serde_json::from_str(&text).expect("as it was");
        assert_eq!(format!("{one:?}"), format!("{again:?}"));
        let years = [Some(one.run_at), Some(one.created_at), one.started_at, one.finished_at, one.lease_expires_at];
        for time in years.into_iter().flatten() {
            assert!(time.to_rfc3339().find('-') == Some(4), "the year must have four digits: {time}");
        }
        fixture.position(job.id, 100).await.expect("position");
    }
    let unreadable = all.iter().flat_map(|job| &job.trail).filter(|entry| entry.verb == "unreadable").count();
    assert_eq!(unreadable, 4 * EXTREME_TIMES.len());

    fixture.stats().await.expect("stats");
    fixture.violations().await.expect("violations");
    fixture.held(worker).await.expect("held");
    fixture.leases(100, None).await.expect("leases");
    let survey = fixture.survey(None).await.expect("survey");
    let line = survey.lines.iter().find(|line| line.queue == name("default")).expect("a line");
    for limit in 1..10 {
        let (line, stretches) = fixture.line(&name("default"), &line.stretches, limit).await.expect("line");
        assert_eq!(stretches.len(), 1);
        if let Some(last) = line.last {
            fixture.line_after(&name("default"), &leasehold_store::Kinds::All, &last, 100).await.expect("line_after");
        }
    }
    fixture.promote(100, None).await.expect("promote");
    fixture.expire(100, None).await.expect("expire");
    fixture.retain(Duration::from_secs(86_400)).await.expect("retain");
    let ids: Vec<JobId> = all.iter().map(|job| job.id).collect();
    fixture.look(&ids, &leasehold_store::Kinds::All).await.expect("look");
    fixture.finished(&ids).await.expect("finished");
    fixture.revive(&ids).await.expect("revive");
    fixture.cancel(&ids).await.expect("cancel");
    // Jobs that finished at time -infinity are not kept.
    let left = fixture.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("jobs");
    assert_eq!(left.len(), 6 * EXTREME_TIMES.len() - 3);
}

/// Accepted times are far from the limits of time types.
#[tokio::test]
async fn the_last_time_that_is_accepted_can_be_read() {
    let fixture = Fixture::start().await;
    let last = DateTime::from_timestamp(RUN_AT_END_S, 0).expect("a time") - TimeDelta::microseconds(1);
    let job = NewJob { run_at: Some(last), payload: json("1"), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    assert_eq!(fixture.record(job.id).await.run_at, last);
}
