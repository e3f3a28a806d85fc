//! Which pod costs what, and which pods are left alone.

use crate::scene::{SOON, Scene};
use leasehold_tests::{Probe, eventually};
use serde_json::json;
use std::fs;

#[tokio::test]
async fn idle_pods_cost_nothing_and_busy_ones_as_much_as_their_oldest_run_is_old() {
    let scene = Scene::start().await;
    for (pod, cost) in [("idle", Some("42")), ("new", None), ("busy", None), ("old", None), ("starting", Some("74"))] {
        scene.server.add(pod, "worker", cost);
    }
    // Workers of other pods, and a pod of something else that is named like the host of a worker.
    scene.server.add("database", "database", Some("7"));
    for host in ["database", "elsewhere", "new", "idle"] {
        scene.worker(host).await;
    }
    let busy = scene.worker("busy").await;
    scene.runs(&busy, 1, Some(3)).await;
    let old = scene.worker("old").await;
    scene.runs(&old, 8, Some(100)).await;
    let before = scene.server.pod("busy");

    let reaper = scene.reaper("reaper").await;
    let untouched = [("database", "7"), ("starting", "74")];
    let costs = |of: &[(&'static str, &'static str)]| [&untouched[..], of].concat();
    scene.until_costs(&costs(&[("idle", "0"), ("busy", "10"), ("old", "74")])).await;
    let mut wanted = before;
    wanted["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] = json!("10");
    assert_eq!(scene.server.pod("busy"), wanted, "nothing but the annotation changes");

    // Nothing is written while nothing changes.
    scene.runs(&old, 2, Some(127)).await;
    let patched = scene.server.patched();
    assert_eq!(patched, ["busy", "idle", "old"]);
    scene.rounds(5).await;
    assert_eq!(scene.server.patched(), patched);

    scene.runs(&old, 1, Some(128)).await;
    scene.runs(&busy, 0, None).await;
    scene.until_costs(&costs(&[("idle", "0"), ("busy", "0"), ("old", "138")])).await;
    scene.rounds(2).await;
    assert_eq!(scene.server.patched().len(), patched.len() + 2);
    assert_eq!(reaper.pods().errors, 0);
    assert_eq!(scene.server.connections(), 1, "the connection is kept");
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let scene = Scene::start().await;
    let pods = ["a", "b", "c", "d", "e"];
    for pod in pods {
        scene.server.add(pod, "worker", Some("10"));
        scene.worker(pod).await;
    }
    let _reaper = scene.reaper("reaper").await;
    scene.until_costs(&pods.map(|pod| (pod, "0"))).await;
    let lists: Vec<_> = scene.server.seen().into_iter().filter(|seen| seen.path.ends_with("/pods")).take(3).collect();
    let tokens: Vec<_> = lists.iter().map(|seen| seen.query.get("continue").map(String::as_str)).collect();
    assert_eq!(tokens, [None, Some("b"), Some("d")]);
    assert!(lists.iter().all(|seen| seen.query["limit"] == "500" && seen.query["labelSelector"] == "app=worker"));
}

#[tokio::test]
async fn pods_that_end_or_are_gone_are_no_failure() {
    let scene = Scene::start().await;
    for pod in ["changed", "ending", "gone", "stays"] {
        scene.server.add(pod, "worker", None);
        let worker = scene.worker(pod).await;
        scene.runs(&worker, 1, None).await;
    }
    scene.server.end("ending");
    // Deleted between the list and the patch; and changed by somebody else, once.
    scene.server.refuse_patches_of("gone", 404);
    scene.server.refuse_patches_of("changed", 409);
    let reaper = scene.reaper("reaper").await;
    scene.until_costs(&[("changed", "10"), ("stays", "10")]).await;
    scene.rounds(2).await;
    assert_eq!((reaper.pods().errors, reaper.pods().changed), (0, 2));
    assert_eq!(scene.server.patched(), ["stays", "changed"], "the pod that was changed is written in the next round");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_worker_is_found_by_its_host_name() {
    let scene = Scene::start().await;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name").trim().to_owned();
    scene.server.add(&host, "worker", Some("99"));
    let _reaper = scene.reaper("reaper").await;
    let worker = scene.mortal(&["worker", "2"]);
    scene.until_costs(&[(&host, "0")]).await;
    let config = leasehold::Config::new(&scene.stores.database.url, &scene.stores.redis.url);
    let client = leasehold::Client::connect(&config).await.expect("a client");
    client.enqueue(Probe { log: scene.path("log"), ms: 600_000, is_poison: false }).send().await.expect("enqueueing");
    scene.until_costs(&[(&host, "10")]).await;
    // The cost grows with the run.
    scene.until_costs(&[(&host, "26")]).await;
    worker.kill();
    eventually("the worker is not announced any more", SOON, async || {
        let workers = scene.handoff.workers().await.expect("workers");
        if workers.is_empty() { Ok(()) } else { Err(workers) }
    })
    .await;
    scene.rounds(2).await;
    scene.until_costs(&[(&host, "26")]).await;
}
