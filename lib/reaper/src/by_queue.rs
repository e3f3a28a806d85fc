//! Groups the jobs that one statement changed, because each call to Redis is about one queue and one end of its head.

use leasehold_core::{JobId, QueueName};
use std::collections::BTreeMap;

/// The ids of each queue, for the front (`true`) and for the rest, in the given order.
pub(crate) fn by_queue(
    jobs: impl IntoIterator<Item = (QueueName, bool, JobId)>,
) -> BTreeMap<(QueueName, bool), Vec<JobId>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (queue, front, id) in jobs {
        groups.entry((queue, front)).or_default().push(id);
    }
    groups
}
