//! A server that has forgotten its scripts, as after a restart.

use crate::{LEASE, connect, new_ids, queue};
use leasehold_core::QueueName;
use leasehold_handoff::{Held, Pushed};
use leasehold_tests::{RedisServer, hints};
use redis::aio::MultiplexedConnection;

async fn forget_scripts(connection: &mut MultiplexedConnection) {
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(connection).await.expect("SCRIPT FLUSH");
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(connection).await.expect("CONFIG RESETSTAT");
}

/// How often the server has done this command since the scripts were forgotten.
async fn done(connection: &mut MultiplexedConnection, command: &str) -> u32 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await.expect("INFO");
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a number of calls"))
}

#[tokio::test]
async fn every_call_goes_through() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let ids = new_ids(2);

    forget_scripts(&mut connection).await;
    let pushed = handoff.push(&queue(), &hints(&ids)).await.expect("push");
    assert_eq!(pushed, Pushed { pushed: 2, ..Pushed::default() });
    forget_scripts(&mut connection).await;
    assert_eq!(handoff.take(&queue(), &[], &[], 2, LEASE).await.expect("take").ids, ids);
    forget_scripts(&mut connection).await;
    assert_eq!(handoff.expired(&queue(), 9).await.expect("expired"), []);
    forget_scripts(&mut connection).await;
    assert_eq!(handoff.fill(&queue(), &hints(&new_ids(1)), false, None).await.expect("fill").pushed, 1);
    forget_scripts(&mut connection).await;
    handoff.ack(&[(queue(), ids)]).await.expect("ack");
    assert_eq!(handoff.stats(&queue()).await.expect("stats").leased, 0);
}

#[tokio::test]
async fn in_a_pipeline_only_what_was_refused_is_sent_again() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let queues: [QueueName; 3] = ["a", "b", "c"].map(|name| name.parse().expect("a name"));
    let runs: Vec<_> = queues.iter().map(|queue| (queue.clone(), new_ids(2))).collect();

    forget_scripts(&mut connection).await;
    handoff.renew(&runs, LEASE).await.expect("renew");
    assert_eq!(done(&mut connection, "eval").await, 3, "each refused step, with its source");
    assert_eq!(done(&mut connection, "sadd").await, 3, "the steps that went through are not sent again");
    for (queue, ids) in &runs {
        let held = handoff.snapshot(queue).await.expect("snapshot").held;
        assert_eq!(held.iter().map(|(id, _)| *id).collect::<Vec<_>>(), *ids);
        assert!(held.iter().all(|(_, held)| matches!(held, Held::Leased { ms_left } if *ms_left > 0)));
    }

    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connection).await.expect("CONFIG RESETSTAT");
    handoff.renew(&runs, LEASE).await.expect("renew");
    assert_eq!(done(&mut connection, "eval").await, 0, "the server knows the script now");

    forget_scripts(&mut connection).await;
    handoff.ack(&runs).await.expect("ack");
    for queue in &queues {
        assert_eq!(handoff.snapshot(queue).await.expect("snapshot").held, []);
    }
}

#[tokio::test]
async fn an_error_in_a_pipeline_is_told_and_the_rest_is_done() {
    let server = RedisServer::start().await;
    let handoff = connect(&server).await;
    let mut connection = server.connect().await;
    let [broken, sound]: [QueueName; 2] = ["broken", "sound"].map(|name| name.parse().expect("a name"));
    redis::cmd("SET").arg("leasehold:{broken}:leases").arg(1).exec_async(&mut connection).await.expect("damage");

    let runs = [(broken, new_ids(1)), (sound.clone(), new_ids(1))];
    let error = handoff.renew(&runs, LEASE).await.expect_err("a key of another type").to_string();
    assert!(error.starts_with("renewing leases in Redis: ") && error.contains("WRONGTYPE"), "{error}");
    assert_eq!(handoff.stats(&sound).await.expect("stats").leased, 1);
}
