//! Signals: the first one asks to stop, the second one insists. A stopped wait changes nothing.

use crate::{
    fixture::{Scene, under_shell},
    process::Background,
};
use leasehold_tests::eventually;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

async fn running(scene: &Scene, id: &str) {
    eventually("the job is running", Duration::from_secs(30), || async {
        let job = scene.json(&["job", "show", id]);
        if job["state"] == "running" { Ok(()) } else { Err(job) }
    })
    .await;
}

/// A terminal that closes sends SIGHUP.
const GRACEFUL: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_lets_a_command_finish() {
    for signal in GRACEFUL {
        let scene = Scene::start().await;
        let command = "k=while ! test -e go; do sleep 0.05; done; echo finished";
        let worker = Background::start(&scene, &["worker", "--queue", "q", "--exec", command], &[]);
        let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
        running(&scene, &id).await;
        worker.signal(signal);
        worker.says("stopping: no more work is taken").await;
        fs::write(scene.folder().join("go"), "").expect("written");
        let ran = worker.ended(Duration::from_secs(30));
        assert_eq!(ran.code, 0, "{signal}: {ran:?}");
        assert_eq!(scene.json(&["job", "show", &id])["result"], "finished\n", "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_and_a_batch_stop_cleanly_at_each_signal() {
    for signal in GRACEFUL {
        let scene = Scene::start().await;
        let reaper = Background::start(&scene, &["reaper"], &[]);
        reaper.says("the reaper has started").await;
        reaper.signal(signal);
        let ran = reaper.ended(Duration::from_secs(30));
        assert!(ran.code == 0 && ran.stderr.contains("the reaper has stopped"), "{signal}: {ran:?}");

        fs::write(scene.folder().join("lines"), "x\n").expect("written");
        let args = ["each", "--queue", "q", "--from", "lines", "--", "cat"];
        let each = Background::start(&scene, &args, &[]);
        each.says("no worker runs commands of the queue q").await;
        each.signal(signal);
        let ran = each.ended(Duration::from_secs(30));
        assert!(ran.code == 1 && ran.stderr.contains("stopped waiting; the jobs continue"), "{signal}: {ran:?}");
    }
}

/// A user who starts a worker with `nohup` wants it to outlive the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn a_sighup_that_was_ignored_at_the_start_stays_ignored() {
    let scene = Scene::start().await;
    let program = scene.command(&["worker", "--queue", "q", "--exec", "k=echo done"]);
    let worker = Background::spawn(under_shell(&program, "trap '' HUP; exec \"$@\""));
    worker.says("the worker has started").await;
    worker.signal(Signal::SIGHUP);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    assert_eq!(scene.output(&["job", "wait", "--timeout", "30s", &id]), format!("{id}  succeeded  \"done\\n\""));
    assert_eq!(worker.stop().code, 0);
}

/// Processes with this working folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = fs::canonicalize(folder).expect("the folder");
    let all = fs::read_dir("/proc").expect("all processes").flatten();
    let here = all.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    here.map(|process| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ")
    })
    .collect()
}

/// A killed worker can do nothing any more. Another process must end its commands, or they would run at the same time
/// as the second run of their jobs.
#[tokio::test(flavor = "multi_thread")]
async fn commands_end_when_their_worker_is_killed() {
    let scene = Scene::start().await;
    // Child processes in the process group of the command, without its environment, outside of its group, and ignoring
    // SIGTERM.
    let command = "k=sleep 600 & env -i sleep 600 & setsid sleep 600 & (trap '' TERM; sleep 600) & sleep 600";
    let worker = Background::start(&scene, &["worker", "--queue", "q=3", "--exec", command], &[]);
    // A run that has ended before must not be counted as a running one.
    let first = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    running(&scene, &first).await;
    scene.output(&["job", "cancel", &first]);
    scene.run(&["job", "wait", "--timeout", "30s", &first]);
    // A process that has left the group survives a run that ends normally.
    let left_over = |process: &String| process.starts_with("sleep 600");
    eventually("one process of the first run still runs", Duration::from_secs(30), || async {
        let left: Vec<String> = processes_in(scene.folder()).into_iter().filter(left_over).collect();
        if left.len() == 1 { Ok(()) } else { Err(left) }
    })
    .await;
    for _ in 0..3 {
        scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    }
    eventually("three commands run", Duration::from_secs(30), || async {
        let there: Vec<String> = processes_in(scene.folder()).into_iter().filter(left_over).collect();
        if there.len() == 1 + 3 * 5 { Ok(()) } else { Err(there) }
    })
    .await;
    worker.signal(Signal::SIGKILL);
    let killed = Instant::now();
    eventually("only the leftover process of the first run still runs", Duration::from_secs(20), || async {
        let there = processes_in(scene.folder());
        if there.len() == 1 { Ok(()) } else { Err(there) }
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    end_all_in(scene.folder());
}

/// The process that ends the commands (the guard) may be killed too: the next command starts a new guard.
#[tokio::test(flavor = "multi_thread")]
async fn commands_end_with_their_worker_even_if_their_guard_was_killed() {
    let scene = Scene::start().await;
    let worker = Background::start(&scene, &["worker", "--queue", "q=3", "--exec", "k=sleep 600; :"], &[]);
    let sleeps = || processes_in(scene.folder()).iter().filter(|process| process.starts_with("sleep 600")).count();
    let until_sleeping = async |count: usize| {
        eventually("commands run", Duration::from_secs(30), || async {
            if sleeps() == count { Ok(()) } else { Err(sleeps()) }
        })
        .await;
    };
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    until_sleeping(1).await;
    let guard = guard_of(worker.id()).expect("a guard");
    kill(guard, Signal::SIGKILL).expect("killing the guard");
    scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    until_sleeping(2).await;
    eventually("another guard runs", Duration::from_secs(20), || async {
        guard_of(worker.id()).filter(|other| *other != guard).ok_or("none")
    })
    .await;
    worker.signal(Signal::SIGKILL);
    until_sleeping(0).await;
}

/// The process that ends the commands of a worker.
fn guard_of(worker: u32) -> Option<Pid> {
    fs::read_dir("/proc").expect("all processes").flatten().find_map(|process| {
        let words = fs::read(process.path().join("cmdline")).ok()?;
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        let guards = parent == worker && words.ends_with(b"leasehold-guard\0");
        guards.then(|| process.file_name().to_string_lossy().parse().ok().map(Pid::from_raw))?
    })
}

fn end_all_in(folder: &Path) {
    let folder = fs::canonicalize(folder).expect("the folder");
    for process in fs::read_dir("/proc").expect("all processes").flatten() {
        let id = process.file_name().to_string_lossy().parse().map(Pid::from_raw);
        if fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder)
            && let Ok(id) = id
        {
            let _ = kill(id, Signal::SIGKILL);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_gives_the_job_back_with_its_attempt() {
    let scene = Scene::start().await;
    let worker = Background::start(&scene, &["worker", "--queue", "q", "--exec", "k=sleep 600"], &[]);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    running(&scene, &id).await;
    worker.signal(Signal::SIGTERM);
    worker.says("stopping: no more work is taken").await;
    // Two signals within a moment count as one request.
    let ran = worker.signalled_to_its_end(Signal::SIGTERM, Duration::from_secs(60));
    assert_eq!(ran.code, 0, "{ran:?}");
    let job = scene.json(&["job", "show", &id]);
    assert_eq!((&job["state"], &job["attempt"], &job["crashes"]), (&"queued".into(), &0.into(), &0.into()), "{job}");
    assert!(scene.output(&["job", "show", &id]).contains("  release (epoch 1)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_wait_can_be_repeated() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let before = scene.contents().await;
    let waiting = Background::start(&scene, &["job", "wait", &id], &[]);
    eventually("the command is connected and waits", Duration::from_secs(20), || async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '-- finished:%'";
        let count: i64 = sqlx::query_scalar(waits).fetch_one(&mut scene.sql().await).await.expect("asking who waits");
        if count > 0 { Ok(()) } else { Err(count) }
    })
    .await;
    waiting.signal(Signal::SIGINT);
    waiting.ended(Duration::from_secs(30)).refused(1, "stopped waiting; the jobs continue");
    assert_eq!(scene.contents().await, before);
    let _worker = Background::start(&scene, &["worker", "--queue", "q", "--exec", "k=echo now"], &[]);
    assert_eq!(scene.output(&["job", "wait", "--timeout", "30s", &id]), format!("{id}  succeeded  \"now\\n\""));
}
