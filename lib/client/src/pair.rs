//! A pair of stores: one PostgreSQL and the Redis beside it. Wherever both go together they go as a [`Pair`].

use crate::{Config, ConfigError, Error};
use leasehold_handoff::{Handoff, Settings};
use leasehold_store::{QueueStats, Store};
use leasehold_telemetry::{Probe, QueueGauge, Queues, Stores};
use std::time::Duration;

/// One PostgreSQL and the Redis beside it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Tells several pairs apart. The pair of the settings is [`Pair::MAIN`].
    pub name: String,
    /// PostgreSQL, with the schema of this program.
    pub store: Store,
    /// Redis; `None` without `redis.url`, which only a client can do without.
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
        let store = Store::connect(&settings).await?.with_lock_timeout(config.lock_timeout());
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
        Stores::new(probes, self.store.answers_within(), move || counted.rollbacks())
    }
}

impl Pair {
    /// Gauges of the queues, from PostgreSQL.
    #[must_use]
    pub fn queues(&self) -> Queues {
        let store = self.store.clone();
        Queues::new(move || {
            let store = store.clone();
            Box::pin(async move {
                let stats = store.stats().await.map_err(|error| error.to_string())?;
                let oldest = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
                let gauge = |of: QueueStats| QueueGauge {
                    queue: of.queue,
                    queued: u64::try_from(of.queued).unwrap_or_default(),
                    oldest: of.oldest_s.map(oldest),
                };
                Ok(stats.into_iter().map(gauge).collect())
            })
        })
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
