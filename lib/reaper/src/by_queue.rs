//! Puts what one statement changed into the groups that Redis is told in: one queue and one end of its head each.

use leasehold_core::{JobId, QueueName};
use std::collections::BTreeMap;

/// Ids by queue and by whether they go to the front, in the order given within each.
pub(crate) fn by_queue(
    jobs: impl IntoIterator<Item = (QueueName, bool, JobId)>,
) -> BTreeMap<(QueueName, bool), Vec<JobId>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (queue, front, id) in jobs {
        groups.entry((queue, front)).or_default().push(id);
    }
    groups
}
