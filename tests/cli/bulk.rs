//! `leasehold job cancel|retry|priority|move` by filter.

use crate::fixture::Scene;
use leasehold_tests::eventually;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{process::Stdio, time::Duration};

/// Runs the test's own statements.
async fn sql(scene: &Scene, script: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut scene.sql().await).await.expect("a statement");
}

async fn number(scene: &Scene, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut scene.sql().await).await.expect("a number")
}

/// Jobs in a queue, by one statement.
async fn fill(scene: &Scene, queue: &str, kind: &str, count: u32) {
    sql(scene, format!("SELECT leasehold.enqueue('{kind}', '1', queue => '{queue}') FROM generate_series(1, {count})"))
        .await;
}

/// Ends all waiting jobs of a queue as dead.
async fn bury(scene: &Scene, queue: &str, error: &str) {
    let script = format!(
        "WITH gone AS (DELETE FROM leasehold.job WHERE queue = '{queue}' RETURNING *)
         INSERT INTO leasehold.history (id, run_at, created_at, finished_at, worker, epoch, attempt, max_attempts, crashes,
                                        max_crashes, state, priority, queue, kind, payload, unique_key, last_error)
         SELECT id, run_at, created_at, now(), gen_random_uuid(), 1, 1, max_attempts, 0, max_crashes, 'dead', priority, queue,
                kind, payload, unique_key, '{error}' FROM gone"
    );
    sql(scene, script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_needed_and_has_to_make_sense() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    for command in ["cancel", "retry"] {
        scene.run(&["job", command]).refused(2, "name the jobs by their ids, or by a filter");
        scene.run(&["job", command, &id, "--queue", "q"]).refused(2, "not by both");
        scene.run(&["job", command, &id, "--dry-run"]).refused(2, "it takes no ids");
        scene.run(&["job", command, "--queue", "q"]).refused(2, "add --yes");
    }
    scene.run(&["job", "priority", "5"]).refused(2, "name the jobs by their ids, or by a filter");
    scene.run(&["job", "move", "--to", "x"]).refused(2, "name the jobs by their ids, or by a filter");
    scene.run(&["job", "cancel", "--state", "dead", "--yes"]).refused(2, "state is dead; cancel by filter takes jobs");
    scene.run(&["job", "retry", "--state", "running", "--yes"]).refused(2, "dead, cancelled or scheduled");
    scene.run(&["job", "priority", "--queue", "q", "--yes", "101"]).refused(2, "priority is 101");
    scene.run(&["job", "retry", &id, "--rate", "1/s"]).refused(2, "--rate needs a filter");
    scene.run(&["job", "retry", "--queue", "q", "--rate", "fast", "--yes"]).refused(2, "is no rate");
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_the_run_does_what_was_counted() {
    let scene = Scene::start().await;
    fill(&scene, "q", "k", 1_500).await;
    fill(&scene, "q", "x", 700).await;
    fill(&scene, "other", "k", 300).await;
    let hinted = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let counted = scene.json(&["job", "cancel", "--queue", "q", "--dry-run"]);
    let count = |kind: &str, count: u32| json!({ "queue": "q", "kind": kind, "state": "queued", "count": count });
    assert_eq!(counted, json!([count("k", 1_501), count("x", 700)]));
    let text = scene.output(&["job", "cancel", "--queue", "q", "--dry-run"]);
    assert!(text.contains("1,501") && text.lines().last().is_some_and(|line| line.ends_with("2,201")), "{text}");
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.job").await, 2_501);

    let done = scene.json(&["job", "cancel", "--queue", "q", "--kind", "k", "--yes"]);
    assert_eq!((&done["changed"], &done["complete"]), (&json!(1_501), &json!(true)));
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.job").await, 1_000);
    assert_eq!(scene.json(&["job", "show", &hinted])["state"], "cancelled");
    let keys = leasehold_tests::all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(!format!("{keys:?}").contains(&hinted), "the hint is gone: {keys:?}");
    assert_eq!(scene.output(&["job", "cancel", "--queue", "q", "--yes"]), "cancelled 700 jobs");
    assert_eq!(scene.output(&["job", "cancel", "--queue", "q", "--yes"]), "cancelled 0 jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_get_a_priority_and_a_queue_by_filter() {
    let scene = Scene::start().await;
    fill(&scene, "q", "k", 1_200).await;
    fill(&scene, "q", "x", 10).await;
    assert_eq!(
        scene.output(&["job", "priority", "--queue", "q", "--kind", "k", "--yes", "-7"]),
        "set the priority -7 of 1,200 jobs"
    );
    let moved = "SELECT count(*) FROM leasehold.job WHERE priority = -7 AND line_at = run_at + interval '7 hours'";
    assert_eq!(number(&scene, moved).await, 1_200);
    assert_eq!(
        scene.output(&["job", "move", "--queue", "q", "--kind", "x", "--to", "slow", "--yes"]),
        "moved 10 jobs to slow"
    );
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.job WHERE queue = 'slow' AND kind = 'x'").await, 10);
    let mut redis = scene.stores.redis.connect().await;
    let hints: i64 = redis::cmd("LLEN").arg("leasehold:{slow}:ready").query_async(&mut redis).await.expect("a length");
    assert_eq!(hints, 10, "the hints are in the new queue at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_put_back_by_their_error_and_taken_keys_are_told() {
    let scene = Scene::start().await;
    fill(&scene, "q", "k", 1_300).await;
    let keyed = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--unique-key", "u"]);
    bury(&scene, "q", "Connection refused by 10.0.0.7").await;
    fill(&scene, "q", "k", 3).await;
    bury(&scene, "q", "no such file").await;
    scene.output(&["enqueue", "--kind", "k", "--queue", "other", "--unique-key", "u"]);
    let done = scene.run(&["job", "retry", "--queue", "q", "--error-like", "connection refused", "--yes", "--json"]);
    let answer: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!((done.code, &answer["changed"], &answer["unique_key_taken"]), (1, &json!(1_300), &json!(1)), "{done:?}");
    assert_eq!(scene.json(&["job", "show", &keyed])["state"], "dead");
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.history WHERE state = 'dead'").await, 4);

    let later = scene.output(&["enqueue", "--kind", "k", "--queue", "late", "--delay", "1h"]);
    let none = scene.output(&["job", "retry", "--queue", "late", "--yes"]);
    assert_eq!(none, "put 0 jobs back into the line", "only dead jobs, unless a state is named");
    assert_eq!(
        scene.output(&["job", "retry", "--queue", "late", "--state", "scheduled", "--yes"]),
        "put 1 job back into the line"
    );
    assert_eq!(scene.json(&["job", "show", &later])["state"], "queued");
}

/// The text of a group can be given to `--error-like`, and chooses the jobs of the group.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_grouped_and_a_group_can_be_retried() {
    let scene = Scene::start().await;
    assert_eq!(scene.output(&["job", "errors"]), "no dead jobs");
    let errors = [
        ("refused by 10.0.0.7:5432", 2),
        ("refused by 10.0.0.12:5432", 3),
        (r"no file C:\temp\7 of 0198c5a4-0000-7000-8000-0000000000ab", 1),
    ];
    for (error, count) in errors {
        fill(&scene, "q", "k", count).await;
        bury(&scene, "q", error).await;
    }
    fill(&scene, "q", "x", 1).await;
    bury(&scene, "q", "refused by 10.0.0.7:5432").await;
    let groups = scene.json(&["job", "errors"]);
    let told =
        |nth: usize| (groups[nth]["kind"].as_str(), groups[nth]["error"].as_str(), groups[nth]["count"].as_u64());
    assert_eq!(told(0), (Some("k"), Some("refused by %.%.%.%:%"), Some(5)), "{groups}");
    assert_eq!(groups.as_array().map(Vec::len), Some(3), "another kind is another group: {groups}");
    assert!(groups[0]["first_at"].as_str() < groups[0]["last_at"].as_str(), "{groups}");
    let sample = scene.json(&["job", "show", groups[0]["sample"].as_str().expect("an id")]);
    assert_eq!(sample["last_error"], "refused by 10.0.0.12:5432", "the newest");
    let table = scene.output(&["job", "errors", "--kind", "x", "--since", "1h"]);
    assert!(table.lines().count() == 2 && table.ends_with("refused by %.%.%.%:%"), "{table}");

    let lone = groups.as_array().expect("groups").iter().find(|group| group["count"] == 1 && group["kind"] == "k");
    let pattern = lone.expect("the third")["error"].as_str().expect("a text").to_owned();
    assert_eq!(scene.output(&["job", "retry", "--error-like", &pattern, "--yes"]), "put 1 job back into the line");
    let pattern = "refused by %.%.%.%:%";
    let retry = ["job", "retry", "--kind", "k", "--error-like", pattern, "--yes"];
    assert_eq!(scene.output(&retry), "put 5 jobs back into the line");
    assert_eq!(scene.json(&["job", "errors"]).as_array().map(Vec::len), Some(1));
}

/// A signal stops the work. Finished changes stay, and the same command then continues.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_at_a_rate_can_be_interrupted_and_continued() {
    let scene = Scene::start().await;
    fill(&scene, "q", "k", 200).await;
    bury(&scene, "q", "it failed").await;
    let args = ["job", "retry", "--queue", "q", "--rate", "20/s", "--yes", "--json"];
    let mut command = scene.command(&args);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    let dead = "SELECT count(*) FROM leasehold.history WHERE state = 'dead'";
    eventually("some jobs are back", Duration::from_secs(20), || async {
        match number(&scene, dead).await {
            200 => Err(200),
            _ => Ok(()),
        }
    })
    .await;
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("a signal");
    let output = child.wait_with_output().expect("the end");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let changed = answer["changed"].as_i64().expect("a number");
    assert_eq!((output.status.code(), &answer["complete"]), (Some(1), &json!(false)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("run the command again to continue"));
    assert!((1..200).contains(&changed), "{answer}: a rate of 20/s takes 10 s for all of them");
    assert_eq!(number(&scene, dead).await, 200 - changed, "what is done is counted");
    let rest = scene.json(&["job", "retry", "--queue", "q", "--yes"]);
    assert_eq!(rest["changed"], json!(200 - changed));
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.job").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_job_is_told_and_everything_else_is_done() {
    let scene = Scene::start().await;
    fill(&scene, "q", "k", 20).await;
    let held = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let mut other = scene.sql().await;
    let lock = format!("BEGIN; SELECT leasehold.cancel('{held}')");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.expect("a lock");
    let done = scene.run(&["job", "move", "--queue", "q", "--to", "slow", "--yes"]);
    assert_eq!((done.code, done.stdout.trim_end()), (1, "moved 20 jobs to slow"));
    done.said("1 job is locked by open transactions of other sessions (pid ");
    done.said("idle in transaction, open for ");
    done.said("s); run the command again");
    let purged = scene.run(&["queue", "purge", "q", "--yes"]);
    assert_eq!((purged.code, purged.stdout.as_str()), (1, "cancelled 0 waiting jobs of q\n"));
    purged.said("open transactions of other sessions hold them (pid ");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("rollback");
    assert_eq!(scene.output(&["job", "move", "--queue", "q", "--to", "slow", "--yes"]), "moved 1 job to slow");
}

/// A typing mistake must not look like a queue without jobs. A queue is known by its jobs, by finished ones too, and by its settings.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_or_a_batch_that_nobody_knows_is_refused() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--batch", "b"]);
    let before = scene.contents().await;
    let calls = |filter: [&'static str; 2]| {
        [
            vec!["job", "cancel", filter[0], filter[1], "--yes"],
            vec!["job", "cancel", filter[0], filter[1], "--dry-run"],
            vec!["job", "retry", filter[0], filter[1], "--state", "dead", "--yes"],
            vec!["job", "priority", filter[0], filter[1], "5", "--yes"],
            vec!["job", "move", filter[0], filter[1], "--to", "r", "--yes"],
        ]
    };
    for args in calls(["--queue", "nosuch"]) {
        scene.run(&args).refused(1, "there is no queue named nosuch; nothing was changed");
    }
    for args in calls(["--batch", "nosuch"]) {
        scene.run(&args).refused(1, "there is no batch named \"nosuch\"; nothing was changed");
    }
    scene.run(&["queue", "purge", "nosuch", "--yes"]).refused(1, "there is no queue named nosuch");
    assert_eq!(scene.contents().await, before);
    assert_eq!(number(&scene, "SELECT count(*) FROM leasehold.audit").await, 0, "no change is noted");
    scene.output(&["job", "cancel", &id]);
    scene.output(&["queue", "pause", "paused"]);
    scene.output(&["schedule", "set", "s", "--every", "1h", "--kind", "k", "--queue", "later"]);
    for known in ["q", "paused", "later"] {
        assert_eq!(scene.output(&["job", "cancel", "--queue", known, "--yes"]), "cancelled 0 jobs", "{known}");
        assert_eq!(scene.output(&["queue", "purge", known, "--yes"]), format!("cancelled 0 waiting jobs of {known}"));
    }
    assert_eq!(scene.output(&["job", "cancel", "--batch", "b", "--yes"]), "cancelled 0 jobs");
}
