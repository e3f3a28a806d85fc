//! Everything that Redis holds about one queue at one moment, as the start of a comparison with PostgreSQL.

use crate::{
    connect::Handoff,
    error::Error,
    position::is_waiting,
    scripts::command,
    worker::{parse_member, parse_members},
};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Held, Snapshot, Stray};
use redis::Value;

/// Seconds and microseconds.
type Time = (i64, i64);
/// `paused` and `overflow`.
type Flags = (Option<String>, Option<String>);
type Members = Vec<Vec<u8>>;

impl Handoff {
    /// Everything that Redis holds about a queue, all from the same moment. The answer is as long as the head, so the
    /// call is not for busy loops.
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
            snapshot.ready = ids_of(&mut snapshot.strays, keys.ready(), std::mem::take(ready));
            snapshot.claimed = ids_of(&mut snapshot.strays, keys.claimed(), std::mem::take(claimed));
        }
        for (kind, members) in kinds.into_iter().zip(asides) {
            let ids = ids_of(&mut snapshot.strays, keys.aside(&kind), members);
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

/// The ids among the members of a key. Members that are no ids are added to the strays.
fn ids_of(strays: &mut Vec<Stray>, key: String, members: Members) -> Vec<JobId> {
    let (ids, others) = parse_members(members);
    strays.extend(others.into_iter().map(|member| Stray { key: key.clone(), member }));
    ids
}

/// A score that somebody wrote by hand may be any number; the conversion to an integer keeps it within the bounds of
/// integers.
#[expect(clippy::cast_possible_truncation, reason = "deadlines in ms are far below 2^53")]
fn held(score: f64, now_ms: i64) -> Held {
    if is_waiting(score) { Held::Waiting } else { Held::Leased { ms_left: (score as i64).saturating_sub(now_ms) } }
}
