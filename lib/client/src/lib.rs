//! The client of Leasehold: it enqueues jobs, waits for them, cancels and revives them, and explains their states.
//!
//! - [`Config`] has the settings of every process, and where their values come from.
//! - [`Pair`] is one PostgreSQL and its Redis, made from the settings by one function.
//! - [`Client`] has the calls for programs, the command line and HTTP. Jobs are of any kind here; typed jobs are in
//!   `lib/leasehold`.
//!
//! Workers, reapers and HTTP are in other crates.

mod batches;
mod bulk;
mod client;
mod config;
mod demand;
mod diagnosis;
mod error;
mod explain;
mod fair;
mod graphs;
mod hints;
mod limits;
mod once;
mod operations;
mod pair;
mod places;
mod schedules;
pub mod text;
mod token_text;
mod tokens;
mod traces;
mod waiter;
mod webhooks;

pub use batches::{CancelledBatch, check_batch_name};
pub use bulk::{Bulk, BulkCursor, BulkStep};
pub use client::Client;
pub use config::{
    ApiConfig, Config, ConfigError, DEV_FILE, DatabaseConfig, EncryptionConfig, FILE, HeadConfig, HistoryConfig,
    LogConfig, LogFormat, MetricsConfig, ReaperConfig, RedisConfig, SETTINGS, Setting, Sources, TelemetryConfig,
    ValueKind, WebhooksConfig, WorkerConfig,
};
pub use error::{Error, StoreError};
pub use explain::{BlockingParent, DeathCause, Explanation, Process, Reason};
pub use leasehold_core::{Demand, suggested_replicas};
pub use leasehold_handoff::KeyPrefix;
pub use leasehold_ports::{Cancelled, Enqueued, Finished, HintPlace, Placed, Revived};
pub use leasehold_schedule::InvalidTiming;
pub use leasehold_store::{
    AuditRecord, Batch, BatchSeal, FairWeight, Holder, KeyLimit, LimitRecord, Locked, LockedOut, NewWebhook, Once,
    OnceKey, Operation, Pooler, Schedule, Sealed, Store, TokenHash, TokenRecord, UsableToken, UsableTokens, Webhook,
    WebhookAttempt, WebhookChange, WebhookMade,
};
pub use operations::{OperationEnd, OperationRun, OperationStep};
pub use pair::{Pair, handoff_or_later};
pub use schedules::upcoming;
pub use secrecy::SecretString;
pub use token_text::{TokenText, read_token};
pub use tokens::{create_token, rotate_token};
#[doc(hidden)]
pub use traces::{Answers, Sending};
pub use webhooks::{Replay, ReplayPlace, Replayed, check_webhook_queue};
