//! Work by queue: groups values by queue, because one call to Redis concerns one queue. Works on several queues at the same
//! time.

use crate::error::Error;
use futures_util::{StreamExt, stream};
use leasehold_core::QueueName;
use std::collections::BTreeMap;

/// The number of queues that a step works on at the same time, so that many queues do not take long.
const QUEUES_AT_ONCE: usize = 8;

/// Values by queue, in the given order within each queue.
pub(crate) fn by_queue<T>(values: impl IntoIterator<Item = (QueueName, T)>) -> BTreeMap<QueueName, Vec<T>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (queue, value) in values {
        groups.entry(queue).or_default().push(value);
    }
    groups
}

/// Does the work of several queues at the same time. All work is done, even if some of it fails. Returns all results, or the
/// first error.
pub(crate) async fn all_of<T, Work>(work: impl IntoIterator<Item = Work>) -> Result<Vec<T>, Error>
where
    Work: Future<Output = Result<T, Error>>,
{
    let work: Vec<Work> = work.into_iter().collect();
    let results: Vec<Result<T, Error>> = stream::iter(work).buffer_unordered(QUEUES_AT_ONCE).collect().await;
    results.into_iter().collect()
}
