//! Commands while the open transaction of another session has locked whole tables: `LOCK TABLE`, or a change of the schema.

use crate::{
    fixture::{Ran, Scene, run, under_shell},
    locked::Holder,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// The program waits for half a second; a loaded machine may need longer to start it. No command may wait until the statement
/// timeout.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// What the commands are about.
struct Things {
    job: String,
    graph: String,
}

impl Things {
    fn make(scene: &Scene) -> Self {
        let words = ["--batch", "b", "--fair-key", "a", "--limit-key", "c"];
        let job = scene.output(&[&["enqueue", "--kind", "k", "--queue", "q"], &words[..]].concat());
        let graph =
            json!({"jobs": [{"name": "first", "kind": "k"}, {"name": "second", "kind": "k", "after": ["first"]}]});
        let graph = scene.run_with_input(&["graph", "submit", "-", "--json"], graph.to_string().as_bytes()).succeeded();
        let graph: serde_json::Value = serde_json::from_str(graph.lines().next().unwrap_or_default()).expect("JSON");
        for args in [
            &["limit", "set", "c", "--running", "1"][..],
            &["queue", "weight", "q", "a", "2"],
            &["queue", "set", "q", "--keep-days", "5"],
            &["schedule", "set", "s", "--every", "1h", "--kind", "k"],
            &["webhook", "set", "w", "--url", "https://example.com/", "--queue", "q"],
        ] {
            scene.output(args);
        }
        let id = graph["id"].as_str().or_else(|| graph["jobs"][0]["id"].as_str()).unwrap_or_else(|| panic!("{graph}"));
        Self { job, graph: id.to_owned() }
    }

    /// A call of each command that only reads.
    fn reading(&self) -> Vec<Vec<&str>> {
        let (job, graph) = (self.job.as_str(), self.graph.as_str());
        vec![
            vec!["job", "show", job],
            vec!["job", "list"],
            vec!["job", "list", "--batch", "b"],
            vec!["job", "errors"],
            vec!["job", "wait", "--timeout", "10ms", job],
            vec!["job", "explain", job],
            vec!["job", "cancel", "--queue", "q", "--dry-run"],
            vec!["queue", "list"],
            vec!["queue", "show", "q"],
            vec!["queue", "scale", "q"],
            vec!["queue", "times"],
            vec!["schedule", "list"],
            vec!["schedule", "show", "s"],
            vec!["graph", "show", graph],
            vec!["limit", "list"],
            vec!["limit", "show", "c"],
            vec!["batch", "list"],
            vec!["batch", "show", "b"],
            vec!["batch", "wait", "--timeout", "10ms", "b"],
            vec!["webhook", "list"],
            vec!["webhook", "show", "w"],
            vec!["webhook", "deliveries", "w"],
            vec!["token", "list"],
            vec!["audit", "list"],
            vec!["encryption", "keys"],
            vec!["stats"],
            vec!["doctor"],
            vec!["migrate", "status"],
        ]
    }

    /// A call of each command that changes something, or that runs for ever.
    fn others(&self) -> Vec<Vec<&str>> {
        let job = self.job.as_str();
        vec![
            vec!["job", "watch", job],
            vec!["enqueue", "--kind", "k", "--queue", "q"],
            vec!["enqueue", "--kind", "k", "--queue", "q", "--batch", "b"],
            vec!["job", "cancel", job],
            vec!["job", "retry", job],
            vec!["job", "priority", job, "5"],
            vec!["job", "move", job, "--to", "r"],
            vec!["job", "cancel", "--queue", "q", "--yes"],
            vec!["queue", "pause", "q"],
            vec!["queue", "pause", "q", "--kind", "k"],
            vec!["queue", "pause", "q", "--fair-key", "a"],
            vec!["queue", "resume", "q"],
            vec!["queue", "set", "q", "--keep-days", "6"],
            vec!["queue", "set", "q", "--fair", "off"],
            vec!["queue", "set", "q", "--priority-step", "10m"],
            vec!["queue", "weight", "q", "a", "3"],
            vec!["queue", "purge", "q", "--yes"],
            vec!["schedule", "set", "s", "--every", "2h", "--kind", "k"],
            vec!["schedule", "pause", "s"],
            vec!["schedule", "resume", "s"],
            vec!["schedule", "run", "s"],
            vec!["schedule", "remove", "s"],
            vec!["graph", "submit", "-"],
            vec!["limit", "set", "c", "--running", "2"],
            vec!["limit", "remove", "c"],
            vec!["batch", "cancel", "b"],
            vec!["batch", "seal", "b", "--on-complete", "k"],
            vec!["webhook", "set", "w", "--disable"],
            vec!["webhook", "replay", "w", "--since", "1h"],
            vec!["webhook", "rotate", "w"],
            vec!["webhook", "test", "w"],
            vec!["webhook", "remove", "w"],
            vec!["token", "create", "--name", "t", "--scope", "read"],
            vec!["token", "revoke", "00000000"],
            vec!["token", "rotate", "00000000"],
            vec!["each", "--queue", "q", "--", "true"],
            vec!["worker", "--queue", "q", "--exec", "k=true"],
            vec!["reaper"],
            vec!["api", "--listen", "127.0.0.1:0"],
        ]
    }
}

/// Commands with an action, and commands without one, that the calls above leave out, and why.
const LEFT_OUT: [(&str, &str); 9] = [
    ("completions", "needs no PostgreSQL"),
    ("config", "needs no PostgreSQL"),
    ("dev", "has a PostgreSQL of its own"),
    ("bench", "measures an empty database of its own"),
    ("top", "is stats, again and again"),
    ("watch", "goes on after errors of the stores"),
    ("migrate up", "waits for locks in its own way: tests/store/migrate.rs"),
    ("migrate sql", "needs no PostgreSQL"),
    ("migrate roles", "changes rights and reads no table"),
];

/// All commands with their actions: `job list`, `stats`.
fn all_commands(scene: &Scene) -> BTreeSet<String> {
    let below = |args: &[&str]| crate::help::commands(&scene.output(&[args, &["-h"]].concat()));
    let mut all = BTreeSet::new();
    for command in below(&[]) {
        let actions = below(&[&command]);
        if actions.is_empty() {
            all.insert(command);
        } else {
            all.extend(actions.into_iter().map(|action| format!("{command} {action}")));
        }
    }
    all
}

/// Runs the commands, some at the same time, and how long each took.
async fn run_all(scene: &Scene, commands: &[Vec<&str>]) -> Vec<(Ran, Duration)> {
    let mut ran = Vec::new();
    for commands in commands.chunks(9) {
        let begun = commands.iter().map(|args| {
            let mut command = under_shell(&scene.command(args), "exec timeout 15 \"$@\"");
            command.env("LEASEHOLD_DATABASE__LOCK_TIMEOUT_MS", "500");
            tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                (run(command, br#"{"jobs":[{"name":"a","kind":"k"}]}"#), begun.elapsed())
            })
        });
        for run in begun.collect::<Vec<_>>() {
            ran.push(run.await.expect("no panic"));
        }
    }
    ran
}

async fn tables(scene: &Scene) -> Vec<String> {
    let tables =
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace AND relkind IN ('r', 'p')
                      AND NOT relispartition ORDER BY relname";
    sqlx::query_scalar(tables).fetch_all(&mut scene.sql().await).await.expect("the tables")
}

/// Says what is wrong with the end of a command, if anything is.
fn wrong(args: &[&str], ran: &Ran, took: Duration, must_fail: bool, holder: &Holder) -> Option<String> {
    let names_session = ran.stderr.contains("the table leasehold.")
        && ran.stderr.contains(&format!(" is locked by an open transaction of another session {}", holder.described()));
    let is_one_error =
        ran.code == 1 && ran.stderr.trim_end().lines().filter(|line| line.starts_with("error: ")).count() == 1;
    // A command that does not read the table is not disturbed: it ends as it would without the lock.
    let is_undisturbed = !must_fail && !ran.stderr.contains("lock");
    let is_right = took < ENDS_WITHIN && (names_session && is_one_error || is_undisturbed);
    (!is_right).then(|| format!("{} ({took:?}): {ran:?}", args.join(" ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_names_the_session_that_locks_the_tables() {
    let scene = Scene::start().await;
    let things = Things::make(&scene);
    let (reading, other) = (things.reading(), things.others());
    let called: BTreeSet<String> = all_commands(&scene)
        .into_iter()
        .filter(|command| {
            let words: Vec<&str> = command.split(' ').collect();
            reading.iter().chain(&other).any(|args| args.starts_with(&words))
        })
        .collect();
    let left_out = LEFT_OUT.iter().map(|(command, _)| (*command).to_owned());
    assert_eq!(
        called.into_iter().chain(left_out).collect::<BTreeSet<_>>(),
        all_commands(&scene),
        "the commands are called"
    );

    let tables = tables(&scene).await;
    // The first thing that every command reads is the version of the schema.
    let (of_schema, others): (Vec<_>, Vec<_>) =
        tables.iter().partition(|table| table.contains("migration") || *table == "functions");
    let lock = |tables: &[&String]| {
        let names: Vec<String> = tables.iter().map(|table| format!("leasehold.{table}")).collect();
        format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "))
    };
    let mut all_wrong = Vec::new();
    let all: Vec<Vec<&str>> = reading.iter().chain(&other).cloned().collect();
    let mut locks =
        vec![(lock(&others), true, all), (lock(&of_schema), false, vec![vec!["stats"], vec!["migrate", "status"]])];
    // Of each two tables, each is locked once while the other one is free: so a command comes to its second table too.
    for bit in (0..usize::BITS).take_while(|bit| others.len() >> bit > 0) {
        let (some, rest): (Vec<_>, Vec<_>) = others.iter().enumerate().partition(|(nth, _)| nth >> bit & 1 == 1);
        for tables in [some, rest] {
            let tables: Vec<&String> = tables.into_iter().map(|(_, table)| *table).collect();
            locks.push((lock(&tables), false, reading.clone()));
        }
    }
    for (lock, must_fail, commands) in locks {
        let holder = Holder::begin(&scene, &lock).await;
        for (args, (ran, took)) in commands.iter().zip(run_all(&scene, &commands).await) {
            all_wrong.extend(wrong(args, &ran, took, must_fail, &holder).map(|wrong| format!("{lock}\n  {wrong}")));
        }
        holder.end().await;
    }
    assert!(all_wrong.is_empty(), "{} calls:\n{}", all_wrong.len(), all_wrong.join("\n"));
}
