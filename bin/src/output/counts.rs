//! The jobs that a filter chooses, as counts.

use super::{human, table};
use leasehold::BulkCount;

/// One line for each queue, kind and state, and the sum.
pub(crate) fn table_of(counts: &[BulkCount]) -> String {
    if counts.is_empty() {
        return "no jobs\n".to_owned();
    }
    let sum = counts.iter().map(|count| count.count).sum();
    let row = |count: &BulkCount| {
        [count.queue.clone(), count.kind.clone(), count.state.to_string(), human::grouped(count.count)]
    };
    let total = ["all".to_owned(), String::new(), String::new(), human::grouped(sum)];
    table(["queue", "kind", "state", "jobs>"], counts.iter().map(row).chain([total]))
}
