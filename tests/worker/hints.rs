//! A hint grants nothing: whatever is in Redis, PostgreSQL decides.

use crate::fixture::{Fixture, SOON, handlers, job, jobs, settings, succeeded};
use leasehold_core::{JobId, NewJob, QueueName, State};
use leasehold_tests::{eventually, hints};
use redis::AsyncTypedCommands;

const READY: &str = "leasehold:{default}:ready";

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_and_invented_hints_do_no_harm() {
    let fixture = Fixture::start().await;
    let ids = fixture.enqueue(&jobs("k", 10)).await;
    let mut redis = fixture.stores.redis.connect().await;
    for id in &ids {
        for _ in 0..3 {
            redis.lpush(READY, id.to_string()).await.expect("LPUSH");
        }
        redis.rpush(READY, JobId::new().to_string()).await.expect("RPUSH");
    }
    redis.lpush(READY, "no id at all").await.expect("LPUSH");
    let workers = [
        fixture.worker(settings(3), handlers("k", |_| async { succeeded() })).await,
        fixture.worker(settings(3), handlers("k", |_| async { succeeded() })).await,
    ];
    for id in &ids {
        let job = fixture.until(*id, State::Succeeded).await;
        assert_eq!((job.attempt, job.epoch), (1, 1));
    }
    fixture.until_redis_is_empty(&QueueName::default()).await;
    let (mut claimed, mut refused) = (0, 0);
    for worker in workers {
        let tally = worker.stop().await;
        claimed += tally.claimed;
        refused += tally.hints_refused;
    }
    assert_eq!(claimed, 10);
    assert!(refused >= 10, "{refused} of at least 10 inventions were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_in_the_wrong_queue_does_no_harm() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(2), handlers("k", |_| async { succeeded() })).await;
    let mut elsewhere = job("k");
    elsewhere.queue = "elsewhere".parse().expect("a name");
    fixture.store.enqueue(&[elsewhere.clone()]).await.expect("enqueueing");
    fixture.handoff.push(&QueueName::default(), &hints(&[elsewhere.id])).await.expect("pushing");
    fixture.until_redis_is_empty(&QueueName::default()).await;
    let job = fixture.store.job(elsewhere.id).await.expect("reading").expect("the job");
    assert_eq!((job.state, job.epoch), (State::Queued, 0), "a worker claims a job only in the queue of its hint");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_locked_is_tried_again_without_a_spin() {
    let fixture = Fixture::start().await;
    let id = fixture.store.enqueue(&[job("k")]).await.expect("enqueueing")[0].id;
    let mut transaction = fixture.store.pool().begin().await.expect("BEGIN");
    sqlx::query("SELECT FROM leasehold.job WHERE id = $1 FOR UPDATE")
        .bind(id.0)
        .execute(&mut *transaction)
        .await
        .expect("locking the row");
    let worker = fixture.worker(settings(2), handlers("k", |_| async { succeeded() })).await;
    fixture.handoff.push(&QueueName::default(), &hints(&[id])).await.expect("pushing");
    eventually("the hint is taken", SOON, || async {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("the head's counts");
        if head.ready == 0 { Ok(()) } else { Err(head) }
    })
    .await;
    // This test measures a rate, so real time must pass here.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    transaction.rollback().await.expect("ROLLBACK");
    fixture.until(id, State::Succeeded).await;
    let tally = worker.stop().await;
    assert!((1..30).contains(&tally.hints_refused), "refused {} times in a second", tally.hints_refused);
}

/// Thousands of jobs may be cancelled by SQL, which tells Redis nothing. No reaper runs. A worker with one slot sorts out such
/// hints together: one by one, they would take a minute.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_stale_hints_delay_the_next_job_by_no_more_than_a_moment() {
    let fixture = Fixture::start().await;
    let id = fixture.enqueue(&jobs("k", 1)).await[0];
    let stale: Vec<String> = (0..4000).map(|_| JobId::new().to_string()).collect();
    fixture.stores.redis.connect().await.lpush(READY, stale).await.expect("LPUSH");
    let worker = fixture.worker(settings(1), handlers("k", |_| async { succeeded() })).await;
    fixture.until(id, State::Succeeded).await;
    fixture.until_redis_is_empty(&QueueName::default()).await;
    assert_eq!(worker.stop().await.claimed, 1);
}

/// No reaper runs: the worker that settles a parent pushes the hint of the child. Without the hint, each child of the chain
/// would wait for the next look at the line, seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn the_settle_of_a_parent_brings_the_hint_of_its_child() {
    const LENGTH: usize = 40;
    let fixture = Fixture::start().await;
    let worker = fixture.worker(settings(2), handlers("k", |_| async { succeeded() })).await;
    let mut chain: Vec<NewJob> = vec![job("k")];
    for nth in 1..LENGTH {
        chain.push(NewJob { depends_on: vec![chain[nth - 1].id], ..job("k") });
    }
    let begun = std::time::Instant::now();
    let answers = fixture.store.enqueue_graph(&chain).await.expect("enqueueing");
    let first = leasehold_handoff::Hint { id: chain[0].id, line_at: answers[0].line_at };
    fixture.handoff.push(&QueueName::default(), &[first]).await.expect("pushing");
    fixture.until(chain[LENGTH - 1].id, State::Succeeded).await;
    let each = begun.elapsed() / u32::try_from(LENGTH).expect("small");
    assert!(each < std::time::Duration::from_millis(400), "{each:?} from one job of the chain to the next");
    println!("{each:?} from one job of the chain to the next");
    assert_eq!(worker.stop().await.succeeded, LENGTH as u64);
    fixture.until_redis_is_empty(&QueueName::default()).await;
}
