//! stats: counts per queue.

use crate::fixture::{Fixture, name, new_job, retry};
use leasehold_core::{NewJob, Settle, WorkerId};
use std::time::Duration;

#[tokio::test]
async fn count_every_state_of_every_queue() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for _ in 0..3 {
        fixture.queued().await;
    }
    fixture.sql("UPDATE leasehold.job SET run_at = now() - interval '100 seconds'").await;
    let elsewhere = || NewJob { queue: name("elsewhere"), ..new_job() };
    fixture.enqueue(&[NewJob { delay: Some(Duration::from_secs(60)), ..elsewhere() }]).await.expect("enqueue");
    fixture.running(worker).await;
    for settle in [Settle::Complete(None), Settle::Bury { error: String::new() }, retry()] {
        let fence = fixture.running(worker).await;
        fixture.settle_one(fence, settle).await;
    }
    let blocked = fixture.queued().await;
    fixture.sql(format!("UPDATE leasehold.job SET state = 'blocked' WHERE id = '{blocked}'")).await;
    fixture.pause(&name("nothing")).await.expect("pause");
    let stats = fixture.stats().await.expect("stats");
    let names: Vec<&str> = stats.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(names, ["default", "elsewhere", "nothing"]);
    let of = &stats[0];
    assert_eq!((of.blocked, of.scheduled, of.queued, of.running), (1, 1, 3, 1));
    assert_eq!((of.succeeded_last_minute, of.dead_last_minute, of.cancelled_last_minute), (1, 1, 0));
    assert!(of.oldest_s.is_some_and(|oldest| (100.0..160.0).contains(&oldest)), "{of:?}");
    assert_eq!((stats[1].scheduled, stats[1].oldest_s, stats[1].paused), (1, None, false));
    assert!(stats[2].paused);
}
