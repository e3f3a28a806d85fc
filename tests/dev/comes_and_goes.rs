//! Start, stop and restart.

use crate::running::{DevFolder, WITHIN, descendants};
use leasehold_tests::eventually;
use nix::sys::signal::Signal;
use std::{fs, os::unix::fs::PermissionsExt};

/// The command of a job that would take ten minutes.
const SLEEP: [&str; 4] = ["--workers", "2", "--exec", "sleep=sleep 600"];

#[tokio::test]
async fn dev_runs_jobs_stops_cleanly_and_still_has_the_jobs_after_a_restart() {
    let place = DevFolder::new().await;
    let dev = place.up(&["--exec", "echo=cat"]).await;
    let mode = fs::metadata(place.settings_file()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the file contains passwords");
    let log = place.log();
    let settings = fs::read_to_string(place.settings_file()).expect("the file");
    let password = settings.split([':', '@']).find(|part| part.len() == 48).expect("a password");
    assert!(log.contains("leasehold:***@127.0.0.1:") && !log.contains(password), "{log}");

    let id = place.ask(&["enqueue", "--kind", "echo", "--payload", r#"{"kept":true}"#]);
    place.ask(&["job", "wait", &id]);
    place.ask(&["schedule", "set", "beat", "--every", "1s", "--kind", "echo"]);
    eventually("a tick of the schedule has run", WITHIN, || async {
        let shown = place.ask(&["job", "list", "--kind", "echo", "--state", "succeeded"]);
        if shown.lines().count() > 2 { Ok(()) } else { Err(shown) }
    })
    .await;
    place.ask(&["schedule", "remove", "beat"]);
    let descendants = dev.descendants();
    dev.signal(Signal::SIGINT);
    assert!(dev.ends(&descendants).await.success(), "{}", place.log());
    assert!(!place.settings_file().exists());

    let dev = place.up(&[]).await;
    assert!(place.ask(&["job", "show", &id, "--json"]).contains("kept"));
    let descendants = dev.descendants();
    dev.signal(Signal::SIGTERM);
    assert!(dev.ends(&descendants).await.success(), "{}", place.log());
}

#[tokio::test]
async fn a_second_dev_in_the_same_folder_is_refused() {
    let place = DevFolder::new().await;
    let dev = place.up(&["--workers", "0"]).await;
    let second = place.dev(&[]).output().expect("leasehold dev");
    let words = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("in use by process {}", dev.pid())), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(place.settings_file().exists(), "the file of the first dev must stay");
}

#[tokio::test]
async fn a_killed_dev_leaves_neither_servers_nor_workers_nor_their_commands() {
    let place = DevFolder::new().await;
    let dev = place.up(&SLEEP).await;
    place.ask(&["enqueue", "--kind", "sleep"]);
    let descendants = eventually("a worker runs its command", WITHIN, || async {
        let busy = dev.children_with(" worker ").into_iter().any(|worker| !descendants(worker).is_empty());
        if busy { Ok(dev.descendants()) } else { Err(place.log()) }
    })
    .await;
    dev.signal(Signal::SIGKILL);
    assert!(!dev.ends(&descendants).await.success());

    // Files that a killed `dev` could not remove do not block the next start.
    let dev = place.up(&["--workers", "0"]).await;
    let descendants = dev.descendants();
    dev.signal(Signal::SIGTERM);
    assert!(dev.ends(&descendants).await.success(), "{}", place.log());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_jobs() {
    let place = DevFolder::new().await;
    // The grace period is longer than the test waits for the end.
    let dev = place.up(&[&SLEEP[..], &["--set", "worker.grace_ms=600000"]].concat()).await;
    let id = place.ask(&["enqueue", "--kind", "sleep"]);
    eventually("the job runs", WITHIN, || async {
        let state = place.ask(&["job", "show", &id, "--json"]);
        if state.contains("running") { Ok(()) } else { Err(state) }
    })
    .await;
    let descendants = dev.descendants();
    dev.signal(Signal::SIGINT);
    eventually("dev is stopping", WITHIN, || async {
        if place.log().contains("stopping") { Ok(()) } else { Err(place.log()) }
    })
    .await;
    // Signals less than 200 ms apart count as one request.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    dev.signal(Signal::SIGINT);
    assert!(dev.ends(&descendants).await.success(), "{}", place.log());
}

#[tokio::test]
async fn mistakes_are_reported_before_anything_starts() {
    let place = DevFolder::new().await;
    for (arguments, code, words) in [
        (&["--queue", "no name"][..], 2, "--queue"),
        (&["--exec", "nothing"], 2, "KIND=COMMAND"),
        (&["--workers", "1000"], 2, "--workers"),
        (&["--set", "worker.lease_ms=1"], 2, "worker.lease_ms"),
        (&["--exec", "x=/no/such/program"], 2, "/no/such/program"),
    ] {
        let output = place.dev(arguments).output().expect("leasehold dev");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains("is up"), "{arguments:?}: {said}");
    }
}
