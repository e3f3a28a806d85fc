//! Redis in memory: the calls that read, fill and repair heads.

use crate::{
    broken::Broken,
    commands::{asides, fill, sweep, until},
    head::MemoryHead,
    keys::{Keys, QueueKeys},
    scripts::in_order,
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::{Error, Extended, Fill, Filled, FrontHeld, HeadStats, Hint, Snapshot, Swept, Tail};
use std::time::Duration;
use uuid::Uuid;

const ADOPT_MAX: u32 = 500;

#[expect(missing_docs, reason = "each verb is described at the port of the same name")]
impl MemoryHead {
    pub async fn noted_queues(&self) -> Result<Vec<QueueName>, Error> {
        self.call("noted_queues", |server, _| server.keys.noted.iter().cloned().collect()).await
    }

    pub async fn unnote(&self, queues: &[QueueName]) -> Result<(), Error> {
        if queues.is_empty() {
            return Ok(());
        }
        self.call("unnote", |server, _| {
            let Keys { noted, queues: of, .. } = &mut server.keys;
            noted.retain(|queue| !queues.contains(queue) || of.get(queue).is_some_and(QueueKeys::is_in_use));
        })
        .await
    }

    pub async fn look(&self, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error> {
        self.call("look_at_heads", |server, now| queues.iter().map(|queue| server.of(queue).look(now)).collect()).await
    }

    /// Every queue that has keys.
    ///
    /// # Errors
    /// The call was lost on its way.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.call("queues", |server, _| {
            let Keys { noted, queues, .. } = &mut server.keys;
            noted.retain(|queue| queues.get(queue).is_some_and(QueueKeys::is_in_use));
            noted.iter().cloned().collect()
        })
        .await
    }

    pub async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error> {
        self.call("stats", |server, _| server.of(queue).stats()).await
    }

    pub async fn snapshot(&self, queue: &QueueName) -> Result<Snapshot, Error> {
        self.call("snapshot", |server, now| server.of(queue).snapshot(now)).await
    }

    pub async fn clear(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("clear_head", |server, _| {
            server.of(queue).clear();
            server.keys.noted.insert(queue.clone());
        })
        .await
    }

    pub async fn pause(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("pause_head", |server, _| {
            server.of(queue).pause();
            server.keys.noted.insert(queue.clone());
        })
        .await
    }

    pub async fn resume(&self, queue: &QueueName) -> Result<(), Error> {
        self.call("resume_head", |server, _| server.of(queue).paused = false).await
    }

    pub async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error> {
        self.call("adopt", |server, now| {
            if server.is_broken(Broken::NothingIsAdopted) {
                return 0;
            }
            let adopted = server.of(queue).adopt(until(now, lease), ADOPT_MAX);
            server.count("a hint was adopted", adopted > 0);
            adopted
        })
        .await
    }

    pub async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error> {
        self.call("expired", |server, now| {
            if server.is_broken(Broken::ExpiredHintsAreNotTold) {
                return Vec::new();
            }
            let expired = server.of(queue).expired(now, limit);
            server.count("a lease ran out in Redis", !expired.is_empty());
            expired
        })
        .await
    }

    /// Makes one head match the front of its line.
    ///
    /// # Errors
    /// The call was lost on its way.
    pub async fn fill(&self, queue: &QueueName, hints: &[Hint], more: bool, to: Option<&str>) -> Result<Filled, Error> {
        let fill_one =
            Fill { queue: queue.clone(), reading: None, hints: hints.to_vec(), more, to: to.map(str::to_owned) };
        self.call("fill", |server, now| fill(server, &fill_one, now)).await
    }

    pub async fn fill_all(&self, fills: &[Fill]) -> Result<Vec<Filled>, Error> {
        if fills.is_empty() {
            return Ok(Vec::new());
        }
        self.call("fill", |server, now| fills.iter().map(|one| fill(server, one, now)).collect()).await
    }

    pub async fn begin_readings(&self, queues: &[QueueName]) -> Result<Vec<u64>, Error> {
        self.call("begin_readings", |server, _| {
            let next = |queue: &QueueName| {
                let readings = &mut server.of(queue).readings;
                readings.n += 1;
                readings.n
            };
            queues.iter().map(next).collect()
        })
        .await
    }

    pub async fn tail(&self, queue: &QueueName) -> Result<Tail, Error> {
        self.call("tail", |server, now| {
            let keys = server.of(queue);
            let text = |kept: &Option<(String, i64)>| {
                kept.as_ref().filter(|(_, until)| *until > now).map(|(text, _)| text.clone())
            };
            Tail { ready: keys.ready.len() as u32, filled_to: text(&keys.filled), scan_start: text(&keys.scan_start) }
        })
        .await
    }

    pub async fn compare(&self, queue: &QueueName, front: &[Hint]) -> Result<FrontHeld, Error> {
        self.call("compare", |server, _| server.of(queue).compare(&in_order(front))).await
    }

    pub async fn keep_scan_start(
        &self,
        queue: &QueueName,
        begins: &str,
        kept_for: Option<Duration>,
    ) -> Result<(), Error> {
        self.call("keep_scan_start", |server, now| {
            let kept = &mut server.of(queue).scan_start;
            let until = match kept_for {
                Some(time) => Some(until(now, time)),
                None => kept.as_ref().map(|(_, until)| *until).filter(|until| *until > now),
            };
            *kept = until.map(|until| (begins.to_owned(), until));
            server.count("a line was read on from where it was known to begin", kept_for.is_none());
        })
        .await
    }

    pub async fn extend(
        &self,
        queue: &QueueName,
        reading: u64,
        from: &str,
        to: &str,
        hints: &[Hint],
    ) -> Result<Extended, Error> {
        self.call("extend", |server, now| {
            let bound = server.head_max;
            let drained = server.of(queue).ready.is_empty();
            let extended = server.of(queue).extend(bound, Some(reading), (from, to), &in_order(hints), now);
            server.count("a head was extended", extended.pushed > 0);
            server.count("a head with no hint left was extended", drained && extended.pushed > 0);
            server.count("a head changed before it was extended", extended.changed);
            extended
        })
        .await
    }

    pub async fn sweep(&self, queue: &QueueName) -> Result<Swept, Error> {
        self.call("sweep", |server, _| sweep(server, queue, true)).await
    }

    pub async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> Result<(), Error> {
        let ids: Vec<JobId> =
            members.iter().filter_map(|member| std::str::from_utf8(member).ok()?.parse().ok()).collect();
        self.call("forget", |server, _| server.of(queue).forget(&ids)).await.map(drop)
    }

    pub async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error> {
        self.call("asides", |server, _| asides(server, queue)).await
    }

    pub async fn generation(&self) -> Result<(String, bool), Error> {
        self.call("generation", |server, _| {
            if let Some(generation) = &server.keys.generation {
                return (generation.clone(), false);
            }
            server.generations += 1;
            let generation = format!("generation {}", server.generations);
            server.keys.generation = Some(generation.clone());
            (generation, true)
        })
        .await
    }

    pub async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error> {
        self.call("announce_reaper", |server, now| {
            server.keys.reapers.retain(|_, until| *until > now);
            server.keys.reapers.insert(reaper, until(now, ttl));
        })
        .await
    }

    pub async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error> {
        self.call("withdraw_reaper", |server, _| {
            server.keys.reapers.remove(&reaper);
        })
        .await
    }
}
