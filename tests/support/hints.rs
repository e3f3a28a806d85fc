//! Hints for tests, without a line in PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::JobId;
use leasehold_ports::Hint;

/// Hints at the times that are in these ids: the ids of jobs that were made one after the other have one order.
#[must_use]
pub fn hints(ids: &[JobId]) -> Vec<Hint> {
    ids.iter().map(|id| Hint::at(*id, made_at(*id))).collect()
}

/// Hints that come an hour before [`hints`].
#[must_use]
pub fn urgent(ids: &[JobId]) -> Vec<Hint> {
    ids.iter().map(|id| Hint::at(*id, made_at(*id) - TimeDelta::hours(1))).collect()
}

/// Hints that a worker took and did not use.
#[must_use]
pub fn unused(ids: &[JobId]) -> Vec<Hint> {
    ids.iter().copied().map(Hint::unused).collect()
}

fn made_at(id: JobId) -> DateTime<Utc> {
    let (seconds, nanos) = id.0.get_timestamp().map_or((0, 0), |time| time.to_unix());
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanos)).unwrap_or_default()
}
