//! Whether the stores can be used: whether each store answers and takes writes.
//!
//! A store is asked only when a reader asks for its state, at most once in two seconds ([`HOLDS_FOR`]), and by one reader at
//! a time. So an idle worker sends no statement only for this check.

use crate::exposition::{counter, gauge, gauges};
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, join_all};
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

/// How long an answer is reused: many probes and scrapes cost one question.
const HOLDS_FOR: Duration = Duration::from_secs(2);
/// How long a store may take to answer: shorter than the timeout of a probe of Kubernetes or a scrape of Prometheus, longer
/// than a healthy store under load needs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The stores of a process, each with its [`Probe`]. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    probes: Arc<[Probe]>,
    answers_within: Duration,
    rolled_back: Arc<dyn Fn() -> u64 + Send + Sync>,
    pool: Arc<dyn Fn() -> PoolState + Send + Sync>,
}

/// The connections of this process to PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections.
    pub open: usize,
    /// Open connections without a statement.
    pub idle: usize,
    /// The most connections.
    pub max: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

/// Whether a process can do its work, and the state of its stores.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Every needed store can be used.
    pub ready: bool,
    /// At least one store cannot be used.
    pub degraded: bool,
    /// Each store, in the order of [`Stores::new`].
    pub stores: Vec<StoreState>,
}

/// One store, as of the last question to it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StoreState {
    /// `postgres` or `redis`.
    pub store: &'static str,
    /// The store can be used.
    pub up: bool,
    /// The process cannot work without the store.
    pub needed: bool,
    /// When `up` changed last, as far as this process has seen.
    pub since: DateTime<Utc>,
    /// Why the store cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

type Ask = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Asks one store whether it can be used.
pub struct Probe {
    store: &'static str,
    needed: bool,
    ask: Box<Ask>,
    /// Locked during a question: another reader that comes during this time waits for the same answer.
    last: Mutex<Option<(Instant, StoreState)>>,
    up: AtomicBool,
}

impl Stores {
    /// `answers_within`: how long one answer of PostgreSQL may delay a working process. `rolled_back`: how many
    /// statements PostgreSQL has rolled back because of a deadlock or a conflict. `pool`: the connections now.
    #[must_use]
    pub fn new(
        probes: Vec<Probe>,
        answers_within: Duration,
        rolled_back: impl Fn() -> u64 + Send + Sync + 'static,
        pool: impl Fn() -> PoolState + Send + Sync + 'static,
    ) -> Self {
        Self { probes: probes.into(), answers_within, rolled_back: Arc::new(rolled_back), pool: Arc::new(pool) }
    }

    /// How long one answer of PostgreSQL may delay a working process.
    #[must_use]
    pub const fn answers_within(&self) -> Duration {
        self.answers_within
    }

    /// The present state of every store, at most two seconds old.
    pub async fn look(&self) -> Readiness {
        let stores = join_all(self.probes.iter().map(Probe::look)).await;
        Readiness {
            ready: stores.iter().all(|store| store.up || !store.needed),
            degraded: stores.iter().any(|store| !store.up),
            stores,
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("probes", &self.probes).finish_non_exhaustive()
    }
}

impl Probe {
    /// `ask` returns `Ok` if the store can be used, and otherwise the reason. `needed`: the process cannot work without
    /// the store.
    #[must_use]
    pub fn new(
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
        let up = self.probes.iter().map(|probe| (probe.store, u64::from(probe.up.load(Relaxed))));
        gauges(&mut encoder, "leasehold_store_up", "1 if the store could be used at the last look", "store", up)?;
        let help = "Statements that PostgreSQL rolled back for a deadlock or a conflict; each one was sent again";
        counter(&mut encoder, "leasehold_statements_rolled_back", help, (self.rolled_back)())?;
        let PoolState { open, idle, max, waiting } = (self.pool)();
        let states = [("used", open.saturating_sub(idle) as u64), ("idle", idle as u64)];
        let help = "Connections of this process to PostgreSQL";
        gauges(&mut encoder, "leasehold_postgres_connections", help, "state", states)?;
        let help = "The most connections that this process may hold";
        gauge(&mut encoder, "leasehold_postgres_connections_max", help, max as u64)?;
        let help = "Statements of this process that wait for a connection";
        gauge(&mut encoder, "leasehold_postgres_statements_waiting", help, waiting as u64)
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
