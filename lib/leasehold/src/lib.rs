//! Leasehold for Rust programs: a job queue whose every job is a row in PostgreSQL, handed out at the
//! speed of Redis, and held by a worker only on a lease.
//!
//! - [`Config`] says where the stores are and how the parts behave.
//! - [`Client`] enqueues jobs, waits for them, cancels and revives them.
//! - [`Job`] is a kind of work as a Rust type; [`Worker`] runs such jobs.
//!
//! Execution is at least once: a job may run again after its worker was lost. At most one result is accepted.

mod config;
mod diagnosis;

pub use config::{
    ApiConfig, Config, ConfigError, DEV_FILE, DatabaseConfig, FILE, HeadConfig, HistoryConfig, LogConfig, LogFormat,
    ReaperConfig, RedisConfig, SETTINGS, Setting, Sources, ValueKind, WorkerConfig,
};
