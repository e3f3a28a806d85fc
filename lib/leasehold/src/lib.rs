//! Leasehold for Rust programs: a job queue. Every job is a row in PostgreSQL, Redis hands the jobs out fast, and a
//! worker holds a job only on a lease.
//!
//! ```
//! use leasehold::{Config, Job, JobError, Run, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Resize {
//!     path: String,
//!     width: u32,
//! }
//!
//! impl Job for Resize {
//!     const KIND: &'static str = "resize";
//!     type Output = String;
//!
//!     async fn run(self, _: &Run) -> Result<String, JobError> {
//!         match self.width {
//!             0 => Err(JobError::never("the width is 0")),
//!             width => Ok(format!("{width}px.{}", self.path)),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // A queue in memory, for tests. A program has `Client::connect` and `WorkerBuilder::run_until` instead.
//! let queue = leasehold::testing::Queue::new();
//! let client = queue.client();
//! let id = client.enqueue(Resize { path: "a.png".into(), width: 160 }).priority(5).send().await?;
//!
//! queue.drain(Worker::builder(&Config::default()).register::<Resize>().queue("default", 32)).await?;
//! assert_eq!(client.wait(id, std::time::Duration::from_secs(30)).await?, "160px.a.png");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Other examples use the same `Resize`; there `resize("a.png")` makes one, and `worker()` is a worker like this one.
//!
//! - [`Config`] says where the stores are and how the processes behave.
//! - [`Client`] enqueues jobs, waits for them, cancels and revives them.
//! - [`NewSchedule`] enqueues a job again and again: see [`Client::set_schedule`].
//! - [`Job`] is a kind of work as a Rust type; a [`Worker`] runs such jobs. A [`Handler`] runs jobs without a type.
//! - [`Done`] is a result from which other jobs follow. It can also end the job in a transaction of the handler.
//! - [`traces`] shows enqueues and runs as spans of OpenTelemetry. Workers and reapers serve their metrics: see
//!   [`WorkerBuilder::run_until`].
//! - `testing`, with the feature of this name, is a queue in memory for unit tests.
//! - [`Reaper`] repairs what crashed processes left behind; every installation runs at least one.
//!
//! Execution is at least once: a job runs again after its worker was lost. At most one result is accepted.
//!
//! # What may change in a minor version
//!
//! A minor version adds fields, values and functions, and breaks no program:
//!
//! - **Structs that you read** ([`JobRecord`], [`Enqueued`], [`Batch`], [`ClaimedJob`] …) are `#[non_exhaustive]`. Read their fields, and
//!   end a pattern with `..`.
//! - **Structs that you make** ([`NewJob`], [`NewSchedule`], [`KeyLimit`], [`BulkFilter`] …) are `#[non_exhaustive]` too. Begin with `new`
//!   or `default`, then call the function of a field, or set fields with `with`.
//! - **Enums** that will grow ([`Error`], [`Outcome`], [`Reason`], [`StopReason`] …) are `#[non_exhaustive]`: a `match` needs an arm for
//!   other values.
//! - **Enums that are complete** are not marked, so that the compiler shows you what a `match` lacks: [`State`] is the state machine,
//!   [`Sealed`] has every answer to a seal, [`HintPlace`] every place of a hint. A new value of these is a major version, and so is a
//!   new field of [`Fence`], the name of a run.
//! - [`BulkAction`], [`LogFormat`] and [`Pooler`] are the exceptions: you only choose their values, so you have no reason to match on them,
//!   and they may get new ones.
//!
//! No type of a database driver is part of this interface, except the caller's own transaction in [`Draft::send_in`] and in
//! [`Done::complete_in`]: a connection of `sqlx`. Types of `chrono`, `serde_json`, `uuid`, `secrecy` and `tokio-util` are.
//! What the documentation does not show is for programs of Leasehold itself, and may change at any time.

mod batches;
mod bulk;
mod client;
mod demand;
mod done;
mod enqueue;
mod fair;
mod graphs;
mod job;
mod limits;
mod metrics;
mod middleware;
mod queues;
mod reaper;
mod schedules;
mod serve;
#[cfg(feature = "testing")]
pub mod testing;
pub mod traces;
mod words;
mod worker;

pub use client::Client;
pub use done::{CompleteError, Done, IntoFollowOn, JobOutput};
pub use enqueue::{Draft, Enqueue, FollowOn};
pub use job::{Id, Job, JobError};
pub use leasehold_client::{
    ApiConfig, Batch, BatchSeal, BlockingParent, Bulk, BulkCursor, BulkStep, Cancelled, CancelledBatch, Config,
    ConfigError, DEV_FILE, DatabaseConfig, DeathCause, EncryptionConfig, Enqueued, Error, Explanation, FILE,
    FairWeight, Finished, HeadConfig, HintPlace, HistoryConfig, Holder, InvalidTiming, KeyLimit, KeyPrefix,
    LimitRecord, Locked, LockedOut, LogConfig, LogFormat, MetricsConfig, Placed, Pooler, Process, ReaperConfig, Reason,
    RedisConfig, Revived, SETTINGS, Schedule, Sealed, SecretString, Setting, Sources, StoreError, TelemetryConfig,
    ValueKind, WebhooksConfig, WorkerConfig,
};
#[doc(hidden)]
pub use leasehold_client::{Pair, Store, handoff_or_later};
pub use leasehold_core::{
    Backoff, BulkAction, BulkCount, BulkFilter, ClaimedJob, Demand, Encryption, Epoch, Fence, FieldError, Graph,
    GraphEdge, GraphJob, InvalidBulk, InvalidGraph, InvalidId, InvalidJob, InvalidMissed, InvalidName, InvalidProgress,
    JobId, JobRecord, Kind, Missed, NamedJob, NewJob, NewSchedule, OnConflict, Outcome, Parent, ParentFailure, Place,
    Progress, ProgressNote, QueueName, Retry, ScheduleName, State, Strategy, Timing, TrailEntry, Unique, UniqueRule,
    UniqueWhile, WorkerId,
};
pub use leasehold_worker::{Handler, HandlerState, MissingState, ParentsError, Run, STOP_TIMEOUT, StopReason, Tally};
pub use middleware::Next;
pub use reaper::{Reaper, ReaperBuilder};
pub use worker::{Worker, WorkerBuilder};
#[doc(hidden)]
pub use {reaper::reaper_settings, worker::worker_settings};
