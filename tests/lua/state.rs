//! The state of a queue, written as text: one key a line, in the order of the alphabet, its contents behind the name.
//!
//! ```text
//! asides: paint               a set
//! aside:paint: e f            a list, next one first
//! flags: overflow=1           a hash. `overflow=@7`: the head reaches to position 7
//! leases: a=waits b=+60s      a sorted set; deadlines in whole tens of seconds from now. `waits`: at position 1, the number
//!                             of the letter a; `waits@7`: at position 7; `waits@?`:
//!                             before all known positions
//! ready: a c                  a list
//! readings: 1=@5 kept:1=a,b, n=2   a hash: during reading 1 the head refused position 5 and kept a and b; 2 readings so far
//! filled: m=+60s              a string, and when it goes away
//! bell: 1                     a list, which must go away
//! ```
//!
//! In arguments, `a@` is the id `a` and the score of its own position; `a@7` the id and the score of position 7.
//!
//! Keys that are not there have no line. The bell has rung in each case that does not speak of it, so that scripts have no
//! reason to touch it. Every key of the server is compared, so a script that writes
//! where it should not is found out.

use crate::in_memory;
use leasehold_tests::{Key, RedisServer, all_keys};
use redis::{Value, aio::MultiplexedConnection};
use std::{collections::BTreeMap, fmt::Write, fs};

const PREFIX: &str = "leasehold:{q}:";
/// The score of the position 0.
const POSITION_ZERO: i64 = 1 << 52;

/// One call of a script.
pub(crate) struct Case {
    /// What is shown.
    pub(crate) name: &'static str,
    /// Before.
    pub(crate) seed: &'static str,
    /// KEYS, without the prefix of the queue.
    pub(crate) keys: &'static str,
    /// ARGV.
    pub(crate) args: &'static str,
    /// The answer.
    pub(crate) returns: &'static str,
    /// After.
    pub(crate) after: &'static str,
}

/// Calls the script in each case and compares everything.
pub(crate) async fn check(script: &str, cases: &[Case]) {
    let path = format!("{}/../lua/{script}.lua", env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    for case in cases {
        let name = case.name;
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.expect("emptying Redis");
        seed(&mut connection, &tidy(case.seed)).await;
        assert_eq!(state(&mut connection).await, tidy(case.seed), "{script}, {name}: the seed reads as it is written");
        let keys: Vec<String> = case.keys.split_whitespace().map(|key| format!("{PREFIX}{key}")).collect();
        let args: Vec<String> = case.args.split_whitespace().flat_map(argument).collect();
        let answer: Value = redis::cmd("EVAL")
            .arg(&source)
            .arg(keys.len())
            .arg(keys)
            .arg(args)
            .query_async(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{script}, {name}: {error}"));
        assert_eq!(render(&answer), case.returns, "{script}, {name}: the answer");
        assert_eq!(state(&mut connection).await, tidy(case.after), "{script}, {name}: all keys after the call");
        in_memory::check(script, case);
    }
}

pub(crate) fn tidy(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|l| !l.is_empty())
        .collect();
    if !lines.iter().any(|line| line.starts_with("bell:")) {
        lines.push("bell: 1".to_owned());
    }
    lines.retain(|line| line != "bell:");
    lines.sort();
    lines.join("\n")
}

async fn seed(connection: &mut MultiplexedConnection, text: &str) {
    let now_ms = now_ms(connection).await;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, contents) = line.rsplit_once(": ").unwrap_or_else(|| panic!("no contents in {line:?}"));
        let contents: Vec<&str> = contents.split_whitespace().collect();
        let pairs = contents.iter().filter_map(|item| item.split_once('='));
        let mut command = match key {
            "leases" | "kinds" => {
                let mut command = redis::cmd("ZADD");
                command.arg(format!("{PREFIX}{key}"));
                pairs.for_each(|(member, time)| {
                    command.arg(score(member, time, now_ms)).arg(member);
                });
                command
            }
            "flags" | "readings" => {
                let mut command = redis::cmd("HSET");
                command.arg(format!("{PREFIX}{key}"));
                pairs.for_each(|(field, value)| {
                    let value = value.strip_prefix('@').map_or_else(|| value.to_owned(), position_score);
                    command.arg(field).arg(value);
                });
                command
            }
            "filled" => {
                let (text, time) = contents[0].split_once('=').unwrap_or_else(|| panic!("no time in {line:?}"));
                let mut command = redis::cmd("SET");
                command.arg(format!("{PREFIX}{key}")).arg(text).arg("PXAT").arg(score(text, time, now_ms));
                command
            }
            _ => redis::cmd(if key == "asides" { "SADD" } else { "RPUSH" }).arg(format!("{PREFIX}{key}")).to_owned(),
        };
        if !matches!(key, "leases" | "kinds" | "flags" | "readings" | "filled") {
            command.arg(&contents);
        }
        command.exec_async(connection).await.unwrap_or_else(|error| panic!("seeding {line:?}: {error}"));
        if key == "bell" {
            let key = format!("{PREFIX}{key}");
            redis::cmd("EXPIRE").arg(key).arg(60).exec_async(connection).await.expect("a time for the bell");
        }
    }
}

async fn now_ms(connection: &mut MultiplexedConnection) -> i64 {
    let (seconds, microseconds): (i64, i64) = redis::cmd("TIME").query_async(connection).await.expect("the time");
    seconds * 1000 + microseconds / 1000
}

/// The score of a position.
fn position_score(position: &str) -> String {
    let position: i64 = position.parse().unwrap_or_else(|_| panic!("{position:?} is no position"));
    (POSITION_ZERO + position).to_string()
}

/// The position of a hint that names none: the number of its letter.
pub(crate) fn own_position(member: &str) -> i64 {
    i64::from(member.as_bytes()[0]) - i64::from(b'a') + 1
}

/// `a@7` is two arguments: an id, and the score of its position.
fn argument(text: &str) -> Vec<String> {
    match text.split_once('@') {
        None => vec![text.to_owned()],
        Some((id, "")) => vec![id.to_owned(), position_score(&own_position(id).to_string())],
        Some((id, "-")) => vec![id.to_owned(), "-".to_owned()],
        Some((id, position)) => vec![id.to_owned(), position_score(position)],
    }
}

fn score(member: &str, time: &str, now_ms: i64) -> String {
    if let Some(position) = time.strip_prefix("waits") {
        let position = position.strip_prefix('@').map_or_else(|| own_position(member).to_string(), str::to_owned);
        return if position == "?" { (POSITION_ZERO / 2).to_string() } else { position_score(&position) };
    }
    let seconds: i64 = time.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{time:?} is no time"));
    (now_ms + seconds * 1000).to_string()
}

/// Every key of the server.
async fn state(connection: &mut MultiplexedConnection) -> String {
    let now_ms = now_ms(connection).await;
    let mut lines: Vec<String> = Vec::new();
    for (key, held) in all_keys(connection).await {
        let items: Vec<String> = match held {
            Key::List(items) => {
                let left_ms: i64 = redis::cmd("PTTL").arg(&key).query_async(connection).await.expect("PTTL");
                assert_eq!(left_ms > 0, key.ends_with(":bell"), "{key}: of the lists, only a bell goes away by itself");
                items
            }
            Key::Set(members) => members.into_iter().collect(),
            Key::Hash(fields) => fields.into_iter().map(|(field, value)| format!("{field}={}", flag(value))).collect(),
            Key::SortedSet(members) => {
                let members: BTreeMap<String, String> = members.into_iter().collect();
                let write = |(member, score): (String, String)| format!("{member}={}", time(&member, &score, now_ms));
                members.into_iter().map(write).collect()
            }
            Key::String(text) => {
                let left_ms: i64 = redis::cmd("PTTL").arg(&key).query_async(connection).await.expect("PTTL");
                assert!(left_ms > 0, "{key}, the string {text:?}, stays for ever");
                vec![format!("{text}={}", time(&text, &(now_ms + left_ms).to_string(), now_ms))]
            }
        };
        lines.push(format!("{}: {}", key.strip_prefix(PREFIX).unwrap_or(&key), items.join(" ")));
    }
    lines.sort();
    lines.join("\n")
}

/// The value of a flag: a position, or a plain text.
fn flag(value: String) -> String {
    match value.parse::<i64>() {
        Ok(score) if score > POSITION_ZERO / 2 => format!("@{}", score - POSITION_ZERO),
        _ => value,
    }
}

fn time(member: &str, score: &str, now_ms: i64) -> String {
    if score == (POSITION_ZERO / 2).to_string() {
        return "waits@?".to_owned();
    }
    if let Ok(score) = score.parse::<i64>()
        && score >= POSITION_ZERO / 2
    {
        let position = score - POSITION_ZERO;
        return if position == own_position(member) { "waits".to_owned() } else { format!("waits@{position}") };
    }
    let deadline: i64 = score.parse().unwrap_or_else(|_| panic!("{score:?} is no whole number of ms"));
    let tens = (deadline - now_ms + 5_000).div_euclid(10_000);
    format!("{:+}s", tens * 10)
}

/// An answer as text: `[1, [a, b]]`.
fn render(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Int(number) => write!(text, "{number}").expect("to a string"),
        Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Value::Array(values) => {
            let mut parts: Vec<String> = values.iter().map(render).collect();
            text = format!("[{}]", std::mem::take(&mut parts).join(", "));
        }
        other => write!(text, "{other:?}").expect("to a string"),
    }
    text
}
