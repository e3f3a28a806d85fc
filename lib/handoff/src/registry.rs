//! The live workers, and the queues and kinds that they serve. An announcement is valid for a limited time, so a worker that
//! stops announcing itself soon disappears from the registry.

use crate::{
    connect::Handoff,
    error::Error,
    keys::EVERY_KIND,
    scripts::{RENEW, Step, command},
    worker::milliseconds,
};
use leasehold_core::{Kind, QueueName};
use leasehold_ports::{LastServed, SERVED_REMEMBERED_FOR, Served, WorkerRecord};
use redis::Value;
use std::time::Duration;

impl Handoff {
    /// Announces that a worker is alive, and its queues and kinds. The announcement is valid for `ttl`.
    ///
    /// # Errors
    /// If Redis does not write the announcement in time.
    pub async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> Result<(), Error> {
        const DOING: &str = "announcing a worker";
        let record = serde_json::to_string(worker)
            .map_err(|error| Error::Pool { doing: DOING, reason: format!("its record: {error}") })?;
        let ttl_ms = milliseconds(ttl).max(1);
        let hold = |key: String| RENEW.on([key]).arg(ttl_ms).arg("drop");
        let mut steps: Vec<Step> = vec![
            hold(self.keys().workers()).args([worker.id]).into(),
            command("SET", (self.keys().worker(worker.id), record, "PX", ttl_ms)).into(),
        ];
        for (queue, _slots) in &worker.queues {
            let key = self.keys().of(queue).kinds();
            let kinds = hold(key.clone());
            steps.push(match &worker.kinds {
                None => kinds.args([EVERY_KIND]).into(),
                Some(only) => kinds.args(only).into(),
            });
            steps.push(command("PEXPIRE", (key, ttl_ms)).into());
        }
        self.run::<Vec<Value>>(DOING, steps).await.map(|_| ())
    }

    /// Notes in Redis that a worker serves its kinds now.
    ///
    /// # Errors
    /// If Redis does not write it in time.
    pub async fn note_served(&self, worker: &WorkerRecord) -> Result<(), Error> {
        let kept_ms = milliseconds(SERVED_REMEMBERED_FOR);
        let mut steps: Vec<Step> = Vec::with_capacity(2 * worker.queues.len());
        for (queue, _slots) in &worker.queues {
            let key = self.keys().of(queue).served();
            let remember = RENEW.on([key.clone()]).arg(kept_ms).arg("drop");
            steps.push(match &worker.kinds {
                None => remember.args([EVERY_KIND]).into(),
                Some(only) => remember.args(only).into(),
            });
            steps.push(command("PEXPIRE", (key, kept_ms)).into());
        }
        self.run::<Vec<Value>>("remembering what a worker serves", steps).await.map(|_| ())
    }

    /// When workers last served the kinds of a queue, as far as Redis remembers.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn last_served(&self, queue: &QueueName) -> Result<Vec<LastServed>, Error> {
        let key = self.keys().of(queue).served();
        let commands = vec![redis::cmd("TIME"), command("ZRANGE", (key, 0, -1, "WITHSCORES"))];
        let ((seconds, microseconds), members): ((f64, f64), Vec<(String, f64)>) =
            self.run_atomically("reading when kinds were last served", commands).await?;
        let now_ms = seconds * 1000.0 + microseconds / 1000.0;
        let last = members.into_iter().filter_map(|(kind, until)| {
            let kind = if kind == EVERY_KIND { None } else { Some(kind.parse().ok()?) };
            let left_ms = (until - now_ms).max(0.0);
            Some(LastServed { kind, ago: SERVED_REMEMBERED_FOR.saturating_sub(Duration::from_millis(left_ms as u64)) })
        });
        Ok(last.collect())
    }

    /// Withdraws the announcement of a worker. The kinds that it served count as served until its last announcement runs out,
    /// because other workers may serve them too.
    ///
    /// # Errors
    /// If Redis does not remove the announcement in time. The announcement runs out by itself.
    pub async fn withdraw(&self, worker: &WorkerRecord) -> Result<(), Error> {
        let steps = vec![
            command("ZREM", (self.keys().workers(), worker.id.to_string())).into(),
            command("DEL", self.keys().worker(worker.id)).into(),
        ];
        self.run::<(u32, u32)>("withdrawing a worker", steps).await.map(|_| ())
    }

    /// The live workers, in the order in which they started.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, Error> {
        let ids = self.holding("listing workers", self.keys().workers()).await?;
        let ids = ids.iter().filter_map(|id| id.parse().ok());
        let records: Vec<Step> = ids.map(|id| command("GET", self.keys().worker(id)).into()).collect();
        if records.is_empty() {
            return Ok(Vec::new());
        }
        // A record that cannot be read is from another version of this program: the worker is alive, but cannot be shown.
        let records: Vec<Option<String>> = self.run("reading the records of workers", records).await?;
        let mut workers: Vec<WorkerRecord> =
            records.iter().flatten().filter_map(|record| serde_json::from_str(record).ok()).collect();
        workers.sort_by_key(|worker| worker.id);
        Ok(workers)
    }

    /// The kinds that live workers serve in a queue.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn served_kinds(&self, queue: &QueueName) -> Result<Served, Error> {
        let kinds = self.holding("reading which kinds are served", self.keys().of(queue).kinds()).await?;
        Ok(served(&kinds))
    }

    /// The kinds that live workers serve in each queue, and the kinds whose aside lists are full. One call reads the kinds
    /// of all queues.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn served_in(&self, queues: &[QueueName]) -> Result<Vec<(Served, Vec<Kind>)>, Error> {
        const DOING: &str = "reading which kinds are served";
        let mut steps: Vec<Step> = vec![redis::cmd("TIME").into()];
        for queue in queues {
            let keys = self.keys().of(queue);
            steps.push(command("ZRANGE", (keys.kinds(), 0, -1, "WITHSCORES")).into());
            steps.push(command("SMEMBERS", keys.asides()).into());
        }
        let mut answers = self.run::<Vec<Value>>(DOING, steps).await?.into_iter();
        let read = |error: redis::ParsingError| Error::Redis { doing: DOING, source: error.into() };
        let time: (f64, f64) = redis::from_redis_value(answers.next().unwrap_or(Value::Nil)).map_err(read)?;
        let mut all = Vec::with_capacity(queues.len());
        for queue in queues {
            let members: Vec<(String, f64)> =
                redis::from_redis_value(answers.next().unwrap_or(Value::Nil)).map_err(read)?;
            let aside: Vec<String> = redis::from_redis_value(answers.next().unwrap_or(Value::Nil)).map_err(read)?;
            let full = if aside.is_empty() { Vec::new() } else { self.asides(queue).await? };
            let full = full.into_iter().filter(|(_, _, full)| *full).map(|(kind, _, _)| kind).collect();
            all.push((served(&holding(members, time)), full));
        }
        Ok(all)
    }

    /// The members of a set of deadlines whose deadlines have not passed by the clock of Redis.
    pub(crate) async fn holding(&self, doing: &'static str, key: String) -> Result<Vec<String>, Error> {
        let commands = vec![redis::cmd("TIME"), command("ZRANGE", (key, 0, -1, "WITHSCORES"))];
        let (time, members): ((f64, f64), Vec<(String, f64)>) = self.run_atomically(doing, commands).await?;
        Ok(holding(members, time))
    }
}

/// The members whose deadlines have not passed at a time in seconds and microseconds.
fn holding(members: Vec<(String, f64)>, (seconds, microseconds): (f64, f64)) -> Vec<String> {
    let now_ms = seconds * 1000.0 + microseconds / 1000.0;
    members.into_iter().filter(|(_, deadline)| *deadline > now_ms).map(|(member, _)| member).collect()
}

fn served(kinds: &[String]) -> Served {
    if kinds.is_empty() {
        Served::Unknown
    } else if kinds.iter().any(|kind| kind == EVERY_KIND) {
        Served::Every
    } else {
        Served::Only(kinds.iter().filter_map(|kind| kind.parse().ok()).collect())
    }
}
