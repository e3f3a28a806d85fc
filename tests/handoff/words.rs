//! Short words for what most tests begin with.

use leasehold_core::{JobId, Kind, QueueName};
use std::time::Duration;

/// How long a command may take in these tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// The awaited state comes immediately, except on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Does not run out within a test.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
pub(crate) const HEAD_MAX: u32 = 16;

pub(crate) fn queue() -> QueueName {
    QueueName::default()
}

pub(crate) fn kind(name: &str) -> Kind {
    name.parse().expect("a name")
}

pub(crate) fn new_ids(count: usize) -> Vec<JobId> {
    (0..count).map(|_| JobId::new()).collect()
}
