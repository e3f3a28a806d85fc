//! Groups of errors.

use super::{human, table};
use leasehold_store::ErrorGroup;

/// One line for each group.
pub(crate) fn list(groups: &[ErrorGroup]) -> String {
    if groups.is_empty() {
        return "no dead jobs".to_owned();
    }
    table(
        ["jobs>", "kind", "first", "last", "sample", "error"],
        groups.iter().map(|group| {
            [
                human::grouped(group.count),
                group.kind.clone(),
                human::from_now(group.first_at),
                human::from_now(group.last_at),
                group.sample.to_string(),
                group.error.clone(),
            ]
        }),
    )
}
