//! The four calls of KEDA.

use super::{
    metadata::Trigger,
    proto::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
        ScaledObjectRef, external_scaler_server::ExternalScaler,
    },
    signal::{Signal, Signals},
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const METRIC: &str = "leasehold-demand";
/// The time between two reads of queues that need no worker. A first job is reported within this time plus the time of a read.
const IDLE_LOOK: Duration = Duration::from_millis(500);
/// The same while the queues need workers: it is not urgent to report that they need none.
const BUSY_LOOK: Duration = Duration::from_secs(5);
/// The most streams at the same time.
const STREAMS_MAX: usize = 1_000;

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Scaler {
    signals: Signals,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
}

impl Scaler {
    pub(super) fn new(signals: Signals, stop: CancellationToken) -> Self {
        Self { signals, stop, streams: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

/// Reports whether workers are needed, first immediately and then whenever the answer changes. Ends when the client has gone,
/// when the server stops, and when the answer is not known: KEDA then opens the stream again, and keeps the number of workers
/// until then.
async fn tell(scaler: Scaler, trigger: Trigger, first: Signal, to: mpsc::Sender<Result<IsActiveResponse, Status>>) {
    let mut told = None;
    let mut signal = first;
    loop {
        if told != Some(signal.active) {
            if to.send(Ok(IsActiveResponse { result: signal.active })).await.is_err() {
                return;
            }
            told = Some(signal.active);
        }
        tokio::select! {
            biased;
            () = scaler.stop.cancelled() => {
                let _ = to.send(Err(Status::unavailable("the server stops"))).await;
                return;
            }
            () = to.closed() => return,
            () = sleep(if signal.active { BUSY_LOOK } else { IDLE_LOOK }) => {}
        }
        signal = match scaler.signals.of(&trigger.queues).await {
            Ok(signal) => signal,
            Err(status) => {
                let _ = to.send(Err(status)).await;
                return;
            }
        };
    }
}

/// The messages of a stream.
#[derive(Debug)]
pub(super) struct Told(mpsc::Receiver<Result<IsActiveResponse, Status>>);

impl futures_util::Stream for Told {
    type Item = Result<IsActiveResponse, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[tonic::async_trait]
impl ExternalScaler for Scaler {
    type StreamIsActiveStream = Told;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let trigger = Trigger::read(request.into_inner().scaler_metadata)?;
        let signal = self.signals.of(&trigger.queues).await?;
        Ok(Response::new(IsActiveResponse { result: signal.active }))
    }

    async fn stream_is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<Told>, Status> {
        let trigger = Trigger::read(request.into_inner().scaler_metadata)?;
        let room = Arc::clone(&self.streams).try_acquire_owned();
        let room = room.map_err(|_| Status::resource_exhausted(format!("{STREAMS_MAX} streams are open")))?;
        let first = self.signals.of(&trigger.queues).await?;
        let (sender, receiver) = mpsc::channel(1);
        let scaler = self.clone();
        tokio::spawn(async move {
            tell(scaler, trigger, first, sender).await;
            drop(room);
        });
        Ok(Response::new(Told(receiver)))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let target = Trigger::read(request.into_inner().scaler_metadata)?.target()?;
        let spec = MetricSpec {
            metric_name: METRIC.to_owned(),
            target_size: (target.floor() as i64).max(1),
            target_size_float: target,
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let trigger = Trigger::read(scaled_object_ref.unwrap_or_default().scaler_metadata)?;
        let signal = self.signals.of(&trigger.queues).await?;
        // KEDA expects the metric under the name that it requests.
        let metric_name = if metric_name.is_empty() { METRIC.to_owned() } else { metric_name };
        let value = MetricValue {
            metric_name,
            metric_value: i64::try_from(signal.demand).unwrap_or(i64::MAX),
            metric_value_float: signal.demand as f64,
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }
}
