//! The whole content of a Redis, as one value to compare.

use redis::{AsyncTypedCommands, aio::MultiplexedConnection};
use std::collections::{BTreeMap, BTreeSet};

/// The value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types of Redis")]
pub enum Key {
    String(String),
    List(Vec<String>),
    Set(BTreeSet<String>),
    Hash(BTreeMap<String, String>),
    /// Members with their scores, in order. Scores are written as Redis writes them (`inf`, `1700000000000`).
    SortedSet(Vec<(String, String)>),
}

/// All keys of the server with their values.
///
/// # Panics
/// The server does not answer, or a key has another type.
pub async fn all_keys(connection: &mut MultiplexedConnection) -> BTreeMap<String, Key> {
    let mut all = BTreeMap::new();
    for name in connection.keys("*").await.expect("KEYS") {
        let kind: String = redis::cmd("TYPE").arg(&name).query_async(connection).await.expect("TYPE");
        let held = match kind.as_str() {
            "string" => Key::String(connection.get(&name).await.expect("GET").unwrap_or_default()),
            "list" => Key::List(connection.lrange(&name, 0, -1).await.expect("LRANGE")),
            "set" => Key::Set(connection.smembers(&name).await.expect("SMEMBERS").into_iter().collect()),
            "hash" => Key::Hash(connection.hgetall(&name).await.expect("HGETALL").into_iter().collect()),
            "zset" => {
                let mut range = redis::cmd("ZRANGE");
                range.arg(&name).arg(0).arg(-1).arg("WITHSCORES");
                let flat: Vec<String> = range.query_async(connection).await.expect("ZRANGE");
                Key::SortedSet(flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            // The key expired between the two commands.
            "none" => continue,
            other => panic!("the key {name} has the type {other}"),
        };
        all.insert(name, held);
    }
    all
}
