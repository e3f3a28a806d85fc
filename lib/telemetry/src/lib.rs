//! What a process reports about itself: whether it is alive, whether its stores can be used, and its metrics.
//!
//! This crate is below all others: it knows no store and no HTTP. Code that connects to a store makes a [`Probe`] for
//! the store. Code that counts something implements [`Collector`] with the functions of [`exposition`]. `lib/api`
//! serves a [`Vitals`] over HTTP.

pub mod exposition;
mod queues;
mod stores;
mod vitals;

pub use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
pub use queues::{QueueGauge, Queues};
pub use stores::{Probe, Readiness, StoreState, Stores};
pub use vitals::{Health, OPEN_METRICS, Ready, Vitals};
