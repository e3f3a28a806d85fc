//! What a measurement needs beside the queue itself: meters of what a run costs on both servers and in its processes, and
//! the physical floor, the least that a queue on PostgreSQL has to write.
//!
//! Nothing here knows the queue: no schema of it, no keys. Statements are in `sql/`, as everywhere.

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
