//! Whether anything changed in the lines of many queues, without reading the lines.

use crate::{
    error::Error,
    line::{LineSummary, ReadLine},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use std::time::Duration;

/// The queues with names between two names, in the database's order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The names come after this one. `None`: from the first name on.
    pub after: Option<QueueName>,
    /// The last name of the slice. `None`: all names that follow.
    pub until: Option<QueueName>,
}

/// A fingerprint of a set. Equal fingerprints mean equal sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// The size of the set, counted up to the limit plus one.
    pub count: i64,
    /// A hash of the elements. Their order does not matter.
    pub hash: i64,
}

/// The answer to [`LineChanges::fingerprint`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// The fingerprint of the jobs in the line, for each slice.
    pub slices: Vec<Fingerprint>,
    /// The fingerprint of all pauses: of queues, and of kinds and fair keys in queues.
    pub paused: Fingerprint,
    /// No lease ends before this time. `None`: not known.
    pub leases_scan_start: Option<DateTime<Utc>>,
    /// No scheduled job is due before this time. `None`: not known.
    pub schedule_scan_start: Option<DateTime<Utc>>,
    /// How long the statement ran in the database.
    pub took: Duration,
}

/// Compares the lines of many queues with their earlier fingerprints.
#[async_trait]
pub trait LineChanges: ReadLine {
    /// Fingerprints of some slices of the line, of at most `limit` jobs each, and of the set of pauses.
    async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Result<Fingerprints, Error>;

    /// The scan starts in the lines of some slices, for each slice in the order of the database.
    async fn survey_slices(&self, slices: &[Slice]) -> Result<Vec<Vec<LineSummary>>, Error>;
}
