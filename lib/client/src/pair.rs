//! A pair of stores: one PostgreSQL and its Redis. Code that needs both gets them as a [`Pair`].

use crate::{Config, ConfigError, Error};
use leasehold_handoff::{Handoff, Settings};
use leasehold_ports::{DueSchedule, WorkerRecord};
use leasehold_store::{PoolUsage, QueueStats, Store};
use leasehold_telemetry::{PoolState, Probe, QueueGauge, QueueReport, Queues, ShownQueues, Stores};
use std::{collections::HashMap, time::Duration};

/// One PostgreSQL and its Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Distinguishes several pairs. The pair of the settings is [`Pair::MAIN`].
    pub name: String,
    /// PostgreSQL, with the schema of this program.
    pub store: Store,
    /// Redis; `None` without `redis.url`. Only a client can work without Redis.
    pub handoff: Option<Handoff>,
}

impl Pair {
    /// The name of the pair that `database.url` and `redis.url` name.
    pub const MAIN: &'static str = "main";

    /// Connects to both stores of the settings and checks the schema. `application_name` is shown in `pg_stat_activity`.
    ///
    /// While Redis is unavailable, the pair connects to Redis later, by itself.
    ///
    /// # Errors
    /// `database.url` is missing, a URL is malformed, PostgreSQL is unavailable or has another schema.
    pub async fn connect(config: &Config, application_name: &str) -> Result<Self, Error> {
        let settings = config.store_settings(application_name).ok_or_else(|| ConfigError::missing("database.url"))?;
        let store = Store::connect(&settings).await?.with_keys(config.keys()?);
        store.check_schema().await?;
        let handoff = match config.handoff_settings() {
            Some(settings) => Some(handoff_or_later(&settings).await?),
            None => None,
        };
        Ok(Self { name: Self::MAIN.to_owned(), store, handoff })
    }

    /// Redis, for a process that needs its URL.
    ///
    /// # Errors
    /// `redis.url` is missing.
    pub fn handoff(&self) -> Result<&Handoff, ConfigError> {
        self.handoff.as_ref().ok_or_else(|| ConfigError::missing("redis.url"))
    }

    /// Whether both stores can be used. PostgreSQL is needed. Redis is not: without Redis workers claim from the line in
    /// PostgreSQL, and reapers do their steps for PostgreSQL.
    #[must_use]
    pub fn stores(&self) -> Stores {
        let store = self.store.clone();
        let mut probes = vec![Probe::new("postgres", true, move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        })];
        probes.extend(self.handoff.clone().map(|handoff| {
            Probe::new("redis", false, move || {
                let handoff = handoff.clone();
                Box::pin(async move { handoff.check().await.map_err(|error| error.to_string()) })
            })
        }));
        let counted = self.store.clone();
        let pooled = self.store.clone();
        let pool = move || {
            let PoolUsage { open, idle, max, waiting } = pooled.usage();
            PoolState { open, idle, max, waiting }
        };
        Stores::new(probes, self.store.answers_within(), move || counted.rollbacks(), pool)
    }
}

impl Pair {
    /// Gauges of the queues and of the schedules, from PostgreSQL; and from Redis, how many workers serve each queue. `shown`:
    /// which queues have separate series.
    #[must_use]
    pub fn queues(&self, shown: ShownQueues) -> Queues {
        let (store, handoff) = (self.store.clone(), self.handoff.clone());
        Queues::new(shown, move || {
            let (store, handoff) = (store.clone(), handoff.clone());
            Box::pin(async move {
                let stats = store.stats().await.map_err(|error| error.to_string())?;
                let due = store.due_schedules(1, None).await.map_err(|error| error.to_string())?;
                let overdue = |earliest: &DueSchedule| (due.now - earliest.next_at).to_std().unwrap_or_default();
                let schedule_overdue = due.due.first().map_or(Duration::ZERO, overdue);
                let workers = match &handoff {
                    Some(handoff) => handoff.workers().await.ok().map(by_queue),
                    None => None,
                };
                let queues = stats.into_iter().map(|of| gauge_of(of, workers.as_ref())).collect();
                Ok(QueueReport { queues, schedule_overdue: Some(schedule_overdue) })
            })
        })
    }
}

/// How many workers serve each queue.
fn by_queue(workers: Vec<WorkerRecord>) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for (queue, _) in workers.into_iter().flat_map(|worker| worker.queues) {
        *counts.entry(queue.into()).or_default() += 1;
    }
    counts
}

fn gauge_of(of: QueueStats, workers: Option<&HashMap<String, u64>>) -> QueueGauge {
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    QueueGauge {
        workers: workers.map(|workers| workers.get(&of.queue).copied().unwrap_or_default()),
        queued: count(of.queued),
        oldest: of.oldest_s.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        scheduled: count(of.scheduled),
        blocked: count(of.blocked),
        running: count(of.running),
        is_paused: of.paused,
        paused_parts: (of.paused_kinds.len() + of.paused_fair_keys.len()) as u64,
        succeeded_last_minute: count(of.succeeded_last_minute),
        dead_last_minute: count(of.dead_last_minute),
        cancelled_last_minute: count(of.cancelled_last_minute),
        queue: of.queue,
    }
}

/// Redis. While Redis is unavailable or unfit, the connection is made later.
///
/// # Errors
/// The URL is malformed. No other problem of Redis stops a process: everything continues without Redis.
pub async fn handoff_or_later(settings: &Settings) -> Result<Handoff, leasehold_handoff::Error> {
    let handoff = Handoff::connect_lazily(settings)?;
    if let Err(error) = handoff.check().await {
        tracing::warn!("Redis is unavailable; processes continue without Redis: {error}");
    }
    Ok(handoff)
}
