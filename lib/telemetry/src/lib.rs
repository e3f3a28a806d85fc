//! The reports of a process about itself: whether it is alive, whether its stores can be used, its metrics and its traces.
//!
//! This crate is below all others: it knows no store, and serves nothing. Code that connects to a store makes a [`Probe`] for
//! the store. Code that counts something implements [`Collector`] with the functions of [`exposition`]. `lib/api`
//! serves a [`Vitals`] over HTTP.

mod demands;
pub mod exposition;
mod process;
mod queues;
mod shown;
mod stores;
pub mod traces;
mod vitals;

pub use demands::Demands;
pub use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
pub use queues::{QueueGauge, QueueReport, Queues};
pub use shown::{OTHER, ShownQueues, grouped};
pub use stores::{PoolState, Probe, Readiness, StoreState, Stores};
pub use vitals::{Health, OPEN_METRICS, Ready, Vitals};
