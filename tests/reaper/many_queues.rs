//! Thousands of queues: the work of a reaper depends on the changes, not on the number of queues.

use crate::world::{HEAD_MAX, SOON, World, report};
use leasehold_core::{QueueName, WorkerId};
use leasehold_handoff::WorkerRecord;
use leasehold_reaper::Reaper;
use leasehold_servers::PostgresOptions;
use leasehold_tests::{Database, RedisServer, Stores, eventually};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const QUEUES: usize = 2_000;
/// Within so many ticks every queue has had its turn in every step.
const TICKS: i64 = 40;

fn name(nth: usize) -> QueueName {
    format!("queue-{nth}").parse().expect("a name")
}

/// A world in which each queue has jobs in its line, and a reaper that has filled all heads.
async fn with_lines(jobs: usize) -> (World, Reaper) {
    let settings = vec!["shared_preload_libraries=pg_stat_statements".to_owned()];
    let options = PostgresOptions { fsync: false, max_connections: 40, password: false, settings };
    let (database, redis) = tokio::join!(Database::start_apart(options), RedisServer::start());
    let world = World::on(Stores { database, redis }, HEAD_MAX).await;
    world.sql("CREATE EXTENSION pg_stat_statements").await;
    let line =
        format!("SELECT leasehold.enqueue('k', '{{}}', queue => 'queue-' || q) FROM generate_series(1, {QUEUES}) q");
    for _ in 0..jobs {
        world.sql(line.clone()).await;
    }
    let mut reaper = world.reaper().await;
    eventually("all heads are filled", SOON, async || {
        let reports = reaper.tick().await;
        let done = report(&reports, "head").changed == 0 && waiting(&world).await == QUEUES * jobs;
        if done { Ok(()) } else { Err(reports) }
    })
    .await;
    for _ in 0..10 {
        reaper.tick().await;
    }
    (world, reaper)
}

/// The number of waiting hints in all queues.
async fn waiting(world: &World) -> usize {
    let queues = world.handoff.noted_queues().await.expect("queues");
    let heads = world.handoff.look(&queues).await.expect("heads");
    heads.into_iter().flatten().map(|head| usize::try_from(head.ready).expect("a few")).sum()
}

async fn commands(world: &World) -> u64 {
    let mut redis = world.redis().await;
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.expect("INFO");
    let calls = info.lines().filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

/// Ticks until the head of a queue has this number of hints; fails after a number of ticks.
async fn comes_within(world: &World, reaper: &mut Reaper, ticks: usize, queue: &QueueName, hints: u64) {
    for _ in 0..ticks {
        reaper.tick().await;
        let head = world.handoff.stats(queue).await.expect("stats");
        if head.ready == hints {
            return;
        }
    }
    panic!("{queue} has no {hints} hints after {ticks} ticks");
}

#[tokio::test]
async fn idle_queues_cost_next_to_nothing() {
    let (world, mut reaper) = with_lines(1).await;
    world.sql("SELECT pg_stat_statements_reset()").await;
    let before = commands(&world).await;
    for _ in 0..TICKS {
        reaper.tick().await;
    }
    let after = commands(&world).await;
    // Besides the statements of every tick, the sweep compares 64 queues at most once a second, and the reaper keeps watch.
    let ours = "FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    let statements = world.number(format!("SELECT coalesce(sum(calls), 0)::bigint {ours}")).await;
    assert!(statements <= 10 * TICKS, "{statements} statements in {TICKS} ticks");
    // Each tick looks at 500 queues, with five or six commands for each queue.
    let each = (after - before) / u64::try_from(TICKS).expect("a few");
    assert!(each <= 10_000, "{each} commands of Redis in each tick");
}

/// The same for a reaper whose steps run in parallel.
#[tokio::test]
async fn idle_queues_cost_a_running_reaper_next_to_nothing() {
    let (world, reaper) = with_lines(1).await;
    let (watch, stop) = (reaper.watch(), CancellationToken::new());
    let promotions = || watch.totals().steps.get("promote").map_or(0, |totals| totals.runs);
    world.sql("SELECT pg_stat_statements_reset()").await;
    let before = promotions();
    let running = tokio::spawn(reaper.run(stop.clone()));
    eventually("the reaper has made forty ticks", SOON, async || {
        let ticks = promotions() - before;
        if ticks >= 40 { Ok(()) } else { Err(ticks) }
    })
    .await;
    stop.cancel();
    running.await.expect("the reaper ends");
    let ticks = i64::try_from(promotions() - before).expect("a few");
    let ours = "FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    let statements = world.number(format!("SELECT coalesce(sum(calls), 0)::bigint {ours}")).await;
    assert!(statements <= 10 * ticks, "{statements} statements in {ticks} ticks");
}

#[tokio::test]
async fn a_new_job_in_one_of_many_lines_is_in_its_head_within_two_ticks() {
    let (world, mut reaper) = with_lines(1).await;
    for nth in [1, 999, QUEUES] {
        world.sql(format!("SELECT leasehold.enqueue('k', '{{}}', queue => '{}')", name(nth))).await;
        comes_within(&world, &mut reaper, 2, &name(nth), 2).await;
    }
    let new: QueueName = "a-new-one".parse().expect("a name");
    world.sql(format!("SELECT leasehold.enqueue('k', '{{}}', queue => '{new}')")).await;
    comes_within(&world, &mut reaper, 2, &new, 1).await;
    world
        .sql(format!("SELECT leasehold.enqueue('k', '{{}}', queue => '{new}', run_at => now() + interval '1 ms')"))
        .await;
    comes_within(&world, &mut reaper, 2, &new, 2).await;
}

#[tokio::test]
async fn damage_in_redis_alone_is_repaired_when_the_queue_has_its_turn() {
    let (world, mut reaper) = with_lines(1).await;
    let turns = QUEUES / 500 + 2;
    // A worker dies between its blocking take and the lease.
    let key = |list: &str| format!("leasehold:{{{}}}:{list}", name(7));
    world.by_hand("LMOVE", &[key("ready"), key("claimed"), "LEFT".into(), "RIGHT".into()]).await;
    let mut adopted = 0;
    for _ in 0..turns {
        adopted += report(&reaper.tick().await, "adopt").changed;
    }
    assert_eq!(adopted, 1);
    // Somebody deletes the head of one queue, and pauses another queue in Redis.
    world
        .by_hand("DEL", &[format!("leasehold:{{{}}}:ready", name(8)), format!("leasehold:{{{}}}:leases", name(8))])
        .await;
    world.by_hand("HSET", &[format!("leasehold:{{{}}}:flags", name(9)), "paused".into(), "1".into()]).await;
    for _ in 0..=turns {
        reaper.tick().await;
    }
    for nth in [8, 9] {
        let head = world.handoff.stats(&name(nth)).await.expect("stats");
        assert!(head.ready == 1 && !head.paused, "{nth}: {head:?}");
    }
}

#[tokio::test]
async fn pauses_of_some_of_many_queues_are_followed_at_once() {
    let (world, mut reaper) = with_lines(1).await;
    world
        .sql("INSERT INTO leasehold.queue (name, paused_at) SELECT 'queue-' || q, now() FROM generate_series(1, 20) q")
        .await;
    reaper.tick().await;
    reaper.tick().await;
    assert_eq!(waiting(&world).await, QUEUES - 20);
    world.sql("DELETE FROM leasehold.queue WHERE name = 'queue-3'").await;
    comes_within(&world, &mut reaper, 2, &name(3), 1).await;
}

#[tokio::test]
async fn all_heads_come_back_after_a_flush_and_the_loss_is_counted_once() {
    let (world, mut reaper) = with_lines(2).await;
    world.by_hand("FLUSHALL", &[]).await;
    let mut ticks = 0;
    eventually("all heads are filled again", SOON, async || {
        reaper.tick().await;
        ticks += 1;
        if waiting(&world).await == 2 * QUEUES { Ok(()) } else { Err(ticks) }
    })
    .await;
    eventually("the loss is counted", SOON, async || {
        let reports = reaper.tick().await;
        if reaper.redis_losses() > 0 { Ok(()) } else { Err(reports) }
    })
    .await;
    for _ in 0..10 {
        reaper.tick().await;
    }
    assert_eq!(reaper.redis_losses(), 1, "the loss must be counted once");
}

#[tokio::test]
async fn jobs_of_a_kind_come_into_the_heads_when_a_worker_begins_to_serve_the_kind() {
    let (world, mut reaper) = with_lines(0).await;
    let some: Vec<QueueName> = (1..=60).map(name).collect();
    let worker = |kind: &str| WorkerRecord {
        id: WorkerId::new(),
        host: "here".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        started_at: "now".to_owned(),
        queues: some.iter().map(|queue| (queue.clone(), 1)).collect(),
        kinds: Some(vec![kind.parse().expect("a kind")]),
        running: 0,
        oldest_run_s: None,
        draining: false,
        http: None,
    };
    let ttl = Duration::from_secs(600);
    world.handoff.announce(&worker("other"), ttl).await.expect("announce");
    world.sql("SELECT leasehold.enqueue('k', '{}', queue => 'queue-' || q) FROM generate_series(1, 60) q").await;
    for _ in 0..4 {
        reaper.tick().await;
    }
    assert_eq!(waiting(&world).await, 0);
    world.handoff.announce(&worker("k"), ttl).await.expect("announce");
    reaper.tick().await;
    assert_eq!(waiting(&world).await, 60);
}
