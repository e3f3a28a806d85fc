//! Gauges of the queues, from PostgreSQL: how many jobs are in each state, for how long the oldest one has waited, how jobs ended
//! within the last minute, pauses, workers, and how late schedules are.
//!
//! PostgreSQL is asked only when a reader asks for the metrics, at most once in ten seconds ([`HOLDS_FOR`]), because the answer
//! costs a scan of the line. While PostgreSQL does not answer, there are no gauges, because old values would mislead. Only some
//! queues have separate series, see [`ShownQueues`]; a queue that loses its series is counted among the others from the next
//! read on.

use crate::{
    exposition::{gauge, gauges},
    shown::{ShownQueues, grouped},
};
use futures_util::future::BoxFuture;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    collections::{BTreeMap, BTreeSet},
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueGauge {
    /// The name.
    pub queue: String,
    /// The number of jobs in the line.
    pub queued: u64,
    /// For how long the oldest of them has been due.
    pub oldest: Option<Duration>,
    /// Jobs whose time has not come.
    pub scheduled: u64,
    /// Jobs that wait for their parents.
    pub blocked: u64,
    /// Jobs that run.
    pub running: u64,
    /// Whether the queue is paused.
    pub is_paused: bool,
    /// How many kinds and fair keys are paused in the queue.
    pub paused_parts: u64,
    /// Jobs that ended within the last minute, by final state.
    pub succeeded_last_minute: u64,
    /// As `succeeded_last_minute`.
    pub dead_last_minute: u64,
    /// As `succeeded_last_minute`.
    pub cancelled_last_minute: u64,
    /// Live workers that serve the queue; `None` while Redis does not say.
    pub workers: Option<u64>,
}

/// All queues, and the schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// The queues.
    pub queues: Vec<QueueGauge>,
    /// How long ago the earliest tick was due that no reaper has fired; `None`: not known.
    pub schedule_overdue: Option<Duration>,
}

type Ask = dyn Fn() -> BoxFuture<'static, Result<QueueReport, String>> + Send + Sync;

/// The gauges of all queues. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    ask: Arc<Ask>,
    shown: Arc<ShownQueues>,
    /// Locked during a question: another reader that comes during this time waits for the same answer.
    asked: Arc<tokio::sync::Mutex<Option<Instant>>>,
    last: Arc<Mutex<Last>>,
}

/// The last answer.
#[derive(Debug, Default)]
struct Last {
    report: QueueReport,
    /// The queues that have series.
    chosen: BTreeSet<String>,
}

impl QueueGauge {
    /// The activity of the queue: the busiest queues have series.
    const fn activity(&self) -> u64 {
        let ended = self.succeeded_last_minute + self.dead_last_minute + self.cancelled_last_minute;
        self.queued.saturating_add(self.running).saturating_add(ended)
    }

    /// Counts another queue to this one.
    fn add(&mut self, other: Self) {
        self.queued += other.queued;
        self.oldest = self.oldest.max(other.oldest);
        self.scheduled += other.scheduled;
        self.blocked += other.blocked;
        self.running += other.running;
        self.is_paused |= other.is_paused;
        self.paused_parts += other.paused_parts;
        self.succeeded_last_minute += other.succeeded_last_minute;
        self.dead_last_minute += other.dead_last_minute;
        self.cancelled_last_minute += other.cancelled_last_minute;
        // The minimum shows whether one of the other queues has no worker.
        self.workers = self.workers.min(other.workers);
    }
}

impl Queues {
    /// `ask` reads the queues. `shown`: which queues have separate series.
    #[must_use]
    pub fn new(
        shown: ShownQueues,
        ask: impl Fn() -> BoxFuture<'static, Result<QueueReport, String>> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Arc::new(ask), shown: Arc::new(shown), asked: Arc::default(), last: Arc::default() }
    }

    /// Makes the gauges at most ten seconds old.
    pub(crate) async fn look(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < HOLDS_FOR) {
            return;
        }
        // Why PostgreSQL does not answer is in the readiness.
        let report = timeout(ANSWERS_WITHIN, (self.ask)()).await.ok().and_then(Result::ok);
        let report = report.unwrap_or_default();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let activities = report.queues.iter().map(|of| (of.queue.as_str(), of.activity()));
        let chosen = self.shown.choose(activities, &last.chosen);
        *last = Last { report, chosen };
        drop(last);
        *asked = Some(Instant::now());
    }

    /// The queues with series, and the others together.
    fn shown(&self) -> (BTreeMap<String, QueueGauge>, Option<Duration>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let all = last.report.queues.iter().map(|of| (of.queue.as_str(), of.clone()));
        let shown = grouped(&last.chosen, all, QueueGauge::add);
        let shown = shown.into_iter().map(|(queue, of)| (queue.to_owned(), of)).collect();
        (shown, last.report.schedule_overdue)
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("last", &self.last).finish_non_exhaustive()
    }
}

/// A gauge: its name, what it says, and its value for a queue.
type Form<'a> = (&'a str, &'a str, &'a dyn Fn(&QueueGauge) -> u64);

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (shown, schedule_overdue) = self.shown();
        let encoder = &mut encoder;
        let seconds = |of: &QueueGauge| of.oldest.map_or(0, |oldest| oldest.as_secs());
        let forms: [Form<'_>; 10] = [
            ("leasehold_queued", "Jobs in the line", &|of| of.queued),
            (
                "leasehold_oldest_waiting_seconds",
                "For how many seconds the oldest job in the line has been due; 0 if no job waits",
                &seconds,
            ),
            ("leasehold_scheduled", "Jobs whose time has not come", &|of| of.scheduled),
            ("leasehold_blocked", "Jobs that wait for their parents", &|of| of.blocked),
            ("leasehold_queue_running", "Jobs that run, on all workers", &|of| of.running),
            ("leasehold_queue_paused", "1 if the queue is paused", &|of| u64::from(of.is_paused)),
            ("leasehold_queue_paused_parts", "Kinds and fair keys that are paused in the queue", &|of| of.paused_parts),
            ("leasehold_succeeded_last_minute", "Jobs that succeeded within the last minute", &|of| {
                of.succeeded_last_minute
            }),
            ("leasehold_dead_last_minute", "Jobs that ended as dead within the last minute", &|of| of.dead_last_minute),
            ("leasehold_cancelled_last_minute", "Jobs that were cancelled within the last minute", &|of| {
                of.cancelled_last_minute
            }),
        ];
        for (name, help, value) in forms {
            gauges(encoder, name, help, "queue", shown.iter().map(|(queue, of)| (queue.as_str(), value(of))))?;
        }
        let workers = shown.iter().filter_map(|(queue, of)| Some((queue.as_str(), of.workers?)));
        let help = "Live workers that serve the queue; missing while Redis does not say";
        gauges(encoder, "leasehold_queue_workers", help, "queue", workers)?;
        if let Some(overdue) = schedule_overdue {
            let help = "How long ago the earliest tick of a schedule was due that no reaper has fired";
            gauge(encoder, "leasehold_schedule_overdue_seconds", help, overdue.as_secs())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tokio::time::advance;

    fn of(queue: &str, queued: u64) -> QueueGauge {
        QueueGauge { queue: queue.into(), queued, ..QueueGauge::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn it_asks_at_most_once_in_ten_seconds_and_shows_nothing_old() {
        let nth = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&nth);
        let queues = Queues::new(ShownQueues::new([], 200), move || {
            let nth = counted.fetch_add(1, Relaxed);
            Box::pin(async move {
                let report = QueueReport { queues: vec![of("q", nth + 1)], ..QueueReport::default() };
                if nth < 2 { Ok(report) } else { Err("refused".to_owned()) }
            })
        });
        let shown = || queues.shown().0.get("q").map(|of| of.queued);
        for (seconds, wanted) in [(0, Some(1)), (9, Some(1)), (1, Some(2)), (10, None)] {
            advance(Duration::from_secs(seconds)).await;
            queues.look().await;
            assert_eq!(shown(), wanted);
        }
        assert_eq!(nth.load(Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_queues_make_a_bounded_number_of_series_and_evicted_ones_go() {
        let nth = Arc::new(AtomicU64::new(0));
        let queues = Queues::new(ShownQueues::new(["q00000".to_owned()], 200), move || {
            let nth = nth.fetch_add(1, Relaxed);
            Box::pin(async move {
                // In the second answer the busiest queues are others.
                let all =
                    (0..10_000).map(|queue| of(&format!("q{queue:05}"), if nth == 0 { queue } else { 10_000 - queue }));
                Ok(QueueReport { queues: all.collect(), schedule_overdue: Some(Duration::from_secs(3)) })
            })
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(queues.clone()));
        let mut texts = Vec::new();
        for _ in 0..2 {
            queues.look().await;
            let mut text = String::new();
            encode(&mut text, &registry).expect("the metrics");
            let series = text.lines().filter(|line| line.starts_with("leasehold_queued{"));
            assert_eq!(series.count(), 202, "of the list, the busiest, and the others");
            assert!(text.lines().filter(|line| !line.starts_with('#')).count() <= 11 * 202 + 1);
            assert!(text.contains("leasehold_queued{queue=\"q00000\"}"), "listed, however idle");
            texts.push(text);
            advance(HOLDS_FOR).await;
        }
        let (before, after) = (&texts[0], &texts[1]);
        assert!(before.contains("queue=\"q09999\"") && !after.contains("queue=\"q09999\""));
        assert!(!before.contains("queue=\"q00001\"") && after.contains("queue=\"q00001\""));
        assert!(after.contains("leasehold_schedule_overdue_seconds 3\n"));
    }

    #[test]
    fn the_others_are_a_sum_with_the_oldest_wait_and_the_fewest_workers() {
        let with = |queued, oldest, workers| QueueGauge {
            oldest: Some(Duration::from_secs(oldest)),
            workers: Some(workers),
            dead_last_minute: 1,
            ..of("any", queued)
        };
        let mut sum = with(2, 7, 3);
        sum.add(with(3, 5, 0));
        assert_eq!(sum, QueueGauge { dead_last_minute: 2, ..with(5, 7, 0) });
    }
}
