//! A job as it lives: commands that enqueue the next stage and tell their progress, `job watch`, and what `explain` knows about
//! locks, crashes and Redis.

use crate::{fixture::Scene, process::Background};
use leasehold_tests::eventually;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// The first stage enqueues the second one with words of a line, and tells its progress.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_enqueues_the_next_stage_and_is_watched() {
    let scene = Scene::start().await;
    let first = r#"--exec=first=echo '{"progress": 0.5, "note": "half"}' >&3
        echo '{"enqueue": {"kind": "second", "queue": "q", "priority": 7, "timeout": "30s", "payload": {"of": "first"}}}' >&3
        echo '{"a": 1}'"#;
    let wrong = r#"--exec=wrong=echo '{"enqueue": {"kind": "second", "priority": 1000}}' >&3"#;
    let _worker = Background::start(&scene, &["worker", "--queue", "q=2", first, "--exec=second=cat", wrong], &[]);
    let id = scene.output(&["enqueue", "--kind", "first", "--queue", "q"]);
    let lines = scene.output(&["job", "watch", "--json", &id]);
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let last = events.last().expect("an event");
    assert_eq!((&last["event"], &last["state"], &last["result"]["a"]), (&"end".into(), &"succeeded".into(), &1.into()));
    let note = events.iter().find(|event| event["event"] == "note").expect("a note");
    assert_eq!((&note["note"], &note["nth"]), (&"half".into(), &1.into()));
    assert!(events.iter().any(|event| event["event"] == "progress" && event["done"] == 0.5), "{lines}");
    let shown = scene.output(&["job", "show", &id]);
    assert!(shown.contains("50 %") && shown.contains("half"), "{shown}");

    let second = eventually("the second stage has run", SOON, || async {
        let jobs = scene.json(&["job", "list", "--kind", "second"]);
        match jobs.as_array().and_then(|jobs| jobs.first()).filter(|job| job["state"] == "succeeded") {
            Some(job) => Ok(job.clone()),
            None => Err(jobs),
        }
    })
    .await;
    assert_eq!((&second["priority"], &second["timeout_ms"]), (&7.into(), &30_000.into()));

    let id = scene.output(&["enqueue", "--kind", "wrong", "--queue", "q"]);
    let watched = scene.run(&["job", "watch", &id]);
    assert_eq!(watched.code, 1, "{watched:?}");
    assert!(
        watched.stdout.contains("line 1 on file descriptor 3: ") && watched.stdout.contains("priority"),
        "{watched:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_locks_crashes_and_redis() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let explained = || scene.json(&["job", "explain", &id]);
    assert_eq!(explained()["hint"], "waiting");
    let mut connection = scene.sql().await;
    for statement in ["UPDATE leasehold.job SET crashes = 2", "BEGIN", "SELECT FROM leasehold.job FOR UPDATE"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.expect(statement);
    }
    let reasons = eventually("the transaction is old enough to be named", SOON, || async {
        let reasons = explained()["reasons"].clone();
        if reasons[0]["code"] == "locked" { Ok(reasons) } else { Err(reasons) }
    })
    .await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.expect("a pid");
    assert_eq!(
        (&reasons[0]["pid"], &reasons[1]["code"], &reasons[1]["crashes"]),
        (&pid.into(), &"crashed".into(), &2.into())
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.expect("a rollback");
    let mut redis = scene.stores.redis.connect().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.expect("a flush");
    let explained = explained();
    assert_eq!((&explained["reasons"][0]["code"], &explained["hint"]), (&"crashed".into(), &"absent".into()));
    let text = scene.output(&["job", "explain", &id]);
    assert!(text.contains("Redis has no hint of it yet"), "{text}");
}
