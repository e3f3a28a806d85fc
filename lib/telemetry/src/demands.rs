//! The gauge `leasehold_queue_demand`: how many slots each queue could use.
//!
//! The stores are asked only when a reader asks for the metrics, at most once in ten seconds, because the answer costs a scan of the line.
//! While a store does not answer, there are no gauges. An autoscaler then keeps the number of workers. A 0 would stop them.

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
/// How long the stores may take to answer: shorter than the timeout of a scrape of Prometheus.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Queues, each with its demand in slots.
type Answer = Vec<(String, u64)>;
type Ask = dyn Fn() -> BoxFuture<'static, Result<Answer, String>> + Send + Sync;

/// The demand of the queues. Cheap to clone.
#[derive(Clone)]
pub struct Demands {
    ask: Arc<Ask>,
    /// Locked during a question: another reader that comes during this time waits for the same answer.
    asked: Arc<tokio::sync::Mutex<Option<Instant>>>,
    last: Arc<Mutex<Answer>>,
}

impl Demands {
    /// `ask` reads the demand of the queues.
    #[must_use]
    pub fn new(ask: impl Fn() -> BoxFuture<'static, Result<Answer, String>> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), asked: Arc::default(), last: Arc::default() }
    }

    /// Makes the gauges at most ten seconds old.
    pub(crate) async fn look(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < HOLDS_FOR) {
            return;
        }
        // Why a store does not answer is in the readiness.
        let answer = timeout(ANSWERS_WITHIN, (self.ask)()).await.ok().and_then(Result::ok).unwrap_or_default();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        *asked = Some(Instant::now());
    }
}

impl fmt::Debug for Demands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demands").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Collector for Demands {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let demands = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "Slots that the queue could use now: its runs, and the jobs that could start";
        let demands = demands.iter().map(|(queue, demand)| (queue.as_str(), *demand));
        gauges(&mut encoder, "leasehold_queue_demand", help, "queue", demands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_demand_that_is_not_known_is_left_out() {
        let nth = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&nth);
        let demands = Demands::new(move || {
            let nth = counted.fetch_add(1, Relaxed);
            Box::pin(async move { if nth == 1 { Err("refused".to_owned()) } else { Ok(vec![("q".into(), nth)]) } })
        });
        let shown = || demands.last.lock().expect("the gauges").first().map(|of| of.1);
        for (seconds, wanted) in [(0, Some(0)), (9, Some(0)), (1, None), (10, Some(2))] {
            advance(Duration::from_secs(seconds)).await;
            demands.look().await;
            assert_eq!(shown(), wanted);
        }
        assert_eq!(nth.load(Relaxed), 3);
    }
}
