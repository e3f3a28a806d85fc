//! The client of Leasehold: what enqueues jobs, waits for them, cancels and revives them, and explains where they are.
//!
//! - [`Config`] has the settings of every process, and where their values come from.
//! - [`Pair`] is one PostgreSQL and the Redis beside it, made from the settings by one function.
//! - [`Client`] is what a program, the command line and HTTP call. Jobs are of any kind here; typed jobs are in
//!   `lib/leasehold`.
//!
//! What is not here: workers, reapers, HTTP.

mod batches;
mod bulk;
mod client;
mod config;
mod diagnosis;
mod error;
mod explain;
mod graphs;
mod hints;
mod limits;
mod once;
mod pair;
mod places;
mod schedules;
pub mod text;
mod waiter;

pub use batches::check_batch_name;
pub use bulk::{Bulk, BulkCursor, BulkStep};
pub use client::Client;
pub use config::{
    ApiConfig, Config, ConfigError, DEV_FILE, DatabaseConfig, FILE, HeadConfig, HistoryConfig, LogConfig, LogFormat,
    ReaperConfig, RedisConfig, SETTINGS, Setting, Sources, ValueKind, WorkerConfig,
};
pub use error::{Error, StoreError};
pub use explain::{BlockingParent, DeathCause, Explanation, Process, Reason};
pub use leasehold_ports::{Cancelled, Enqueued, Finished, HintPlace, Placed, Revived};
pub use leasehold_schedule::InvalidTiming;
pub use leasehold_store::{
    Batch, BatchSeal, KeyLimit, LimitRecord, Locked, LockedOut, Once, OnceKey, Pooler, Schedule, Sealed, Store,
};
pub use pair::{Pair, handoff_or_later};
pub use schedules::upcoming;
