//! Whether the stores can be used: whether they answer, and take writes. They are asked only when somebody asks here, at most once in [`HOLDS_FOR`] and by one at a
//! time: an idle worker sends no statement for its own sake.

use crate::exposition::{counter, gauges};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use leasehold_handoff::Handoff;
use leasehold_store::Store;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use serde::Serialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long an answer holds: probes and scrapes of many sorts cost one question.
const HOLDS_FOR: Duration = Duration::from_secs(2);
/// How long a store may take to answer: shorter than the patience of whoever asks, longer than a healthy store on a bad
/// day.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Both stores of a process.
#[derive(Clone, Debug)]
pub struct Stores {
    postgres: Arc<Probe>,
    answers_within: Duration,
    redis: Arc<Probe>,
    store: Store,
}

/// Whether a process can do its work, and what it knows of its stores.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Readiness {
    /// All stores that are needed answer.
    pub(crate) ready: bool,
    /// It works, but not as it should: a store that it can do without does not answer.
    pub(crate) degraded: bool,
    pub(crate) stores: [StoreState; 2],
}

/// One store, as it was when it was asked last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StoreState {
    store: &'static str,
    up: bool,
    /// Whether the process is of no use without it.
    needed: bool,
    /// Since when it has been seen as it is now.
    since: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

type Ask = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Asks one store.
struct Probe {
    store: &'static str,
    needed: bool,
    ask: Box<Ask>,
    /// Held while a question is under way: whoever comes meanwhile waits for its answer.
    last: Mutex<Option<(Instant, StoreState)>>,
    up: AtomicBool,
}

impl Stores {
    /// PostgreSQL is needed. Redis is not: without it workers claim from the line, and reapers do their steps for
    /// PostgreSQL.
    #[must_use]
    pub fn new(store: Store, handoff: Handoff) -> Self {
        let (answers_within, counted) = (store.answers_within(), store.clone());
        let postgres = Probe::new("postgres", true, move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        });
        let redis = Probe::new("redis", false, move || {
            let handoff = handoff.clone();
            Box::pin(async move { handoff.check().await.map_err(|error| error.to_string()) })
        });
        Self { postgres: Arc::new(postgres), redis: Arc::new(redis), answers_within, store: counted }
    }

    /// How long one answer of PostgreSQL may take a process at work.
    pub(crate) const fn answers_within(&self) -> Duration {
        self.answers_within
    }

    /// Both stores, as they are now or were a moment ago.
    pub(crate) async fn look(&self) -> Readiness {
        let (postgres, redis) = tokio::join!(self.postgres.look(), self.redis.look());
        let stores = [postgres, redis];
        Readiness {
            ready: stores.iter().all(|store| store.up || !store.needed),
            degraded: stores.iter().any(|store| !store.up),
            stores,
        }
    }
}

impl Probe {
    fn new(
        store: &'static str,
        needed: bool,
        ask: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self { store, needed, ask: Box::new(ask), last: Mutex::default(), up: AtomicBool::new(false) }
    }

    async fn look(&self) -> StoreState {
        let mut last = self.last.lock().await;
        if let Some((asked, state)) = &*last
            && asked.elapsed() < HOLDS_FOR
        {
            return state.clone();
        }
        let answer = timeout(ANSWERS_WITHIN, (self.ask)()).await;
        let error = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWERS_WITHIN.as_secs()))).err();
        let up = error.is_none();
        let since = match &*last {
            Some((_, before)) if before.up == up => before.since,
            _ => Utc::now(),
        };
        let state = StoreState { store: self.store, up, needed: self.needed, since, error };
        self.up.store(up, Relaxed);
        *last = Some((Instant::now(), state.clone()));
        state
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("store", &self.store).field("up", &self.up).finish_non_exhaustive()
    }
}

impl Collector for Stores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let up = [&self.postgres, &self.redis].map(|probe| (probe.store, u64::from(probe.up.load(Relaxed))));
        gauges(
            &mut encoder,
            "leasehold_store_up",
            "Whether a store could be used when it was asked last",
            "store",
            up,
        )?;
        let help = "Statements that PostgreSQL rolled back for a deadlock or a conflict; each was sent again";
        counter(&mut encoder, "leasehold_statements_rolled_back", help, self.store.rollbacks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use tokio::time::advance;

    /// Counts how often it is asked; fails from the second time on.
    fn counting() -> (Arc<AtomicU32>, Arc<Probe>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let probe = Probe::new("postgres", true, move || {
            let nth = counted.fetch_add(1, Relaxed);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if nth == 0 { Ok(()) } else { Err("refused".to_owned()) }
            })
        });
        (asked, Arc::new(probe))
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_question() {
        let (asked, probe) = counting();
        let looks: Vec<_> = (0..10)
            .map(|_| {
                let probe = Arc::clone(&probe);
                tokio::spawn(async move { probe.look().await })
            })
            .collect();
        for look in looks {
            assert!(look.await.expect("a look").up);
        }
        assert_eq!(asked.load(Relaxed), 1);
        advance(HOLDS_FOR).await;
        assert!(!probe.look().await.up);
        assert_eq!(asked.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_since_when_and_why() {
        let (_, probe) = counting();
        let first = probe.look().await;
        assert_eq!(first.error, None);
        advance(HOLDS_FOR).await;
        let second = probe.look().await;
        assert_eq!(second.error.as_deref(), Some("refused"));
        advance(HOLDS_FOR).await;
        assert_eq!(probe.look().await.since, second.since, "still away: since the same moment");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_away() {
        let probe = Probe::new("redis", false, || Box::pin(std::future::pending()));
        assert_eq!(probe.look().await.error.as_deref(), Some("no answer within 2 s"));
    }
}
