//! A collector: takes spans by OTLP and keeps them, or refuses them, or never answers.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use leasehold_tests::eventually;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;
use tonic::Status;

/// The time limit for every wait, on a machine that may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What the collector does with spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Takes,
    Refuses,
    Never,
}

/// A span, as far as the tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: String,
    /// By what the link says about itself.
    pub(crate) links: BTreeMap<String, Linked>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) is_error: bool,
}

/// The other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) trace: String,
    pub(crate) span: String,
}

impl Seen {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The span as the other end of a link.
    pub(crate) fn linked(&self) -> Linked {
        Linked { trace: self.trace.clone(), span: self.span.clone() }
    }

    /// The span as a `traceparent`.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    requests: Vec<ExportTraceServiceRequest>,
}

/// A collector on a free port.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    kept: Arc<Mutex<Kept>>,
    address: SocketAddr,
}

impl Collector {
    fn new(answer: Answer, address: SocketAddr) -> Self {
        Self { kept: Arc::new(Mutex::new(Kept { answer, requests: Vec::new() })), address }
    }

    /// Speaks gRPC.
    pub(crate) async fn grpc(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let collector = Self::new(answer, listener.local_addr().expect("its address"));
        let connections = futures_util::stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(connections));
        collector
    }

    /// Speaks HTTP.
    pub(crate) async fn http(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let collector = Self::new(answer, listener.local_addr().expect("its address"));
        let served = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                let service = service_fn(move |request| {
                    let served = served.clone();
                    async move { Ok::<_, Infallible>(served.post(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        collector
    }

    async fn post(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is_right =
            request.uri().path() == "/v1/traces" && request.headers()["content-type"] == "application/x-protobuf";
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let request = ExportTraceServiceRequest::decode(body).expect("spans");
        let status = match self.take(request).await {
            _ if !is_right => StatusCode::NOT_FOUND,
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    }

    /// Takes spans, or refuses them.
    async fn take(&self, request: ExportTraceServiceRequest) -> bool {
        let answer = self.kept.lock().expect("the spans").answer;
        match answer {
            Answer::Takes => self.kept.lock().expect("the spans").requests.push(request),
            Answer::Refuses => {}
            Answer::Never => std::future::pending().await,
        }
        answer == Answer::Takes
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let kept = self.kept.lock().expect("the spans");
        let resources = kept.requests.iter().flat_map(|request| &request.resource_spans);
        resources
            .flat_map(|of| {
                let resource =
                    of.resource.as_ref().map(|resource| attributes(&resource.attributes)).unwrap_or_default();
                let service = resource.get("service.name").cloned().unwrap_or_default();
                let spans = of.scope_spans.iter().flat_map(|scope| &scope.spans);
                spans.map(move |span| seen(service.clone(), span)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Everything that was sent, as text.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.kept.lock().expect("the spans").requests)
    }

    /// Waits until this many spans fit. Returns them in the order of their starts.
    pub(crate) async fn until(&self, count: usize, fits: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        eventually("the spans", SOON, || async {
            let all = self.seen();
            let found: Vec<Seen> = all.iter().filter(|seen| fits(seen)).cloned().collect();
            if found.len() == count { Ok(found) } else { Err(all) }
        })
        .await
    }

    /// Waits until one span has this name.
    pub(crate) async fn one(&self, name: &str) -> Seen {
        self.until(1, |seen| seen.name == name).await.remove(0)
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        match self.take(request.into_inner()).await {
            true => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
            false => Err(Status::permission_denied("not for you")),
        }
    }
}

fn seen(service: String, span: &Span) -> Seen {
    let links = span.links.iter().map(|link| {
        let linked = Linked { trace: hex(&link.trace_id), span: hex(&link.span_id) };
        (attributes(&link.attributes).remove("messaging.leasehold.link").unwrap_or_default(), linked)
    });
    Seen {
        service,
        name: span.name.clone(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: links.collect(),
        attributes: attributes(&span.attributes),
        is_error: span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    of.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
