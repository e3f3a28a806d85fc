//! What dies under `dev` is started again.

use crate::running::{DevFolder, Running, WITHIN, send};
use leasehold_tests::eventually;
use nix::sys::signal::Signal;

/// Waits for a child like the one that was killed, with another number.
async fn replaced(dev: &Running, place: &DevFolder, word: &str, killed: i32) -> i32 {
    eventually("another one runs in its place", WITHIN, || async {
        let children = dev.children_with(word);
        children.into_iter().find(|pid| *pid != killed).ok_or_else(|| place.log())
    })
    .await
}

#[tokio::test]
async fn a_worker_a_reaper_and_both_servers_are_replaced_and_jobs_run() {
    let place = DevFolder::new().await;
    let dev = place.up(&["--workers", "1", "--exec", "echo=cat"]).await;
    let settings = std::fs::read_to_string(place.settings_file()).expect("the file");
    for word in [" worker ", "leasehold reaper", "redis-server", "postgres -D"] {
        let killed = eventually("it runs", WITHIN, || async {
            dev.children_with(word).first().copied().ok_or_else(|| place.log())
        })
        .await;
        send(killed, Signal::SIGKILL);
        replaced(&dev, &place, word, killed).await;
    }
    assert_eq!(settings, std::fs::read_to_string(place.settings_file()).expect("the file"), "on the same ports");

    let id = eventually("a job is accepted", WITHIN, || async {
        let mut enqueue = place.leasehold(&["--config", "data/leasehold.toml", "enqueue", "--kind", "echo"]);
        let output = enqueue.output().expect("leasehold");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()) } else { Err(said) }
    })
    .await;
    place.ask(&["job", "wait", &id]);
    let family = dev.family();
    dev.signal(Signal::SIGTERM);
    assert!(dev.ends(&family).await.success(), "{}", place.log());
}
