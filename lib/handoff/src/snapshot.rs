//! Everything Redis holds of one queue at one moment: what a comparison with PostgreSQL starts from.

use crate::{
    connect::Handoff,
    error::Error,
    operator::command,
    worker::{parse_member, parse_members},
};
use leasehold_core::{JobId, Kind, QueueName};
use redis::Value;
use serde::Serialize;
use std::fmt;

/// How Redis holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Waits in a list, or should.
    Waiting,
    /// Leased; ms left, negative once it has run out.
    Leased {
        /// Milliseconds until the deadline, on the clock of Redis.
        ms_left: i64,
    },
}

/// Something in a queue's keys that is no job id, or no kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// The key it was found in.
    pub key: String,
    /// Byte for byte, as [`Handoff::forget`] takes it.
    pub member: Vec<u8>,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", String::from_utf8_lossy(&self.member), self.key)
    }
}

/// One queue, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The head, next one first.
    pub ready: Vec<JobId>,
    /// Taken by a blocking take, and not leased yet.
    pub claimed: Vec<JobId>,
    /// Set aside, by kind.
    pub aside: Vec<(Kind, Vec<JobId>)>,
    /// Every id that Redis knows, with how it holds it.
    pub held: Vec<(JobId, Held)>,
    /// Redis keeps no hints of this queue.
    pub paused: bool,
    /// The line is longer than what Redis holds of it.
    pub overflow: bool,
    /// What does not belong here.
    pub strays: Vec<Stray>,
}

/// Seconds and microseconds.
type Time = (i64, i64);
/// `paused` and `overflow`.
type Flags = (Option<String>, Option<String>);
type Members = Vec<Vec<u8>>;

impl Handoff {
    /// Everything Redis holds of a queue, all of one moment. As long as the head: not for busy loops.
    ///
    /// # Errors
    /// When Redis does not answer in time, or a key holds another type than it should.
    pub async fn snapshot(&self, queue: &QueueName) -> Result<Snapshot, Error> {
        const DOING: &str = "reading all of a queue";
        let keys = self.keys().of(queue);
        let kinds = self.aside_kinds(queue).await?;
        let all = |key: String| command("LRANGE", (key, 0, -1));
        let mut commands = vec![
            redis::cmd("TIME"),
            command("HMGET", (keys.flags(), "paused", "overflow")),
            command("ZRANGE", (keys.leases(), 0, -1, "WITHSCORES")),
            all(keys.ready()),
            all(keys.claimed()),
        ];
        commands.extend(kinds.iter().map(|kind| all(keys.aside(kind))));
        let mut answers: Vec<Value> = self.run_atomically(DOING, commands).await?;
        let read = |error: redis::ParsingError| Error::Redis { doing: DOING, source: error.into() };

        let lists = answers.split_off(answers.len().min(3));
        let (time, (paused, overflow), members): (Time, Flags, Vec<(Vec<u8>, f64)>) =
            redis::from_redis_value(Value::Array(answers)).map_err(read)?;
        let mut lists: Vec<Members> = redis::from_redis_value(Value::Array(lists)).map_err(read)?;

        let mut snapshot = Snapshot { paused: paused.is_some(), overflow: overflow.is_some(), ..Snapshot::default() };
        let asides = lists.split_off(lists.len().min(2));
        if let [ready, claimed] = &mut lists[..] {
            snapshot.ready = snapshot.ids(keys.ready(), std::mem::take(ready));
            snapshot.claimed = snapshot.ids(keys.claimed(), std::mem::take(claimed));
        }
        for (kind, members) in kinds.into_iter().zip(asides) {
            let ids = snapshot.ids(keys.aside(&kind), members);
            match kind.parse() {
                Ok(kind) => snapshot.aside.push((kind, ids)),
                Err(_) => snapshot.strays.push(Stray { key: keys.asides(), member: kind.into_bytes() }),
            }
        }
        let now_ms = time.0 * 1000 + time.1 / 1000;
        for (member, score) in members {
            match parse_member(&member) {
                Some(id) => snapshot.held.push((id, held(score, now_ms))),
                None => snapshot.strays.push(Stray { key: keys.leases(), member }),
            }
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    /// The ids among the members of a key; the others are noted as strays.
    fn ids(&mut self, key: String, members: Members) -> Vec<JobId> {
        let (ids, strays) = parse_members(members);
        self.strays.extend(strays.into_iter().map(|member| Stray { key: key.clone(), member }));
        ids
    }
}

#[expect(clippy::cast_possible_truncation, reason = "deadlines in ms are far below 2^53")]
fn held(score: f64, now_ms: i64) -> Held {
    if score == f64::INFINITY { Held::Waiting } else { Held::Leased { ms_left: score as i64 - now_ms } }
}
