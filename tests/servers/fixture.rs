//! Tests of the fixtures that the other tests use.

use leasehold_tests::{Key, Stores, all_keys, eventually};
use redis::AsyncTypedCommands;
use sqlx::Row;
use std::{collections::BTreeMap, time::Duration};

#[tokio::test]
async fn each_test_has_stores_of_its_own() {
    let (one, other) = tokio::join!(Stores::start(), Stores::start());
    let mut first = one.database.connect().await;
    sqlx::query("INSERT INTO leasehold.queue (name) VALUES ('mine')").execute(&mut first).await.expect("insert");
    let mut second = other.database.connect().await;
    let row = sqlx::query("SELECT count(*) FROM leasehold.queue").fetch_one(&mut second).await.expect("select");
    assert_eq!(row.get::<i64, _>(0), 0);

    let mut first = one.redis.connect().await;
    first.set("mine", "x").await.expect("set");
    assert_eq!(all_keys(&mut other.redis.connect().await).await, BTreeMap::new());
}

#[tokio::test]
async fn all_keys_shows_every_type() {
    let redis = leasehold_tests::RedisServer::start().await;
    let mut connection = redis.connect().await;
    connection.set("a", "text").await.expect("set");
    connection.rpush("b", &["2", "1"]).await.expect("rpush");
    connection.sadd("c", "member").await.expect("sadd");
    connection.hset("d", "field", "value").await.expect("hset");
    connection.zadd("e", "late", f64::INFINITY).await.expect("zadd");
    connection.zadd("e", "soon", 1_700_000_000_000_i64).await.expect("zadd");
    let text = str::to_owned;
    let expected = BTreeMap::from([
        (text("a"), Key::String(text("text"))),
        (text("b"), Key::List(vec![text("2"), text("1")])),
        (text("c"), Key::Set([text("member")].into())),
        (text("d"), Key::Hash([(text("field"), text("value"))].into())),
        (text("e"), Key::SortedSet(vec![(text("soon"), text("1700000000000")), (text("late"), text("inf"))])),
    ]);
    assert_eq!(all_keys(&mut connection).await, expected);
}

#[tokio::test]
#[should_panic(expected = "a pig that flies: not so within 50ms; last seen: \"a pig that walks\"")]
async fn a_wait_ends_with_what_was_last_seen() {
    eventually("a pig that flies", Duration::from_millis(50), || async { Err::<(), _>("a pig that walks") }).await;
}
