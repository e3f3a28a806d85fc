//! Whether anything changed in the line of many queues, asked without reading the line.

use crate::{
    error::Error,
    line::{LineSummary, ReadLine},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use std::time::Duration;

/// The queues whose names lie between two names, as the database orders names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// They come after this one. `None`: from the first name on.
    pub after: Option<QueueName>,
    /// This is the last of them. `None`: all that follow.
    pub until: Option<QueueName>,
}

/// What is compared of a number of things. Equal fingerprints are of the same things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many things there are, up to the limit and one more.
    pub count: i64,
    /// A hash of them, in which their order does not matter.
    pub hash: i64,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of the jobs in the line of each slice.
    pub slices: Vec<Fingerprint>,
    /// Of the names of the paused queues.
    pub paused: Fingerprint,
    /// No lease ends earlier. `None`: not known.
    pub leases_scan_start: Option<DateTime<Utc>>,
    /// No scheduled job is due earlier. `None`: not known.
    pub schedule_scan_start: Option<DateTime<Utc>>,
    /// How long the database took.
    pub took: Duration,
}

/// Compares the line of many queues with what was seen of it before.
#[async_trait]
pub trait LineChanges: ReadLine {
    /// Fingerprints of some slices of the line, of at most `limit` jobs each, and of what is paused.
    async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Result<Fingerprints, Error>;

    /// Where the live jobs begin in the lines of some slices, for each slice in the order of the database.
    async fn survey_slices(&self, slices: &[Slice]) -> Result<Vec<Vec<LineSummary>>, Error>;
}
