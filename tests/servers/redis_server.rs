//! Redis: empty after each start unless it is configured to keep its data.

use leasehold_servers::RedisOptions;
use leasehold_tests::{RedisServer, all_keys};
use redis::AsyncTypedCommands;
use std::time::Duration;

#[tokio::test]
async fn a_killed_server_starts_again_on_its_port_and_keeps_its_data_if_configured() {
    for keep in [true, false] {
        let options = RedisOptions { keep, password: false, settings: vec!["appendfsync always".into()] };
        let redis = RedisServer::start_with(options).await;
        redis.connect().await.set("key", "value").await.expect("set");
        let (port, pid) = (redis.server().port(), redis.server().pid());
        redis.server().kill();
        redis.server().start_again().expect("a second start");
        assert_eq!(redis.server().port(), port);
        assert_ne!(redis.server().pid(), pid);
        assert_eq!(all_keys(&mut redis.connect().await).await.len(), usize::from(keep), "keep: {keep}");
    }
}

#[tokio::test]
async fn a_frozen_server_does_not_answer_until_it_is_thawed() {
    let redis = RedisServer::start().await;
    let mut connection = redis.connect().await;
    redis.server().freeze();
    let mut asking = tokio::spawn(async move { connection.get("key").await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(early.is_err(), "a frozen server answered: {early:?}");
    redis.server().thaw();
    asking.await.expect("the task").expect("an answer after the thaw");
}

#[tokio::test]
async fn a_connection_without_the_password_is_refused() {
    let redis = RedisServer::start_with(RedisOptions::default()).await;
    redis.connect().await.get("key").await.expect("with the password");
    let url = format!("redis://127.0.0.1:{}/", redis.server().port());
    let client = redis::Client::open(url).expect("a URL");
    let refused = match client.get_multiplexed_async_connection().await {
        Ok(mut connection) => connection.get("key").await.expect_err("no password").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("NOAUTH") || refused.contains("Authentication"), "{refused}");
}
