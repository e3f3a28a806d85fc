//! Redis, the head of the line: hints about which jobs are next, and leases on them. Payloads never
//! come here, and nothing here is needed to know what is true.
//!
//! Scripts live in `lua/` at the top of the repository and are loaded in one file of this crate.

use leasehold_core::{Epoch, JobId, Kind, QueueName, WorkerId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What went wrong, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of Redis.
    #[error("redis.url: {0}")]
    Url(String),
    /// The server is too old, or set up so that it throws keys away.
    #[error("{0}")]
    Unfit(String),
    /// No connection within the time.
    #[error("{doing}: {reason}")]
    Pool { #[doc = "what was being done"] doing: &'static str, #[doc = "why it failed"] reason: String },
    /// The server answered with an error, or did not answer in time.
    #[error("{doing}: {source}")]
    Redis { #[doc = "what was being done"] doing: &'static str, #[doc = "why it failed"] source: redis::RedisError },
}

/// How to reach Redis and how much to keep there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://…` or `rediss://…`
    pub url: SecretString,
    /// Hints in the head of one queue.
    pub head_max: u32,
    /// Connections this process may hold for commands (blocking ones are extra).
    pub max_connections: u32,
    /// How long to wait for a connection and for an answer.
    pub timeout: Duration,
}

/// Redis, as Leasehold uses it. Cheap to clone.
#[derive(Clone)]
pub struct Handoff;

/// What a push did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Pushed { pub pushed: u32, pub doubles: u32, pub overflowed: u32, pub paused: bool }

/// What a claim took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Hints, now leased in Redis. Nothing more than hints: PostgreSQL decides.
    pub ids: Vec<JobId>,
    /// The head is below half of its bound and the line is longer: time for a fill.
    pub low: bool,
    /// The queue is paused.
    pub paused: bool,
}

/// What a fill did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Filled { pub pushed: u32, pub held: u32 }

/// One queue as Redis has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct HeadStats { pub ready: u64, pub claimed: u64, pub leased: u64, pub waiting_members: u64, pub aside: u64, pub paused: bool, pub overflow: bool }

/// What a worker says of itself every few seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain facts")]
pub struct WorkerRecord { pub id: WorkerId, pub host: String, pub pid: u32, pub version: String, pub started_at: String,
    /// Queue → slots.
    pub queues: Vec<(QueueName, u32)>,
    /// `None` is every kind.
    pub kinds: Option<Vec<Kind>>,
    pub running: u32 }

/// A message to workers. It only makes things quicker: whatever it says is in PostgreSQL too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A cancel of this run is wanted.
    Cancel { #[doc = "the job"] id: JobId, #[doc = "its run"] epoch: Epoch, #[doc = "who runs it"] worker: WorkerId },
    /// Hints of this kind were set aside by a worker that has no handler for it.
    Aside { #[doc = "where"] queue: QueueName, #[doc = "which"] kind: Kind },
}

impl Handoff {
    /// Connects and checks that the server answers and is fit (version, `maxmemory-policy`).
    pub async fn connect(settings: &Settings) -> Result<Self, Error> { todo!() }
    /// Hints for jobs just put into the line, in order; `front` puts them before the others.
    pub async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> Result<Pushed, Error> { todo!() }
    /// Leases `adopt` (which a blocking take moved to `claimed`) and up to `limit` more hints, those aside for `kinds` first.
    pub async fn claim(&self, queue: &QueueName, adopt: &[JobId], kinds: &[Kind], limit: u32, lease: Duration) -> Result<Taken, Error> { todo!() }
    /// Sets the leases of running jobs, whether Redis knew them or not.
    pub async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> Result<(), Error> { todo!() }
    /// Forgets hints: their jobs are finished, elsewhere, or no longer in the line.
    pub async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> Result<(), Error> { todo!() }
    /// Gives leased hints back to the front of the head.
    pub async fn release(&self, queue: &QueueName, ids: &[JobId]) -> Result<(), Error> { todo!() }
    /// Keeps leased hints for workers of another kind, and tells them. Hints beyond the bound are forgotten (the line has them).
    pub async fn set_aside(&self, queue: &QueueName, kind: &Kind, ids: &[JobId]) -> Result<(), Error> { todo!() }

    /// Reaper: short leases for what lies in `claimed` without one; returns how many.
    pub async fn adopt(&self, queue: &QueueName, lease: Duration) -> Result<u32, Error> { todo!() }
    /// Reaper: ids whose lease in Redis ran out. Changes nothing.
    pub async fn expired(&self, queue: &QueueName, limit: u32) -> Result<Vec<JobId>, Error> { todo!() }
    /// Reaper: makes the head match the front of the line: pushes those of `ids` that Redis does not hold, up to the bound,
    /// and sets `overflow` when there are more.
    pub async fn fill(&self, queue: &QueueName, ids: &[JobId], more: bool) -> Result<Filled, Error> { todo!() }
    /// The kinds set aside in a queue, with how many hints, and whether that is as many as are kept.
    pub async fn asides(&self, queue: &QueueName) -> Result<Vec<(Kind, u64, bool)>, Error> { todo!() }
    /// The lock under which one worker at a time fills a head; free again after `ttl`. Whether this call got it.
    pub async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> Result<bool, Error> { todo!() }

    /// Takes the hints of a queue away and refuses new ones until [`Handoff::resume`].
    pub async fn pause(&self, queue: &QueueName) -> Result<(), Error> { todo!() }
    /// Ends a pause. The head is filled by the next tick.
    pub async fn resume(&self, queue: &QueueName) -> Result<(), Error> { todo!() }
    /// One queue as Redis has it.
    pub async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error> { todo!() }
    /// Every queue that has keys here.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> { todo!() }
    /// The generation, made now if it was missing: `(generation, made_now)`.
    pub async fn generation(&self) -> Result<(String, bool), Error> { todo!() }

    /// Says that a worker lives and what it serves; holds for `ttl`.
    pub async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> Result<(), Error> { todo!() }
    /// Takes an announcement back.
    pub async fn withdraw(&self, worker: &WorkerRecord) -> Result<(), Error> { todo!() }
    /// The workers that live.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, Error> { todo!() }
    /// Tells workers.
    pub async fn notify(&self, notices: &[Notice]) -> Result<(), Error> { todo!() }
    /// Listens. Reconnects by itself; what was said meanwhile is lost, which is allowed. Ends when the receiver is dropped.
    #[must_use]
    pub fn listen(&self) -> tokio::sync::mpsc::Receiver<Notice> { todo!() }

    /// A taker: a blocking connection of its own.
    pub async fn taker(&self, queue: &QueueName) -> Result<Taker, Error> { todo!() }
    /// Answers when the server does.
    pub async fn ping(&self) -> Result<(), Error> { todo!() }
}

/// A connection that blocks in `BLMOVE ready claimed LEFT RIGHT`, and nothing else.
///
/// [`Taker::take`] must be driven to its end, never dropped half-way (not in a `select!`): a hint that the
/// server moves after the caller has left lies in `claimed` until the reaper adopts it. To end it early,
/// use [`Unblock`] from elsewhere.
pub struct Taker;

impl Taker {
    /// Waits up to `timeout` for a hint. After an error the connection is gone: make a new taker.
    pub async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error> { todo!() }
    /// The means to wake this taker.
    #[must_use] pub fn unblock(&self) -> Unblock { todo!() }
}

/// Wakes a taker: it then returns `None`, or the hint that it had already been given.
#[derive(Clone)]
pub struct Unblock;

impl Unblock {
    /// `CLIENT UNBLOCK` by the taker's client id.
    pub async fn wake(&self) -> Result<(), Error> { todo!() }
}
