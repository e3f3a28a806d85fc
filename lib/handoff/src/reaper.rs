//! The side that puts right what others left, and makes the head match the line.

use crate::{
    connect::Handoff,
    error::Error,
    keys::{GENERATION, QueueKeys},
    producer::note_queue,
    scripts::{ADOPT, Call, EXPIRED, FILL, SWEEP},
    worker::{milliseconds, parse_members},
};
use leasehold_core::{JobId, Kind, QueueName};
use redis::Value;
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// Hints adopted in one call: far more than `claimed` ever holds, and still well under a millisecond.
const ADOPT_MAX: u32 = 500;

/// What a fill did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// Put into the head.
    pub pushed: u32,
    /// Waiting or leased here already.
    pub held: u32,
    /// What had to be put right before; all zero in a healthy system.
    pub swept: Swept,
}

/// What a sweep put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Waited in no list.
    pub orphans: u32,
    /// In a list, and not known as waiting.
    pub readmitted: u32,
    /// Second mentions, and leased jobs, in a list.
    pub dropped: u32,
}

impl Handoff {
    /// Reaper: short leases for what lies in `claimed` without one; returns how many.
    ///
    /// # Errors
    /// When Redis does not do it in time.
    pub async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error> {
        let keys = QueueKeys::of(queue);
        let call = ADOPT.on([keys.claimed(), keys.leases()]).arg(milliseconds(lease)).arg(ADOPT_MAX);
        let (adopted,): (u32,) = self.run("adopting hints", vec![call.into()]).await?;
        Ok(adopted)
    }

    /// Reaper: ids whose lease in Redis ran out, the first one first. Changes nothing.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error> {
        let call = EXPIRED.on([QueueKeys::of(queue).leases()]).arg(limit);
        let (members,): (Vec<Vec<u8>>,) = self.run("looking for expired leases in Redis", vec![call.into()]).await?;
        let (ids, strays) = parse_members(members);
        self.forget_strays(queue, strays).await;
        Ok(ids)
    }

    /// Reaper: makes the head match the front of the line: pushes those of `ids` that Redis does not hold, each to its
    /// place, up to the bound, and sets `overflow` when there are more. Sweeps first, so that what Redis only seems to
    /// hold is brought back too. A paused queue is left alone.
    ///
    /// # Errors
    /// When Redis does not do it in time. It can be done again.
    pub async fn fill(&self, queue: &QueueName, ids: &[JobId], more: bool) -> Result<Filled, Error> {
        let keys = QueueKeys::of(queue);
        let sweep = sweep_call(&keys, &self.aside_kinds(queue).await?, false);
        let fill =
            FILL.on([keys.ready(), keys.leases(), keys.flags()]).arg(self.inner.head_max).arg(u8::from(more)).args(ids);
        type Answer = ((u32, u32, u32), (u32, u32, bool));
        let (swept, (pushed, held, _paused)) = if ids.is_empty() {
            // No note of the queue: it may have no keys left.
            self.run::<Answer>("filling the head", vec![sweep.into(), fill.into()]).await?
        } else {
            let steps = vec![sweep.into(), fill.into(), note_queue(queue)];
            let (swept, filled, _): ((u32, u32, u32), (u32, u32, bool), u32) =
                self.run("filling the head", steps).await?;
            (swept, filled)
        };
        Ok(Filled { pushed, held, swept: swept.into() })
    }

    /// Makes the lists of a queue and its set of waiting hints agree, comparing id by id. A fill afterwards brings back
    /// what was forgotten.
    ///
    /// # Errors
    /// When Redis does not do it in time. It can be done again.
    pub async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error> {
        let call = sweep_call(&QueueKeys::of(queue), &self.aside_kinds(queue).await?, true);
        let (swept,): ((u32, u32, u32),) = self.run("sweeping a queue", vec![call.into()]).await?;
        Ok(swept.into())
    }

    /// The kinds set aside in a queue, with how many hints, and whether that is as many as are kept.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error> {
        let kinds = self.aside_kinds(queue).await?;
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let keys = QueueKeys::of(queue);
        let lengths = kinds.iter().map(|kind| {
            let mut length = redis::cmd("LLEN");
            length.arg(keys.aside(kind)).to_owned().into()
        });
        let lengths: Vec<u64> = self.run("counting hints aside", lengths.collect()).await?;
        let full = u64::from(self.aside_max());
        let counted = kinds.iter().zip(lengths).filter(|(_, length)| *length > 0);
        Ok(counted.filter_map(|(kind, length)| Some((kind.parse().ok()?, length, length >= full))).collect())
    }

    /// The generation, made now if it was missing: `(generation, made_now)`.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn generation(&self) -> Result<(String, bool), Error> {
        let (mut set, mut get) = (redis::cmd("SET"), redis::cmd("GET"));
        set.arg(GENERATION).arg(Uuid::new_v4().to_string()).arg("NX");
        get.arg(GENERATION);
        let (made, generation): (Value, String) =
            self.run("reading the generation of Redis", vec![set.into(), get.into()]).await?;
        Ok((generation, made != Value::Nil))
    }

    /// The kinds that have an aside list, as Redis spells them.
    pub(crate) async fn aside_kinds(&self, queue: &QueueName) -> Result<Vec<String>, Error> {
        let mut members = redis::cmd("SMEMBERS");
        members.arg(QueueKeys::of(queue).asides());
        let (kinds,): (Vec<String>,) = self.run("reading the kinds set aside", vec![members.into()]).await?;
        Ok(kinds)
    }
}

fn sweep_call(keys: &QueueKeys, aside: &[String], force: bool) -> Call {
    let fixed = [keys.leases(), keys.asides(), keys.claimed(), keys.ready()];
    SWEEP.on(fixed.into_iter().chain(aside.iter().map(|kind| keys.aside(kind)))).arg(u8::from(force)).args(aside)
}

impl From<(u32, u32, u32)> for Swept {
    fn from((orphans, readmitted, dropped): (u32, u32, u32)) -> Self {
        Self { orphans, readmitted, dropped }
    }
}
