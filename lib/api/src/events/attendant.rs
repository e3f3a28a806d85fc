//! Finds what changed, for all clients of this server.
//!
//! - **Ends of jobs** come over Redis from workers, which publish them while a client waits (`Notice::Awaited`). The ended jobs
//!   are read together, with one statement for many jobs.
//! - **Watched jobs** are also read once a second, all of them with one statement. So their clients learn of an end even without
//!   Redis.
//! - **Queues** count as changed when the numbers of their heads in Redis have changed. All heads are read once a second, in one
//!   batch.
//!
//! This costs a plain job nothing while no client watches.

use super::{
    hub::{Hub, Wanted},
    ring::Event,
};
use crate::api::Api;
use leasehold_core::{JobId, QueueName};
use leasehold_handoff::{EndsHeard, Handoff};
use leasehold_ports::{AWAITED_FOR, HeadStats, Notice};
use leasehold_store::JobNow;
use serde_json::json;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// How often jobs and heads are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the attendant stays after the last client.
const LINGER: Duration = Duration::from_secs(5);
/// The pause before workers are told again that a client waits. It doubles up to a third of [`AWAITED_FOR`].
const SAY_FIRST: Duration = Duration::from_millis(100);
/// Ids in one statement.
const IDS_MAX: usize = 5_000;
/// The most ends in a second that are reported one by one. With more of them, clients of queues get one `resync` in the second.
const ENDS_MAX: usize = 2_000;
/// The most queues whose heads are read for clients that watch all queues.
const QUEUES_MAX: usize = 1_000;

/// Works until no client watches any more, or the server stops.
pub(super) async fn attend(api: Api, hub: Arc<Hub>) {
    let attendant = Attendant {
        ends: api.handoff().map(Handoff::listen_to_ends_and_connections),
        api: api.clone(),
        hub,
        jobs: HashMap::new(),
        heads: HashMap::new(),
        changed: BTreeSet::new(),
        ends_left: ENDS_MAX,
        was_connected: false,
        has_redis: true,
    };
    tokio::select! {
        biased;
        () = api.stopping() => {}
        () = attendant.run() => {}
    }
}

struct Attendant {
    api: Api,
    hub: Arc<Hub>,
    ends: Option<mpsc::Receiver<EndsHeard>>,
    /// The watched jobs, as they were at the last read.
    jobs: HashMap<JobId, JobNow>,
    heads: HashMap<QueueName, Option<HeadStats>>,
    /// The queues that have changed since the last read.
    changed: BTreeSet<String>,
    /// How many more ends are reported one by one before the next read.
    ends_left: usize,
    was_connected: bool,
    has_redis: bool,
}

impl Attendant {
    async fn run(mut self) {
        let (mut say_at, mut say_pause) = (Instant::now(), SAY_FIRST);
        let mut look_at = Instant::now() + LOOK_EVERY;
        let mut idle_since: Option<Instant> = None;
        let mut heard = Vec::new();
        loop {
            let wanted = self.hub.wanted();
            if wanted.is_empty() {
                if idle_since.get_or_insert_with(Instant::now).elapsed() >= LINGER && self.hub.leave() {
                    return;
                }
            } else {
                idle_since = None;
                if Instant::now() >= say_at {
                    say_at = Instant::now() + say_pause;
                    say_pause = (say_pause * 2).min(AWAITED_FOR / 3);
                    self.say_awaited();
                }
            }
            if Instant::now() >= look_at {
                self.look(&wanted).await;
                look_at = Instant::now() + LOOK_EVERY;
            }
            // No notice is sent while no client watches.
            let wake_at = if wanted.is_empty() { look_at } else { look_at.min(say_at) };
            tokio::select! {
                biased;
                () = sleep_until(wake_at) => {}
                count = next(&mut self.ends, &mut heard) => if count == 0 { self.ends = None },
            }
            if !heard.is_empty() {
                self.hear(std::mem::take(&mut heard)).await;
            }
        }
    }

    /// A slow Redis must not delay the reads.
    fn say_awaited(&self) {
        let Some(handoff) = self.api.handoff().cloned() else { return };
        tokio::spawn(async move {
            if let Err(error) = handoff.notify(&[Notice::Awaited]).await {
                tracing::debug!(%error, "workers cannot be told that events are wanted");
            }
        });
    }

    async fn hear(&mut self, heard: Vec<EndsHeard>) {
        let mut ended = Vec::new();
        for message in heard {
            match message {
                // Earlier messages are lost.
                EndsHeard::Connected => {
                    if std::mem::replace(&mut self.was_connected, true) {
                        self.hub.ring.push([Event::resync("redis")]);
                    }
                }
                EndsHeard::Ended(ids) => ended.extend(ids),
            }
        }
        let clients = self.hub.wanted();
        let watched: HashSet<JobId> = clients.jobs.iter().copied().collect();
        let (wanted, mut others): (Vec<JobId>, Vec<JobId>) = ended.into_iter().partition(|id| watched.contains(id));
        if !clients.has_queues() {
            others.clear();
        }
        if others.len() > self.ends_left {
            if self.ends_left > 0 {
                self.hub.ring.push([Event::resync("busy")]);
            }
            self.ends_left = 0;
            others.clear();
        }
        self.ends_left -= others.len();
        let ids = [wanted, others].concat();
        self.tell(&ids, &watched).await;
    }

    /// Reads these jobs and reports the jobs that have changed.
    async fn tell(&mut self, ids: &[JobId], watched: &HashSet<JobId>) {
        for ids in ids.chunks(IDS_MAX) {
            let jobs = match self.api.store().jobs_now(ids).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::debug!(%error, "jobs cannot be read for their events");
                    return;
                }
            };
            let mut events = Vec::new();
            for job in jobs {
                if self.jobs.get(&job.id) == Some(&job) {
                    continue;
                }
                self.changed.insert(job.queue.clone());
                events.push(event(&job));
                if watched.contains(&job.id) {
                    self.jobs.insert(job.id, job);
                }
            }
            self.hub.ring.push(events);
        }
    }

    async fn look(&mut self, wanted: &Wanted) {
        self.ends_left = ENDS_MAX;
        let watched: HashSet<JobId> = wanted.jobs.iter().copied().collect();
        self.jobs.retain(|id, _| watched.contains(id));
        self.tell(&wanted.jobs, &watched).await;
        if wanted.has_queues() {
            self.look_at_heads(wanted).await;
        } else {
            self.heads.clear();
        }
        let changed = std::mem::take(&mut self.changed);
        let events = changed.into_iter().map(|queue| Event {
            name: "queue",
            job: None,
            data: json!({ "queue": queue }).to_string(),
            queue: Some(queue),
        });
        self.hub.ring.push(events);
    }

    async fn look_at_heads(&mut self, wanted: &Wanted) {
        let Some(handoff) = self.api.handoff() else { return };
        let seen = async {
            let mut queues: BTreeSet<QueueName> = wanted.queues.iter().cloned().collect();
            if wanted.all_queues {
                queues.extend(handoff.noted_queues().await?.into_iter().take(QUEUES_MAX));
            }
            let queues: Vec<QueueName> = queues.into_iter().collect();
            let heads = handoff.look(&queues).await?;
            Ok::<_, leasehold_handoff::Error>(queues.into_iter().zip(heads).collect::<HashMap<_, _>>())
        };
        match seen.await {
            Ok(heads) => {
                if !std::mem::replace(&mut self.has_redis, true) {
                    self.hub.ring.push([Event::resync("redis")]);
                }
                for (queue, head) in &heads {
                    // A queue that is seen for the first time has not changed.
                    if self.heads.get(queue).is_some_and(|before| before != head) {
                        self.changed.insert(queue.as_str().to_owned());
                    }
                }
                self.heads = heads;
            }
            Err(error) => {
                if std::mem::replace(&mut self.has_redis, false) {
                    tracing::debug!(%error, "Redis is unavailable: clients of events get a resync when it is back");
                }
            }
        }
    }
}

/// The data about a job that a client gets.
pub(super) fn event(job: &JobNow) -> Event {
    let data = json!({
        "id": job.id, "queue": job.queue, "kind": job.kind, "state": job.state, "attempt": job.attempt, "progress": job.done,
    });
    Event { name: "job", queue: Some(job.queue.clone()), job: Some(job.id), data: data.to_string() }
}

/// The next messages. Never ready without Redis.
async fn next(ends: &mut Option<mpsc::Receiver<EndsHeard>>, heard: &mut Vec<EndsHeard>) -> usize {
    const AT_ONCE: usize = 64;
    match ends {
        Some(receiver) => receiver.recv_many(heard, AT_ONCE).await,
        None => std::future::pending().await,
    }
}
