//! Gauges of the queues: how many jobs are in each line, and for how long the oldest one has waited.
//!
//! PostgreSQL is asked only when a reader asks for the metrics, at most once in ten seconds ([`HOLDS_FOR`]), because the answer
//! costs a scan of the line. While PostgreSQL does not answer there are no gauges, rather than old ones.

use crate::exposition::gauges;
use futures_util::future::BoxFuture;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How long an answer is reused.
const HOLDS_FOR: Duration = Duration::from_secs(10);
/// How long PostgreSQL may take to answer: shorter than the timeout of a scrape of Prometheus.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueGauge {
    /// The name.
    pub queue: String,
    /// The number of jobs in the line.
    pub queued: u64,
    /// For how long the oldest of them has been due.
    pub oldest: Option<Duration>,
}

type Ask = dyn Fn() -> BoxFuture<'static, Result<Vec<QueueGauge>, String>> + Send + Sync;

/// The gauges of all queues. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    ask: Arc<Ask>,
    /// Locked during a question: a reader that comes meanwhile waits for the same answer.
    asked: Arc<tokio::sync::Mutex<Option<Instant>>>,
    last: Arc<Mutex<Vec<QueueGauge>>>,
}

impl Queues {
    /// `ask` reads the queues.
    #[must_use]
    pub fn new(ask: impl Fn() -> BoxFuture<'static, Result<Vec<QueueGauge>, String>> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), asked: Arc::default(), last: Arc::default() }
    }

    /// Makes the gauges at most ten seconds old.
    pub(crate) async fn look(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < HOLDS_FOR) {
            return;
        }
        // Why PostgreSQL does not answer is in the readiness.
        let queues = timeout(ANSWERS_WITHIN, (self.ask)()).await.ok().and_then(Result::ok);
        let queues = queues.unwrap_or_default();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = queues;
        *asked = Some(Instant::now());
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let queues = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queued = queues.iter().map(|of| (of.queue.as_str(), of.queued));
        gauges(&mut encoder, "leasehold_queued", "Jobs in the line", "queue", queued)?;
        let oldest = queues.iter().map(|of| (of.queue.as_str(), of.oldest.map_or(0, |oldest| oldest.as_secs())));
        let help = "For how many seconds the oldest job in the line has been due; 0 if no job waits";
        gauges(&mut encoder, "leasehold_oldest_waiting_seconds", help, "queue", oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn it_asks_at_most_once_in_ten_seconds_and_shows_nothing_old() {
        let nth = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&nth);
        let queues = Queues::new(move || {
            let nth = counted.fetch_add(1, Relaxed);
            Box::pin(async move {
                let one = QueueGauge { queue: "q".into(), queued: nth + 1, oldest: None };
                if nth < 2 { Ok(vec![one]) } else { Err("refused".to_owned()) }
            })
        });
        let shown = || queues.last.lock().expect("the gauges").first().map(|of| of.queued);
        for (seconds, wanted) in [(0, Some(1)), (9, Some(1)), (1, Some(2)), (10, None)] {
            advance(Duration::from_secs(seconds)).await;
            queues.look().await;
            assert_eq!(shown(), wanted);
        }
        assert_eq!(nth.load(Relaxed), 3);
    }
}
