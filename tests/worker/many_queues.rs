//! A worker with many queues shares a few connections between them.

use crate::fixture::{Fixture, SOON, handlers, job, settings, succeeded};
use leasehold_core::{NewJob, QueueName, State};
use leasehold_tests::eventually;
use leasehold_worker::Settings;

const QUEUES: usize = 600;

fn queues() -> Vec<QueueName> {
    (0..QUEUES).map(|nth| format!("queue-{nth}").parse().expect("a name")).collect()
}

fn in_queue(queue: &QueueName) -> NewJob {
    NewJob { queue: queue.clone(), ..job("k") }
}

async fn redis_clients(fixture: &Fixture) -> usize {
    let mut redis = fixture.stores.redis.connect().await;
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.expect("CLIENT LIST");
    list.lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_all_queues_run_over_a_few_connections_and_without_redis() {
    let fixture = Fixture::start().await;
    let queues = queues();
    let its_queues = queues.iter().map(|queue| (queue.clone(), 1)).collect();
    let its_settings = Settings { queues: its_queues, ..settings(1) };
    // Some jobs wait before the worker starts.
    let early = fixture.enqueue(&queues.iter().step_by(7).map(in_queue).collect::<Vec<_>>()).await;
    let worker = fixture.worker(its_settings, handlers("k", |_| async { succeeded() })).await;
    for id in early {
        fixture.until(id, State::Succeeded).await;
    }
    fixture.until_a_worker_blocks_in("blpop").await;
    // More than one job of a queue with one slot, and each connection has some.
    for queue in queues.iter().step_by(97) {
        let ids = fixture.enqueue(&[in_queue(queue), in_queue(queue), in_queue(queue)]).await;
        for id in ids {
            fixture.until(id, State::Succeeded).await;
        }
    }
    let clients = redis_clients(&fixture).await;
    assert!(clients < 40, "{clients} connections to Redis");

    fixture.stores.redis.server().kill();
    let without: Vec<NewJob> = queues.iter().step_by(50).flat_map(|queue| [in_queue(queue), in_queue(queue)]).collect();
    for enqueued in fixture.store.enqueue(&without).await.expect("enqueueing") {
        fixture.until(enqueued.id, State::Succeeded).await;
    }
    fixture.stores.redis.server().start_again().expect("starting Redis");
    eventually("the worker is in the registry again", SOON, || async {
        let workers = fixture.handoff.workers().await.unwrap_or_default();
        if workers.iter().any(|known| known.id == worker.id) { Ok(()) } else { Err(workers) }
    })
    .await;
    fixture.until_a_worker_blocks_in("blpop").await;
    let last = fixture.enqueue(&queues.iter().step_by(61).map(in_queue).collect::<Vec<_>>()).await;
    for id in last {
        fixture.until(id, State::Succeeded).await;
    }
    let tally = worker.stop().await;
    assert_eq!((tally.claimed, tally.leases_lost), (tally.succeeded, 0), "{tally:?}");
}

/// The bell that a dead worker heard is made up for.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_whose_bell_is_lost_is_found() {
    let fixture = Fixture::start().await;
    let queues = queues();
    let its_queues = queues.iter().map(|queue| (queue.clone(), 1)).collect();
    let worker =
        fixture.worker(Settings { queues: its_queues, ..settings(1) }, handlers("k", |_| async { succeeded() })).await;
    fixture.until_a_worker_blocks_in("blpop").await;
    // Redis gives the bell to the connection that waits longest: the worker would get it. So the hint comes without one.
    let id = fixture.store.enqueue(&[in_queue(&queues[5])]).await.expect("enqueueing")[0].id;
    let mut redis = fixture.stores.redis.connect().await;
    let (ready, leases) = ("leasehold:{queue-5}:ready", "leasehold:{queue-5}:leases");
    let mut put = redis::pipe();
    put.atomic().cmd("ZADD").arg(leases).arg(2_f64.powi(52)).arg(id.to_string());
    put.cmd("RPUSH").arg(ready).arg(id.to_string());
    put.query_async::<()>(&mut redis).await.expect("a hint");
    fixture.until(id, State::Succeeded).await;
    assert_eq!(worker.stop().await.succeeded, 1);
}
