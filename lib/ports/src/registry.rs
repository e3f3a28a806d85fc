//! Who is there. An announcement holds for a while only: a process that stops announcing is gone.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Kind, QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use uuid::Uuid;

/// What a worker says of itself every few seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// New at every start.
    pub id: WorkerId,
    /// Where it runs.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// When it started, as text for people.
    pub started_at: String,
    /// Queue → slots.
    pub queues: Vec<(QueueName, u32)>,
    /// `None` is every kind.
    pub kinds: Option<Vec<Kind>>,
    /// Jobs it runs now.
    pub running: u32,
}

/// Where workers announce themselves.
#[async_trait]
pub trait WorkerRegistry: fmt::Debug + Send + Sync {
    /// Whether the store can do all that a worker needs of it.
    async fn check(&self) -> Result<(), Error>;

    /// Says that a worker lives and what it serves; holds for `ttl`.
    async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> Result<(), Error>;

    /// Takes that back.
    async fn withdraw(&self, worker: &WorkerRecord) -> Result<(), Error>;
}

/// Where reapers announce themselves.
#[async_trait]
pub trait ReaperRegistry: fmt::Debug + Send + Sync {
    /// The name of the contents of the head, and whether that name was made now, because there was none.
    async fn generation(&self) -> Result<(String, bool), Error>;

    /// Says that a reaper lives; holds for `ttl`.
    async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error>;

    /// Takes that back.
    async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error>;
}
