//! Tools for measurements: meters of the cost of a run on both servers and in its processes, and the physical floor,
//! the minimum that a queue on PostgreSQL must write.
//!
//! This crate does not know the queue: neither its schema nor its keys. Each statement is a file in `sql/`.

mod costs;
mod error;
mod floor;
mod memory;
mod meter;
mod process;
mod quantiles;

pub use costs::{Costs, Spent};
pub use error::Error;
pub use floor::Floor;
pub use memory::{RedisMemory, RedisMemoryWatch};
pub use meter::{Meter, Reading};
pub use process::{cpu_s, machine_busy_s, memory_now_bytes, memory_peak_bytes, reaped_cpu_s, tree_cpu_s};
pub use quantiles::{Quantiles, quantile};
