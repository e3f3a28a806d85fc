//! The counts behind the scaling signal.

use crate::{claims::Kinds, error::Error};
use async_trait::async_trait;
use leasehold_core::{QueueName, WorkerId};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Which jobs of a queue count.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadQuestion {
    /// The queue.
    pub queue: QueueName,
    /// The kinds that workers serve.
    pub kinds: Kinds,
    /// Jobs of other kinds count if they have become due within this time; `None`: they do not count.
    pub others_within: Option<Duration>,
}

/// How many jobs a queue could run now, and how many run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueLoad {
    /// Jobs without limit keys that could start now.
    pub waiting: u64,
    /// Jobs that have limit keys, of each key at most as many as it has room for.
    pub limited: Vec<LimitedJobs>,
    /// How many more jobs of each of these keys may start. Other keys are free.
    pub rooms: BTreeMap<String, u64>,
    /// For how many seconds the oldest of these jobs has been due.
    pub oldest_s: Option<f64>,
    /// Runs on workers that are not draining.
    pub running: u64,
    /// The other runs.
    pub draining: u64,
    /// Jobs that ended within the last minute.
    pub finished: u64,
}

/// Jobs with the same limit keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LimitedJobs {
    /// The keys.
    pub keys: Vec<String>,
    /// How many of them wait.
    pub waiting: u64,
}

/// Counts what queues could run.
#[async_trait]
pub trait CountLoads: fmt::Debug + Send + Sync {
    /// One answer for each question, in order, also for a queue that was never used. The runs of `draining` workers are counted apart.
    async fn queue_loads(&self, questions: &[LoadQuestion], draining: &[WorkerId]) -> Result<Vec<QueueLoad>, Error>;
}
