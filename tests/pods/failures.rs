//! An API server that refuses, hangs or is away: one warning, longer and longer waits, and no effect on other steps.

use crate::{
    api_server::Mode,
    scene::{EVERY, Running, SOON, Scene},
};
use leasehold_tests::eventually;
use std::{cell::RefCell, io, sync::Once, time::Duration};

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this test has logged. Each test runs in one thread, so it sees what all its tasks log, and nothing of other tests.
#[derive(Clone, Copy)]
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Starts an empty log.
    ///
    /// The subscriber is the one of the whole process. A subscriber of one thread would miss lines: if a test without one is the first
    /// to reach a place that logs, `tracing` may note for all threads that nobody wants the lines of that place.
    fn start() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| tracing_subscriber::fmt().with_writer(|| Log).with_ansi(false).init());
        LOGGED.with_borrow_mut(Vec::clear);
        Self
    }

    fn lines_with(self, what: &str) -> Vec<String> {
        let text = LOGGED.with_borrow(|log| String::from_utf8(log.clone()).expect("UTF-8"));
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

/// A pod whose worker is busy.
async fn one_busy_pod(scene: &Scene) {
    scene.server.add("pod", "worker", None);
    let worker = scene.worker("pod").await;
    scene.runs(&worker, 1, None).await;
}

async fn until_failed(reaper: &Running, times: u64) {
    eventually("the step fails", SOON, async || {
        let totals = reaper.pods();
        if totals.errors >= times { Ok(()) } else { Err(totals) }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_one_warning_and_the_step_goes_on_when_it_ends() {
    for (status, told) in [(403, "status 403: pods is forbidden"), (500, "status 500"), (410, "status 410")] {
        let log = Log::start();
        let scene = Scene::start().await;
        one_busy_pod(&scene).await;
        scene.server.set(Mode::Refuses(status, None));
        let reaper = scene.reaper("reaper").await;
        until_failed(&reaper, 3).await;
        // A failure is in the log only if both stores have answered before: on a slow machine not in the first ticks.
        let warnings = eventually("the failure is in the log", SOON, async || {
            let warnings = log.lines_with("the step pods fails");
            if warnings.is_empty() { Err(reaper.pods()) } else { Ok(warnings) }
        })
        .await;
        assert!(warnings.len() == 1 && warnings[0].contains(told), "one warning for {:?}: {warnings:?}", reaper.pods());
        assert!(reaper.of("head").runs > 0 && reaper.of("head").errors == 0, "the others continue");

        scene.server.set(Mode::Serves);
        scene.until_costs(&[("pod", "10")]).await;
        eventually("the log says that it ended", SOON, async || {
            let ended = log.lines_with("the step pods works again").len();
            if ended == 1 { Ok(()) } else { Err(ended) }
        })
        .await;
        assert_eq!(log.lines_with("the step pods fails").len(), 1);
    }
}

#[tokio::test]
async fn waits_between_failures_double() {
    let scene = Scene::start().await;
    one_busy_pod(&scene).await;
    scene.server.set(Mode::Refuses(500, None));
    let reaper = scene.reaper("reaper").await;
    until_failed(&reaper, 5).await;
    let times: Vec<_> = scene.server.seen().iter().map(|seen| seen.at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (nth, gap) in (1..).zip(&gaps) {
        assert!(*gap >= EVERY * 2_u32.pow(nth), "{gaps:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_busy_gets_no_request_for_as_long_as_it_wants() {
    let scene = Scene::start().await;
    one_busy_pod(&scene).await;
    scene.server.set(Mode::Refuses(429, Some(2)));
    let reapers = [scene.reaper("one").await];
    eventually("a reaper is refused", SOON, async || {
        let failed: Vec<u64> = reapers.iter().map(|reaper| reaper.pods().errors).collect();
        if failed.iter().sum::<u64>() == 1 { Ok(()) } else { Err(failed) }
    })
    .await;
    scene.server.set(Mode::Serves);
    scene.until_costs(&[("pod", "10")]).await;
    let seen = scene.server.seen();
    assert_eq!((seen[0].status, seen[1].status), (429, 200));
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(2), "it waits as long as the server wants");
}

#[tokio::test]
async fn a_server_that_hangs_or_is_away_delays_no_other_step() {
    let scene = Scene::start().await;
    one_busy_pod(&scene).await;
    scene.server.set(Mode::Hangs);
    let log = Log::start();
    let reaper = scene.reaper("reaper").await;
    eventually("the request is sent", SOON, async || {
        let sent = scene.server.seen().len();
        if sent == 1 { Ok(()) } else { Err(sent) }
    })
    .await;
    let before = reaper.of("head").runs;
    eventually("the other steps continue", SOON, async || {
        let (runs, failed) = (reaper.of("head").runs - before, reaper.pods().errors);
        assert_eq!(failed, 0, "the request hangs still");
        if runs >= 5 { Ok(()) } else { Err(runs) }
    })
    .await;
    until_failed(&reaper, 1).await;
    scene.server.set(Mode::Closes);
    until_failed(&reaper, 2).await;
    let warnings = log.lines_with("the step pods fails");
    assert!(warnings.len() == 1 && warnings[0].contains("did not answer within 5 s"), "{warnings:?}");
    scene.server.set(Mode::Serves);
    scene.until_costs(&[("pod", "10")]).await;
}

#[tokio::test]
async fn a_new_token_is_used_at_once_and_an_old_one_is_refused() {
    let scene = Scene::start().await;
    scene.server.add("pod", "worker", None);
    let worker = scene.worker("pod").await;
    let reaper = scene.reaper("first").await;
    scene.runs(&worker, 1, None).await;
    scene.until_costs(&[("pod", "10")]).await;
    scene.server.rotate(&reaper.account, Some("first"), "second");
    scene.runs(&worker, 0, None).await;
    scene.until_costs(&[("pod", "0")]).await;
    // The token is not valid any more, and Kubernetes has not written the new one yet.
    scene.server.rotate(&reaper.account, Some("second"), "stale");
    scene.server.rotate(&reaper.account, Some("stale"), "third");
    std::fs::write(reaper.account.folder.join("token"), "stale").expect("written");
    until_failed(&reaper, 1).await;
    std::fs::write(reaper.account.folder.join("token"), "third").expect("written");
    scene.runs(&worker, 1, None).await;
    scene.until_costs(&[("pod", "10")]).await;
    assert_eq!(scene.server.seen().last().expect("a request").token, "third");
}

#[tokio::test]
async fn a_server_of_another_authority_gets_no_token() {
    let log = Log::start();
    let scene = Scene::start().await;
    let other = Scene::start().await;
    one_busy_pod(&scene).await;
    let reaper = scene.reaper("reaper").await;
    scene.until_costs(&[("pod", "10")]).await;
    drop(reaper);
    // The account has the authority of another cluster.
    let account = other.server.account("other");
    let before = scene.server.seen().len();
    let pods = leasehold_kubernetes::PodsOfCluster::new(
        leasehold_kubernetes::Account { port: Some(scene.server.address.port()), ..account },
        "app=worker".to_owned(),
    );
    let refused = leasehold_ports::Pods::pods(&pods).await.expect_err("another authority");
    assert!(refused.reason.contains("the TLS handshake with"), "{refused}");
    assert_eq!(scene.server.seen().len(), before);
    assert!(log.lines_with("the step pods fails").is_empty());
}
