//! `leasehold enqueue`: the store holds what the flags say.

use crate::fixture::{Scene, run};
use leasehold_tests::Key;
use serde_json::{Value, json};
use std::{process::Stdio, time::Instant};

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_reaches_the_job() {
    let scene = Scene::start().await;
    let id = scene.output(&[
        "enqueue",
        "--kind",
        "mail",
        "--queue",
        "slow",
        "--payload",
        r#"{"to": "ann"}"#,
        "--priority",
        "-7",
        "--at",
        "2035-01-31T08:00:00Z",
        "--unique-key",
        "u",
        "--limit-key",
        "l",
        "--max-attempts",
        "9",
        "--timeout",
        "1m30s",
    ]);
    let job = scene.json(&["job", "show", &id]);
    for (field, value) in [
        ("id", json!(id)),
        ("kind", json!("mail")),
        ("queue", json!("slow")),
        ("payload", json!({"to": "ann"})),
        ("priority", json!(-7)),
        ("state", json!("scheduled")),
        ("run_at", json!("2035-01-31T08:00:00Z")),
        ("unique_key", json!("u")),
        ("limit_key", json!("l")),
        ("max_attempts", json!(9)),
        ("timeout_ms", json!(90_000)),
    ] {
        assert_eq!(job[field], value, "{field}");
    }
    let again = scene.json(&["enqueue", "--kind", "mail", "--unique-key", "u"]);
    assert_eq!(again, json!({ "id": id, "inserted": false, "state": "scheduled" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_in_postgres_and_its_hint_in_redis() {
    let scene = Scene::start().await;
    let low = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let high = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--priority", "1"]);
    let keys = leasehold_tests::all_keys(&mut scene.stores.redis.connect().await).await;
    assert_eq!(keys["leasehold:{q}:ready"], Key::List(vec![high, low]));
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_come_from_files_and_from_standard_input() {
    let scene = Scene::start().await;
    std::fs::write(scene.folder().join("p.json"), "[1]\n").expect("written");
    let from_file = scene.output(&["enqueue", "--kind", "k", "--payload", "@p.json"]);
    let from_input = scene.run_with_input(&["enqueue", "--kind", "k", "--payload", "-"], b"[2]\n").succeeded();
    assert_eq!(scene.json(&["job", "show", &from_file])["payload"], json!([1]));
    assert_eq!(scene.json(&["job", "show", &from_input])["payload"], json!([2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_become_jobs_in_order_and_flags_are_their_defaults() {
    let scene = Scene::start().await;
    let lines: String = (0..1_700)
        .map(|nth| match nth % 3 {
            0 => format!("{{\"payload\":{nth}}}\n"),
            1 => format!("{{\"payload\":{nth},\"kind\":\"other\",\"queue\":\"b\",\"priority\":3}}\n"),
            _ => format!("{{\"payload\":{nth},\"delay\":\"1h\",\"timeout\":\"5s\"}}\n"),
        })
        .collect();
    let flags = ["enqueue", "--stdin", "--kind", "k", "--queue", "a", "--max-attempts", "2", "--json"];
    let printed = scene.run_with_input(&flags, lines.as_bytes()).succeeded();
    let answers: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), 1_700);
    for (nth, queue, kind, state, priority) in [
        (0, "a", "k", "queued", 0),
        (1, "b", "other", "queued", 3),
        (1_699, "b", "other", "queued", 3),
        (1_697, "a", "k", "scheduled", 0),
    ] {
        let job = scene.json(&["job", "show", answers[nth]["id"].as_str().expect("an id")]);
        let seen =
            (&job["payload"], &job["queue"], &job["kind"], &job["state"], &job["priority"], &job["max_attempts"]);
        let wanted = (&json!(nth), &json!(queue), &json!(kind), &json!(state), &json!(priority), &json!(2));
        assert_eq!(seen, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_with_ids_can_be_sent_again() {
    let scene = Scene::start().await;
    let lines: String = (0..10).map(|_| format!("{{\"kind\":\"k\",\"id\":\"{}\"}}\n", uuid::Uuid::now_v7())).collect();
    let first = scene.run_with_input(&["enqueue", "--stdin"], lines.as_bytes()).succeeded();
    let second = scene.run_with_input(&["enqueue", "--stdin"], lines.as_bytes()).succeeded();
    assert_eq!(first, second);
    assert_eq!(scene.json(&["queue", "list"])[0]["queued"], 10);
}

/// A writer that keeps the pipe open must not delay the jobs of its lines.
#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_slow_writer_are_sent_before_a_batch_is_full() {
    use std::io::{BufRead, BufReader, Write};
    let scene = Scene::start().await;
    let mut command = scene.command(&["enqueue", "--stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut stdin = child.stdin.take().expect("the standard input");
    let mut stdout = BufReader::new(child.stdout.take().expect("the standard output"));
    for _ in 0..2 {
        stdin.write_all(b"{\"kind\":\"k\"}\n").expect("written");
        let mut id = String::new();
        stdout.read_line(&mut id).expect("an id while the input is still open");
        assert_eq!(id.trim().len(), 36, "{id:?}");
    }
    drop(stdin);
    assert!(child.wait().expect("ended").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let scene = Scene::start().await;
    // Much more output than a pipe holds: the program is still writing when its reader exits.
    let script = "\"$0\" job list --limit 1000 --json | head -c 1; exit ${PIPESTATUS[0]}";
    for _ in 0..3 {
        scene.run_with_input(&["enqueue", "--stdin"], "{\"kind\":\"k\"}\n".repeat(500).as_bytes()).succeeded();
    }
    let mut command = scene.command(&[] as &[&str]);
    let program = command.get_program().to_owned();
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", script]).arg(program).current_dir(scene.folder());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--version"]);
    let ran = run(shell, b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}

/// Twenty thousand lines take seconds and not minutes, even on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn many_lines_are_quick() {
    let scene = Scene::start().await;
    let begun = Instant::now();
    scene.run_with_input(&["enqueue", "--stdin"], "{\"kind\":\"k\"}\n".repeat(20_000).as_bytes()).succeeded();
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert_eq!(scene.json(&["queue", "list"])[0]["queued"], 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_what_runs_when_are_flags_and_fields_of_lines() {
    let scene = Scene::start().await;
    let flags = [
        "--retry",
        "linear",
        "--retry-base",
        "10s",
        "--retry-cap",
        "1h",
        "--retry-for",
        "2d",
        "--expires-at",
        "2040-01-31T08:00:00Z",
        "--unique-fields",
        "a,b",
        "--unique-while",
        "queued",
        "--unique-on-conflict",
        "replace",
    ];
    let id = scene.output(
        &[&["enqueue", "--kind", "k", "--delay", "1h", "--payload", r#"{"a": 1, "b": 2}"#], &flags[..]].concat(),
    );
    let retry = json!({ "strategy": "linear", "base": "10s", "cap": "3600s", "for": "172800s" });
    let job = scene.json(&["job", "show", &id]);
    assert_eq!((&job["retry"], &job["unique_rule"]), (&retry, &json!("queued")));
    assert_eq!(job["expires_at"], json!("2040-01-31T08:00:00Z"));
    let card = scene.output(&["job", "show", &id]);
    assert!(card.contains("linear, from 10s, up to 1h, for 2d") && card.contains("when the job begins"), "{card}");
    let reasons = scene.output(&["job", "explain", &id]);
    assert!(reasons.contains("it is cancelled if it has not begun by 2040-01-31 08:00:00 UTC"), "{reasons}");

    // The same words in a line mean the same: the line replaces the job.
    let line = json!({
        "kind": "k", "payload": {"b": 2, "a": 1, "c": 3}, "expires_in": "2h", "retry": {"strategy": "fixed", "base": "5s"},
        "unique": {"fields": ["a", "b"], "while": "queued", "on_conflict": "replace"},
    });
    let ran = scene.run_with_input(&["enqueue", "--stdin", "--json"], line.to_string().as_bytes());
    let answer: Value = serde_json::from_str(&ran.succeeded()).expect("JSON");
    assert_eq!(answer, json!({ "id": id, "inserted": false, "replaced": true, "state": "queued" }));
    let job = scene.json(&["job", "show", &id]);
    assert_eq!(job["retry"], json!({ "strategy": "fixed", "base": "5s" }));
    assert_eq!((&job["payload"]["c"], &job["state"]), (&json!(3), &json!("queued")));
    assert_ne!(job["expires_at"], json!("2040-01-31T08:00:00Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_expired_says_so_everywhere() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--expires-in", "1ms"]);
    scene.output(&["reaper", "--once"]);
    let job = scene.json(&["job", "show", &id]);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("cancelled"), &json!(0)));
    let why = "it expired: it had not begun by ";
    assert!(job["last_error"].as_str().is_some_and(|error| error.starts_with(why)), "{job}");
    for args in [["job", "explain", &id], ["job", "show", &id]] {
        let said = scene.output(&args);
        assert!(said.contains(why), "{said}");
    }
    let waited = scene.run(&["job", "wait", &id]);
    assert!(waited.code == 1 && waited.stdout.contains(why), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_make_no_sense_are_refused() {
    let scene = Scene::start().await;
    for (args, told) in [
        (&["--retry", "quadratic"][..], "is not exponential, linear or fixed"),
        (&["--retry-base", "2h", "--retry-cap", "1h"], "retry.cap is less than retry.base"),
        (&["--unique-while", "queued"], "--unique-while needs a unique key: give --unique-key, --unique-fields"),
        (&["--unique-for", "1h"], "--unique-for needs a unique key"),
        (&["--retry", "fixed:0s"], "a strategy takes no times here: write --retry fixed --retry-base 0s"),
        (&["--retry", "fixed", "--retry-base", "0s"], "retry.base is 0 ms; it must be from 1 ms"),
        (&["--unique-key", "u", "--unique-fields", "a"], "unique needs one of"),
        (&["--unique-fields", ""], "unique.fields has an empty name"),
        (&["--unique-key", "u", "--unique-on-conflict", "fail"], "is not one of skip, replace, keep_last"),
        (&["--delay", "1h", "--expires-in", "10m"], "the job could never begin"),
        (&["--expires-at", "2040-01-01T00:00:00Z", "--expires-in", "10m"], "cannot be used with"),
    ] {
        let ran = scene.run(&[&["enqueue", "--kind", "k"], args].concat());
        assert!(ran.code == 2 && ran.stderr.contains(told), "{args:?}: {ran:?}");
    }
    for (line, told) in [
        (r#"{"kind":"k","retry":{"bsae":"1s"}}"#, "unknown field `bsae`"),
        (r#"{"kind":"k","retry":{"base":"soon"}}"#, "\"soon\" is no duration"),
        (r#"{"kind":"k","unique_key":"u","unique":{"while":"running"}}"#, "unknown variant `running`"),
        (r#"{"kind":"k","expires_at":"soon"}"#, "expires_at"),
        (r#"{"kind":"k","expires_in":"1h","expires_at":"2040-01-01T00:00:00Z"}"#, "cannot be given together"),
    ] {
        let ran = scene.run_with_input(&["enqueue", "--stdin"], line.as_bytes());
        assert!(ran.code == 2 && ran.stderr.contains(told), "{line}: {ran:?}");
    }
    assert_eq!(scene.output(&["job", "list"]), "no jobs");
}
