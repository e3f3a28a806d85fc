//! The spans that have ended and are not exported yet.
//!
//! Ending a span never waits. When the queue is full, or when the collector does not take a batch, spans are lost and counted; the log
//! says so once, and says once when the collector takes spans again.

use super::counts::Counts;
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{
        Notify,
        mpsc::{self, Receiver, Sender},
    },
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Dispatch, instrument::WithSubscriber};

/// How many spans wait at most: the default of the specification. With 1 KiB each, 2 MiB.
pub(super) const QUEUE_MAX: usize = 2048;
/// How many spans are sent in one batch: the default of the specification.
pub(super) const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const WAIT: Duration = Duration::from_secs(1);
/// How long a batch may take, with the tries after a failure.
const SENT_WITHIN: Duration = Duration::from_secs(15);
/// For how long no span may have been lost before the log reports the end of the losses.
const CALM: Duration = Duration::from_secs(30);

/// The end of the queue that spans come in.
#[derive(Debug)]
pub(super) struct Queue {
    spans: Sender<SpanData>,
    trouble: Arc<Trouble>,
    counts: &'static Counts,
}

/// Makes a queue. The second value is the task that sends the spans of the queue until `stopping`, and then the rest.
pub(super) fn queue(
    exporter: impl SpanExporter,
    stopping: CancellationToken,
    counts: &'static Counts,
) -> (Queue, impl Future<Output = ()> + Send) {
    let (spans, ended) = mpsc::channel(QUEUE_MAX);
    let trouble = Arc::new(Trouble { is_told: AtomicBool::new(false), full: Notify::new(), counts });
    (Queue { spans, trouble: Arc::clone(&trouble), counts }, export(ended, exporter, trouble, stopping))
}

impl Queue {
    /// The state of the queue about lost spans.
    pub(super) fn trouble(&self) -> Arc<Trouble> {
        Arc::clone(&self.trouble)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counts.queue_full.fetch_add(1, Relaxed);
            // The task that exports writes the line: a line of the log here could need the lock of the span that ends.
            self.trouble.full.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Whether spans are being lost.
#[derive(Debug)]
pub(super) struct Trouble {
    is_told: AtomicBool,
    /// The queue was full.
    full: Notify,
    counts: &'static Counts,
}

impl Trouble {
    /// Spans are lost from now on. The log says so once.
    pub(super) fn begin(&self, why: &str) {
        if !self.is_told.swap(true, Relaxed) {
            let why: String = why.chars().take(300).collect();
            tracing::warn!(why, "spans are lost; leasehold_spans_dropped_total counts them");
        }
    }

    fn end(&self) {
        if self.is_told.swap(false, Relaxed) {
            tracing::info!(dropped = self.counts.dropped(), "no span is lost any more");
        }
    }
}

async fn export(
    mut ended: Receiver<SpanData>,
    exporter: impl SpanExporter,
    trouble: Arc<Trouble>,
    stopping: CancellationToken,
) {
    let counts = trouble.counts;
    let (mut lost, mut calm_since) = (counts.dropped(), Instant::now());
    loop {
        let batch = collect(&mut ended, &stopping).await;
        if batch.is_empty() {
            break;
        }
        let count = batch.len() as u64;
        // A subscriber would make spans of the work of the exporter, and these would be exported too.
        let sending = timeout(SENT_WITHIN, exporter.export(batch)).with_subscriber(Dispatch::none());
        tokio::pin!(sending);
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut sending => break sent,
                () = trouble.full.notified() => trouble.begin("spans end faster than the collector takes them"),
            }
        };
        match sent {
            Ok(Ok(())) => drop(counts.exported.fetch_add(count, Relaxed)),
            Ok(Err(error)) => {
                counts.refused.fetch_add(count, Relaxed);
                trouble.begin(&error.to_string());
            }
            Err(_) => {
                counts.refused.fetch_add(count, Relaxed);
                trouble.begin("the collector does not answer");
            }
        }
        match counts.dropped() {
            now if now != lost => (lost, calm_since) = (now, Instant::now()),
            _ if calm_since.elapsed() >= CALM => trouble.end(),
            _ => {}
        }
    }
    // It only drops the connection.
    drop(exporter.shutdown_with_timeout(Duration::ZERO));
}

/// The next batch. Empty: the queue is closed and empty.
async fn collect(ended: &mut Receiver<SpanData>, stopping: &CancellationToken) -> Vec<SpanData> {
    let mut batch = Vec::new();
    let mut until = None;
    loop {
        let room = BATCH_MAX - batch.len();
        tokio::select! {
            biased;
            () = stopping.cancelled(), if !ended.is_closed() => ended.close(),
            count = ended.recv_many(&mut batch, room) => {
                if count == 0 || batch.len() == BATCH_MAX {
                    return batch;
                }
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return batch,
        }
        if !batch.is_empty() && until.is_none() {
            until = Some(Instant::now() + WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::error::OTelSdkError;
    use std::{sync::Mutex, time::SystemTime};

    /// Takes batches, refuses them, or never answers.
    #[derive(Debug)]
    struct Fake {
        batches: Arc<Mutex<Vec<usize>>>,
        answer: Option<OTelSdkResult>,
    }

    impl SpanExporter for Fake {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.batches.lock().expect("the batches").push(batch.len());
            match &self.answer {
                Some(Ok(())) => Ok(()),
                Some(Err(_)) => Err(OTelSdkError::InternalFailure("refused".to_owned())),
                None => std::future::pending().await,
            }
        }
    }

    fn span(flags: TraceFlags) -> SpanData {
        SpanData {
            span_context: SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, TraceState::default()),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "a span".into(),
            start_time: SystemTime::now(),
            end_time: SystemTime::now(),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: Default::default(),
        }
    }

    struct Setup {
        queue: Queue,
        stopping: CancellationToken,
        batches: Arc<Mutex<Vec<usize>>>,
        export: tokio::task::JoinHandle<()>,
    }

    fn start(answer: Option<OTelSdkResult>) -> Setup {
        let (stopping, batches) = (CancellationToken::new(), Arc::<Mutex<Vec<usize>>>::default());
        let fake = Fake { batches: Arc::clone(&batches), answer };
        let (queue, export) = queue(fake, stopping.clone(), Box::leak(Box::new(Counts::new())));
        Setup { queue, stopping, batches, export: tokio::spawn(export) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_waits_a_second_for_others_and_a_full_batch_does_not_wait() {
        let Setup { queue, batches, .. } = start(Some(Ok(())));
        let begun = Instant::now();
        for _ in 0..BATCH_MAX + 1 {
            queue.on_end(span(TraceFlags::SAMPLED));
        }
        queue.on_end(span(TraceFlags::default()));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(*batches.lock().expect("the batches"), [BATCH_MAX]);
        tokio::time::sleep_until(begun + WAIT * 2).await;
        assert_eq!(*batches.lock().expect("the batches"), [BATCH_MAX, 1], "the span that is not sampled is not sent");
        assert_eq!((queue.counts.exported.load(Relaxed), queue.counts.dropped()), (BATCH_MAX as u64 + 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_sends_what_is_left_at_once() {
        let Setup { queue, stopping, batches, export } = start(Some(Ok(())));
        queue.on_end(span(TraceFlags::SAMPLED));
        let begun = Instant::now();
        stopping.cancel();
        export.await.expect("the end");
        assert_eq!(
            (batches.lock().expect("the batches").as_slice(), begun.elapsed()),
            (&[1_usize] as &[_], Duration::ZERO)
        );
        queue.on_end(span(TraceFlags::SAMPLED));
        assert_eq!(queue.counts.dropped(), 1, "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_or_finds_no_room_is_counted() {
        let Setup { queue, stopping, export, .. } = start(Some(Err(OTelSdkError::AlreadyShutdown)));
        for _ in 0..QUEUE_MAX + 3 {
            queue.on_end(span(TraceFlags::SAMPLED));
        }
        stopping.cancel();
        export.await.expect("the end");
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
        let counts = queue.counts;
        assert_eq!(
            (count(&counts.queue_full), count(&counts.refused), count(&counts.exported)),
            (3, QUEUE_MAX as u64, 0)
        );
        assert!(queue.trouble.is_told.load(Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_never_answers_costs_its_batch() {
        let Setup { queue, .. } = start(None);
        let begun = Instant::now();
        queue.on_end(span(TraceFlags::SAMPLED));
        tokio::time::sleep_until(begun + WAIT + SENT_WITHIN + WAIT).await;
        assert_eq!(queue.counts.refused.load(Relaxed), 1);
    }
}
