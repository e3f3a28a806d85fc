//! The example `examples/clusters` on real stores: eleven tests of what goes wrong when many act at the same time.

mod scene;
#[path = "../../examples/clusters/scheduler.rs"]
mod scheduler;

use leasehold::{Error, JobId};
use scene::{Scene, order};
use scheduler::Order;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_enqueue() {
    let scene = Scene::start(&[("a", 4)]).await;
    let mut submits = JoinSet::new();
    for nth in 0..20 {
        let scheduler = scene.scheduler.clone();
        submits.spawn(async move { scheduler.submit(&order("a", &format!("job {nth}"), 0), &[]).await });
    }
    let ids: Result<BTreeSet<JobId>, Error> = submits.join_all().await.into_iter().collect();
    assert_eq!(ids.expect("submits").len(), 20);
    let workers = scene.workers(2, 4);
    scene.until_all_succeeded(20).await;
    workers.stop().await;
    assert_eq!(scene.count("SELECT count(DISTINCT result::text) FROM leasehold.jobs").await, 20, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_scheduling_makes_no_doubles() {
    let scene = Scene::start(&[("a", 3)]).await;
    let orders: Vec<String> = (0..60).map(|nth| format!("job {nth}")).collect();
    scene.submit(&orders.iter().map(|name| order("a", name, 0)).collect::<Vec<_>>()).await;
    let workers = scene.workers(8, 4);
    scene.until_all_succeeded(60).await;
    workers.stop().await;
    assert_eq!(scene.count("SELECT sum(epoch) FROM leasehold.jobs").await, 60, "each job was claimed once");
    assert!(scene.most_at_once("a").await <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_workers_on_five_jobs() {
    let scene = Scene::start(&[("a", 10)]).await;
    let workers = scene.workers(10, 1);
    scene.submit(&["1", "2", "3", "4", "5"].map(|name| order("a", name, 0))).await;
    scene.until_all_succeeded(5).await;
    assert_eq!(workers.stop().await, 5, "five claims in all");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_completions_lose_no_update() {
    let scene = Scene::start(&[("a", 50)]).await;
    let names: Vec<String> = (0..50).map(|nth| format!("part {nth}")).collect();
    let parts: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut orders: Vec<Order<'_>> = parts.iter().map(|name| order("a", name, 0)).collect();
    orders.push(Order { after: &parts, ..order("a", "sum", 0) });
    let ids = scene.submit(&orders).await;
    let workers = scene.workers(5, 10);
    scene.until_all_succeeded(51).await;
    workers.stop().await;
    let last = scene.job(ids[50]).await;
    let earlier =
        format!("SELECT count(*) FROM leasehold.jobs WHERE finished_at <= '{}'", last.started_at.expect("a start"));
    assert_eq!(scene.count(&earlier).await, 50, "the sum began after all parts, and none of their ends was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn dependency_chains() {
    let scene = Scene::start(&[("a", 4), ("b", 4)]).await;
    let workers = scene.workers(2, 4);
    let names: Vec<String> = (0..30).map(|nth| format!("link {nth}")).collect();
    let mut before: Option<JobId> = None;
    for (nth, name) in names.iter().enumerate() {
        let cluster = if nth % 2 == 0 { "a" } else { "b" };
        let after: Vec<JobId> = before.into_iter().collect();
        before = Some(scene.scheduler.submit(&order(cluster, name, 0), &after).await.expect("a submit"));
    }
    scene.until_all_succeeded(30).await;
    workers.stop().await;
    let too_early = "SELECT count(*) FROM leasehold.edge e JOIN leasehold.jobs c ON c.id = e.child
                     JOIN leasehold.jobs p ON p.id = e.parent WHERE c.started_at < p.finished_at";
    assert_eq!(scene.count(too_early).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduling_during_enqueue() {
    let scene = Scene::start(&[("a", 2), ("b", 2)]).await;
    let workers = scene.workers(4, 2);
    let mut submits = JoinSet::new();
    for nth in 0..40 {
        let scheduler = scene.scheduler.clone();
        let cluster = if nth % 2 == 0 { "a" } else { "b" };
        submits.spawn(async move { scheduler.submit(&order(cluster, &format!("job {nth}"), 0), &[]).await });
    }
    let ids: Result<Vec<JobId>, Error> = submits.join_all().await.into_iter().collect();
    assert_eq!(ids.expect("submits").len(), 40);
    scene.until_all_succeeded(40).await;
    workers.stop().await;
    assert!(scene.most_at_once("a").await <= 2 && scene.most_at_once("b").await <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_priority_changes() {
    let scene = Scene::start(&[("a", 1)]).await;
    let names: Vec<String> = (0..20).map(|nth| format!("{nth}")).collect();
    let ids = scene.submit(&names.iter().map(|name| order("a", name, 0)).collect::<Vec<_>>()).await;
    let mut changes = JoinSet::new();
    for round in 0..5 {
        for (nth, id) in ids.iter().copied().enumerate() {
            let scheduler = scene.scheduler.clone();
            let priority = i16::try_from((nth * 7 + round) % 40).expect("small");
            changes.spawn(async move { scheduler.set_priority(id, priority).await });
        }
    }
    let changed: Result<Vec<bool>, Error> = changes.join_all().await.into_iter().collect();
    assert_eq!(changed.expect("changes").len(), 100);
    // These changes come last, so their order counts.
    for (nth, id) in ids.iter().enumerate() {
        scene.scheduler.set_priority(*id, i16::try_from(nth).expect("small")).await.expect("a change");
    }
    let workers = scene.workers(1, 1);
    scene.until_all_succeeded(20).await;
    workers.stop().await;
    let mut begun = Vec::new();
    for id in &ids {
        begun.push(scene.job(*id).await.started_at.expect("a start"));
    }
    // The first job had the room of the cluster before any priority changed, and keeps it.
    let (first, others) = begun.split_first().expect("20 jobs");
    assert!(others.iter().all(|other| first < other), "{begun:?}");
    let is_sorted = others.is_sorted_by(|one, next| one > next);
    assert!(is_sorted, "the highest priority, which is the last job, begins first: {begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_pause_and_resume() {
    let scene = Scene::start(&[("a", 4)]).await;
    let names: Vec<String> = (0..40).map(|nth| format!("job {nth}")).collect();
    scene.submit(&names.iter().map(|name| order("a", name, 0)).collect::<Vec<_>>()).await;
    let workers = scene.workers(2, 4);
    let cluster = "a".parse().expect("a name");
    let mut calls = JoinSet::new();
    for nth in 0..20 {
        let (scheduler, cluster) = (scene.scheduler.clone(), leasehold::QueueName::clone(&cluster));
        calls.spawn(async move {
            if nth % 2 == 0 { scheduler.pause(&cluster).await } else { scheduler.resume(&cluster).await }
        });
    }
    calls.join_all().await.into_iter().for_each(|done| done.expect("a call"));
    scene.scheduler.pause(&cluster).await.expect("a pause");
    scene.scheduler.resume(&cluster).await.expect("a resume");
    scene.until_all_succeeded(40).await;
    workers.stop().await;
    assert_eq!(scene.count("SELECT sum(epoch) FROM leasehold.jobs").await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_stress_of_fifty_jobs() {
    let scene = Scene::start(&[("a", 3), ("b", 2), ("c", 1)]).await;
    let workers = scene.workers(3, 5);
    let mut clients = JoinSet::new();
    for client in 0..5 {
        let scheduler = scene.scheduler.clone();
        clients.spawn(async move {
            let (mut ids, queue): (Vec<JobId>, leasehold::QueueName) = (Vec::new(), "b".parse().expect("a name"));
            for nth in 0..10_usize {
                let cluster = ["a", "b", "c"][(client + nth) % 3];
                // Every third job depends on the two before it.
                let after = if nth % 3 == 2 { ids[nth - 2..].to_vec() } else { Vec::new() };
                let name = format!("{client}/{nth}");
                ids.push(scheduler.submit(&order(cluster, &name, 0), &after).await.expect("a submit"));
                scheduler.set_priority(ids[nth / 2], i16::try_from(nth).expect("small")).await.expect("a priority");
                if nth == 4 {
                    scheduler.pause(&queue).await.expect("a pause");
                    scheduler.resume(&queue).await.expect("a resume");
                }
            }
        });
    }
    clients.join_all().await;
    scene.until_all_succeeded(50).await;
    workers.stop().await;
    for (cluster, most) in [("a", 3), ("b", 2), ("c", 1)] {
        assert!(scene.most_at_once(cluster).await <= most, "cluster {cluster}");
    }
    assert!(scene.client.store().violations().await.expect("checks").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn self_dependency() {
    let scene = Scene::start(&[("a", 1)]).await;
    let refused = scene.scheduler.submit_all(&[Order { after: &["a"], ..order("a", "a", 0) }]).await;
    assert!(refused.expect_err("a job that depends on itself").to_string().contains("itself"));
    assert_eq!(scene.count("SELECT count(*) FROM leasehold.jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cycles() {
    let scene = Scene::start(&[("a", 1)]).await;
    let ring = |_| {
        let scheduler = scene.scheduler.clone();
        async move {
            scheduler
                .submit_all(&[
                    Order { after: &["three"], ..order("a", "one", 0) },
                    Order { after: &["one"], ..order("a", "two", 0) },
                    Order { after: &["two"], ..order("a", "three", 0) },
                    order("a", "alone", 0),
                ])
                .await
        }
    };
    // Two simultaneous submissions, and then the same again: no part of any of them is written.
    let (one, other) = tokio::join!(ring(0), ring(1));
    for refused in [one, other] {
        let error = refused.expect_err("a cycle").to_string();
        assert!(["one", "two", "three"].iter().all(|name| error.contains(name)), "{error}");
    }
    assert_eq!(scene.count("SELECT count(*) FROM leasehold.jobs").await, 0);
    assert_eq!(scene.scheduler.submit_all(&[order("a", "alone", 0)]).await.expect("a submit").len(), 1);
    let workers = scene.workers(1, 1);
    scene.until_all_succeeded(1).await;
    workers.stop().await;
    assert_eq!(scene.client.store().stats().await.expect("stats").iter().map(|queue| queue.queued).sum::<i64>(), 0);
}
