//! `leasehold job …` on jobs that no worker runs.

use crate::fixture::Scene;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_in_pages() {
    let scene = Scene::start().await;
    let ids: Vec<String> = (0..5).map(|_| scene.output(&["enqueue", "--kind", "k", "--queue", "q"])).collect();
    let other = scene.output(&["enqueue", "--kind", "x", "--delay", "1h"]);
    let listed = |args: &[&str]| -> Vec<String> {
        let jobs = scene.json(&[&["job", "list"], args].concat());
        jobs.as_array().expect("a list").iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&["--queue", "q", "--limit", "2"]), newest[..2]);
    assert_eq!(listed(&["--queue", "q", "--limit", "9", "--before", &newest[1]]), newest[2..]);
    assert_eq!(listed(&["--kind", "x"]), std::slice::from_ref(&other));
    assert_eq!(listed(&["--state", "scheduled"]), std::slice::from_ref(&other));
    assert_eq!(listed(&["--state", "dead"]), [] as [String; 0]);
    let table = scene.output(&["job", "list"]);
    assert!(table.starts_with("ID ") && table.lines().count() == 7 && table.contains(&other), "{table}");
    assert_eq!(scene.output(&["job", "list", "--state", "dead"]), "no jobs");
    assert_eq!(scene.output(&["job", "list", "--queue", "q", "--before", &ids[0]]), "no jobs");
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    scene.run(&["job", "list", "--before", unknown]).refused(1, &format!("no job has the id {unknown}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_not_live_in_either_store_and_can_be_retried() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k"]);
    assert_eq!(scene.output(&["job", "cancel", &id]), format!("{id}  cancelled"));
    let keys = leasehold_tests::all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(!format!("{keys:?}").contains(&id), "{keys:?}");
    let again = scene.run(&["job", "cancel", &id]);
    assert_eq!(
        (again.code, again.stdout.trim_end()),
        (1, &*format!("{id}  unchanged: the job had already finished (cancelled)"))
    );
    assert_eq!(scene.run(&["job", "wait", &id]).code, 1, "a cancelled job is not a success");

    assert_eq!(scene.output(&["job", "retry", &id]), format!("{id}  back in the line"));
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
    let again = scene.run(&["job", "retry", &id, "--json"]);
    assert_eq!(
        (again.code, again.stdout.trim_end()),
        (1, &*json!({"changed": false, "id": id, "state": "queued"}).to_string())
    );
    let waited = scene.run(&["job", "wait", &id, "--timeout", "50ms"]);
    assert_eq!(
        (waited.code, waited.stderr.trim_end()),
        (1, &*format!("{id} has not finished in time; the job continues"))
    );
}

/// The ids in the head of a queue, in order.
async fn head(scene: &Scene, queue: &str) -> Vec<String> {
    let mut redis = scene.stores.redis.connect().await;
    let key = format!("leasehold:{{{queue}}}:ready");
    redis::cmd("LRANGE").arg(key).arg(0).arg(-1).query_async(&mut redis).await.expect("reading the head")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_moves_waiting_jobs_at_once_and_says_why_others_stay() {
    let scene = Scene::start().await;
    let ids: Vec<String> = (0..3).map(|_| scene.output(&["enqueue", "--kind", "k", "--queue", "q"])).collect();
    assert_eq!(scene.output(&["job", "priority", &ids[2], "7"]), format!("{}  priority 7", ids[2]));
    assert_eq!(head(&scene, "q").await, [&*ids[2], &ids[0], &ids[1]]);
    scene.output(&["job", "priority", &ids[2], &ids[0], "-3"]);
    assert_eq!(head(&scene, "q").await, [&*ids[1], &ids[0], &ids[2]]);
    assert_eq!(scene.json(&["job", "show", &ids[0]])["priority"], -3);
    assert_eq!(
        scene.output(&["job", "priority", &ids[0], "-3"]),
        format!("{}  unchanged: priority -3 already", ids[0])
    );

    scene.output(&["job", "cancel", &ids[1]]);
    let late = scene.run(&["job", "priority", &ids[1], "5", "--json"]);
    let told = json!({ "changed": false, "id": ids[1], "queue": "q", "state": "cancelled" });
    assert_eq!((late.code, late.stdout.trim_end()), (1, &*told.to_string()));
    scene.run(&["job", "priority", "0198c5a4-0000-7000-8000-000000000000", "5"]).refused(1, "no job has the id");
    scene.run(&["job", "priority", &ids[0], "101"]).refused(2, "priority is 101; it must be from -100 to 100");
    scene.run(&["job", "priority", &ids[0], "high"]).refused(2, "is not a priority");
    scene.run(&["job", "priority", &ids[0]]).refused(2, "the priority is missing: give it behind the ids");
    let told: String = sqlx::query_scalar("SELECT leasehold.set_priority($1::uuid, 9)")
        .bind(&ids[0])
        .fetch_one(&mut scene.sql().await)
        .await
        .expect("set_priority in SQL");
    assert_eq!((told.as_str(), &scene.json(&["job", "show", &ids[0]])["priority"]), ("queued", &json!(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_job_leaves_no_hint_behind_and_has_one_in_its_new_queue() {
    let scene = Scene::start().await;
    let ids: Vec<String> = (0..2).map(|_| scene.output(&["enqueue", "--kind", "k", "--queue", "q"])).collect();
    assert_eq!(scene.output(&["job", "move", &ids[0], "--to", "slow"]), format!("{}  in slow", ids[0]));
    assert_eq!((head(&scene, "q").await, head(&scene, "slow").await), (vec![ids[1].clone()], vec![ids[0].clone()]));
    assert_eq!(scene.json(&["job", "show", &ids[0]])["queue"], "slow");
    assert_eq!(
        scene.output(&["job", "move", &ids[0], "--to", "slow"]),
        format!("{}  unchanged: in slow already", ids[0])
    );
    scene.run(&["job", "move", &ids[0]]).refused(2, "--to <QUEUE>");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_why_a_job_waits() {
    let scene = Scene::start().await;
    let first = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let second = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let later = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--delay", "2h"]);
    let codes = |id: &str| -> Vec<String> {
        let explained = scene.json(&["job", "explain", id]);
        let reasons = explained["reasons"].as_array().expect("reasons").iter();
        reasons.map(|reason| reason["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!(codes(&first), ["no_worker", "position"]);
    assert_eq!(codes(&later), ["scheduled", "no_worker"]);
    scene.output(&["queue", "pause", "q"]);
    assert_eq!(codes(&second), ["paused", "no_worker", "position"]);
    let text = scene.output(&["job", "explain", &second]);
    for line in ["is queued", "the queue q is paused; `leasehold queue resume q`", "1 job stands before it in the line"]
    {
        assert!(text.contains(line), "{text}");
    }
    let text = scene.output(&["job", "explain", &later]);
    assert!(
        text.contains("it is not to start before") && (text.contains("(in 1h 59m)") || text.contains("(in 2h)")),
        "{text}"
    );
}

/// Times that only an operator by hand, or an older version, can write: no command fails on them.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_fails_on_extreme_times_in_the_tables() {
    let scene = Scene::start().await;
    let mut ids = Vec::new();
    for time in ["infinity", "-infinity", "290000-01-01+00", "10000-01-01+00", "4713-01-01+00 BC"] {
        for set in [
            format!("run_at = '{time}'"),
            format!("state = 'scheduled', run_at = '{time}', created_at = '{time}'"),
            format!(
                "state = 'running', worker = gen_random_uuid(), lease_expires_at = '{time}', started_at = '{time}', epoch = 1,
                 attempt = 1, cancel_requested_at = '{time}'"
            ),
        ] {
            let id = scene.output(&["enqueue", "--kind", "k"]);
            let update = format!("UPDATE leasehold.job SET {set} WHERE id = '{id}'");
            sqlx::raw_sql(sqlx::AssertSqlSafe(update)).execute(&mut scene.sql().await).await.expect("an extreme time");
            ids.push(id);
        }
    }
    assert_eq!(scene.json(&["job", "list"]).as_array().expect("a list").len(), ids.len());
    scene.output(&["job", "list"]);
    for id in &ids {
        for command in ["show", "explain"] {
            scene.output(&["job", command, id]);
            scene.json(&["job", command, id]);
        }
    }
    for command in [&["stats"][..], &["queue", "list"]] {
        scene.output(command);
        scene.json(command);
    }
    let looked = scene.run(&["doctor", "--json"]);
    assert!(looked.code == 1 && looked.stdout.contains("findings"), "{looked:?}");
    let mended = scene.run(&["doctor", "--repair"]);
    assert!(!mended.stderr.contains("panicked") && !mended.stderr.contains("cannot read the stores"), "{mended:?}");
    scene.output(&["queue", "purge", "default"]);
    assert_eq!(scene.json(&["job", "list"]).as_array().expect("a list").len(), ids.len());
}

/// The command line refuses the same values as SQL.
#[tokio::test(flavor = "multi_thread")]
async fn times_beyond_the_limits_are_refused() {
    let scene = Scene::start().await;
    for (flags, told) in [
        (&["--at", "+10000-01-01 12:00"][..], "it must lie in the years from 1970 to 9999"),
        (&["--at", "+262142-12-31 23:59:59"], "it must lie in the years from 1970 to 9999"),
        (&["--at", "-0044-03-15 12:00"], "before 1970"),
        (&["--delay", "36501d"], "it must be at most 36500 days"),
        (&["--delay", "99999999999d"], "it must be at most 36500 days"),
        (&["--timeout", "25d"], "it must be from 1 ms to 24 days"),
        (&["--timeout", "10us"], "it must be from 1 ms to 24 days"),
    ] {
        let flags: Vec<String> = if flags[0] == "--at" {
            vec![format!("--at={}", flags[1])]
        } else {
            flags.iter().map(ToString::to_string).collect()
        };
        let args: Vec<&str> = ["enqueue", "--kind", "k"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        scene.run(&args).refused(2, told);
    }
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    scene.run(&["enqueue", "--kind", "k", "--payload", &deep]).refused(2, "payload is nested too deeply");
    scene.output(&["enqueue", "--kind", "k", "--payload", &deep[1..201]]);
    for (line, told) in [
        (format!(r#"{{"kind":"k","payload":{deep}}}"#), "line 1: payload is nested too deeply"),
        (r#"{"kind":"k","run_at":"+20000-01-01 00:00"}"#.to_owned(), "line 1: run_at is"),
        (r#"{"kind":"k","delay":"40000d"}"#.to_owned(), "line 1: delay is"),
    ] {
        scene.run_with_input(&["enqueue", "--stdin"], line.as_bytes()).refused(2, told);
    }
}

/// A row or a key is held by another session's open transaction: every command ends soon, says what it waited for, and
/// does the rest.
#[tokio::test(flavor = "multi_thread")]
async fn locked_jobs_are_named_and_the_other_jobs_are_processed() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let ended = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    scene.output(&["job", "cancel", &ended]);
    scene.output(&["queue", "pause", "p"]);
    let mut other = scene.sql().await;
    let hold = format!(
        "SET application_name = 'an import'; BEGIN; SELECT leasehold.enqueue('k', '1', unique_key => 'u');
         SELECT leasehold.cancel('{id}'); SELECT FROM leasehold.history WHERE id = '{ended}' FOR UPDATE;
         UPDATE leasehold.queue SET paused_at = now()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut other).await.expect("a transaction");
    let begun = std::time::Instant::now();
    let soon = ["--set", "database.lock_timeout_ms=500"];
    let run = |args: &[&str]| scene.run(&[args, &soon].concat());
    for (args, told) in [
        (&["enqueue", "--kind", "k", "--unique-key", "u"][..], "unique key \"u\" is held by an open transaction"),
        (&["job", "cancel", &id], "is held by an open transaction"),
        (&["job", "retry", &ended], "is held by an open transaction"),
        (&["queue", "resume", "p"], "queue p is held by an open transaction"),
    ] {
        let ran = run(args);
        ran.refused(1, told);
        ran.said("application an import");
    }
    let purged = run(&["queue", "purge", "q"]);
    assert_eq!(purged.code, 1);
    purged.said("1 job still waits in q: open transactions of other sessions hold them");
    let lines = "{\"kind\":\"k\"}\n{\"kind\":\"k\",\"unique_key\":\"u\"}\n{\"kind\":\"k\",\"unique_key\":\"v\"}\n";
    let ran = scene.run_with_input(&[&["enqueue", "--stdin"][..], &soon].concat(), lines.as_bytes());
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    assert!(ran.stderr.contains("error: line 2: unique key \"u\" is held by"), "{ran:?}");
    assert!(ran.stderr.contains("1 of 3 lines were not accepted"), "{ran:?}");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut other).await.expect("a number"), 0);
}
