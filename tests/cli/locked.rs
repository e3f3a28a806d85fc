//! Commands that change a thing while the open transaction of another session holds the thing.

use crate::fixture::{Ran, Scene, run};
use leasehold_core::JobId;
use sqlx::PgConnection;
use std::time::{Duration, Instant};

/// A transaction that stays open, and the pid of its session.
pub(crate) struct Holder {
    connection: PgConnection,
    pid: i32,
}

impl Holder {
    pub(crate) async fn begin(scene: &Scene, script: &str) -> Self {
        let mut connection = scene.sql().await;
        let script = format!("SET application_name = 'an import'; BEGIN; {script}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut connection).await.expect("an open transaction");
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.expect("a pid");
        Self { connection, pid }
    }

    pub(crate) async fn end(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await.expect("rollback");
    }

    pub(crate) fn described(&self) -> String {
        format!("(pid {}, application an import, idle in transaction, open for ", self.pid)
    }
}

/// Everything that the commands could change.
async fn settings(scene: &Scene) -> String {
    let tables = ["batch", "fair_weight", "key_limit", "pause", "queue", "schedule", "job"];
    let rows = tables.map(|table| format!("(SELECT json_agg(t ORDER BY t::text) FROM leasehold.{table} t)"));
    let all = format!("SELECT json_build_array({})::text", rows.join(", "));
    sqlx::query_scalar(sqlx::AssertSqlSafe(all)).fetch_one(&mut scene.sql().await).await.expect("read")
}

/// Runs each command twice at the same time, so that each waits for the holder and for the other one. Only a few commands wait
/// at the same time.
async fn run_twice_each(scene: &Scene, commands: &[(&[&str], &str)]) -> Vec<[Ran; 2]> {
    let mut ran = Vec::new();
    for commands in commands.chunks(3) {
        let pairs = commands.iter().map(|(args, _)| {
            [(); 2].map(|()| {
                let mut command = scene.command(args);
                command.env("LEASEHOLD_DATABASE__LOCK_TIMEOUT_MS", "500");
                tokio::task::spawn_blocking(move || run(command, b""))
            })
        });
        for [one, other] in pairs.collect::<Vec<_>>() {
            ran.push([one.await.expect("no panic"), other.await.expect("no panic")]);
        }
    }
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_names_the_session_that_holds_what_it_changes() {
    let scene = Scene::start().await;
    let set_up: [&[&str]; 8] = [
        &["enqueue", "--kind", "k", "--queue", "q", "--batch", "b", "--fair-key", "a", "--limit-key", "c"],
        &["limit", "set", "c", "--running", "1"],
        &["queue", "weight", "q", "a", "2"],
        &["queue", "set", "q", "--keep-days", "5"],
        &["queue", "pause", "q"],
        &["queue", "pause", "q", "--kind", "k"],
        &["queue", "pause", "q", "--fair-key", "a"],
        &["schedule", "set", "s", "--every", "1h", "--kind", "k"],
    ];
    for args in set_up {
        scene.output(args);
    }
    let before = settings(&scene).await;
    let holder = Holder::begin(
        &scene,
        "UPDATE leasehold.batch SET name = name; UPDATE leasehold.key_limit SET key = key;
         UPDATE leasehold.fair_weight SET weight = weight; UPDATE leasehold.queue SET keep_days = keep_days;
         DELETE FROM leasehold.pause; UPDATE leasehold.schedule SET name = name;",
    )
    .await;
    let queue = "queue q";
    let commands: [(&[&str], &str); 15] = [
        (&["batch", "seal", "b", "--on-complete", "k"], "sealing a batch: batch \"b\""),
        (&["limit", "set", "c", "--running", "7"], "setting a limit: the limit of \"c\""),
        (&["limit", "remove", "c"], "removing a limit: the limit of \"c\""),
        (&["queue", "weight", "q", "a", "3"], "setting the weight of a fair key: fair key \"a\" of queue q"),
        (&["queue", "pause", "q", "--kind", "k"], "pausing a kind: kind k of queue q"),
        (&["queue", "resume", "q", "--kind", "k"], "resuming a kind: kind k of queue q"),
        (&["queue", "pause", "q", "--fair-key", "a"], "pausing a fair key: fair key \"a\" of queue q"),
        (&["queue", "resume", "q", "--fair-key", "a"], "resuming a fair key: fair key \"a\" of queue q"),
        (&["queue", "pause", "q"], queue),
        (&["queue", "resume", "q"], queue),
        (&["queue", "set", "q", "--keep-days", "3"], queue),
        (&["queue", "set", "q", "--priority-step", "10m"], queue),
        (&["schedule", "set", "s", "--every", "2h", "--kind", "k"], "schedule s"),
        (&["schedule", "pause", "s"], "schedule s"),
        (&["schedule", "remove", "s"], "schedule s"),
    ];
    for ((args, what), both) in commands.iter().zip(run_twice_each(&scene, &commands).await) {
        for ran in both {
            let held = format!("{what} is held by an open transaction of another session {}", holder.described());
            assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
            ran.refused(1, &held);
            ran.said("s); try again when it has ended");
        }
    }
    assert_eq!(settings(&scene).await, before, "nothing has changed");
    holder.end().await;
    scene.output(&["batch", "seal", "b", "--on-complete", "k"]);
    scene.output(&["limit", "remove", "c"]);
    scene.output(&["schedule", "remove", "s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_cancelled_except_for_the_locked_jobs_and_these_are_named() {
    let scene = Scene::start().await;
    let jobs = "{}\n".repeat(5);
    let args = ["enqueue", "--stdin", "--kind", "k", "--batch", "b"];
    let ids = scene.run_with_input(&args, jobs.as_bytes()).succeeded();
    let held: Vec<&str> = ids.lines().take(2).collect();
    let lock = format!("SELECT FROM leasehold.job WHERE id IN ('{}', '{}') FOR UPDATE", held[0], held[1]);
    let holder = Holder::begin(&scene, &lock).await;
    let mut command = scene.command(&["batch", "cancel", "b", "--json"]);
    command.env("LEASEHOLD_DATABASE__LOCK_TIMEOUT_MS", "300");
    let ran = run(command, b"");
    let done = serde_json::json!({"cancelled": 3, "stopping": 0, "locked": 2});
    assert_eq!((ran.code, serde_json::from_str(&ran.stdout).ok()), (1, Some(done)), "{ran:?}");
    ran.said("2 jobs were not cancelled: job ");
    ran.said(&holder.described());
    holder.end().await;
    assert_eq!(scene.output(&["batch", "cancel", "b"]), "cancelled 2 jobs; 0 told to stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_a_locked_job_names_the_session_in_one_sentence() {
    let scene = Scene::start().await;
    let parent = scene.output(&["enqueue", "--kind", "k"]);
    let holder = Holder::begin(&scene, &format!("SELECT FROM leasehold.job WHERE id = '{parent}' FOR UPDATE")).await;
    let before = scene.contents().await.jobs;
    let run_locked = |args: &[&str], input: &str| {
        let mut command = scene.command(args);
        command.env("LEASEHOLD_DATABASE__LOCK_TIMEOUT_MS", "500");
        let begun = Instant::now();
        let ran = run(command, input.as_bytes());
        // The rest of the time is an allowance for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {ran:?}", begun.elapsed());
        ran
    };
    let held = format!("job {parent} is held by an open transaction of another session {}", holder.described());
    let graph = format!(r#"{{"jobs": [{{"kind": "a"}}, {{"kind": "b", "depends_on": ["{parent}"]}}]}}"#);
    let commands: [(&[&str], &str); 2] =
        [(&["enqueue", "--kind", "k", "--depends-on", &parent], ""), (&["graph", "submit", "-"], &graph)];
    for (args, input) in commands {
        let ran = run_locked(args, input);
        ran.refused(1, &held);
        ran.said("s); try again when it has ended");
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{ran:?}");
    }
    assert_eq!(scene.contents().await.jobs, before, "nothing was enqueued");

    let (bound, above) = (JobId::new(), JobId::new());
    let lines = format!(
        r#"{{"kind": "a"}}
{{"kind": "b", "depends_on": ["{parent}"], "id": "{bound}"}}

{{"kind": "c", "id": "{above}"}}
{{"kind": "d", "depends_on": ["{bound}"]}}
{{"kind": "e", "depends_on": ["{above}"]}}
"#
    );
    let ran = run_locked(&["enqueue", "--stdin"], &lines);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 3), "{ran:?}");
    assert!(ran.stdout.contains(&above.to_string()), "{ran:?}");
    let above_it = format!("line 5: job {parent}, which the parent {bound} needs, is held by an open transaction");
    let told = [
        &format!("line 2: {held}"),
        &above_it,
        "2 of 5 lines were not accepted (see the messages above); all other lines were accepted",
    ];
    assert_eq!(ran.stderr.lines().count(), told.len(), "{ran:?}");
    for (line, told) in ran.stderr.lines().zip(told) {
        assert!(line.contains(told), "{line} must contain {told}");
    }
    let ids: Vec<&str> = ran.stdout.lines().collect();
    for id in ids {
        scene.output(&["job", "show", id]);
    }
    assert_eq!(scene.json(&["queue", "list"])[0]["blocked"], 1, "the job of line 6");
    holder.end().await;
}
