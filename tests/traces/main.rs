//! Traces of OpenTelemetry: processes export their spans to a small collector that speaks OTLP, by gRPC and by HTTP.

mod away;
mod collector;
mod fleet;
mod off;
mod path;
mod privacy;
mod rust;
mod tls;
