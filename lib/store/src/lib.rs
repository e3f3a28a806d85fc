//! PostgreSQL, the authority: every job is a row here, and every transition one conditional statement.
//!
//! Statements live in `sql/`, one file each; the function that runs one lives in the Rust file of the
//! same name. Nothing here knows of Redis.

use chrono::{DateTime, Utc};
use leasehold_core::{
    ClaimedJob, Epoch, Fence, FinishedRun, InvalidJob, JobId, JobRecord, Kind, NewJob, QueueName, Settled, State, WorkerId,
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

/// What went wrong, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The jobs cannot be accepted as they are.
    #[error(transparent)]
    Invalid(#[from] InvalidJob),
    /// The URL is not one of PostgreSQL.
    #[error("database.url: {0}")]
    Url(String),
    /// There is no schema `leasehold` yet.
    #[error("the database has no schema leasehold; run `leasehold migrate`")]
    SchemaMissing,
    /// The schema is older than this program.
    #[error("the schema leasehold is at version {found}, this program needs {needed}; run `leasehold migrate`")]
    SchemaOlder { #[doc = "in the database"] found: i64, #[doc = "in this program"] needed: i64 },
    /// The schema is newer than this program.
    #[error("the schema leasehold is at version {found}, this program knows only {known}; use a newer leasehold")]
    SchemaNewer { #[doc = "in the database"] found: i64, #[doc = "in this program"] known: i64 },
    /// A unique key of the job is in use by a live one.
    #[error("the unique key of {0} is taken by a live job")]
    UniqueKeyTaken(JobId),
    /// The server answered with an error, or did not answer.
    #[error("{doing}: {source}")]
    Sql { #[doc = "what was being done"] doing: &'static str, #[doc = "why it failed"] source: sqlx::Error },
}

impl Error {
    /// Whether trying again later may help: the server was away, overloaded, or a deadlock broken.
    #[must_use]
    pub fn is_transient(&self) -> bool { todo!() }
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…`
    pub url: SecretString,
    /// Connections this process may hold.
    pub max_connections: u32,
    /// How long to wait for one.
    pub acquire_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

/// PostgreSQL, as Leasehold uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store { pool: PgPool }

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    /// The job's id: the one sent, or that of the job which was there already.
    pub id: JobId,
    /// Whether this call made it.
    pub inserted: bool,
    /// Its state.
    pub state: State,
}

/// The kinds that a worker has handlers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind.
    All,
    /// These.
    Only(Vec<Kind>),
}

/// The answer to one cancel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Cancelled {
    pub id: JobId,
    pub queue: QueueName,
    /// After the call: `Cancelled`, `Running` (its worker is to be told) or the final state it had before.
    pub state: State,
    pub running: Option<(WorkerId, Epoch)>,
    /// Whether this call changed anything.
    pub changed: bool,
}

/// The answer to one revive.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Revived { pub id: JobId, pub queue: QueueName, pub priority: i16 }

/// A job that is in the line and that Redis may be told of.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Waiting { pub id: JobId, pub queue: QueueName, pub priority: i16 }

/// Why a hint was not claimed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Looked { pub id: JobId, pub state: State, pub kind: Kind, pub paused: bool, pub lease_ms_left: Option<i64> }

/// One lease that still stands.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Renewed { pub id: JobId, pub epoch: Epoch, pub cancel_wanted: bool }

/// One lease that ran out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Expired { pub id: JobId, pub queue: QueueName, pub priority: i16, pub worker: WorkerId, pub epoch: Epoch,
    /// What became of the job: queued, dead or cancelled.
    pub state: State }

/// A running job whose worker must be told to stop.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct CancelWanted { pub id: JobId, pub queue: QueueName, pub worker: WorkerId, pub epoch: Epoch }

/// A queue that has jobs in its line.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct LineSummary { pub queue: QueueName, pub kinds: Vec<Kind>, pub paused: bool }

/// The first part of a line, in order.
#[derive(Clone, Debug)]
pub struct Line {
    /// The ids, next one first.
    pub ids: Vec<JobId>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Which jobs to list: all conditions hold.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct JobFilter { pub queue: Option<QueueName>, pub kind: Option<Kind>, pub state: Option<State>,
    /// Only jobs with an id below this one: the last of the page before.
    pub before: Option<JobId>,
    pub limit: i64 }

/// A job that has reached its end.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Finished { pub id: JobId, pub state: State, pub result: Option<Box<RawValue>>, pub last_error: Option<String> }

/// What waits and runs in a queue, counted in PostgreSQL.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct QueueStats { pub queue: String, pub paused: bool, pub blocked: i64, pub scheduled: i64, pub queued: i64, pub running: i64,
    /// Seconds that the first job of the line has been due.
    pub oldest_s: Option<f64>,
    /// Finished within the last minute, by final state.
    pub succeeded_last_minute: i64, pub dead_last_minute: i64, pub cancelled_last_minute: i64 }

/// One broken invariant found in the rows.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The name of the check.
    pub check: String,
    /// The job, if it is about one.
    pub id: Option<JobId>,
    /// What was found.
    pub detail: String,
}

/// One migration and whether the database has it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct Migration { pub version: i64, pub name: String, pub applied_at: Option<DateTime<Utc>> }

/// What the retention step did.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Retained { pub partitions_made: u32, pub partitions_dropped: u32, pub rows_moved: u64, pub rows_deleted: u64 }

impl Store {
    /// Connects and checks that the server answers. Does not look at the schema.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> { todo!() }
    /// The pool, for a caller's own transactions.
    #[must_use] pub fn pool(&self) -> &PgPool { &self.pool }
    /// Fails unless the schema is the one of this program.
    pub async fn check_schema(&self) -> Result<(), Error> { todo!() }
    /// Applies what is missing, in one transaction; returns what was applied.
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> { todo!() }
    /// Every migration this program knows.
    pub async fn migrations(&self) -> Result<Vec<Migration>, Error> { todo!() }
    /// The SQL of all migrations, for people who run them by hand.
    #[must_use] pub fn migration_sql() -> String { todo!() }

    /// Validates and enqueues; answers in the order of `jobs`. Batches of `BATCH_MAX`; sent again by id when the outcome of a
    /// statement is unknown is the caller's business (`id_may_exist`).
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> { todo!() }
    /// The same inside the caller's transaction.
    pub async fn enqueue_in(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> { todo!() }
    /// Cancels; an id of no job is not in the answer.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> { todo!() }
    /// Cancels up to `limit` waiting (not running) jobs of a queue.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> { todo!() }
    /// Finished jobs back to the line with a new budget; scheduled ones at once. Others are not in the answer.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> { todo!() }
    /// One job, live or finished.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> { todo!() }
    /// A page of jobs, newest id first.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, Error> { todo!() }
    /// Those of `ids` that have reached their end.
    pub async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error> { todo!() }
    /// How many jobs stand before this one in its line, counting up to `limit`.
    pub async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error> { todo!() }

    /// Claims what of `ids` is queued, of a known kind and of no paused queue.
    pub async fn claim(&self, worker: WorkerId, ids: &[JobId], kinds: &Kinds, lease: Duration) -> Result<Vec<ClaimedJob>, Error> { todo!() }
    /// Claims from the front of the line without Redis: `FOR UPDATE SKIP LOCKED`.
    pub async fn claim_line(&self, worker: WorkerId, queue: &QueueName, kinds: &Kinds, limit: i64, lease: Duration) -> Result<Vec<ClaimedJob>, Error> { todo!() }
    /// Why some hints were not claimed: the live ones among them.
    pub async fn look(&self, ids: &[JobId]) -> Result<Vec<Looked>, Error> { todo!() }
    /// Renews; a lease that is not in the answer is lost.
    pub async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error> { todo!() }
    /// Ends runs, one statement per verb among them; answers in the order of `runs`.
    pub async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error> { todo!() }

    /// Due scheduled jobs into the line.
    pub async fn promote(&self, limit: i64) -> Result<Vec<Waiting>, Error> { todo!() }
    /// Blocked jobs into the line.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> { todo!() }
    /// Leases that ran out.
    pub async fn expire(&self, limit: i64) -> Result<Vec<Expired>, Error> { todo!() }
    /// Running jobs that are to be cancelled.
    pub async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error> { todo!() }
    /// The queues with a line, and the kinds in each.
    pub async fn lines(&self) -> Result<Vec<LineSummary>, Error> { todo!() }
    /// The first `limit` ids of a queue's line, of these kinds.
    pub async fn line(&self, queue: &QueueName, kinds: &Kinds, limit: i64) -> Result<Line, Error> { todo!() }
    /// Makes partitions for the days to come, drops those older than `keep`.
    pub async fn retain(&self, keep: Duration) -> Result<Retained, Error> { todo!() }

    /// Nothing of this queue is claimed until it is resumed. Whether that changed anything.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> { todo!() }
    /// Ends a pause. Whether there was one.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> { todo!() }
    /// The paused queues.
    pub async fn paused(&self) -> Result<Vec<QueueName>, Error> { todo!() }
    /// Counts per queue, of every queue that has a job or a row.
    pub async fn stats(&self) -> Result<Vec<QueueStats>, Error> { todo!() }
    /// Checks the invariants that can be seen in rows alone.
    pub async fn violations(&self) -> Result<Vec<Violation>, Error> { todo!() }
    /// The ids among `ids` that are live, with their state and the ms left of their lease.
    pub async fn ping(&self) -> Result<(), Error> { todo!() }
}
