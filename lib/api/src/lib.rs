//! HTTP: what a process says of itself. `/healthz`, `/readyz` and `/metrics` of workers and reapers.
//!
//! `listen` binds and serves, `vitals` answers the three paths, `stores` finds out whether the stores answer, and
//! `worker_metrics` and `reaper_metrics` put the counters of a process into the words of Prometheus. Nothing here decides
//! about jobs, and nothing here runs unless it is asked.

mod error;
mod exposition;
mod listen;
mod reaper_metrics;
mod stores;
mod vitals;
mod worker_metrics;

pub use error::Error;
pub use listen::{Listener, Served};
pub use stores::Stores;
pub use vitals::Vitals;
