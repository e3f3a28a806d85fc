//! A worker that lacks a resource does not blame its jobs: no attempt is spent, the worker takes fewer jobs, reports
//! the shortage once, and is not ready.

use crate::{
    fixture::{Scene, under_shell},
    process::Background,
};
use leasehold_tests::eventually;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Enqueues jobs with one attempt each. Returns their ids.
fn enqueue(scene: &Scene, count: usize) -> Vec<String> {
    let lines = "{\"kind\":\"k\",\"queue\":\"q\",\"max_attempts\":1}\n".repeat(count);
    let printed = scene.run_with_input(&["enqueue", "--stdin"], lines.as_bytes()).succeeded();
    printed.lines().map(str::to_owned).collect()
}

/// A worker with 50 slots and an HTTP port.
fn worker(scene: &Scene, command: &str) -> Command {
    let exec = format!("k={command}");
    scene.command(&["worker", "--queue", "q=50", "--exec", &exec, "--listen", "127.0.0.1:0"])
}

/// The status and the body of `/readyz`.
async fn readiness(worker: &Background) -> (u16, Value) {
    worker.says("are served address=").await;
    let said = worker.said();
    let address = said.split("are served address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let mut stream = TcpStream::connect(address.expect("an address")).await.expect("a connection");
    let request = b"GET /readyz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("asking");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

async fn not_ready_for_lack_of(worker: &Background, what: &str) {
    eventually("the worker is not ready", TIMEOUT, || async {
        let (status, body) = readiness(worker).await;
        let told = body["lacks"].as_str().is_some_and(|lacks| lacks.contains(what));
        if status == 503 && body["ready"] == false && told { Ok(()) } else { Err((status, body)) }
    })
    .await;
}

async fn ready_again(worker: &Background) {
    worker.says("this worker lacks nothing any more").await;
    let (status, body) = readiness(worker).await;
    assert_eq!((status, &body["ready"], &body["lacks"]), (200, &json!(true), &Value::Null));
}

fn reported_once(said: &str, what: &str) {
    assert_eq!(said.matches("this worker lacks").count(), 1, "{said}");
    assert!(said.contains(what), "{said}");
}

/// Checks that all jobs succeeded in their only attempt.
fn all_succeeded(scene: &Scene, ids: &[String]) {
    let mut args = vec!["job", "wait", "--timeout", "100s", "--json"];
    args.extend(ids.iter().map(String::as_str));
    let ends = scene.run(&args);
    assert_eq!((ends.code, ends.stdout.lines().count()), (0, ids.len()), "{ends:?}");
    let job = scene.json(&["job", "show", &ids[0]]);
    assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{job}");
}

fn nothing_is_spent(scene: &Scene, ids: &[String]) {
    for id in ids {
        let job = scene.json(&["job", "show", id]);
        assert_eq!((&job["state"], &job["attempt"], &job["last_error"]), (&json!("queued"), &json!(0), &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_file_descriptors_cost_no_attempt() {
    let scene = Scene::start().await;
    let ids = enqueue(&scene, 100);
    let worker = Background::spawn(under_shell(&worker(&scene, "sleep 0.1"), "ulimit -n 60; exec \"$@\""));
    not_ready_for_lack_of(&worker, "file descriptors: the limit of this process is 60").await;
    all_succeeded(&scene, &ids);
    let ran = worker.stop();
    assert_eq!(ran.code, 0, "{ran:?}");
    reported_once(&ran.stderr, "file descriptors");
    assert!(!ran.stderr.contains("does not answer"), "the worker must keep its connections: {ran:?}");
}

/// A folder with links to these programs, which replaces `PATH`.
fn programs(scene: &Scene, names: &[&str]) -> PathBuf {
    let folder = scene.folder().join("bin");
    fs::create_dir(&folder).expect("made");
    for name in names {
        symlink(format!("/bin/{name}"), folder.join(name)).expect("linked");
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_shell_costs_no_attempt() {
    let scene = Scene::start().await;
    let path = programs(&scene, &["sh"]);
    let mut command = worker(&scene, "echo done");
    command.env("PATH", &path);
    let worker = Background::spawn(command);
    worker.says("the worker has started").await;
    fs::remove_file(path.join("sh")).expect("removed");
    let ids = enqueue(&scene, 5);
    not_ready_for_lack_of(&worker, "a shell").await;
    eventually("all jobs are released", TIMEOUT, || async {
        let states = ids.iter().map(|id| scene.json(&["job", "show", id])["state"].clone()).collect::<Vec<_>>();
        if states.iter().all(|state| state == "queued") { Ok(()) } else { Err(states) }
    })
    .await;
    nothing_is_spent(&scene, &ids);
    symlink("/bin/sh", path.join("sh")).expect("linked");
    all_succeeded(&scene, &ids);
    ready_again(&worker).await;
    reported_once(&worker.stop().stderr, "a shell");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_costs_no_attempt() {
    let scene = Scene::start().await;
    let temp = scene.folder().join("temp");
    let mut command = worker(&scene, ": > \"$TMPDIR/file\"");
    command.env("TMPDIR", &temp);
    let worker = Background::spawn(command);
    worker.says("the worker has started").await;
    let ids = enqueue(&scene, 5);
    not_ready_for_lack_of(&worker, "a folder for temporary files that can be written to").await;
    eventually("all jobs are released", TIMEOUT, || async {
        let states = ids.iter().map(|id| scene.json(&["job", "show", id])["state"].clone()).collect::<Vec<_>>();
        if states.iter().all(|state| state == "queued") { Ok(()) } else { Err(states) }
    })
    .await;
    nothing_is_spent(&scene, &ids);
    fs::create_dir(&temp).expect("made");
    all_succeeded(&scene, &ids);
    reported_once(&worker.stop().stderr, "temporary files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_folder_that_was_removed_costs_no_attempt() {
    let scene = Scene::start().await;
    let folder = scene.folder().join("work");
    fs::create_dir(&folder).expect("made");
    let mut command = worker(&scene, ": > file");
    command.current_dir(&folder);
    let worker = Background::spawn(command);
    worker.says("the worker has started").await;
    fs::remove_dir(&folder).expect("removed");
    let ids = enqueue(&scene, 1);
    not_ready_for_lack_of(&worker, "its working folder").await;
    eventually("the job is released", TIMEOUT, || async {
        let state = scene.json(&["job", "show", &ids[0]])["state"].clone();
        if state == "queued" { Ok(()) } else { Err(state) }
    })
    .await;
    nothing_is_spent(&scene, &ids);
}

/// The shell works and reports what is wrong with the command: a normal failure of the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_the_job_lacks_is_a_failure_of_the_job() {
    let scene = Scene::start().await;
    for (command, error) in [
        ("true; no-such-program-at-all", "not found"),
        ("true; /etc/passwd", "ermission denied"),
        ("echo 'fork: Resource temporarily unavailable' >&2; exit 2", "fork: Resource"),
    ] {
        let worker = Background::spawn(worker(&scene, command));
        let id = enqueue(&scene, 1).remove(0);
        scene.run(&["job", "wait", "--timeout", "60s", &id]);
        let job = scene.json(&["job", "show", &id]);
        assert_eq!((&job["state"], &job["attempt"]), (&json!("dead"), &json!(1)), "{job}");
        assert!(job["last_error"].as_str().is_some_and(|said| said.contains(error)), "{job}");
        assert!(!worker.stop().stderr.contains("lacks"));
    }
}
