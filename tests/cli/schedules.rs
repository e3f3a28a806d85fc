//! `leasehold schedule …`.

use crate::{fixture::Scene, process::Background};
use leasehold_tests::eventually;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_set_shown_paused_resumed_run_and_removed() {
    let scene = Scene::start().await;
    assert_eq!(scene.output(&["schedule", "list"]), "no schedules");
    let set = [
        "schedule",
        "set",
        "nightly",
        "--cron",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--missed",
        "all:3",
        "--kind",
        "report",
        "--queue",
        "q",
        "--payload",
        r#"{"days":1}"#,
        "--priority",
        "-5",
        "--max-attempts",
        "9",
        "--timeout",
        "90s",
    ];
    let shown = scene.json(&set);
    let expected = json!({
        "name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "every_ms": null, "missed": "all:3",
        "kind": "report", "queue": "q", "payload": {"days": 1}, "priority": -5, "max_attempts": 9, "timeout_ms": 90_000,
        "unique_key": null, "limit_key": null, "limit_keys": null, "paused_at": null, "last_tick": null, "last_job": null, "last_error": null,
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&shown[field], value, "{field}");
    }
    let next = shown["next"].as_array().expect("the next ticks");
    assert_eq!((next.len(), &next[0]), (5, &shown["next_at"]));
    assert!(next.iter().all(|tick| tick.as_str().is_some_and(|tick| tick.contains(":30:00"))), "{next:?}");

    let card = scene.output(&["schedule", "show", "nightly"]);
    assert!(
        card.contains("30 2 * * * (Europe/Berlin)") && card.lines().filter(|line| line.contains(":30:00")).count() == 5,
        "{card}"
    );
    let list = scene.output(&["schedule", "list"]);
    assert!(list.starts_with("NAME") && list.contains("nightly") && list.contains("all:3"), "{list}");
    assert_eq!(scene.json(&["schedule", "list"])[0]["name"], "nightly");

    let paused = json!({ "name": "nightly", "action": "paused", "changed": true });
    assert_eq!(scene.json(&["schedule", "pause", "nightly"]), paused);
    assert_eq!(scene.output(&["schedule", "pause", "nightly"]), "nightly was already paused");
    let shown = scene.json(&["schedule", "show", "nightly"]);
    assert!(shown["next"] == json!([]) && shown["paused_at"].is_string(), "{shown}");
    assert!(scene.output(&["schedule", "list"]).contains("paused"));

    let id = scene.output(&["schedule", "run", "nightly"]);
    let job = scene.json(&["job", "show", &id]);
    let facts = (&job["kind"], &job["queue"], &job["payload"], &job["state"], &job["timeout_ms"]);
    assert_eq!(facts, (&json!("report"), &json!("q"), &json!({"days": 1}), &json!("queued"), &json!(90_000)));

    assert_eq!(scene.output(&["schedule", "resume", "nightly"]), "nightly is resumed");
    assert_eq!(scene.output(&["schedule", "resume", "nightly"]), "nightly was not paused");
    assert_eq!(scene.json(&["schedule", "show", "nightly"])["next"][0], next[0]);
    assert_eq!(scene.output(&["schedule", "remove", "nightly"]), "nightly is removed");
    for action in ["remove", "show", "pause", "resume", "run"] {
        scene.run(&["schedule", action, "nightly"]).refused(1, "there is no schedule nightly");
    }
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued", "its jobs stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_a_schedule_again_changes_it() {
    let scene = Scene::start().await;
    let first = scene.json(&["schedule", "set", "s", "--every", "1h", "--kind", "k"]);
    assert_eq!((&first["every_ms"], &first["timezone"]), (&json!(3_600_000), &Value::Null));
    let again = scene.json(&["schedule", "set", "s", "--every", "1h", "--kind", "other", "--missed", "skip"]);
    assert_eq!(
        (&again["kind"], &again["next_at"], &again["missed"]),
        (&json!("other"), &first["next_at"], &json!("skip"))
    );
    let shown = scene.output(&["schedule", "show", "s"]);
    assert!(shown.contains("every 1h\n"), "{shown}");
    let cron = scene.json(&["schedule", "set", "s", "--cron", "@daily", "--kind", "k"]);
    assert_eq!((&cron["every_ms"], &cron["timezone"]), (&Value::Null, &json!("UTC")));
    assert!(cron["next_at"].as_str().is_some_and(|next| next.ends_with("T00:00:00Z")), "{cron}");
    assert_eq!(scene.json(&["schedule", "list"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named_in_one_line() {
    let scene = Scene::start().await;
    let set = |more: &[&str]| {
        let args: Vec<&str> = ["schedule", "set", "s", "--kind", "k"].iter().chain(more).copied().collect();
        scene.run(&args)
    };
    for (flags, named) in [
        (&["--cron", "61 * * * *"][..], "cron \"61 * * * *\""),
        (&["--cron", "* * *"], "it has 3 fields; expected are 5"),
        (&["--cron", "@never"], "no such nickname"),
        (&["--cron", "99 * * * *"], "the field minute cannot be \"99\": number out of bounds; it takes 0 to 59"),
        (&["--cron", "0 0 30 2 *"], "never fires: no date matches it"),
        (
            &["--cron", "@daily", "--timezone", "Mars/Olympus"],
            "timezone \"Mars/Olympus\" is not in the time zone database",
        ),
        (&["--every", "10ms"], "every is 10 ms; it must be from 1 s"),
        (&["--every", "soon"], "is no duration"),
        (&["--every", "1m", "--cron", "@daily"], "cannot be used with"),
        (&["--every", "1m", "--timezone", "UTC"], "cannot be used with"),
        (&[], "--cron <EXPRESSION>|--every <TIME>"),
        (&["--every", "1m", "--missed", "some"], "is not skip, one or all:N"),
        (&["--every", "1m", "--payload", "{"], "the payload is no JSON"),
        (&["--every", "1m", "--unique-key", ""], "unique_key is empty"),
        (&["--every", "1m", "--timeout", "0s"], "timeout is 0 ms"),
        (&["--every", "1m", "--priority", "101"], "must be a whole number from -100 to 100"),
        (&["--every", "1m", "--delay", "1s"], "unexpected argument '--delay'"),
    ] {
        set(flags).refused(2, named);
    }
    scene.run(&["schedule", "show", "a b"]).refused(2, "has ' ' at byte 1");
    assert_eq!(scene.output(&["schedule", "list"]), "no schedules");
}

/// The whole way: a reaper fires, a worker runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_schedule_run() {
    let scene = Scene::start().await;
    let _fleet = Background::fleet(&scene);
    let payload = r#"{"argv": ["echo", "tick"]}"#;
    scene.output(&["schedule", "set", "s", "--every", "1s", "--kind", "command", "--queue", "q", "--payload", payload]);
    let done = || scene.json(&["job", "list", "--state", "succeeded", "--limit", "100"]).as_array().map_or(0, Vec::len);
    eventually("three ticks have run", Duration::from_secs(60), async || {
        let done = done();
        if done >= 3 { Ok(()) } else { Err(done) }
    })
    .await;
    scene.output(&["schedule", "pause", "s"]);
    let shown = scene.json(&["schedule", "show", "s"]);
    let last = shown["last_job"].as_str().expect("the last job").to_owned();
    scene.output(&["job", "wait", "--timeout", "30s", &last]);
    let content = scene.output(&["doctor"]);
    assert!(content.ends_with("nothing is wrong"), "{content}");
    // Ticks are a second apart, and each of them made one job.
    let mut postgres = scene.sql().await;
    let apart = "SELECT count(*) FILTER (WHERE apart <> interval '1 second'), count(DISTINCT job) = count(*)
                 FROM (SELECT tick - lag(tick) OVER (ORDER BY tick) AS apart, job FROM leasehold.schedule_tick) t";
    let (uneven, distinct): (i64, bool) = sqlx::query_as(apart).fetch_one(&mut postgres).await.expect("ticks");
    assert!(distinct && uneven <= 1, "{uneven} ticks are not a second after the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_schedule_have_the_words_of_what_runs_when() {
    let scene = Scene::start().await;
    let set = [
        "schedule",
        "set",
        "s",
        "--every",
        "1h",
        "--kind",
        "k",
        "--payload",
        r#"{"a": 1}"#,
        "--retry",
        "fixed",
        "--retry-base",
        "30s",
        "--expires-in",
        "10m",
        "--unique-payload",
        "--unique-while",
        "queued",
    ];
    let shown = scene.json(&set);
    assert_eq!(shown["retry"], json!({ "strategy": "fixed", "base": "30s" }));
    assert_eq!(
        (&shown["expires_in_ms"], &shown["unique"]),
        (&json!(600_000), &json!({ "while": "queued", "payload": true }))
    );
    let id = scene.output(&["schedule", "run", "s"]);
    let by_hand = scene.json(&["job", "show", &id]);
    scene.output(&["job", "cancel", &id]);
    // A tick makes the same job as `run`.
    sqlx::query("UPDATE leasehold.schedule SET next_at = now() - interval '1 second'")
        .execute(&mut scene.stores.database.connect().await)
        .await
        .expect("update");
    scene.output(&["reaper", "--once"]);
    let listed = scene.json(&["job", "list", "--state", "queued"]);
    let by_tick = scene.json(&["job", "show", listed[0]["id"].as_str().expect("an id")]);
    for field in ["retry", "unique_rule", "unique_key"] {
        assert!(!by_tick[field].is_null() && by_tick[field] == by_hand[field], "{field}: {by_tick}");
    }
    assert!(!by_tick["expires_at"].is_null() && !by_hand["expires_at"].is_null());
}
