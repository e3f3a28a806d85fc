//! What a reaper does in Redis: it repairs what stopped processes left behind, and makes the head match the line.

use crate::{
    connect::Handoff,
    error::Error,
    keys::QueueKeys,
    position::{in_order, is_at, is_waiting},
    scripts::{ADOPT, Call, EXPIRED, EXTEND, FILL, SWEEP, Step, command},
    worker::{milliseconds, parse_members},
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::{EXTEND_FOR, Extended, Fill, Filled, FrontHeld, Hint, Swept, Tail};
use redis::Value;
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// Hints adopted in one call: far more than `claimed` ever holds, and still well under a millisecond.
const ADOPT_MAX: u32 = 500;

/// How long the notes of a reading are kept. A reading of a line and its fill take much less time.
const READING_MS: u32 = 5_000;
/// The argument of a script for a missing number or a missing position.
const NO_PLACE: &str = "-";

impl Handoff {
    /// Reaper: gives a short lease to each hint in `claimed` that has none. Returns how many there were.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error> {
        let keys = self.keys().of(queue);
        let call = ADOPT.on([keys.claimed(), keys.leases()]).arg(milliseconds(lease)).arg(ADOPT_MAX);
        let (adopted,): (u32,) = self.run("adopting hints", vec![call.into()]).await?;
        Ok(adopted)
    }

    /// Reaper: the ids whose leases in Redis have run out, in the order of these times. Changes nothing.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error> {
        let call = EXPIRED.on([self.keys().of(queue).leases()]).arg(limit);
        let (members,): (Vec<Vec<u8>>,) = self.run("looking for expired leases in Redis", vec![call.into()]).await?;
        let (ids, strays) = parse_members(members);
        self.forget_strays(queue, strays).await;
        Ok(ids)
    }

    /// Reaper: makes the head match the front of the line. Pushes the hints that Redis does not have, in the order of the line, up to
    /// the bound. Sets `overflow` if there are more. It sweeps first, so that a hint is pushed again if Redis counts it as
    /// waiting but has it in no list. Changes nothing in a paused queue.
    ///
    /// `to` is the position in the line of the last id, in a form that only the caller understands. Redis keeps it for
    /// [`EXTEND_FOR`] if the line continues behind this position and Redis now holds all ids before it. Then [`Handoff::extend`]
    /// can continue from there.
    ///
    /// # Errors
    /// If Redis does not answer in time. The call can be repeated.
    pub async fn fill(&self, queue: &QueueName, hints: &[Hint], more: bool, to: Option<&str>) -> Result<Filled, Error> {
        let fill = Fill { queue: queue.clone(), reading: None, hints: hints.to_vec(), more, to: to.map(str::to_owned) };
        Ok(self.fill_all(&[fill]).await?.pop().unwrap_or_default())
    }

    /// The same for several queues, in one batch.
    ///
    /// # Errors
    /// If Redis does not answer in time. The call can be repeated.
    pub async fn fill_all(&self, fills: &[Fill]) -> Result<Vec<Filled>, Error> {
        const DOING: &str = "filling the head";
        if fills.is_empty() {
            return Ok(Vec::new());
        }
        let asides = fills.iter().map(|fill| command("SMEMBERS", self.keys().of(&fill.queue).asides()).into());
        let asides: Vec<Vec<String>> = self.run("reading the kinds set aside", asides.collect()).await?;
        let mut steps: Vec<Step> = Vec::with_capacity(fills.len() * 3);
        for (Fill { queue, reading, hints, more, to }, aside) in fills.iter().zip(&asides) {
            let keys = self.keys().of(queue);
            steps.push(sweep_call(&keys, aside, false).into());
            let fill = FILL.on(fill_keys(&keys));
            let fill = fill.arg(self.inner.head_max).arg(u8::from(*more));
            let fill = fill.arg(to.as_deref().unwrap_or(NO_PLACE)).arg(milliseconds(EXTEND_FOR));
            let fill = fill.arg(number(*reading)).args(in_order(hints));
            steps.push(fill.into());
            if leaves_keys(hints, *more) {
                steps.push(self.note_queue(queue));
            }
        }
        let mut answers = self.run::<Vec<Value>>(DOING, steps).await?.into_iter();
        let counts = |answer: Option<Value>| {
            let counts: Result<(u32, u32, u32), _> = redis::from_redis_value(answer.unwrap_or(Value::Nil));
            counts.map_err(|error| Error::Redis { doing: DOING, source: error.into() })
        };
        let mut filled = Vec::with_capacity(fills.len());
        for fill in fills {
            let (swept, (pushed, held, _paused)) = (counts(answers.next())?, counts(answers.next())?);
            filled.push(Filled { pushed, held, swept: swept_of(swept) });
            if leaves_keys(&fill.hints, fill.more) {
                answers.next();
            }
        }
        Ok(filled)
    }

    /// Begins to read the lines of some queues for fills, and returns the numbers of these readings. Until the fills are done,
    /// Redis remembers which positions the heads refuse, because the read of a fill may miss the jobs of hints that come during
    /// the reading.
    ///
    /// # Errors
    /// Redis does not answer in time.
    pub async fn begin_readings(&self, queues: &[QueueName]) -> Result<Vec<u64>, Error> {
        let mut steps = Vec::with_capacity(queues.len() * 2);
        for queue in queues {
            let readings = self.keys().of(queue).readings();
            steps.push(command("HINCRBY", (&readings, "n", 1)).into());
            steps.push(command("PEXPIRE", (&readings, READING_MS)).into());
        }
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<u64> = self.run("beginning to read lines", steps).await?;
        Ok(answers.into_iter().step_by(2).collect())
    }

    /// The length of the head, the position up to which it was filled (where [`Handoff::extend`] continues), and the scan start
    /// of the line.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn tail(&self, queue: &QueueName) -> Result<Tail, Error> {
        let keys = self.keys().of(queue);
        let steps = vec![
            command("LLEN", keys.ready()).into(),
            command("GET", keys.filled()).into(),
            command("GET", keys.scan_start()).into(),
        ];
        let (ready, filled_to, scan_start): (u32, Option<Vec<u8>>, Option<Vec<u8>>) =
            self.run("looking how far the head goes", steps).await?;
        let text = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(Tail { ready, filled_to: text(filled_to), scan_start: text(scan_start) })
    }

    /// Reaper: how Redis holds the front of a line: the jobs without a hint, and whether the hints wait in order. Only as many
    /// hints of `ready` as there are ids in the front are read.
    ///
    /// # Errors
    /// Redis does not answer in time.
    pub async fn compare(&self, queue: &QueueName, front: &[Hint]) -> Result<FrontHeld, Error> {
        if front.is_empty() {
            return Ok(FrontHeld { missing: Vec::new(), in_order: true });
        }
        let keys = self.keys().of(queue);
        let mut scores = command("ZMSCORE", keys.leases());
        for hint in front {
            scores.arg(hint.id.to_string());
        }
        let first = command("LRANGE", (keys.ready(), 0, front.len() - 1));
        let (scores, waiting): (Vec<Option<f64>>, Vec<Vec<u8>>) =
            self.run("comparing a head with its line", vec![scores.into(), first.into()]).await?;
        Ok(front_held(front, &scores, &waiting))
    }

    /// Shares the scan start of a line with other processes for `kept_for`. `None`: replaces a scan start that is shared already,
    /// and keeps its remaining time.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn keep_scan_start(
        &self,
        queue: &QueueName,
        scan_start: &str,
        kept_for: Option<Duration>,
    ) -> Result<(), Error> {
        let mut set = command("SET", (self.keys().of(queue).scan_start(), scan_start));
        match kept_for {
            Some(time) => set.arg("PX").arg(milliseconds(time).max(1)),
            None => set.arg("XX").arg("KEEPTTL"),
        };
        let (_,): (Value,) = self.run("sharing the scan start of a line", vec![set.into()]).await?;
        Ok(())
    }

    /// Appends to the head the ids of `hints` that Redis does not hold, up to the bound. `hints` follow `from` in the line, and
    /// the line continues behind them. Does this only if the head was filled up to `from` less than [`EXTEND_FOR`] ago. The
    /// head is then filled up to `to`, the position of the last hint. An extension repairs nothing; a fill does.
    ///
    /// # Errors
    /// If Redis does not answer in time. The call can be repeated.
    pub async fn extend(
        &self,
        queue: &QueueName,
        reading: u64,
        from: &str,
        to: &str,
        hints: &[Hint],
    ) -> Result<Extended, Error> {
        let keys = self.keys().of(queue);
        let call = EXTEND.on(fill_keys(&keys)).arg(self.inner.head_max);
        let call = call.arg(from).arg(to).arg(number(Some(reading))).args(in_order(hints));
        let ((pushed, held, changed),): ((u32, u32, bool),) = self.run("extending the head", vec![call.into()]).await?;
        Ok(Extended { pushed, held, changed })
    }

    /// Makes the lists of a queue and its set of waiting hints agree, comparing id by id. A later fill brings back the removed
    /// hints.
    ///
    /// # Errors
    /// If Redis does not answer in time. The call can be repeated.
    pub async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error> {
        let call = sweep_call(&self.keys().of(queue), &self.aside_kinds(queue).await?, true);
        let (swept,): ((u32, u32, u32),) = self.run("sweeping a queue", vec![call.into()]).await?;
        Ok(swept_of(swept))
    }

    /// The kinds set aside in a queue, each with the number of its hints, and whether its list is full.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error> {
        let kinds = self.aside_kinds(queue).await?;
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys().of(queue);
        let lengths = kinds.iter().map(|kind| {
            let mut length = redis::cmd("LLEN");
            length.arg(keys.aside(kind)).to_owned().into()
        });
        let lengths: Vec<u64> = self.run("counting hints aside", lengths.collect()).await?;
        let full = u64::from(self.aside_max());
        let counted = kinds.iter().zip(lengths).filter(|(_, length)| *length > 0);
        Ok(counted.filter_map(|(kind, length)| Some((kind.parse().ok()?, length, length >= full))).collect())
    }

    /// The generation. Makes one if it is missing: `(generation, made_now)`.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn generation(&self) -> Result<(String, bool), Error> {
        let (mut set, mut get) = (redis::cmd("SET"), redis::cmd("GET"));
        set.arg(self.keys().generation()).arg(Uuid::new_v4().to_string()).arg("NX");
        get.arg(self.keys().generation());
        let (made, generation): (Value, String) =
            self.run("reading the generation of Redis", vec![set.into(), get.into()]).await?;
        Ok((generation, made != Value::Nil))
    }

    /// The kinds that have an aside list, as Redis spells them.
    pub(crate) async fn aside_kinds(&self, queue: &QueueName) -> Result<Vec<String>, Error> {
        let mut members = redis::cmd("SMEMBERS");
        members.arg(self.keys().of(queue).asides());
        let (kinds,): (Vec<String>,) = self.run("reading the kinds set aside", vec![members.into()]).await?;
        Ok(kinds)
    }
}

fn sweep_call(keys: &QueueKeys, aside: &[String], force: bool) -> Call {
    let fixed = [keys.leases(), keys.asides(), keys.claimed(), keys.ready()];
    SWEEP.on(fixed.into_iter().chain(aside.iter().map(|kind| keys.aside(kind)))).arg(u8::from(force)).args(aside)
}

/// The answer of a sweep.
const fn swept_of((orphans, readmitted, dropped): (u32, u32, u32)) -> Swept {
    Swept { orphans, readmitted, dropped }
}

/// Whether a fill surely leaves keys: hints, or the flag that the line is longer. After a fill without hints, a queue may have no
/// keys left, and is not noted.
fn leaves_keys(hints: &[Hint], more: bool) -> bool {
    !hints.is_empty() || more
}

/// Compares the front of a line with the scores of its ids and with the first ids of `ready`.
fn front_held(front: &[Hint], scores: &[Option<f64>], waiting: &[Vec<u8>]) -> FrontHeld {
    let held = || front.iter().zip(scores).filter_map(|(hint, score)| Some((hint, (*score)?)));
    let is_moved = held().any(|(hint, score)| is_waiting(score) && !is_at(hint, score));
    let known: HashMap<String, f64> = held().map(|(hint, score)| (hint.id.to_string(), score)).collect();
    let positions = waiting.iter().filter_map(|id| known.get(std::str::from_utf8(id).ok()?));
    let missing = front.iter().zip(scores).filter(|(_, score)| score.is_none()).map(|(hint, _)| hint.id);
    FrontHeld { missing: missing.collect(), in_order: !is_moved && positions.is_sorted() }
}

fn fill_keys(keys: &QueueKeys) -> [String; 6] {
    [keys.ready(), keys.leases(), keys.flags(), keys.filled(), keys.bell(), keys.readings()]
}

/// The number of a reading, as scripts expect it.
fn number(reading: Option<u64>) -> String {
    reading.map_or_else(|| NO_PLACE.to_owned(), |reading| reading.to_string())
}
