//! `leasehold each`: results in order, no line runs twice, and an interrupted batch continues.

use crate::{fixture::Scene, process::Background};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// The lines that commands wrote into the file `runs`, sorted: one line for each run.
fn runs(scene: &Scene) -> Vec<String> {
    let noted = fs::read_to_string(scene.folder().join("runs")).unwrap_or_default();
    let mut lines: Vec<String> = noted.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A command that records its run in the file `runs`, and then runs `script` with the input line in `$1`.
fn noting(script: &str) -> [String; 6] {
    let script = format!("echo \"$1\" >> runs; {script}");
    ["--".into(), "sh".into(), "-c".into(), script, "sh".into(), "{}".into()]
}

fn each(batch: &str, script: &str) -> Vec<String> {
    let mut args: Vec<String> =
        ["each", "--queue", "q", "--batch", batch, "--max-attempts", "1"].map(Into::into).into();
    args.extend(noting(script));
    args
}

fn refs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_runs_the_lines_and_results_are_in_order() {
    let scene = Scene::start().await;
    let _fleet = Background::fleet(&scene);
    let input: String = (0..300).map(|nth| format!("line {nth}\n")).collect();
    // The first lines take longest, so that jobs do not finish in the order of the lines.
    let script = "case \"$1\" in *\\ ?) sleep 0.3;; esac; echo \"did $1\"";
    let printed = scene.run_with_input(&refs(&each("b", script)), input.as_bytes()).succeeded();
    let wanted: Vec<String> = (0..300).map(|nth| format!("did line {nth}")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(runs(&scene).len(), 300);

    // The same batch again has the same jobs: their results are printed, and no job runs again.
    let again = scene.run_with_input(&refs(&each("b", script)), input.as_bytes()).succeeded();
    assert_eq!((again, runs(&scene).len()), (printed, 300));
}

/// A waiting batch reports once what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_and_a_queue_without_workers_are_reported() {
    let scene = Scene::start().await;
    fs::write(scene.folder().join("lines"), "a\nb\n").expect("written");
    scene.output(&["queue", "pause", "q"]);
    let each = Background::start(&scene, &["each", "--queue", "q", "--from", "lines", "--", "echo"], &[]);
    each.says("the queue q is paused, so none of its jobs starts: `leasehold queue resume q` ends the pause").await;
    each.says("no worker runs commands of the queue q").await;
    let _fleet = Background::fleet(&scene);
    scene.output(&["queue", "resume", "q"]);
    let ran = each.ended(Duration::from_secs(60));
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.matches("is paused").count()), (0, "a\nb\n", 1), "{ran:?}");

    // Paused during the run, with local slots.
    let script = "test $1 != b || while ! test -e go; do sleep 0.05; done; sleep 0.1; echo $1";
    let args = ["each", "--queue", "r", "--jobs", "1", "--from", "lines", "--", "sh", "-c", script, "sh"];
    fs::write(scene.folder().join("lines"), "a\nb\nc\nd\ne\n").expect("written");
    let each = Background::start(&scene, &args, &[]);
    each.prints(1).await;
    scene.output(&["queue", "pause", "r"]);
    fs::write(scene.folder().join("go"), "").expect("written");
    each.says("the queue r is paused").await;
    scene.output(&["queue", "resume", "r"]);
    let ran = each.ended(Duration::from_secs(60));
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.matches("no worker").count()),
        (0, "a\nb\nc\nd\ne\n", 0),
        "{ran:?}"
    );
}

/// A worker with a command for every kind does not take the jobs for its own: they wait for a worker that runs commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_every_kind_does_not_run_its_own_command_instead() {
    let scene = Scene::start().await;
    let other = ["worker", "--queue", "q", "--exec", "*=touch strange; cat"];
    let _other = Background::start(&scene, &other, &[]);
    let _reaper = Background::start(&scene, &["reaper"], &[]);
    fs::write(scene.folder().join("lines"), "a\nb\n").expect("written");
    let each = Background::start(&scene, &["each", "--queue", "q", "--from", "lines", "--", "echo", "did"], &[]);
    each.says("a worker of the queue q has a command for every kind, and does not run these commands").await;
    let id = scene.output(&["enqueue", "--kind", "command", "--queue", "q", "--payload", "{\"own\": 1}"]);
    scene.output(&["job", "wait", &id]);
    fs::remove_file(scene.folder().join("strange")).expect("a job of its own with this kind runs");
    let _fleet = Background::fleet(&scene);
    let ran = each.ended(Duration::from_secs(60));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "did a\ndid b\n"), "{ran:?}");
    assert!(!scene.folder().join("strange").exists(), "the other worker has run its command");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_slots_need_no_worker_process() {
    let scene = Scene::start().await;
    let args = ["each", "--queue", "q", "--jobs", "3", "--", "echo"];
    let input = "b\na\na\n\n5\n{\"x\": 1}\n";
    let printed = scene.run_with_input(&args, input.as_bytes());
    assert_eq!((printed.code, printed.stdout.as_str(), printed.stderr.as_str()), (0, input, ""));
    let args = ["each", "--queue", "q", "--jobs", "3", "--json", "--", "echo", "-n", "<{}>"];
    let printed = scene.run_with_input(&args, b"x").succeeded();
    let object: Value = serde_json::from_str(&printed).expect("JSON");
    let fields = (&object["line"], &object["input"], &object["state"], &object["result"]);
    assert_eq!(fields, (&json!(1), &json!("x"), &json!("succeeded"), &json!("<x>")));
    assert_eq!(scene.run_with_input(&args, b"").succeeded(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_reported_and_a_second_run_repeats_only_these() {
    let scene = Scene::start().await;
    let fleet = Background::fleet(&scene);
    let script = "test -e fixed || case \"$1\" in *5) echo \"no luck with $1\" >&2; exit 65;; esac; echo \"did $1\"";
    let input: String = (0..20).map(|nth| format!("{nth}\n")).collect();
    let first = scene.run_with_input(&refs(&each("b", script)), input.as_bytes());
    assert_eq!((first.code, first.stdout.lines().count()), (1, 18), "{first:?}");
    for told in
        ["2 of 20 jobs did not succeed", "line 6 (5) is dead: no luck with 5", "leasehold job show", "--batch b"]
    {
        assert!(first.stderr.contains(told), "{told}: {first:?}");
    }
    fs::write(scene.folder().join("fixed"), "").expect("written");
    let second = scene.run_with_input(&refs(&each("b", script)), input.as_bytes()).succeeded();
    assert_eq!(second.lines().count(), 20);
    let seen = runs(&scene);
    assert_eq!((seen.len(), seen.iter().filter(|line| *line == "5").count()), (22, 2), "{seen:?}");
    drop(fleet);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_command_with_the_same_batch_name_is_refused() {
    let scene = Scene::start().await;
    let first = ["each", "--batch", "b", "--jobs", "1", "--", "echo", "old"];
    assert_eq!(scene.run_with_input(&first, b"x\n").succeeded(), "old x");
    let before = scene.contents().await;
    let second = ["each", "--batch", "b", "--jobs", "1", "--", "echo", "new"];
    scene.run_with_input(&second, b"x\ny\n").refused(2, "this batch was begun with another command or queue");
    assert_eq!(scene.contents().await.jobs, before.jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_keeps_the_jobs_and_the_next_run_continues() {
    let scene = Scene::start().await;
    let input: String = (0..30).map(|nth| format!("{nth}\n")).collect();
    fs::write(scene.folder().join("input"), input).expect("written");
    let mut args = each("b", "test -e open || { sleep 600; exit 1; }; echo \"did $1\"");
    args.splice(1..1, ["--from".to_owned(), "input".to_owned(), "--jobs".to_owned(), "2".to_owned()]);
    let first = Background::start(&scene, &refs(&args), &[]);
    leasehold_tests::eventually("two lines are running", Duration::from_secs(30), || async {
        let seen = runs(&scene);
        if seen.len() == 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    first.signal(Signal::SIGINT);
    let ran = first.ended(Duration::from_secs(30));
    ran.refused(1, "stopped waiting; the jobs continue where workers run");
    ran.said("--batch b");
    let states = scene.json(&["job", "list", "--limit", "100"]);
    let all = states.as_array().expect("jobs");
    assert!(all.len() == 30 && all.iter().all(|job| job["state"] == "queued" && job["attempt"] == 0), "{states}");

    fs::write(scene.folder().join("open"), "").expect("written");
    let second = scene.output(&refs(&args));
    assert_eq!(second.lines().count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_worker_is_reported() {
    let scene = Scene::start().await;
    fs::write(scene.folder().join("input"), "x\n").expect("written");
    let waiting = Background::start(&scene, &["each", "--queue", "q", "--from", "input", "--", "echo"], &[]);
    leasehold_tests::eventually("the job exists", Duration::from_secs(20), || async {
        let queues = scene.json(&["queue", "list"]);
        if queues[0]["queued"] == 1 { Ok(()) } else { Err(queues) }
    })
    .await;
    // `each` looks for workers after some time without news. A worker that starts later runs the job.
    waiting.says("no worker runs commands of the queue q").await;
    let _fleet = Background::fleet(&scene);
    let ran = waiting.ended(Duration::from_secs(30));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "x\n"), "{ran:?}");
    assert!(ran.stderr.contains("no worker runs commands of the queue q: start one with `leasehold worker"), "{ran:?}");
}

/// As many lines as a large folder has files. The commands are so short that the test measures the time of the queue.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_finished_lines_are_printed_quickly() {
    let scene = Scene::start().await;
    let input: String = (0..20_000).map(|nth| format!("{nth}\n")).collect();
    fs::write(scene.folder().join("input"), &input).expect("written");
    let args = ["each", "--queue", "q", "--batch", "b", "--from", "input", "--", "true"];
    let first = Background::start(&scene, &args, &[]);
    leasehold_tests::eventually("all jobs exist", Duration::from_secs(60), || async {
        let queues = scene.json(&["queue", "list"]);
        if queues[0]["queued"] == 20_000 { Ok(()) } else { Err(queues) }
    })
    .await;
    // Finished by SQL: the test is not about running twenty thousand processes.
    let finish = "WITH gone AS (DELETE FROM leasehold.job RETURNING *)
                  INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                      max_attempts, state, priority, crashes, max_crashes, queue, kind, payload, result)
                  SELECT id, run_at, created_at, now(), now(), gen_random_uuid(), 1, 1, max_attempts, 'succeeded', priority,
                      crashes, max_crashes, queue, kind, payload, to_json('did ' || (payload->'argv'->>1)) FROM gone";
    sqlx::query(finish).execute(&mut scene.sql().await).await.expect("finishing all jobs");
    let begun = std::time::Instant::now();
    let ran = first.ended(Duration::from_secs(60));
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 20_000), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().nth(12_345), Some("did 12345"));
    let again = scene.output(&args);
    assert_eq!(again.lines().count(), 20_000);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
