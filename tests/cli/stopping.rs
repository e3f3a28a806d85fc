//! Signals: the first asks, the second insists; waiting is given up without a trace.

use crate::{fixture::Scene, process::Beside};
use leasehold_tests::eventually;
use nix::sys::signal::Signal;
use std::{fs, time::Duration};

async fn running(scene: &Scene, id: &str) {
    eventually("the job is running", Duration::from_secs(30), || async {
        let job = scene.json(&["job", "show", id]);
        if job["state"] == "running" { Ok(()) } else { Err(job) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_lets_a_command_finish() {
    let scene = Scene::start().await;
    let command = "k=while ! test -e go; do sleep 0.05; done; echo finished";
    let worker = Beside::start(&scene, &["worker", "--queue", "q", "--exec", command], &[]);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    running(&scene, &id).await;
    worker.signal(Signal::SIGTERM);
    fs::write(scene.folder().join("go"), "").expect("written");
    let ran = worker.ended(Duration::from_secs(30));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(scene.json(&["job", "show", &id])["result"], "finished\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_gives_the_job_back_with_its_attempt() {
    let scene = Scene::start().await;
    let worker = Beside::start(&scene, &["worker", "--queue", "q", "--exec", "k=sleep 600"], &[]);
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    running(&scene, &id).await;
    worker.signal(Signal::SIGTERM);
    worker.says("stopping: no more work is taken").await;
    // A signal sent twice within a moment is one request.
    let ran = worker.signalled_to_its_end(Signal::SIGTERM, Duration::from_secs(60));
    assert_eq!(ran.code, 0, "{ran:?}");
    let job = scene.json(&["job", "show", &id]);
    assert_eq!((&job["state"], &job["attempt"], &job["crashes"]), (&"queued".into(), &0.into(), &0.into()), "{job}");
    assert!(scene.output(&["job", "show", &id]).contains("  release (epoch 1)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_given_up_and_taken_up_again() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let before = scene.contents().await;
    let waiting = Beside::start(&scene, &["job", "wait", &id], &[]);
    eventually("it is connected and waits", Duration::from_secs(20), || async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '-- finished:%'";
        let count: i64 = sqlx::query_scalar(waits).fetch_one(&mut scene.sql().await).await.expect("asking who waits");
        if count > 0 { Ok(()) } else { Err(count) }
    })
    .await;
    waiting.signal(Signal::SIGINT);
    waiting.ended(Duration::from_secs(30)).refused(1, "stopped waiting; the jobs go on");
    assert_eq!(scene.contents().await, before);
    let _worker = Beside::start(&scene, &["worker", "--queue", "q", "--exec", "k=echo now"], &[]);
    assert_eq!(scene.output(&["job", "wait", "--timeout", "30s", &id]), format!("{id}  succeeded  \"now\\n\""));
}
