//! Where spans are sent, and which spans.

/// How spans are sent to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC, port 4317 by convention.
    Grpc,
    /// Protocol buffers over HTTP, port 4318 by convention.
    HttpProtobuf,
}

/// Where spans are sent, and which spans. A value that is missing is taken from the variables `OTEL_…` of the environment.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector: `http://host:4318`.
    pub endpoint: Option<String>,
    /// How spans are sent.
    pub protocol: Option<OtlpProtocol>,
    /// The part of the traces that is exported, from 0 to 1. It applies to traces that begin in this process.
    pub sample_ratio: f64,
    /// The name of the service.
    pub service_name: Option<String>,
    /// Attributes of the resource: `key=value,key=value`.
    pub resource_attributes: Option<String>,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self { endpoint: None, protocol: None, sample_ratio: 1.0, service_name: None, resource_attributes: None }
    }
}
