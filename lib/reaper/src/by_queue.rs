//! Groups hints by queue, because one call to Redis concerns one queue.

use leasehold_core::QueueName;
use std::collections::BTreeMap;

/// Values by queue, in the given order within each queue.
pub(crate) fn by_queue<T>(values: impl IntoIterator<Item = (QueueName, T)>) -> BTreeMap<QueueName, Vec<T>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (queue, value) in values {
        groups.entry(queue).or_default().push(value);
    }
    groups
}
