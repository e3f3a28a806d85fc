//! The external scaler for KEDA: how many slots queues could use, over gRPC, on a separate port.
//!
//! - `metadata` reads the trigger of a ScaledObject.
//! - `signal` asks the stores, one question at a time.
//! - `service` answers the four calls of KEDA.
//! - `server` accepts connections and stops in order.
//!
//! A client that reaches the port can read only the demand of queues. So this port may listen on addresses that are forbidden
//! for the HTTP interface.

mod metadata;
mod server;
mod service;
mod signal;

/// The generated messages and the generated service.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
mod proto {
    tonic::include_proto!("externalscaler");
}

pub use server::KedaServer;
