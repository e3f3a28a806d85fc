//! Starts and ends the export of spans by OTLP.

use super::{
    context::{TARGET, turn_off, turn_on},
    counts::COUNTS,
    http_client::Client,
    queue::{Trouble, queue},
    run_ids::RunIds,
    settings::{OtlpProtocol, TraceSettings},
    target::{Target, TracesError},
};
use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId, TracerProvider},
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    resource::TelemetryResourceDetector,
    trace::{Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample, SpanExporter as _},
};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Internal spans of libraries: spans of these targets are not exported.
const INSIDE: [&str; 10] = [
    "h2",
    "hyper",
    "hyper_util",
    "leasehold_api",
    "opentelemetry",
    "opentelemetry_sdk",
    "redis",
    "sqlx",
    "tonic",
    "tower",
];

/// The export of the spans of this process. Dropping this value loses the spans that have not been sent: call [`Traces::stop`]
/// first.
pub struct Traces {
    tracer: SdkTracer,
    stopping: CancellationToken,
    exporting: JoinHandle<()>,
    trouble: Arc<Trouble>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Starts the export, if the settings or the environment name a collector. Nothing is sent before a span has ended, so an
    /// unavailable collector does not matter here. `service`: the name of a service that is not named. Needs a runtime of tokio.
    ///
    /// # Errors
    /// A setting or a variable has an impossible value.
    pub fn start(settings: &TraceSettings, service: &str) -> Result<Option<Self>, TracesError> {
        let Some(target) = Target::decide(settings, service, |name| std::env::var(name).ok())? else { return Ok(None) };
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(target.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
            .build();
        let mut exporter = exporter(&target)?;
        exporter.set_resource(&resource);
        let stopping = CancellationToken::new();
        let (queue, export) = queue(exporter, stopping.clone(), &COUNTS);
        let trouble = queue.trouble();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_id_generator(RunIds::default())
            .with_sampler(ByCaller(Sampler::TraceIdRatioBased(target.sample_ratio)))
            .with_resource(resource)
            .build();
        COUNTS.are_shown.store(true, Relaxed);
        turn_on();
        Ok(Some(Self { tracer: provider.tracer("leasehold"), stopping, exporting: tokio::spawn(export), trouble }))
    }

    /// The layer that takes the spans. Add it to the subscriber of the program.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer.clone());
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(filter_fn(is_exported))
    }

    /// Sends the remaining spans, for at most this time, and ends the export.
    pub async fn stop(self, within: Duration) {
        turn_off();
        self.stopping.cancel();
        let mut exporting = self.exporting;
        if timeout(within, &mut exporting).await.is_err() {
            exporting.abort();
            self.trouble.begin("the collector did not take the last spans before the process ended");
        }
    }
}

/// Whether a span is exported: the spans of Leasehold, and the spans of the program at the level INFO or above. Events are not
/// exported: they are logs, and may contain anything.
#[must_use]
pub fn is_exported(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let krate = target.split("::").next().unwrap_or_default();
    metadata.is_span() && (target == TARGET || (*metadata.level() <= Level::INFO && !INSIDE.contains(&krate)))
}

fn exporter(target: &Target) -> Result<SpanExporter, TracesError> {
    let is_tls = target.endpoint.scheme() == "https";
    let built = match target.protocol {
        OtlpProtocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic().with_endpoint(target.endpoint.as_str());
            let tls = || ClientTlsConfig::new().with_native_roots();
            if is_tls { builder.with_tls_config(tls()).build() } else { builder.build() }
        }
        OtlpProtocol::HttpProtobuf => {
            let client = Client::new(is_tls).map_err(|problem| TracesError::new("telemetry.otlp_endpoint", problem))?;
            let protocol = opentelemetry_otlp::Protocol::HttpBinary;
            let builder = SpanExporter::builder().with_http().with_protocol(protocol).with_http_client(client);
            builder.with_endpoint(target.endpoint.as_str()).build()
        }
    };
    built.map_err(|error| TracesError::new("telemetry.otlp_endpoint", format!("cannot be used: {error}")))
}

/// Follows the sampling decision of the caller, which is the parent of a span, or the span that enqueued the job of a run.
/// Otherwise the ratio decides.
#[derive(Clone, Debug)]
struct ByCaller(Sampler);

impl ShouldSample for ByCaller {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let of_parent = parent.map(|parent| parent.span().span_context().clone()).filter(|parent| parent.is_valid());
        let of_sender = || links.first().filter(|_| *kind == SpanKind::Consumer).map(|link| link.span_context.clone());
        match of_parent.or_else(of_sender) {
            Some(caller) => SamplingResult {
                decision: if caller.is_sampled() { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
                attributes: Vec::new(),
                trace_state: Default::default(),
            },
            None => self.0.should_sample(parent, trace, name, kind, attributes, links),
        }
    }
}
