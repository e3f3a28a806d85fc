//! Leasehold for Rust programs: a job queue whose every job is a row in PostgreSQL, handed out at the
//! speed of Redis, and held by a worker only on a lease.
//!
//! - [`Config`] says where the stores are and how the parts behave.
//! - [`Client`] enqueues jobs, waits for them, cancels and revives them.
//! - [`Job`] is a kind of work as a Rust type; a [`Worker`] runs such jobs.
//!
//! Execution is at least once: a job runs again after its worker was lost. At most one result is accepted.

mod client;
mod config;
mod diagnosis;
mod enqueue;
mod error;
mod hints;
mod job;
mod waiter;
mod worker;

pub use client::Client;
pub use config::{
    ApiConfig, Config, ConfigError, DEV_FILE, DatabaseConfig, FILE, HeadConfig, HistoryConfig, LogConfig, LogFormat,
    ReaperConfig, RedisConfig, SETTINGS, Setting, Sources, ValueKind, WorkerConfig,
};
pub use enqueue::Enqueue;
pub use error::Error;
pub use hints::handoff_or_later;
pub use job::{Id, Job, JobError};
pub use leasehold_core::{Fence, InvalidJob, JobId, JobRecord, Kind, NewJob, QueueName, State};
pub use leasehold_store::{Cancelled, Enqueued, Finished, Pooler, Revived, Store};
pub use leasehold_worker::{Handler, Run, StopReason, Tally};
pub use worker::{Worker, WorkerBuilder};
