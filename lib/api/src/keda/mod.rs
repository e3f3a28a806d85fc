//! The external scaler for KEDA: how many slots queues could use, over gRPC, on a port of its own.
//!
//! - `metadata` reads what the trigger of a ScaledObject says.
//! - `signal` asks the stores, one question at a time.
//! - `service` answers the four calls of KEDA.
//! - `server` accepts connections and stops in order.
//!
//! Whoever reaches the port can read the demand of queues, and nothing else. So this port may listen on addresses that the HTTP
//! interface may not listen on.

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
