//! Of several reapers one writes; when it is killed or frozen, another one takes over.

use crate::scene::{SOON, Scene};
use leasehold_tests::{Mortal, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::collections::BTreeSet;

impl Scene {
    /// The reapers that have sent requests since a number of requests.
    fn senders_since(&self, requests: usize) -> BTreeSet<String> {
        self.server.seen()[requests..].iter().map(|seen| seen.token.clone()).collect()
    }

    /// Waits until one of these reapers alone looks at pods. Returns the elected process and the other one. On a busy machine an office
    /// may be lost, and another reaper takes over.
    async fn elected(&self, reapers: [(&'static str, Mortal); 2]) -> ((&'static str, Mortal), (&'static str, Mortal)) {
        let sender = eventually("one reaper of two", SOON, async || {
            let before = self.server.seen().len();
            self.rounds(3).await;
            let senders = self.senders_since(before);
            if senders.len() == 1 { Ok(senders.into_iter().next().unwrap_or_default()) } else { Err(senders) }
        })
        .await;
        let [first, second] = reapers;
        if sender == first.0 { (first, second) } else { (second, first) }
    }

    async fn until_sends(&self, name: &str, since: usize) {
        eventually("the other reaper takes over", SOON, async || {
            let senders = self.senders_since(since);
            if senders.contains(name) { Ok(()) } else { Err(senders) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reaper_writes_and_after_its_death_another_one() {
    let scene = Scene::start().await;
    scene.server.add("pod", "worker", None);
    let worker = scene.worker("pod").await;
    let reapers = [("one", scene.process("one")), ("two", scene.process("two"))];
    scene.runs(&worker, 1, None).await;
    scene.until_costs(&[("pod", "10")]).await;
    let ((_, first), (other, _second)) = scene.elected(reapers).await;

    let before = scene.server.seen().len();
    first.kill();
    scene.runs(&worker, 0, None).await;
    scene.until_costs(&[("pod", "0")]).await;
    scene.until_sends(other, before).await;
    let patches = scene.server.seen().into_iter().filter(|seen| seen.path.ends_with("/pod"));
    let writers: Vec<String> = patches.map(|seen| seen.token).collect();
    assert!(writers.len() == 2 && writers[1] == other, "{writers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_reaper_is_replaced_and_writes_nothing_when_it_continues() {
    let scene = Scene::start().await;
    scene.server.add("pod", "worker", None);
    let worker = scene.worker("pod").await;
    let ((elected, first), (other, _second)) =
        scene.elected([("one", scene.process("one")), ("two", scene.process("two"))]).await;
    let signal = |signal| kill(Pid::from_raw(first.pid()), signal).expect("a signal");
    signal(Signal::SIGSTOP);
    let before = scene.server.seen().len();
    // Its connection stands. PostgreSQL ends the transaction after ELECTED_FOR.
    scene.until_sends(other, before).await;
    signal(Signal::SIGCONT);
    scene.rounds(10).await;
    scene.runs(&worker, 1, None).await;
    scene.until_costs(&[("pod", "10")]).await;
    scene.rounds(5).await;
    let seen = scene.server.seen();
    let taken_over = seen[before..].iter().position(|seen| seen.token == other).expect("the other one");
    // The frozen reaper does not continue the work that it had begun before it was frozen: it is elected again, or writes
    // nothing.
    let patches = seen[before + taken_over..].iter().filter(|seen| seen.path.ends_with("/pod")).count();
    assert_eq!(patches, 1, "{elected} was replaced: {seen:?}");
}
