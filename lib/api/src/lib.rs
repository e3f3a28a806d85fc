//! HTTP. Serves `/healthz`, `/readyz` and `/metrics` of workers and reapers.
//!
//! `listen` binds an address and serves; `vitals` has the three paths, whose answers `lib/telemetry` makes. Nothing here
//! decides about jobs.

mod error;
mod listen;
mod vitals;

pub use error::Error;
pub use listen::{Listener, Served};
